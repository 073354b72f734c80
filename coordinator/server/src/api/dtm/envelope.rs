//! The form of every answer over HTTP.

use std::any::Any;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use trine_protocol::dtm::result::{FAILURE, ONGOING, SUCCESS};
use trine_protocol::errors::Code;

use super::outcome::DtmError;
use crate::api::problem::logged_panic;

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// `FAILURE` in another spelling of the same JSON string.
const FAILURE_ESCAPED: &str = "\\u0046AILURE";

/// The answer for a request that returns nothing.
pub(super) fn done(result: Result<(), DtmError>) -> Response {
    value(result.map(|()| json!({"dtm_result": SUCCESS})))
}

/// The answer with a document. Clients search the whole reply for the word `FAILURE`, so in a successful reply the word is escaped,
/// wherever a reason or a payload contains it.
pub(super) fn value<T: Serialize>(result: Result<T, DtmError>) -> Response {
    match result {
        Ok(value) => {
            let body = serde_json::to_string(&value).unwrap_or_default();
            write(StatusCode::OK, JSON, body.replace(FAILURE, FAILURE_ESCAPED))
        }
        Err(error) => refuse(error),
    }
}

/// The answer for an error.
pub(super) fn refuse(error: DtmError) -> Response {
    let with_result = |result: &str, message: &str| json!({"dtm_result": result, "message": message});
    match error {
        DtmError::Failure(text) => json_of(StatusCode::CONFLICT, &with_result(FAILURE, &text)),
        DtmError::Ongoing(text) => json_of(StatusCode::TOO_EARLY, &with_result(ONGOING, &text)),
        DtmError::Unfit(text) => message(StatusCode::BAD_REQUEST, &text),
        DtmError::Missing(text) | DtmError::Other(text) => message(StatusCode::INTERNAL_SERVER_ERROR, &text),
        DtmError::Unavailable(text, seconds, code) => {
            let mut response = message(StatusCode::INTERNAL_SERVER_ERROR, &text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            coded(response, code)
        }
    }
}

/// Marks an answer with its code for the metrics.
pub(super) fn coded(mut response: Response, code: Code) -> Response {
    response.extensions_mut().insert(code);
    response
}

/// The answer with a message and a status, without dtm's result.
pub(super) fn message(status: StatusCode, text: &str) -> Response {
    json_of(status, &json!({"message": text}))
}

/// The answer for a body that is JSON without the content type of JSON.
pub(super) fn unbound<T: Serialize>(body: &T) -> Response {
    write(StatusCode::BAD_REQUEST, TEXT, serde_json::to_string(body).unwrap_or_default())
}

/// The answer for an unknown path or method.
pub(super) async fn missing() -> Response {
    write(StatusCode::NOT_FOUND, "text/plain", "404 page not found".to_owned())
}

/// For `CatchPanicLayer`.
pub(super) fn from_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    message(StatusCode::INTERNAL_SERVER_ERROR, &logged_panic(&*panic))
}

/// An answer with a JSON document, without an envelope.
pub(super) fn json_of<T: Serialize>(status: StatusCode, body: &T) -> Response {
    write(status, JSON, serde_json::to_string(body).unwrap_or_default())
}

fn write(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dtm::tests::{Answered, answered};

    async fn told(response: Response) -> (u16, String) {
        let answered: Answered = answered(response).await;
        assert_eq!(answered.header("content-type"), "application/json; charset=utf-8");
        (answered.status.as_u16(), answered.body)
    }

    #[tokio::test]
    async fn each_kind_of_error_has_its_status() {
        for (result, status, body) in [
            (Ok(()), 200, r#"{"dtm_result":"SUCCESS"}"#),
            (
                Err(DtmError::Failure("no FAILURE".into())),
                409,
                r#"{"dtm_result":"FAILURE","message":"no FAILURE"}"#,
            ),
            (
                Err(DtmError::Ongoing("ONGOING".into())),
                425,
                r#"{"dtm_result":"ONGOING","message":"ONGOING"}"#,
            ),
            (Err(DtmError::Unfit("gid".into())), 400, r#"{"message":"gid"}"#),
            (Err(DtmError::Missing("none".into())), 500, r#"{"message":"none"}"#),
            (Err(DtmError::Other("a \"b\"".into())), 500, r#"{"message":"a \"b\""}"#),
            (Err(DtmError::Unavailable("later".into(), 3, Code::Busy)), 500, r#"{"message":"later"}"#),
        ] {
            assert_eq!(told(done(result)).await, (status, body.to_owned()));
        }
        let busy = answered(refuse(DtmError::Unavailable("later".into(), 0, Code::Busy))).await;
        assert_eq!(busy.header("retry-after"), "1");
    }

    #[tokio::test]
    async fn a_reply_that_says_yes_never_spells_the_word_for_no() {
        let document =
            json!({"reason": "a\\FAILURE \"FAILURE\" FAILUREFAILURE", "FAILURE": ["FAILURE", "ONGOING"]});
        let (status, body) = told(value(Ok(&document))).await;
        assert_eq!(status, 200);
        assert!(!body.contains("FAILURE"), "{body}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap(), document);
    }
}
