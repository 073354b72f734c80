//! An extractor for requests over HTTP: the whole body, or a refusal in dtm's form.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::envelope;
use crate::api::body::{self, Unread};

/// A whole body, whatever its content type.
pub(super) struct Whole(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        body::read(request).await.map(Self).map_err(|unread| {
            let status = match unread {
                Unread::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Unread::CutShort | Unread::Garbled => StatusCode::BAD_REQUEST,
                Unread::TooSlow => StatusCode::REQUEST_TIMEOUT,
                Unread::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            };
            let mut response = envelope::message(status, &unread.detail());
            if unread == Unread::NoRoom {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            envelope::coded(response, unread.code())
        })
    }
}
