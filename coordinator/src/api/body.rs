//! Reading JSON bodies, plain or in gzip: bounded in size, time and depth, with an answer of its own for everything that can be wrong.
//!
//! What the fields mean is checked by `from_wire`; here it is only JSON, of the right shape, or not.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Buf as _;
use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;
use trine_protocol::errors::Code;
use trine_protocol::v1::Object;

use super::problem::{Refusal, echo};
use crate::http::BodyPlaces;

/// How long the whole body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a body may be packed in.
const ENCODINGS: &str = "gzip, identity";
/// How much is unpacked at once.
const PIECE_BYTES: usize = 16 * 1_024;

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
        require_encoding(request.headers())?;
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        require_json(&headers, false)?;
        require_encoding(&headers)?;
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
    /// It is not in the encoding that its headers name.
    Garbled,
}

impl Unread {
    /// For people.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "the body has more bytes than this coordinator reads",
            Self::CutShort => "the body ended before it was complete",
            Self::TooSlow => "the body took too long to arrive",
            Self::Garbled => "the body is not the gzip that `Content-Encoding` says it is",
        }
    }

    /// For programs, and the metrics.
    pub(super) fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::BodyTooLarge,
            Self::CutShort | Self::Garbled => Code::MalformedJson,
            Self::TooSlow => Code::BodyTimeout,
        }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        Self::new(unread.code(), unread.detail())
    }
}

/// The whole body, within the router's limit and in bounded time. One in gzip is unpacked, and the limit is that of what
/// comes out of it, too.
pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Unread> {
    let places = request.extensions().get::<BodyPlaces>().cloned();
    let reading = async {
        let _place = match &places {
            Some(places) => places.take().await,
            None => None,
        };
        unpacked(request, state).await
    };
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => bytes.ok_or(Unread::Garbled),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
            Err(Unread::TooLarge)
        }
        Ok(Err(_)) => Err(Unread::CutShort),
        Err(_) => Err(Unread::TooSlow),
    }
}

/// The bytes of a body as they were before they were packed; none: they are not what they should be.
async fn unpacked<S: Send + Sync>(request: Request, state: &S) -> Result<Option<Bytes>, BytesRejection> {
    if !is_gzip(request.headers()) {
        return Bytes::from_request(request, state).await.map(Some);
    }
    // A request of the same head has the same limit.
    let (head, body) = request.into_parts();
    let packed = Bytes::from_request(Request::from_parts(head.clone(), body), state).await?;
    let mut decoder = MultiGzDecoder::new(packed.reader());
    let garbled = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&garbled);
    // Piece by piece, so that a body of a few bytes that stands for gigabytes is given up at the limit.
    let pieces = futures_util::stream::iter(std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        match decoder.read(&mut piece) {
            Ok(0) => None,
            Ok(len) => {
                piece.truncate(len);
                Some(Ok::<_, std::io::Error>(Bytes::from(piece)))
            }
            Err(_) => {
                seen.store(true, Ordering::Relaxed);
                None
            }
        }
    }));
    let bytes = Bytes::from_request(Request::from_parts(head, Body::from_stream(pieces)), state).await?;
    Ok((!garbled.load(Ordering::Relaxed)).then_some(bytes))
}

fn encoding(headers: &HeaderMap) -> String {
    let named =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named: Vec<_> =
        named.map(|value| value.trim().to_ascii_lowercase()).filter(|one| one != "identity").collect();
    named.join(",")
}

fn is_gzip(headers: &HeaderMap) -> bool {
    matches!(&*encoding(headers), "gzip" | "x-gzip")
}

/// Before anything of the body is read.
fn require_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    if encoding(headers).is_empty() || is_gzip(headers) {
        return Ok(());
    }
    let refusal =
        Refusal::new(Code::UnsupportedMediaType, "send the body as it is, or with `Content-Encoding: gzip`");
    Err(refusal.with_field("Content-Encoding").accepting(ENCODINGS))
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
