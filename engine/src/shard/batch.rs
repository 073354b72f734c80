//! One durable write: its records, and the rows of the index that they change.

use std::sync::Arc;

use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::Message;
use crate::event::Record;
use crate::spec::{BranchSpec, Spec};
use crate::transaction::Transaction;

/// Names a batch within its shard; they grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// What one durable write appends: all of it, or, for a gid whose `(gid, seq)` exists, none of that gid's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name.
    pub id: BatchId,
    /// In the order they were decided; a gid's records are in `seq` order.
    pub records: Vec<Record>,
    /// Rows of the index that these records change. Every gid created in this batch has one.
    pub rows: Vec<IndexRow>,
}

/// What lists and recovery know of a transaction. Derived from its records; can be rebuilt from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// Where it stands.
    pub status: Status,
    /// Why it needs a person.
    pub parked: Option<&'static str>,
    /// It may be out of memory until then; absent: whoever owns it keeps it in memory.
    pub due_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// What was asked for: labels and hosts for filters. Hosts grow as branches register.
    pub spec: Arc<Spec>,
    /// Hosts and participants of all its branches, sorted.
    pub hosts: Vec<String>,
}

/// A message with its place among all that were decided: what is decided again is decided in that order, whether a
/// batch or the end of its transaction is what it waits for.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) order: u64,
    pub(super) message: Message,
}

/// What of a transaction its index row depends on. A function of its records alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) status: Status,
    pub(super) parked: Option<&'static str>,
    pub(super) due_at: Option<Timestamp>,
    pub(super) branches: usize,
}

impl IndexRow {
    /// What the index says of a transaction whose long waits are spent out of memory if they are longer than this.
    pub fn of(transaction: &Transaction, evict_after_ms: u64) -> Self {
        let indexed = indexed(transaction, evict_after_ms);
        let mut hosts: Vec<String> =
            transaction.branches.iter().flat_map(|branch| hosts_of(&branch.spec)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self {
            gid: transaction.gid.clone(),
            pattern: transaction.pattern(),
            status: indexed.status,
            parked: indexed.parked,
            due_at: indexed.due_at,
            created_at: transaction.created_at,
            updated_at: transaction.updated_at,
            spec: transaction.spec.clone(),
            hosts,
        }
    }
}

/// What the index says of a transaction. It depends on its records alone, so a transaction that is read back knows
/// what its row says without reading it.
pub(super) fn indexed(transaction: &Transaction, evict_after_ms: u64) -> Indexed {
    let agenda = transaction.agenda(transaction.updated_at);
    let wake_at = agenda.wake_at.unwrap_or(Timestamp::MAX);
    let waits_long = agenda.calls.is_empty() && wake_at > transaction.updated_at.plus_millis(evict_after_ms);
    Indexed {
        status: transaction.status(),
        parked: transaction.parked(),
        due_at: (waits_long && !transaction.status().is_settled()).then_some(wake_at),
        branches: transaction.branches.len(),
    }
}

fn hosts_of(spec: &BranchSpec) -> impl Iterator<Item = String> {
    [&spec.forward, &spec.on_commit, &spec.on_rollback]
        .into_iter()
        .flatten()
        .map(|target| target.host().to_owned())
}
