//! Ops: the requests to a branch, and the op that each pattern uses in each phase.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Pattern;

/// A request to a branch, or, for [`Op::Check`], to the initiator of a message or the executor of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Op {
    /// saga: do it.
    Action,
    /// saga: undo it.
    Compensate,
    /// tcc: reserve.
    Try,
    /// tcc: turn the reservation into the effect.
    Confirm,
    /// tcc: give the reservation back.
    Cancel,
    /// two_phase: vote.
    Prepare,
    /// two_phase: make the prepared work permanent.
    Commit,
    /// two_phase: drop the prepared work.
    Rollback,
    /// message: take the delivery.
    Deliver,
    /// message: did the initiator's local transaction commit? workflow: resume the execution.
    Check,
}

impl Op {
    /// Every op.
    pub const ALL: [Self; 10] = [
        Self::Action,
        Self::Compensate,
        Self::Try,
        Self::Confirm,
        Self::Cancel,
        Self::Prepare,
        Self::Commit,
        Self::Rollback,
        Self::Deliver,
        Self::Check,
    ];

    /// The op a pattern asks of each branch while going forward.
    pub fn forward(pattern: Pattern) -> Self {
        match pattern {
            // The executor drives the branches of a workflow itself, so this op is never called.
            Pattern::Saga | Pattern::Workflow => Self::Action,
            Pattern::Tcc => Self::Try,
            Pattern::TwoPhase => Self::Prepare,
            Pattern::Message => Self::Deliver,
        }
    }

    /// The op of phase two after the decision to commit. None if the forward op has the effect already.
    pub fn on_commit(pattern: Pattern) -> Option<Self> {
        match pattern {
            Pattern::Saga | Pattern::Message | Pattern::Workflow => None,
            Pattern::Tcc => Some(Self::Confirm),
            Pattern::TwoPhase => Some(Self::Commit),
        }
    }

    /// The op that undoes the forward op. None for messages, which never roll back once submitted, and for workflows, whose
    /// executors undo their steps.
    pub fn on_rollback(pattern: Pattern) -> Option<Self> {
        match pattern {
            Pattern::Saga => Some(Self::Compensate),
            Pattern::Tcc => Some(Self::Cancel),
            Pattern::TwoPhase => Some(Self::Rollback),
            Pattern::Message | Pattern::Workflow => None,
        }
    }

    /// Whether a participant may answer this op with a business "no". For any other op a "no" counts as
    /// *unknown*: the op is retried, and the answer is shown.
    pub fn may_be_refused(self) -> bool {
        match self {
            Self::Action | Self::Try | Self::Prepare | Self::Check => true,
            Self::Compensate
            | Self::Confirm
            | Self::Cancel
            | Self::Commit
            | Self::Rollback
            | Self::Deliver => false,
        }
    }

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensate => "compensate",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Deliver => "deliver",
            Self::Check => "check",
        }
    }

    /// The op of a wire word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == word)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
