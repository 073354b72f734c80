//! The refusals of the API: one type, written as `application/problem+json` with a stable code.
//!
//! Internal errors (a panic, an unreadable journal) are logged under a correlation id, and the client gets only the id. Text of
//! a client is escaped and shortened before it is echoed.

use std::fmt;

use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use trine_engine::{Rejection, SpecError};
use trine_protocol::Gid;
use trine_protocol::errors::{Code, Problem};

use crate::metrics::AdmissionReason;
use crate::runtime::SubmitError;
use trine_store::{StoreError, Why};

/// Most characters of a client's text that are echoed.
const ECHO_CHARS_MAX: usize = 200;
/// `Retry-After` where no better value is known.
const RETRY_AFTER_MS_DEFAULT: u64 = 1_000;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: Code,
    problem: Box<Problem>,
    retry_after_ms: Option<u64>,
    /// The accepted encodings, if another encoding is the reason.
    accepts: Option<&'static str>,
}

impl Refusal {
    /// A refusal with the title and status of its code.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_ms = code.is_transient().then_some(RETRY_AFTER_MS_DEFAULT);
        Self { code, problem: Box::new(Problem::new(code, detail)), retry_after_ms, accepts: None }
    }

    /// A field of the body cannot be used.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, detail).with_field(field)
    }

    /// A parameter or header cannot be used.
    pub(crate) fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, detail).with_field(name)
    }

    /// There is no such transaction.
    pub(crate) fn not_found(gid: &Gid) -> Self {
        Self::new(Code::TransactionNotFound, "there is no transaction with this gid").with_gid(gid)
    }

    /// The journal of a transaction cannot be read; its history says more, and so does the log.
    pub(crate) fn damaged(gid: &Gid) -> Self {
        Self::from_rejection(Rejection::Corrupt).with_gid(gid)
    }

    /// A defect: logged with its details under a fresh correlation id, answered with the id alone.
    pub(crate) fn internal(details: &dyn fmt::Display) -> Self {
        Self::new(Code::Internal, logged(details))
    }

    /// Names the field, parameter or header at fault.
    #[must_use]
    pub(crate) fn with_field(mut self, field: impl Into<String>) -> Self {
        self.problem.field = Some(field.into());
        self
    }

    /// Says which encodings of bodies are accepted.
    #[must_use]
    pub(crate) fn accepting(mut self, encodings: &'static str) -> Self {
        self.accepts = Some(encodings);
        self
    }

    /// Names the transaction.
    #[must_use]
    pub(crate) fn with_gid(mut self, gid: &Gid) -> Self {
        self.problem.gid = Some(gid.to_string());
        self
    }

    /// The document for the client.
    #[cfg(test)]
    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The refusal for a command that failed.
    pub(crate) fn from_submit(error: SubmitError, gid: &Gid) -> Self {
        let mut refusal = match error {
            SubmitError::Rejected(rejection) => Self::from_rejection(rejection),
            SubmitError::Busy { retry_after_ms } => {
                let mut busy = Self::new(Code::Busy, "too much is in flight; nothing was done, try again");
                busy.retry_after_ms = Some(retry_after_ms);
                busy
            }
            clock @ SubmitError::ClockWrong { .. } => {
                Self::new(Code::NotReady, format!("clock: nothing was done, because {clock}"))
            }
            SubmitError::ShuttingDown => Self::shutting_down(),
            SubmitError::Lost => Self::new(
                Code::StoreUnavailable,
                "nobody knows yet whether this was done; repeat the request with this gid, that is safe",
            ),
        };
        if refusal.problem.gid.is_none() {
            refusal = refusal.with_gid(gid);
        }
        refusal
    }

    /// The coordinator is stopping.
    pub(crate) fn shutting_down() -> Self {
        Self::new(
            Code::ShuttingDown,
            "nothing was done; ask another coordinator, or this one after its restart",
        )
    }

    fn from_rejection(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Branch(error) => Self::from(error),
            Rejection::Corrupt
            | Rejection::NotFound
            | Rejection::GidConflict
            | Rejection::BranchConflict(_)
            | Rejection::IllegalState { .. }
            | Rejection::BranchNotFound(_) => Self::new(rejection.code(), rejection.to_string()),
            // The engine does not know why the store failed. `/readyz` does.
            Rejection::Unavailable => Self::new(rejection.code(), format!("{rejection}; `/readyz` says why")),
        }
    }
}

impl From<SpecError> for Refusal {
    fn from(error: SpecError) -> Self {
        Self::new(error.kind.code(), error.kind.to_string()).with_field(error.field)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(detail) => {
                // The detail may name files and hosts, so it goes to the log only.
                tracing::warn!(%detail, "the store did not answer a request");
                Self::new(Code::StoreUnavailable, "the store does not answer; try again")
            }
            StoreError::Unfit(unfit) if unfit.why == Why::Damaged => {
                tracing::error!(detail = %unfit, "a request met a damaged part of the database");
                Self::new(
                    Code::DamagedRecord,
                    "the database is damaged where this had to be read; repeating the request does not mend it, and \
                     `trine check` tells how far it goes",
                )
            }
            StoreError::Unfit(unfit) => {
                tracing::warn!(detail = %unfit, "the store is not used");
                Self::new(
                    Code::StoreUnavailable,
                    match unfit.why {
                        Why::ReadOnly => {
                            "the store is read-only: a standby, or a server that was demoted; try again later"
                        }
                        Why::Unsafe => {
                            "a setting of the database server is unsafe, so nothing is written there; the coordinator's log names it"
                        }
                        Why::Unusable | Why::Damaged => {
                            "the database server cannot be used; the coordinator's log says why"
                        }
                    },
                )
            }
            StoreError::Corrupt { gid, .. } => {
                tracing::error!(%error, "a request met a journal that cannot be read");
                Self::damaged(gid)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(encodings) = self.accepts {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        }
        if let Some(millis) = self.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000).max(1)));
        }
        response
    }
}

/// The reason for the metrics, if this answer refuses a request for lack of capacity.
pub(super) fn turned_away(response: &Response) -> Option<AdmissionReason> {
    match response.extensions().get()? {
        Code::Busy => Some(AdmissionReason::Busy),
        Code::StoreUnavailable => Some(AdmissionReason::StoreUnavailable),
        Code::ShuttingDown => Some(AdmissionReason::ShuttingDown),
        Code::BodyTooLarge => Some(AdmissionReason::BodyTooLarge),
        _ => None,
    }
}

/// Makes a client's text safe to echo: shortened, and with unprintable characters escaped.
pub(crate) fn echo(text: &str) -> String {
    let mut safe = String::new();
    for (position, c) in text.chars().enumerate() {
        if position >= ECHO_CHARS_MAX {
            safe.push('…');
            break;
        }
        if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() {
            safe.push(c);
        } else {
            safe.extend(c.escape_unicode());
        }
    }
    safe
}

/// Logs a defect under a new correlation id. Returns the text for the client.
fn logged(details: &dyn fmt::Display) -> String {
    let correlation_id = uuid::Uuid::now_v7();
    tracing::error!(%correlation_id, %details, "a request was answered with an internal error");
    format!("the coordinator's log has the details under {correlation_id}")
}

/// Logs a handler's panic. Returns the text for the client, without the words of the panic.
pub(crate) fn logged_panic(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    logged(&format_args!("a handler panicked: {words}"))
}

/// For `CatchPanicLayer`: a panic in a handler is a 500.
pub(crate) fn from_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Refusal::new(Code::Internal, logged_panic(&*panic)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trine_store::Unfit;

    #[test]
    fn a_busy_coordinator_says_when_to_come_back() {
        let gid = Gid::parse("g-1").unwrap();
        let response =
            Refusal::from_submit(SubmitError::Busy { retry_after_ms: 1_200 }, &gid).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn everything_transient_carries_retry_after() {
        let gid = Gid::parse("g-1").unwrap();
        for error in [
            SubmitError::ShuttingDown,
            SubmitError::Lost,
            SubmitError::ClockWrong { skew: "2m ahead of".into() },
            SubmitError::Rejected(Rejection::Unavailable),
        ] {
            let response = Refusal::from_submit(error.clone(), &gid).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{error:?}");
            assert!(response.headers().contains_key(RETRY_AFTER), "{error:?}");
        }
    }

    #[test]
    fn an_internal_error_shows_nothing_of_the_inside() {
        let gid = Gid::parse("g-1").unwrap();
        let corrupt = StoreError::Corrupt { gid, detail: "seq 3 at /var/lib/trine.db".into() };
        let refusal = Refusal::from(corrupt);
        assert_eq!((refusal.problem().code.as_str(), refusal.retry_after_ms), ("TX0021", None));
        assert!(!refusal.problem().detail.contains("trine.db"), "{}", refusal.problem().detail);
        let unavailable = Refusal::from(StoreError::Unavailable("disk /dev/sda is gone".into()));
        assert!(!unavailable.problem().detail.contains("sda"));
        for (why, word) in [(Why::ReadOnly, "read-only"), (Why::Unsafe, "unsafe"), (Why::Unusable, "log")] {
            let unfit = Unfit { why, detail: "10.0.0.1 has fsync = off".into() };
            let refusal = Refusal::from(StoreError::Unfit(unfit));
            let detail = &refusal.problem().detail;
            assert!(
                detail.contains(word) && !detail.contains("10.0.0.1") && !detail.contains("fsync"),
                "{detail}"
            );
        }
    }

    #[test]
    fn echoed_text_is_escaped_and_bounded() {
        assert_eq!(echo("a\u{202e}b\r\n\u{1b}[31m<ü>"), "a\\u{202e}b\\u{d}\\u{a}\\u{1b}[31m<ü>");
        assert_eq!(echo(&"x".repeat(1_000)).chars().count(), ECHO_CHARS_MAX + 1);
    }
}
