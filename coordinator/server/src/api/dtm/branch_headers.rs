//! Headers that a client gives for all calls of its transaction.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};
use trine_protocol::dtm::CallProtocol;

use super::outcome::{DtmError, clip};

/// Headers of one connection, and those that say where a body ends or for whom a request is: the coordinator's, never a
/// client's. So is `accept-encoding`: the words of an answer decide, and must be readable.
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

/// Headers that cannot be sent would stand in the way of every call for ever, or be left out without a word. Values are not
/// repeated: they may be credentials.
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
        // Over gRPC such values are sent encoded.
        let is_encoded = protocol == CallProtocol::Grpc && name.to_ascii_lowercase().ends_with("-bin");
        if !is_encoded {
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong("value"))?;
        }
    }
    Ok(())
}
