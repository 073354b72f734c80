//! A transaction in memory.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::Timestamp;

use super::batch::{Arrived, Indexed};
use super::{Seq, Ticket};
use crate::input::CallKey;
use crate::transaction::Transaction;

/// Somebody who waits for a transaction to settle.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) until: Timestamp,
    /// Not for the end alone: also when there is nothing to do for now.
    pub(super) or_quiet: bool,
    /// What is decided again if what it was decided on is forgotten.
    pub(super) message: Arrived,
}

/// A transaction in memory.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) transaction: Transaction,
    pub(super) ownership: Ownership,
    /// The newest of its records that is known to be durable.
    pub(super) durable_seq: Seq,
    /// What was durable at one time: more than `durable_seq` if the journal that was read has lost records.
    pub(super) acknowledged_seq: Seq,
    /// The transaction's own time less steady time.
    pub(super) lead_ms: i64,
    /// When that was learnt, by a read or a write.
    pub(super) fresh_at: Timestamp,
    /// Calls under way, or withheld until a batch is durable.
    pub(super) under_way: BTreeMap<CallKey, CallStage>,
    /// Calls that left for this gid before it was created here, and have not come back.
    pub(super) left_earlier: BTreeSet<CallKey>,
    /// Calls that found no room at their host, and when to offer them again.
    pub(super) deferred: BTreeMap<CallKey, Timestamp>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) timer: Option<Timestamp>,
    /// Bytes of payloads and outputs, as of the last seal.
    pub(super) weight: usize,
    /// What the index row says, so that it is rewritten only when it changes.
    pub(super) indexed: Option<Indexed>,
}

/// Who drives a transaction that is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Another coordinator. It is here while somebody waits for its end.
    Foreign,
    /// This shard.
    Owned,
    /// This shard, but another coordinator may have adopted it while its records are being written. It makes no calls,
    /// and is read again when they are durable.
    RereadAfterFlush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallStage {
    Withheld,
    Released,
}

impl Resident {
    pub(super) fn new(transaction: Transaction, owned: bool, lead_ms: i64, now: Timestamp) -> Self {
        Self {
            transaction,
            ownership: if owned { Ownership::Owned } else { Ownership::Foreign },
            durable_seq: 0,
            acknowledged_seq: 0,
            lead_ms,
            fresh_at: now,
            under_way: BTreeMap::new(),
            left_earlier: BTreeSet::new(),
            deferred: BTreeMap::new(),
            waiters: Vec::new(),
            timer: None,
            weight: 0,
            indexed: None,
        }
    }

    /// All its records are durable.
    pub(super) fn is_flushed(&self) -> bool {
        self.transaction.seq() <= self.durable_seq
    }

    /// What is durable has nothing under way and nothing due. What is under way elsewhere is due in its journal as well.
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        if !self.is_flushed() || !self.under_way.is_empty() {
            return false;
        }
        // What is due waits for room at its host, or came due meanwhile and goes out when time passes here, too.
        let own_now = self.own(now);
        let agenda = self.transaction.agenda(own_now);
        agenda.calls.is_empty() && agenda.wake_at.is_none_or(|wake_at| wake_at > own_now)
    }

    /// Whether a wait is over. A parked transaction has no end to wait for, but calls of other branches may be under way.
    pub(super) fn ends_a_wait(&self, or_quiet: bool) -> bool {
        self.transaction.status().is_settled() || (!or_quiet && self.transaction.parked().is_some())
    }

    /// Long waits may leave memory: nothing is under way, and the index row says when to come back.
    pub(super) fn may_leave(&self, now: Timestamp, evict_after_ms: u64) -> bool {
        let due_at = self.indexed.and_then(|indexed| indexed.due_at);
        due_at.is_some_and(|due_at| due_at > self.own(now).plus_millis(evict_after_ms))
            && self.under_way.is_empty()
            && self.deferred.is_empty()
    }

    /// Time alone never moves it.
    pub(super) fn waits_for_a_person(&self) -> bool {
        self.indexed.is_some_and(|indexed| indexed.due_at == Some(Timestamp::MAX))
    }
}
