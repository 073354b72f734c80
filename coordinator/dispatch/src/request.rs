//! What a call looks like on the wire: its headers, its trace and its body over HTTP. Not here: where it goes.

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use hyper::{Method, Request};
use sha2::{Digest, Sha256};
use trine_engine::Call;
use trine_protocol::{JournalId, PayloadDigest, headers};

use super::location::Location;

/// A request without headers and body.
pub(super) fn empty(method: Method, location: &Location) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = location.uri().clone();
    request
}

/// Every header of a call over HTTP.
pub(super) fn headers(call: &Call, journal: &JournalId) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut map = identity(call, journal)?;
    let content_type = if call.payload.is_raw() { "application/octet-stream" } else { "application/json" };
    map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    map.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    Ok(map)
}

/// What a call is, over either protocol. Ids are a subset of what headers may carry, so the error never comes up.
pub(super) fn identity(call: &Call, journal: &JournalId) -> Result<HeaderMap, InvalidHeaderValue> {
    let text = |text: &str| HeaderValue::from_str(text);
    let mut map = HeaderMap::with_capacity(16);
    map.insert(headers::GID, text(call.gid.as_str())?);
    if let Some(branch) = &call.branch {
        map.insert(headers::BRANCH, text(branch.as_str())?);
    }
    map.insert(headers::OP, HeaderValue::from_static(call.op().as_str()));
    map.insert(headers::PATTERN, HeaderValue::from_static(call.pattern.as_str()));
    map.insert(headers::ATTEMPT, HeaderValue::from(call.key.attempt));
    map.insert(headers::FENCE, HeaderValue::from(call.fence));
    map.insert(headers::JOURNAL, text(journal.as_str())?);
    // Of the payload as HTTP has it, over gRPC as well: it is the same for every op of a branch, whichever way its calls go.
    map.insert(headers::PAYLOAD_DIGEST, text(PayloadDigest::of(&body(call)).as_str())?);
    map.insert(headers::IDEMPOTENCY_KEY, text(&idempotency_key(call))?);
    map.insert(HeaderName::from_static("traceparent"), text(&traceparent(call))?);
    Ok(map)
}

/// The payload. A call without one sends `null`, because the content type says JSON. An empty payload of raw bytes is sent empty.
pub(super) fn body(call: &Call) -> Vec<u8> {
    let absent = call.payload.is_empty() && !call.payload.is_raw();
    if absent { b"null".to_vec() } else { call.payload.as_bytes().to_vec() }
}

/// The same for every attempt; the branch is empty for a check.
fn idempotency_key(call: &Call) -> String {
    format!("{}/{}/{}", call.gid, branch(call), call.op())
}

fn branch(call: &Call) -> &str {
    call.branch.as_ref().map_or("", |branch| branch.as_str())
}

/// W3C trace context, computed from the gid: every call of a transaction is in one trace, without anything to keep.
pub(super) fn traceparent(call: &Call) -> String {
    let trace = Sha256::digest(call.gid.as_str().as_bytes());
    let span = Sha256::digest(format!("{}/{}", idempotency_key(call), call.key.attempt).as_bytes());
    format!("00-{}-{}-01", hex(&trace[..16]), hex(&span[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
