//! `branch_headers`: headers that a client gives for all calls of its transaction.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};
use trine_protocol::dtm::CallProtocol;

use super::outcome::{DtmError, clip};

/// Headers that only the coordinator may set: those of the connection, of framing, and of the target. Also
/// `accept-encoding`, because the coordinator searches the text of answers and must be able to decode them.
const OURS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Refuses headers that cannot be sent. Otherwise they would fail every call for ever, or be dropped silently. The error does
/// not repeat values, because they may be credentials.
pub(super) fn check(given: &BTreeMap<String, String>, protocol: CallProtocol) -> Result<(), DtmError> {
    for (name, value) in given {
        let wrong = |what: &str| {
            DtmError::Other(format!("branch_headers {}: no header can have such a {what}", clip(name)))
        };
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(DtmError::Other(format!(
                "branch_headers {}: the coordinator sets this header itself, or must not send it; leave it out",
                clip(name)
            )));
        }
        // gRPC sends the values of `-bin` metadata in base64, so any bytes are allowed.
        let is_encoded = protocol == CallProtocol::Grpc && name.to_ascii_lowercase().ends_with("-bin");
        if !is_encoded {
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong("value"))?;
        }
    }
    Ok(())
}
