//! What a shard can be told, and what it tells the sender of a command.

use std::sync::Arc;

use trine_protocol::{Gid, Pattern, Status, Timestamp};

use crate::event::RollbackCause;
use crate::input::{Answer, CallKey, Command};
use crate::spec::Spec;
use crate::transaction::{Transaction, WaitingOn};

/// Names a reply that somebody outside waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// When a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyOn {
    /// As soon as what the answer relies on is durable.
    Durable,
    /// When the transaction is settled or has parked. At `until` at the latest, with what is durable then.
    Settled { until: Timestamp },
    /// When the transaction is settled, or no call of it is under way and none is due: it waits for its initiator or for
    /// a later time. What another coordinator drives is judged by its journal. At `until` at the latest.
    Quiet { until: Timestamp },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Command {
        ticket: Ticket,
        gid: Gid,
        command: Command,
        reply_on: ReplyOn,
    },
    /// A released call came back.
    Answer {
        gid: Gid,
        key: CallKey,
        answer: Answer,
    },
    /// A released call was not made. It stays owed, and is offered again at `retry_at`. A record says so only if it lasts.
    NotSent {
        gid: Gid,
        key: CallKey,
        retry_at: Timestamp,
        /// Why, in words for people. None: this coordinator holds its calls back for now, which says nothing about the
        /// participant.
        reason: Option<String>,
    },
    /// The lane gives up on a transaction that brought it down repeatedly.
    Quarantine {
        gid: Gid,
        detail: String,
    },
}

impl Message {
    pub fn gid(&self) -> &Gid {
        match self {
            Self::Command { gid, .. }
            | Self::Answer { gid, .. }
            | Self::NotSent { gid, .. }
            | Self::Quarantine { gid, .. } => gid,
        }
    }

    /// The call it ends, if it ends one.
    pub(super) fn answers(&self) -> Option<CallKey> {
        match self {
            Self::Answer { key, .. } | Self::NotSent { key, .. } => Some(*key),
            Self::Command { .. } | Self::Quarantine { .. } => None,
        }
    }
}

/// What the sender of a command is told: durable facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub gid: Gid,
    pub pattern: Pattern,
    pub status: Status,
    pub parked: bool,
    pub cause: Option<RollbackCause>,
    pub waiting_on: Option<WaitingOn>,
    pub spec: Arc<Spec>,
    /// True: the command led to this. False: it changed nothing, because it was a repetition, or because its own doubtful
    /// write had been successful. Always true for a sender who waited.
    pub changed: bool,
}

pub(super) fn snapshot(transaction: &Transaction) -> Snapshot {
    Snapshot {
        gid: transaction.gid().clone(),
        pattern: transaction.pattern(),
        status: transaction.status(),
        parked: transaction.parked().is_some(),
        cause: transaction.cause().cloned(),
        waiting_on: transaction.waiting_on(),
        spec: Arc::clone(transaction.spec()),
        changed: true,
    }
}
