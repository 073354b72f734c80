//! Reads JSON bodies, plain or in gzip: bounded in size, time and depth. Each kind of error has its own answer.
//!
//! Only syntax and types are checked here. `from_wire` checks the meaning of the fields.

use std::error::Error;
use std::io::Read as _;

use axum::RequestExt as _;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Buf as _;
use flate2::read::MultiGzDecoder;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use trine_protocol::errors::Code;
use trine_protocol::v1::Object;

use super::problem::{Refusal, echo};
use crate::http::BodyFault;

/// The accepted content encodings.
const ENCODINGS: &str = "gzip, identity";
/// Bytes that are unpacked at a time, and the most that is reserved for an announced length.
const PIECE_BYTES: usize = 16 * 1_024;

/// A mandatory JSON object.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// An optional JSON object: the body may be empty.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        require_json(request.headers(), true)?;
        require_encoding(request.headers())?;
        let bytes = read(request).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        require_json(&headers, false)?;
        require_encoding(&headers)?;
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_json(&headers, true)?;
        parse(&bytes).map(Self)
    }
}

/// Why a body could not be read.
pub(super) type Unread = BodyFault;

impl Unread {
    /// The `detail` of the answer.
    pub(super) fn detail(self) -> String {
        match self {
            Self::NoRoom => format!("{self}; nothing was done, try again"),
            _ => self.to_string(),
        }
    }

    /// The error code of the answer.
    pub(super) fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::BodyTooLarge,
            Self::CutShort | Self::Garbled => Code::MalformedJson,
            Self::TooSlow => Code::BodyTimeout,
            Self::NoRoom => Code::Busy,
        }
    }

    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref::<Self>() {
                return *fault;
            }
            if error.is::<http_body_util::LengthLimitError>() {
                return Self::TooLarge;
            }
            cause = error.source();
        }
        Self::CutShort
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        Self::new(unread.code(), unread.detail())
    }
}

/// Reads the whole body. gzip is unpacked, and the router's limit holds for the unpacked body as well. Time and memory are
/// bounded by the connection (`http`).
pub(super) async fn read(request: Request) -> Result<Bytes, Unread> {
    if !is_gzip(request.headers()) {
        return whole(request).await;
    }
    // The limit is in the extensions of the head, so the second request keeps it.
    let (head, body) = request.into_parts();
    let packed = whole(Request::from_parts(head.clone(), body)).await?;
    let decoder = MultiGzDecoder::new(packed.reader());
    // Unpack piece by piece: a few bytes may unpack to gigabytes, and must be refused at the limit.
    let pieces = stream::try_unfold(decoder, |mut decoder| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let len = decoder.read(&mut piece).map_err(|_| Unread::Garbled)?;
        if len == 0 {
            return Ok(None);
        }
        if !crate::http::body_grows(len).await {
            return Err(Unread::NoRoom);
        }
        piece.truncate(len);
        Ok(Some((Bytes::from(piece), decoder)))
    });
    whole(Request::from_parts(head, Body::from_stream(pieces))).await
}

async fn whole(request: Request) -> Result<Bytes, Unread> {
    let announced: Option<usize> =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = request.into_limited_body();
    // Copy the bytes out of the frames: a frame may hold far more memory than its few bytes.
    let mut whole = Vec::with_capacity(announced.unwrap_or_default().min(PIECE_BYTES));
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.map_err(|error| Unread::of(&error))?.into_data() {
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(whole.into())
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

/// Refuses an unknown content encoding before the body is read.
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
    // To know the path of each field takes far longer than to read it, so only a body with an error is read with paths.
    match serde_json::from_str(text) {
        Ok(Object(value)) => Ok(value),
        Err(_) => parse_with_paths(text),
    }
}

fn parse_with_paths<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut reader);
    let Object(value) = read.map_err(|error| refuse(text, &error))?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::MalformedJson, echo(&error.to_string()))
}

/// Tells malformed JSON (TX0001) from JSON of the wrong shape (TX0002). If the body is not JSON at all, the answer never names a
/// field, even if the parser met a wrong field first.
fn refuse(text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let inner = error.inner();
    let said = inner.to_string();
    // For serde_json, a number, list or object in the place of a word is an error of syntax.
    let detail = match without_place(&said) {
        "expected value" => "a word in quotation marks is expected here",
        detail if inner.is_data() => detail,
        _ => return malformed(inner),
    };
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return malformed(&error);
    }
    Refusal::field(field_of(&error.path().to_string(), detail), echo(detail))
}

/// Removes line and column from serde's text, because the answer names the field. A value that is read in two steps has two.
fn without_place(mut said: &str) -> &str {
    while let Some((detail, place)) = said.rsplit_once(" at line ")
        && place.chars().all(|c| c.is_ascii_digit() || " column".contains(c))
    {
        said = detail;
    }
    said
}

/// The path of the wrong field. For a missing, unknown or duplicate field the name is in serde's text and not in the path.
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
