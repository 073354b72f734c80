//! Reading JSON bodies: bounded in size, time and depth, with an answer of its own for everything that can be wrong.
//!
//! What the fields mean is checked by `from_wire`; here it is only JSON, of the right shape, or not.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use trine_protocol::errors::Code;
use trine_protocol::v1::Object;

use super::problem::{Refusal, echo};
use crate::http::BodyPlaces;

/// How long the whole body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A mandatory JSON object.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A JSON object that may be left out altogether.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        require_json(request.headers(), true)?;
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        require_json(&headers, false)?;
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_json(&headers, true)?;
        parse(&bytes).map(Self)
    }
}

/// Why a body did not arrive whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    CutShort,
    TooSlow,
}

impl Unread {
    /// For people.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "the body has more bytes than this coordinator reads",
            Self::CutShort => "the body ended before it was complete",
            Self::TooSlow => "the body took too long to arrive",
        }
    }

    /// For programs, and the metrics.
    pub(super) fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::BodyTooLarge,
            Self::CutShort => Code::MalformedJson,
            Self::TooSlow => Code::BodyTimeout,
        }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        Self::new(unread.code(), unread.detail())
    }
}

/// The whole body, within the router's limit and in bounded time.
pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Unread> {
    let places = request.extensions().get::<BodyPlaces>().cloned();
    let reading = async {
        let _place = match &places {
            Some(places) => places.take().await,
            None => None,
        };
        Bytes::from_request(request, state).await
    };
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(Unread::TooLarge)
        }
        Ok(Err(_)) => Err(Unread::CutShort),
        Err(_) => Err(Unread::TooSlow),
    }
}

fn require_json(headers: &HeaderMap, mandatory: bool) -> Result<(), Refusal> {
    let refuse = || {
        Refusal::new(Code::UnsupportedMediaType, "send the body with `Content-Type: application/json`")
            .with_field("Content-Type")
    };
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return if mandatory { Err(refuse()) } else { Ok(()) };
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(refuse()) }
}

/// Reads one JSON object and nothing after it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Refusal::new(Code::MalformedJson, "the body is not UTF-8 text"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut reader);
    let Object(value) = read.map_err(|error| refuse(text, &error))?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::MalformedJson, echo(&error.to_string()))
}

/// Malformed JSON and JSON of the wrong shape are told apart, whichever is met first: a body that is not JSON is never
/// blamed on one of its fields.
fn refuse(text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let inner = error.inner();
    if !inner.is_data() {
        return malformed(inner);
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return malformed(&error);
    }
    let said = inner.to_string();
    let detail = without_place(&said);
    Refusal::field(field_of(&error.path().to_string(), detail), echo(detail))
}

/// The place in the text is in the way once the field is named. What is read in two steps has two.
fn without_place(mut said: &str) -> &str {
    while let Some((detail, place)) = said.rsplit_once(" at line ")
        && place.chars().all(|c| c.is_ascii_digit() || " column".contains(c))
    {
        said = detail;
    }
    said
}

/// The path of the field at fault. A missing, unknown or duplicate field is named by serde's text, not by its path.
fn field_of(path: &str, detail: &str) -> String {
    let path = if path == "." { "" } else { path };
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| detail.strip_prefix(start))
        .and_then(|rest| rest.split_once('`'))
        .map(|(name, _)| name);
    let field = match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None if path.is_empty() => "body".to_owned(),
        None => path.to_owned(),
    };
    echo(&field)
}

#[cfg(test)]
mod tests;
