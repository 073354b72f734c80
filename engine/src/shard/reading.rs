//! A gid whose journal is being read, and what waits for the result.

use std::collections::BTreeSet;

use trine_protocol::Timestamp;

use super::resident::Waiter;
use super::wall::KnownTime;
use super::{Found, Message, Seq};
use crate::input::CallKey;

/// A journal that is being read, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) messages: Vec<Message>,
    pub(super) stage: ReadStage,
    /// Whose commands were accepted before it was read again.
    pub(super) waiters: Vec<Waiter>,
    /// It must come into memory even if nobody asks for it.
    pub(super) must_come_back: bool,
    /// What was durable when it was last here. A journal that is shorter has lost what was acknowledged.
    pub(super) acknowledged_seq: Seq,
    /// What is known of its own time.
    pub(super) time: KnownTime,
    /// Another coordinator may have adopted it after this read began. Do not trust `owned = true`; read again.
    pub(super) owned_may_be_stale: bool,
    /// This coordinator may have adopted it after this read began. Do not trust `owned = false`; read again.
    pub(super) foreign_may_be_stale: bool,
    /// Calls that left before this read, and have not come back.
    pub(super) left_earlier: BTreeSet<CallKey>,
}

impl Reading {
    /// For what must be in memory even if nobody asks for it.
    pub(super) fn that_must_come_back() -> Self {
        Self { must_come_back: true, ..Self::default() }
    }

    /// The store reads from now on.
    pub(super) fn start(&mut self) {
        match self.stage {
            ReadStage::Queued | ReadStage::Failed { .. } => {
                self.stage = ReadStage::Started { late: Vec::new() };
            }
            ReadStage::Started { .. } => {}
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        match &mut self.stage {
            ReadStage::Queued | ReadStage::Failed { .. } => self.messages.push(message),
            ReadStage::Started { late } => late.push(message),
        }
    }

    /// The result was read before another coordinator, or this one, took the transaction over.
    pub(super) fn is_stale(&self, found: &Found) -> bool {
        if found.owned { self.owned_may_be_stale } else { self.foreign_may_be_stale }
    }
}

/// How far a read is.
#[derive(Debug, Default)]
pub(super) enum ReadStage {
    /// The store has not started. What arrives now is not newer than the result.
    #[default]
    Queued,
    /// The store has started reading. A command that arrives now may be newer than the result, so if another coordinator
    /// owns the transaction the command waits for a second read.
    Started { late: Vec<Message> },
    /// The read failed. It is asked for again then.
    Failed { retry_at: Timestamp },
}

impl ReadStage {
    pub(super) fn into_late(self) -> Vec<Message> {
        match self {
            Self::Queued | Self::Failed { .. } => Vec::new(),
            Self::Started { late } => late,
        }
    }
}
