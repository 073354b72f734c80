//! The inputs beside the body: path, query, and headers. An unusable one is a 400 that names it.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};
use trine_protocol::limits::WAIT_MS_MAX;
use trine_protocol::{Gid, Timestamp};

use super::problem::{Refusal, echo};

/// The gid in the path.
#[derive(Debug)]
pub(crate) struct GidPath(pub(crate) Gid);

impl<S: Send + Sync> FromRequestParts<S> for GidPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = segment(parts, state, "gid").await?;
        Gid::parse(&text)
            .map(Self)
            .map_err(|error| Refusal::parameter("gid", echo(&format!("the gid {error}"))))
    }
}

/// The variable segment of the path, decoded.
pub(crate) async fn segment<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &'static str,
) -> Result<String, Refusal> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(text)| text).map_err(|_| Refusal::parameter(name, "the path is not percent-encoded UTF-8"))
}

/// The query: names and values, decoded, in their order.
#[derive(Debug)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs =
            query.map(|Query(pairs)| pairs).map_err(|_| Refusal::parameter("query", "cannot be decoded"))?;
        Ok(Self(pairs))
    }
}

/// The refusal for an unknown query parameter.
pub(crate) fn unknown(name: &str, known: &[&str]) -> Refusal {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Refusal::parameter(echo(name), format!("there is no such parameter here; known are: {known}"))
}

/// Sets a parameter, and refuses a second value.
pub(crate) fn set_once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), Refusal> {
    if place.replace(value).is_some() {
        return Err(Refusal::parameter(name, "may be given once"));
    }
    Ok(())
}

/// Parses RFC 3339 with any offset. A time before 1970 becomes the beginning of 1970, because no transaction is older.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_uppercase();
    if !text.is_ascii() || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let (local, offset_ms) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => split_offset(&text)?,
    };
    // A timestamp cannot be earlier than the epoch, so the year must be compared as text.
    let year: u32 = local.get(..4)?.parse().ok()?;
    if year < 1970 {
        let shifted = format!("2000{}Z", local.get(4..)?);
        return Timestamp::parse_rfc3339(&shifted).map(|_| Timestamp::default());
    }
    let utc = Timestamp::parse_rfc3339(&format!("{local}Z"))?;
    let millis = i64::try_from(utc.millis()).ok()?.saturating_sub(offset_ms).max(0);
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

fn split_offset(text: &str) -> Option<(&str, i64)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let millis = (hours * 60 + minutes) * 60_000;
    match offset.as_bytes().first()? {
        b'+' => Some((local, millis)),
        b'-' => Some((local, -millis)),
        _ => None,
    }
}

/// Reads `Prefer: wait=<seconds>` (RFC 7240), with an upper limit. Decimals are allowed, and 0 means no wait. Other preferences
/// are ignored, as the RFC asks. A `wait` that cannot be parsed is refused: if it were ignored, a client that writes `wait=10s`
/// would get no wait and not learn why.
pub(crate) fn prefer_wait(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let unreadable = || {
        Refusal::parameter(
            "Prefer",
            "`wait` is a number of seconds without a unit, such as `wait=10` or `wait=0.5`",
        )
    };
    let mut wait = None;
    for line in headers.get_all("prefer") {
        // Bytes that are not UTF-8 cannot be part of `wait`, so replacing them is harmless.
        let line = String::from_utf8_lossy(line.as_bytes());
        for preference in line.split(',') {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            // RFC 7240: the first one counts.
            if wait.is_none() && name.trim().eq_ignore_ascii_case("wait") {
                wait = Some(seconds(value.trim().trim_matches('"')).ok_or_else(unreadable)?);
            }
        }
    }
    Ok(wait.filter(|wait| !wait.is_zero()))
}

fn seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = text.parse().ok().filter(|_| plain)?;
    Some(Duration::from_millis((seconds * 1_000.0).min(WAIT_MS_MAX as f64) as u64))
}

/// The gid for an `Idempotency-Key`: `ik.` and the key, or `ik.` and its SHA-256 if the key does not fit the grammar of
/// gids. The quotes of the structured-field form are not part of the key.
pub(crate) fn idempotency_gid(headers: &HeaderMap) -> Result<Option<Gid>, Refusal> {
    let name = HeaderName::from_static(trine_protocol::headers::IDEMPOTENCY_KEY);
    let mut values = headers.get_all(&name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::parameter("Idempotency-Key", "may be given once"));
    }
    let key = value.as_bytes().trim_ascii();
    let key = key.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(key);
    if key.is_empty() {
        return Err(Refusal::parameter("Idempotency-Key", "must not be empty"));
    }
    let readable = std::str::from_utf8(key).ok().and_then(|key| Gid::parse(&format!("ik.{key}")).ok());
    let gid = readable.map_or_else(|| Gid::parse(&format!("ik.{}", hex(&Sha256::digest(key)))), Ok);
    gid.map(Some).map_err(|error| Refusal::parameter("Idempotency-Key", error.to_string()))
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The largest integer that every JSON reader can represent. No history is that long.
pub(crate) const EVENT_ID_MAX: u64 = (1 << 53) - 1;

/// `Last-Event-ID`: the seq of the last event the client has seen.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<u64, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seq.filter(|seq| *seq <= EVENT_ID_MAX)
        .ok_or_else(|| Refusal::parameter("Last-Event-ID", "must be the id of an event of this stream"))
}

#[cfg(test)]
mod tests;
