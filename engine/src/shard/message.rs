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
    /// As soon as it is durable.
    Durable,
    /// When the transaction is settled or has parked, or at that time with what is durable then.
    Settled {
        /// Not later than this.
        until: Timestamp,
    },
    /// When the transaction is settled, or no call of it is under way and none is due: it waits for its initiator or for
    /// a later time. What another coordinator drives is judged by its journal.
    Quiet {
        /// Not later than this.
        until: Timestamp,
    },
}

/// What a shard can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks for something.
    Command {
        /// Whom to answer.
        ticket: Ticket,
        /// About which transaction.
        gid: Gid,
        /// What.
        command: Command,
        /// When to answer.
        reply_on: ReplyOn,
    },
    /// A released call came back.
    Answer {
        /// Of which transaction.
        gid: Gid,
        /// Which call.
        key: CallKey,
        /// With what.
        answer: Answer,
    },
    /// A released call was not made. It stays owed; that is recorded only if it lasts.
    NotSent {
        /// Of which transaction.
        gid: Gid,
        /// Which call.
        key: CallKey,
        /// Offer it again then.
        retry_at: Timestamp,
        /// Why, in words for people. None: this coordinator holds its calls back for now, and that says nothing of
        /// whom they go to.
        reason: Option<String>,
    },
    /// The lane gives up on a transaction that brought it down repeatedly.
    Quarantine {
        /// Which.
        gid: Gid,
        /// What was seen.
        detail: String,
    },
}

impl Message {
    /// The transaction it is about.
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

/// What a command's sender is told: durable facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// Where it stands.
    pub status: Status,
    /// Something needs a person.
    pub parked: bool,
    /// Why it rolls back.
    pub cause: Option<RollbackCause>,
    /// What it waits for.
    pub waiting_on: Option<WaitingOn>,
    /// What was asked for.
    pub spec: Arc<Spec>,
    /// The command led to this; otherwise it was a repetition, and found this, or nobody knows: its own doubtful write
    /// was found. Always set for who waited.
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
