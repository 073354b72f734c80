//! The answers of steps and handlers that do not succeed, and the errors of executions.

use std::fmt;
use std::sync::Arc;

use trine_protocol::Gid;

use super::WORKFLOW_INPUT_BYTES_MAX;
use crate::{Error, Outcome};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a step, or a whole handler, did not succeed.
///
/// The operator `?` makes a [`Failure::Unknown`] of any error. A business "no" is a [`Failure::refused`].
///
/// ```
/// use trine_sdk::workflow::Failure;
///
/// fn seats(answer: &str) -> Result<u32, Failure> {
///     match answer.parse()? {
///         0 => Err(Failure::refused("sold out")),
///         free => Ok(free),
///     }
/// }
/// assert!(matches!(seats("3"), Ok(3)));
/// assert!(matches!(seats("0"), Err(Failure::Refused(_))));
/// assert!(matches!(seats("?"), Err(Failure::Unknown(_))));
/// ```
// `Failure` is no `std::error::Error`: if it were one, `From` for every error would overlap with `From` for itself.
#[derive(Debug)]
pub enum Failure {
    /// A business "no", with the reason for people. A reason has at most 1024 bytes, and spaces for control characters.
    ///
    /// A step that answers this has had no effect. The refusal is recorded, so the step is refused at every later
    /// execution. A delayed duplicate of the step may still succeed, so its
    /// [`on_rollback`](super::Branch::on_rollback) runs however the workflow ends. When a handler answers this, every step
    /// is undone.
    Refused(String),
    /// Nobody knows whether the step took effect. Nothing is recorded and nothing is undone: the execution ends here, and
    /// the coordinator calls back, so that the step is tried again.
    Unknown(BoxError),
    /// The execution has to end, for this reason. Hand it on with `?`. Whatever else the handler does, no step runs and
    /// nothing is finished any more.
    Stopped(WorkflowError),
}

impl Failure {
    /// A business "no".
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// An unknown outcome, from what `?` does not take: text and boxed errors.
    pub fn unknown(error: impl Into<BoxError>) -> Self {
        Self::Unknown(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Unknown(error) => write!(f, "not known whether it took effect: {error}"),
            Self::Stopped(error) => write!(f, "stopped: {error}"),
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unknown(Box::new(error))
    }
}

/// Turns the answer of a barrier into the answer of a step.
///
/// ```
/// use trine_sdk::Outcome;
/// use trine_sdk::workflow::{Failure, settle};
///
/// assert_eq!(settle(Outcome::done(&7).unwrap()).unwrap(), 7);
/// assert!(matches!(settle(Outcome::refused("sold out")), Err(Failure::Refused(_))));
/// ```
///
/// # Errors
/// [`Failure::Refused`] for a refusal. [`Failure::Unknown`] for [`Outcome::Ongoing`], so that the step is tried again.
pub fn settle(outcome: Outcome) -> Result<serde_json::Value, Failure> {
    match outcome {
        Outcome::Done(output) => Ok(output),
        Outcome::DoneReadOnly => Ok(serde_json::Value::Null),
        Outcome::Refused(reason) => Err(Failure::Refused(reason)),
        Outcome::Ongoing(_) => Err(Failure::unknown("still at it")),
    }
}

/// Why there is no result. Each error says what to do. [`WorkflowError::has_ended`] tells which ones are final.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// The workflow ended with a business "no", and its steps are undone. Final: the same gid gives the same answer.
    #[error("refused: {0}")]
    Refused(String),
    /// Somebody else, an operator perhaps, has ended the workflow against the recorded decision. Some of its steps may be
    /// undone or committed, and others not. Final; people have to look at what the steps did.
    #[error("it was decided to {decided}, and somebody else has ended it as {ended}")]
    Overruled {
        /// `commit` or `roll back`.
        decided: &'static str,
        /// `committed` or `rolled back`.
        ended: &'static str,
    },
    /// Nobody knows whether a step, or the handler, took effect. The workflow goes on when the coordinator calls back.
    /// Execute it again with the same gid to wait for its end.
    #[error("{step}: not known whether it took effect: {reason}")]
    Unknown {
        /// The branch and op, or `the handler`.
        step: String,
        /// What went wrong, with its causes.
        reason: String,
    },
    /// Another executor goes on with the workflow, or has ended it. Execute it again with the same gid for the result.
    #[error("another executor has gone on with the workflow")]
    Superseded,
    /// No coordinator gave a usable answer in the time of
    /// [`ClientBuilder::retry_for`](crate::ClientBuilder::retry_for), or a URL cannot be used. A workflow that was begun
    /// goes on when the coordinator calls back. Or execute it again with the same gid.
    #[error("the coordinator gives no answer")]
    Coordinator(#[source] Arc<Error>),
    /// The coordinator refuses the request. Repeating it does not help: the message says what to change.
    #[error("the coordinator answered {status}: {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The code of the error (`TX0002` and so on) and the coordinator's explanation.
        message: String,
    },
    /// No handler has this name. Register the handler in every instance that is called back.
    #[error("no workflow is registered as `{0}`")]
    NotRegistered(String),
    /// The input is larger than a callback may be, so the workflow was not begun. Keep the bulk elsewhere, and hand over
    /// its address.
    #[error("the input has {bytes} bytes, and a workflow's may have {WORKFLOW_INPUT_BYTES_MAX}")]
    InputTooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The gid belongs to another workflow, to a workflow with another input, or to another transaction. Choose another gid.
    #[error("{gid} is taken: {what}")]
    Conflict {
        /// The gid.
        gid: Gid,
        /// What differs.
        what: String,
    },
    /// The handler did something else than an earlier execution recorded, so it cannot be resumed. Nothing was finished.
    /// Deploy the handler that fits the record; the coordinator calls back until then.
    #[error("the handler does not follow its own record: {0}")]
    Diverged(String),
    /// An input, a result or a step's answer is not JSON of the expected type. Nothing was finished; correct the types.
    #[error("{what} is not as expected: {reason}")]
    Json {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The handler panicked, or the runtime is shutting down. The coordinator calls back.
    #[error("the execution was interrupted")]
    Interrupted,
}

impl WorkflowError {
    /// Whether the workflow has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Overruled { .. })
    }

    pub(super) fn json(what: impl Into<String>, error: &serde_json::Error) -> Self {
        Self::Json { what: what.into(), reason: error.to_string() }
    }
}
