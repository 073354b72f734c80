//! The requests of initiators and executors to a coordinator.

use trine_engine::{ForceTo, Rejection, ReplyOn, Snapshot};
use trine_protocol::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Create,
    /// Wait for the end.
    Wait,
    /// Wait until nothing is due.
    WaitForQuiet,
    Commit,
    Abort,
    /// Replay parked ops.
    Replay,
    /// An operator settles it.
    Force {
        to: ForceTo,
    },
    /// An executor resumes the workflow.
    Resume,
    /// A step of the workflow is done.
    Record {
        step: usize,
    },
    /// The workflow has ended.
    Finish,
}

impl Ask {
    pub(crate) fn is_by_executor(self) -> bool {
        matches!(self, Self::Resume | Self::Record { .. } | Self::Finish)
    }
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    pub(crate) at: Timestamp,
    /// It must be answered by then.
    pub(crate) until: Timestamp,
}

impl Question {
    pub(crate) fn new(ask: Ask, at: Timestamp, patience_ms: u64) -> Self {
        Self { ask, at, until: at.plus_millis(patience_ms) }
    }

    pub(crate) fn reply_on(&self) -> ReplyOn {
        match self.ask {
            Ask::Wait => ReplyOn::Settled { until: self.until },
            Ask::WaitForQuiet => ReplyOn::Quiet { until: self.until },
            Ask::Create
            | Ask::Commit
            | Ask::Abort
            | Ask::Replay
            | Ask::Force { .. }
            | Ask::Resume
            | Ask::Record { .. }
            | Ask::Finish => ReplyOn::Durable,
        }
    }

    /// Whether the answer was given because nothing was due.
    pub(crate) fn is_told_quiet(&self, result: &Result<Snapshot, Rejection>, now: Timestamp) -> bool {
        let unsettled = result.as_ref().is_ok_and(|snapshot| !snapshot.status.is_settled());
        self.ask == Ask::WaitForQuiet && unsettled && now < self.until
    }
}
