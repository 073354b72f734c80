//! The result of a request in the dialect: nothing, a page, or one of the kinds of error that dtm has.

use trine_engine::Rejection;
use trine_protocol::dtm::status;
use trine_protocol::errors::Code;

use crate::runtime::SubmitError;

/// Why a request was not carried out. Each kind has its own status on each wire. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DtmError {
    /// The state of the transaction does not allow the request: 409, or `ABORTED`. The text ends in ` FAILURE`.
    Failure(String),
    /// Not finished yet: 425, or `FAILED_PRECONDITION`.
    Ongoing(String),
    /// A name that cannot be kept byte for byte: 400, or `INVALID_ARGUMENT`. Nothing was done.
    Unfit(String),
    /// There is no such transaction or type: 500, or `INTERNAL`.
    Missing(String),
    /// Anything else, such as a request that cannot be parsed: 500, or `UNKNOWN`.
    Other(String),
    /// The coordinator cannot take it now: 500 with `Retry-After` in seconds, or `UNAVAILABLE`. Nothing was done, or it is
    /// not known what; the same request may be repeated. The code is for the metrics.
    Unavailable(String, u64, Code),
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    /// Position of the next page; empty if this page is the last one.
    pub(crate) next_position: String,
}

/// The result of a request that returns nothing.
pub(super) type DtmResult = Result<(), DtmError>;

/// Why a command was not carried out. A rejection of the engine is kept, because its text depends on the request.
pub(super) enum CommandError {
    /// The transaction's state does not allow it, or there is none.
    Rejected(Rejection),
    /// An error that goes to the client unchanged.
    Dialect(DtmError),
}

impl From<DtmError> for CommandError {
    fn from(error: DtmError) -> Self {
        Self::Dialect(error)
    }
}

impl From<SubmitError> for CommandError {
    fn from(error: SubmitError) -> Self {
        let unavailable = |code, text: &str, after_s: u64| DtmError::Unavailable(text.into(), after_s, code);
        let silent = Code::StoreUnavailable;
        match error {
            SubmitError::Rejected(Rejection::Unavailable) => {
                unavailable(silent, "the store does not answer; repeat the request", RETRY_AFTER_S).into()
            }
            SubmitError::Rejected(Rejection::Corrupt) => {
                DtmError::Other(Rejection::Corrupt.to_string()).into()
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

impl From<CommandError> for DtmError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => other(rejection),
            CommandError::Dialect(error) => error,
        }
    }
}

/// Retry-After, in seconds, while the store does not answer.
pub(super) const RETRY_AFTER_S: u64 = 1;

/// The transaction is not prepared: it takes no branches or progress.
pub(super) fn not_prepared(gid: &str) -> DtmError {
    DtmError::Failure(format!("no trans with gid: {gid} status: {} found FAILURE", status::PREPARED))
}

/// The branch or step is on record already. dtm clients look for this text.
pub(super) fn duplicate() -> DtmError {
    DtmError::Other("storage: UniqueKeyConflict".into())
}

/// No such transaction.
pub(super) fn unknown(gid: &str) -> DtmError {
    DtmError::Missing(format!("no TransGlobal with gid: {gid} found"))
}

/// A rejection for which dtm has no text of its own.
pub(super) fn other(rejection: Rejection) -> DtmError {
    match rejection {
        Rejection::GidConflict => {
            DtmError::Failure("a transaction of another API has this gid; choose another FAILURE".into())
        }
        Rejection::NotFound => DtmError::Missing("storage: NotFound".into()),
        rejection => DtmError::Other(rejection.to_string()),
    }
}

/// The part of a client text that an error may repeat.
pub(super) fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
