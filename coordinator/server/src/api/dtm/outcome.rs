//! What a request comes to in the dialect: done, a page, or one of its kinds of trouble.

use trine_engine::Rejection;
use trine_protocol::dtm::status;
use trine_protocol::errors::Code;

use crate::runtime::SubmitError;

/// Why a request was not done, in the dialect's three kinds. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not fit: 409, or `ABORTED`. The text ends in ` FAILURE`.
    Failure(String),
    /// Not finished yet: 425, or `FAILED_PRECONDITION`.
    Ongoing(String),
    /// A name that cannot be kept as it is: 400, or `INVALID_ARGUMENT`. Nothing was done.
    Unfit(String),
    /// There is no such transaction or type: 500, or `INTERNAL`.
    Missing(String),
    /// Anything else: 500, or `UNKNOWN`. Such as a request that cannot be understood.
    Other(String),
    /// The coordinator cannot take it now: 500 with `Retry-After` in seconds, or `UNAVAILABLE`. Nothing was done, or it is
    /// not known what; the same request may be repeated. The code is for the metrics.
    Unavailable(String, u64, Code),
}

/// A page of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// Where the next one begins; empty when this is the last.
    pub(crate) next_position: String,
}

/// What most requests come to.
pub(super) type Done = Result<(), Trouble>;

/// A command was not taken: the engine's no, for whoever asked to put into words, or the coordinator's.
pub(super) enum Refused {
    /// The transaction's state does not allow it, or there is none.
    Rejected(Rejection),
    /// For the client as it is.
    Trouble(Trouble),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        let unavailable = |code, text: &str, after_s: u64| Trouble::Unavailable(text.into(), after_s, code);
        let silent = Code::StoreUnavailable;
        match error {
            SubmitError::Rejected(Rejection::Unavailable) => {
                unavailable(silent, "the store does not answer; repeat the request", RETRY_AFTER_S).into()
            }
            SubmitError::Rejected(Rejection::Corrupt) => {
                Trouble::Other(Rejection::Corrupt.to_string()).into()
            }
            SubmitError::Rejected(rejection) => Self::Rejected(rejection),
            SubmitError::Busy { retry_after_ms } => {
                let after_s = retry_after_ms.div_ceil(1_000);
                unavailable(Code::Busy, "too much is in flight; nothing was done", after_s).into()
            }
            clock @ SubmitError::ClockWrong { .. } => {
                let text = format!("nothing was done, because {clock}");
                unavailable(Code::NotReady, &text, RETRY_AFTER_S).into()
            }
            SubmitError::ShuttingDown => {
                let text = "shutting down; nothing was done, ask another coordinator";
                unavailable(Code::ShuttingDown, text, RETRY_AFTER_S).into()
            }
            SubmitError::Lost => {
                let text = "nobody knows yet whether this was done; repeat the request";
                unavailable(silent, text, RETRY_AFTER_S).into()
            }
        }
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(rejection) => other(rejection),
            Refused::Trouble(trouble) => trouble,
        }
    }
}

/// Seconds after which to come back when the store is silent.
pub(super) const RETRY_AFTER_S: u64 = 1;

/// Nothing may be added (any more).
pub(super) fn not_prepared(gid: &str) -> Trouble {
    Trouble::Failure(format!("no trans with gid: {gid} status: {} found FAILURE", status::PREPARED))
}

/// It is there already.
pub(super) fn duplicate() -> Trouble {
    Trouble::Other("storage: UniqueKeyConflict".into())
}

/// No such transaction.
pub(super) fn unknown(gid: &str) -> Trouble {
    Trouble::Missing(format!("no TransGlobal with gid: {gid} found"))
}

/// A no that this dialect has no words for.
pub(super) fn other(rejection: Rejection) -> Trouble {
    match rejection {
        Rejection::GidConflict => {
            Trouble::Failure("a transaction of another API has this gid; choose another FAILURE".into())
        }
        Rejection::NotFound => Trouble::Missing("storage: NotFound".into()),
        rejection => Trouble::Other(rejection.to_string()),
    }
}

/// As much of somebody's text as an error may repeat.
pub(super) fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
