//! What a handler answers: the outcome of an op, and the answer to a check.
//!
//! How an outcome is written as HTTP is in `participant`; how it is remembered is in `barrier`.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// How one attempt at an op ended, in the words of the service that ran it.
///
/// There is no variant for "something went wrong": that is an `Err`, which the coordinator takes as *unknown* (it may
/// have run) and asks again.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It took effect. The value is kept as the branch's output (at most 16 KiB of JSON are).
    Done(Value),
    /// A prepare that has nothing to make permanent: the branch is left out of phase two. For any other op it is
    /// the same as [`Outcome::empty`].
    DoneReadOnly,
    /// A business "no", with the reason for people. It must leave no effect. Legal for action, try and prepare.
    Refused(String),
    /// Still at it: ask again after this long (the coordinator's default when absent). Behind a barrier it leaves no
    /// effect and is not remembered: an undo that comes before the op is done finds nothing to undo, so work that
    /// goes on elsewhere meanwhile must come to its effect through this op and no other way.
    Ongoing(Option<Duration>),
}

impl Outcome {
    /// Done, with an output.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are not strings, say).
    pub fn done<T: Serialize>(output: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_value(output).map(Self::Done)
    }

    /// Done, with nothing to tell.
    pub fn empty() -> Self {
        Self::Done(Value::Null)
    }

    /// A business "no".
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}

/// What an initiator answers when the coordinator asks whether the local transaction of a message committed.
///
/// "I cannot tell" is an `Err`; the coordinator asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckAnswer {
    /// It committed: deliver.
    Committed,
    /// It did not commit, and never will: drop the message. Give this answer only when a later commit is made
    /// impossible, as the barrier's check does.
    NotCommitted,
}
