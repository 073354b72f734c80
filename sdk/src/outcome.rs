//! The results of handlers: the outcome of an op, and the answer to a check. `participant` writes an outcome as HTTP, `barrier`
//! remembers it.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// How one attempt at an op ended, in the words of the service that ran it.
///
/// There is no variant for "something went wrong". That is an `Err`: the coordinator takes it as *unknown* (the op may have run),
/// and repeats the call.
///
/// ```
/// use trine_sdk::Outcome;
///
/// #[derive(serde::Serialize)]
/// struct Reserved { left: i64 }
///
/// fn answer(left: i64) -> Result<Outcome, serde_json::Error> {
///     if left < 0 { Ok(Outcome::refused("not enough in stock")) } else { Outcome::done(&Reserved { left }) }
/// }
/// assert_eq!(answer(-1)?, Outcome::refused("not enough in stock"));
/// assert_eq!(answer(3)?, Outcome::Done(serde_json::json!({"left": 3})));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The op took effect. The coordinator keeps the value as the branch's output, if it has at most 16 KiB of JSON.
    Done(Value),
    /// The prepare has nothing to make permanent, so the branch is left out of phase two. For any other op this is the same as
    /// [`Outcome::empty`].
    DoneReadOnly,
    /// The op cannot be done for a business reason, which people can read here. The op must leave no effect. Only action, try and
    /// prepare may be refused.
    Refused(String),
    /// The op is not finished. The coordinator repeats the call after this time (or after its default time). A barrier rolls the
    /// op back and does not remember this outcome. If an undo comes before the op is done, the undo finds nothing. So work that
    /// goes on elsewhere may take effect only through a later call of this op.
    Ongoing(Option<Duration>),
}

impl Outcome {
    /// Done, with an output.
    ///
    /// # Errors
    /// If the value has no JSON form, as a map with keys that are not strings.
    pub fn done<T: Serialize>(output: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_value(output).map(Self::Done)
    }

    /// Done, without an output.
    pub fn empty() -> Self {
        Self::Done(Value::Null)
    }

    /// Refused, with the reason.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}

/// The answer of an initiator when the coordinator asks whether the local transaction of a message committed.
///
/// If the initiator does not know, it answers with an `Err`, and the coordinator asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckAnswer {
    /// The local transaction committed. The coordinator delivers the message.
    Committed,
    /// The local transaction did not commit, and never will. The coordinator drops the message. Give this answer only after a
    /// later commit was made impossible, as the barrier's check does.
    NotCommitted,
}
