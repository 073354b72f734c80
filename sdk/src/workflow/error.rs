//! What a step or handler answers when it does not succeed, and why an execution has no result to give.

use std::fmt;
use std::sync::Arc;

use trine_protocol::Gid;

use super::WORKFLOW_INPUT_BYTES_MAX;
use crate::{Error, Outcome};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a step, or a whole handler, did not succeed.
///
/// Any error becomes [`Failure::Unknown`] by `?`; a business "no" is said with [`Failure::refused`]. (It is no
/// `std::error::Error` itself: that is what lets `?` take every error.)
#[derive(Debug)]
pub enum Failure {
    /// A business "no", with the reason for people. A step that answers this has left no effect this time, and is
    /// recorded: it is refused at every later execution. A duplicate of it that was delayed may still succeed, so its
    /// [`on_rollback`](super::Branch::on_rollback) is run however the workflow ends. A handler that answers this has
    /// everything undone.
    Refused(String),
    /// It is not known whether it took effect. Nothing is recorded and nothing undone: the execution ends here, and
    /// the coordinator calls back, so that it is tried again.
    Unknown(BoxError),
    /// The execution has to end, for this reason. Hand it on with `?`; whatever else the handler does, no step runs
    /// and nothing is finished any more.
    Stopped(WorkflowError),
}

impl Failure {
    /// A business "no".
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// Not known whether it took effect: for what `?` does not take, such as text and boxed errors.
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

/// What a barrier answered, as a step answers it: its output, or why not.
///
/// # Errors
/// [`Failure::Refused`] for a refusal; [`Failure::Unknown`] for [`Outcome::Ongoing`], so that it is asked again.
pub fn settle(outcome: Outcome) -> Result<serde_json::Value, Failure> {
    match outcome {
        Outcome::Done(output) => Ok(output),
        Outcome::DoneReadOnly => Ok(serde_json::Value::Null),
        Outcome::Refused(reason) => Err(Failure::Refused(reason)),
        Outcome::Ongoing(_) => Err(Failure::unknown("still at it")),
    }
}

/// Why there is no result. What to do stands with each; [`WorkflowError::has_ended`] tells those that are final.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// It ended with a business "no", and what its steps did is undone. Final: the same gid gives the same answer.
    #[error("refused: {0}")]
    Refused(String),
    /// Somebody has ended it the other way than was decided, as an operator may: of its steps, some may be undone or
    /// committed and others not. Final; people have to look at what its steps did.
    #[error("it was decided to {decided}, and somebody else has ended it as {ended}")]
    Overruled {
        /// `commit` or `roll back`.
        decided: &'static str,
        /// `committed` or `rolled back`.
        ended: &'static str,
    },
    /// A step, or the handler, ended without anybody knowing whether it took effect. The coordinator calls back and
    /// the workflow goes on from there; execute it again with the same gid to wait for that.
    #[error("{step}: not known whether it took effect: {reason}")]
    Unknown {
        /// The branch and op, or `the handler`.
        step: String,
        /// What went wrong, with its causes.
        reason: String,
    },
    /// Another executor is at it, or has ended it. Execute it again with the same gid for the result.
    #[error("another executor has gone on with the workflow")]
    Superseded,
    /// The coordinator gave no usable answer for as long as the client is patient. The workflow goes on when it is
    /// called back; or execute it again with the same gid.
    #[error("the coordinator gives no answer")]
    Coordinator(#[source] Arc<Error>),
    /// The coordinator does not take what it was asked. Repeating it does not help: the text says what to change.
    #[error("the coordinator answered {status}: {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// No handler has this name. Register it, in every instance that is called back.
    #[error("no workflow is registered as `{0}`")]
    NotRegistered(String),
    /// The input is larger than a callback brings back, so the workflow was not begun. Keep the bulk elsewhere, and hand
    /// over where it is.
    #[error("the input has {bytes} bytes, and a workflow's may have {WORKFLOW_INPUT_BYTES_MAX}")]
    InputTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The gid is that of something else: another workflow, another input, or no workflow at all. Choose another.
    #[error("{gid} is taken: {what}")]
    Conflict {
        /// The gid.
        gid: Gid,
        /// What differs.
        what: String,
    },
    /// The handler does not do what it did when it was last executed, so it cannot be resumed. Nothing was finished.
    /// Bring the handler back that fits the record; the coordinator calls back until then.
    #[error("the handler does not follow its own record: {0}")]
    Diverged(String),
    /// Input, output or what a step came to is not JSON of the expected type. Nothing was finished; mend the types.
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
    /// Whether the workflow has ended, so that nothing more will come of it.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Overruled { .. })
    }

    pub(super) fn json(what: impl Into<String>, error: &serde_json::Error) -> Self {
        Self::Json { what: what.into(), reason: error.to_string() }
    }
}
