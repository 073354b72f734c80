//! Writes outcomes and rejections as HTTP answers.
//!
//! The coordinator reads the status and the headers. The documents are for people who look at a call.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use trine_protocol::{Op, headers};

use super::BoxError;
use crate::{CheckAnswer, Conflict, Fenced, HeaderError, Outcome};

/// A problem document (RFC 9457) of a participant.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    type_uri: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// A call that no handler runs. The answer is 400, with the reason in a problem document.
#[derive(Debug)]
pub struct Rejection {
    detail: String,
}

impl Rejection {
    pub(super) fn header(error: HeaderError) -> Self {
        Self { detail: error.to_string() }
    }

    pub(super) fn op(op: Op) -> Self {
        Self { detail: format!("nothing is mounted here for {op}") }
    }

    pub(super) fn payload(error: serde_json::Error) -> Self {
        Self { detail: format!("the payload cannot be used: {error}") }
    }

    pub(super) fn body(error: axum::Error) -> Self {
        Self { detail: format!("the body cannot be read: {error}") }
    }

    pub(super) fn into_answer(self) -> Response {
        tracing::warn!(detail = self.detail, "a call was not understood");
        problem(
            StatusCode::BAD_REQUEST,
            "urn:trine:participant:bad-call",
            "The call cannot be understood",
            &self.detail,
        )
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_answer()
    }
}

pub(super) fn of_check(answer: CheckAnswer) -> Outcome {
    match answer {
        CheckAnswer::Committed => Outcome::empty(),
        CheckAnswer::NotCommitted => Outcome::refused("the local transaction did not commit, and never will"),
    }
}

pub(super) fn of_result(op: Op, result: Result<Outcome, BoxError>) -> Response {
    match result {
        Ok(Outcome::Done(output)) => axum::Json(output).into_response(),
        Ok(Outcome::DoneReadOnly) => {
            let mut answer = axum::Json(serde_json::Value::Null).into_response();
            if op == Op::Prepare {
                let vote = HeaderValue::from_static(headers::VOTE_READ_ONLY);
                answer.headers_mut().insert(HeaderName::from_static(headers::VOTE), vote);
            }
            answer
        }
        Ok(Outcome::Refused(reason)) if op.may_be_refused() => {
            problem(StatusCode::CONFLICT, "urn:trine:participant:refused", "Refused", &reason)
        }
        Ok(Outcome::Refused(reason)) => {
            tracing::error!(reason, "defect: {op} was refused, but may not be; it will be asked for again");
            internal()
        }
        Ok(Outcome::Ongoing(after)) => ongoing(after),
        Err(error) => failed(op, &*error),
    }
}

/// The answer to an error. If the error or one of its sources is a conflict or a fence, the answer says so.
fn failed(op: Op, error: &(dyn std::error::Error + 'static)) -> Response {
    if let Some(conflict) = among::<Conflict>(error) {
        return conflicting(conflict);
    }
    match among::<Fenced>(error) {
        Some(fenced) => {
            tracing::warn!(%fenced, "a call that was overtaken by a newer one had no effect");
            let detail = fenced.to_string();
            problem(StatusCode::PRECONDITION_FAILED, "urn:trine:participant:fenced", "Fenced off", &detail)
        }
        None => {
            tracing::error!(error = with_causes(error), "{op} failed; it will be asked for again");
            internal()
        }
    }
}

/// The answer that parks the branch. The header is needed because a 412 can have other reasons.
fn conflicting(conflict: &Conflict) -> Response {
    tracing::error!(%conflict, "a call of another transaction with the same gid had no effect");
    let detail = conflict.to_string();
    let mut answer = problem(
        StatusCode::PRECONDITION_FAILED,
        "urn:trine:participant:conflict",
        "On record from somewhere else",
        &detail,
    );
    let differs = HeaderValue::from_static(conflict.differs.as_str());
    answer.headers_mut().insert(HeaderName::from_static(headers::CONFLICT), differs);
    answer
}

/// The answer after which the coordinator repeats the call.
pub(super) fn internal() -> Response {
    let detail = "the service's log has the details";
    problem(StatusCode::INTERNAL_SERVER_ERROR, "urn:trine:participant:internal", "Internal error", detail)
}

fn ongoing(after: Option<Duration>) -> Response {
    let detail = "ask again later";
    let mut answer = problem(StatusCode::TOO_EARLY, "urn:trine:participant:ongoing", "Still at it", detail);
    if let Some(after) = after {
        let seconds = u64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn problem(status: StatusCode, type_uri: &str, title: &str, detail: &str) -> Response {
    let document = Problem { type_uri, title, status: status.as_u16(), detail };
    let mut answer = (status, axum::Json(document)).into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

/// The error, or the first of its sources, that has the type `T`.
fn among<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
