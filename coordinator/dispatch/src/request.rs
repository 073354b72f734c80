//! What a call looks like on the wire: its headers, its trace and its body over HTTP. Not here: where it goes.

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use hyper::{Method, Request};
use sha2::{Digest, Sha256};
use trine_engine::Call;
use trine_protocol::{PayloadDigest, headers};

use super::location::Location;

const GID: HeaderName = HeaderName::from_static(headers::GID);
const BRANCH: HeaderName = HeaderName::from_static(headers::BRANCH);
const OP: HeaderName = HeaderName::from_static(headers::OP);
const PATTERN: HeaderName = HeaderName::from_static(headers::PATTERN);
const ATTEMPT: HeaderName = HeaderName::from_static(headers::ATTEMPT);
const FENCE: HeaderName = HeaderName::from_static(headers::FENCE);
const JOURNAL: HeaderName = HeaderName::from_static(headers::JOURNAL);
const PAYLOAD_DIGEST: HeaderName = HeaderName::from_static(headers::PAYLOAD_DIGEST);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(headers::IDEMPOTENCY_KEY);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `00-<trace>-<span>-01`, of which the trace has 32 digits and the span 16.
type Traceparent = [u8; 55];

/// A request without headers and body.
pub(super) fn empty(method: Method, location: &Location) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = location.uri().clone();
    request
}

/// Every header of a call over HTTP. `journal`: the id of the journal that the call comes from.
pub(super) fn headers(call: &Call, journal: &Bytes) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut map = identity(call, journal)?;
    let content_type = if call.payload.is_raw() { "application/octet-stream" } else { "application/json" };
    map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    map.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    Ok(map)
}

/// What a call is, over either protocol. Ids are a subset of what headers may carry, so the error never comes up.
pub(super) fn identity(call: &Call, journal: &Bytes) -> Result<HeaderMap, InvalidHeaderValue> {
    // All texts lie in one allocation: first `gid/branch/op/attempt`, of which three headers are parts.
    let mut texts = attempt_key(call);
    let (gid_end, key_end) = (call.gid.as_str().len(), texts.len());
    let traceparent = traceparent_of(call, &texts);
    texts.extend_from_slice(&traceparent);
    // Of the payload as HTTP has it, over gRPC as well: it is the same for every op of a branch, whichever way its calls go.
    texts.extend_from_slice(PayloadDigest::of(body(call)).as_str().as_bytes());
    let texts = Bytes::from(texts);
    let part = |begin: usize, end: usize| HeaderValue::from_maybe_shared(texts.slice(begin..end));
    let attempt = HeaderValue::from(call.key.attempt);
    let trace_end = key_end + traceparent.len();

    let mut map = HeaderMap::with_capacity(16);
    map.insert(GID, part(0, gid_end)?);
    if let Some(branch) = &call.branch {
        map.insert(BRANCH, part(gid_end + 1, gid_end + 1 + branch.as_str().len())?);
    }
    map.insert(OP, HeaderValue::from_static(call.op().as_str()));
    map.insert(PATTERN, HeaderValue::from_static(call.pattern.as_str()));
    map.insert(IDEMPOTENCY_KEY, part(0, key_end - 1 - attempt.len())?);
    map.insert(ATTEMPT, attempt);
    map.insert(FENCE, HeaderValue::from(call.fence));
    map.insert(JOURNAL, HeaderValue::from_maybe_shared(journal.clone())?);
    map.insert(TRACEPARENT, part(key_end, trace_end)?);
    map.insert(PAYLOAD_DIGEST, part(trace_end, texts.len())?);
    Ok(map)
}

/// The payload. A call without one sends `null`, because the content type says JSON. An empty payload of raw bytes is sent empty.
pub(super) fn body(call: &Call) -> &[u8] {
    let absent = call.payload.is_empty() && !call.payload.is_raw();
    if absent { b"null" } else { call.payload.as_bytes() }
}

/// `gid/branch/op/attempt`; the branch is empty for a check. Up to the attempt it is the idempotency key, which is the same for
/// every attempt.
fn attempt_key(call: &Call) -> Vec<u8> {
    let branch = call.branch.as_ref().map_or("", |branch| branch.as_str());
    let attempt = HeaderValue::from(call.key.attempt);
    let mut key = Vec::with_capacity(256);
    for part in [call.gid.as_str(), "/", branch, "/", call.op().as_str(), "/"] {
        key.extend_from_slice(part.as_bytes());
    }
    key.extend_from_slice(attempt.as_bytes());
    key
}

/// W3C trace context, computed from the gid: every call of a transaction is in one trace, without anything to keep.
pub(super) fn traceparent(call: &Call) -> Traceparent {
    traceparent_of(call, &attempt_key(call))
}

fn traceparent_of(call: &Call, attempt_key: &[u8]) -> Traceparent {
    let mut text = *b"00-________________________________-________________-01";
    write_hex(&Sha256::digest(call.gid.as_str().as_bytes()), &mut text[3..35]);
    write_hex(&Sha256::digest(attempt_key), &mut text[36..52]);
    text
}

/// As many digits as there is room for.
fn write_hex(bytes: &[u8], room: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, two) in bytes.iter().zip(room.chunks_exact_mut(2)) {
        two.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
