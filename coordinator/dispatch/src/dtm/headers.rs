//! Headers of the dialect's calls, and what clients may add to them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use trine_engine::Call;

use crate::request;

/// Metadata whose values are bytes, and travel encoded.
const BINARY: &str = "-bin";

/// One trace for the transaction, as natively.
pub(super) fn add_trace(map: &mut HeaderMap, call: &Call) -> Result<(), String> {
    add(map, "traceparent", &request::traceparent(call))
}

/// The client's headers over HTTP, in place of what is there already.
///
/// Clients cannot set headers of framing, as with dtm's own server. Compression is not asked for, because words in the answer
/// decide.
pub(super) fn add_to_http(map: &mut HeaderMap, given: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        if !matches!(&*name, "accept-encoding" | "content-length" | "trailer" | "transfer-encoding") {
            add(map, &name, value.as_bytes())?;
        }
    }
    Ok(())
}

/// The client's headers as gRPC metadata. Names that gRPC itself uses, and headers of a connection, are left out.
pub(super) fn add_to_grpc(map: &mut HeaderMap, given: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        let is_ours = name.starts_with("grpc-")
            || matches!(
                &*name,
                "connection"
                    | "content-length"
                    | "host"
                    | "keep-alive"
                    | "proxy-connection"
                    | "trailer"
                    | "transfer-encoding"
                    | "upgrade"
            );
        if is_ours {
            continue;
        }
        if name.ends_with(BINARY) {
            add(map, &name, STANDARD_NO_PAD.encode(value).as_bytes())?;
        } else {
            add(map, &name, value.as_bytes())?;
        }
    }
    Ok(())
}

/// One header. Text outside ASCII goes as it is, in UTF-8: participants compare it byte by byte with what the initiator
/// told them. An error names no value; it may be a credential.
pub(super) fn add(map: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), String> {
    let unfit = |what: &str| {
        format!("the header {name:?} cannot be sent, so nothing was: no header can have such a {what}")
    };
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit("name"))?;
    let value = HeaderValue::from_bytes(value).map_err(|_| unfit("value"))?;
    match map.try_insert(header, value) {
        Ok(_) => Ok(()),
        Err(_) => Err("the call has more headers than can be sent, so nothing was".into()),
    }
}
