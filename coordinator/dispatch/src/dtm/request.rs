//! Requests of the dialect, over HTTP, as JSON-RPC, and over gRPC.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use trine_engine::Call;
use trine_protocol::dtm::{CallProtocol, TransType};

use super::{Dialect, headers};
use crate::location::Location;
use crate::request;

/// Field 1 of a protobuf message, which is a string of bytes.
const FIELD_1_BYTES: u8 = 0x0a;

/// Values as they were written: no number loses a digit.
type Params = BTreeMap<String, Box<RawValue>>;

/// A call of JSON-RPC.
#[derive(Serialize)]
struct JsonRpc<'a> {
    jsonrpc: &'static str,
    id: String,
    method: &'a str,
    params: Params,
}

impl Dialect {
    /// The payload as it is sent. A workflow that speaks gRPC expects its input wrapped in a message, whichever way its
    /// callback goes.
    pub(super) fn payload<'a>(&self, call: &'a Call) -> Cow<'a, [u8]> {
        let payload = call.payload.as_bytes();
        let wrapped = self.0.trans_type == TransType::Workflow && self.0.protocol == CallProtocol::Grpc;
        // Empty fields are left out.
        if !wrapped || payload.is_empty() {
            return payload.into();
        }
        let mut message = vec![FIELD_1_BYTES];
        let mut left = payload.len();
        while left >= 0x80 {
            message.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
            left >>= 7;
        }
        message.push(u8::try_from(left).unwrap_or_default());
        message.extend_from_slice(payload);
        message.into()
    }

    /// The identity goes into the query; a call without a payload is a GET, unless the type is xa.
    pub(super) fn http_request(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String> {
        let location = &location.with_pairs(&self.identity(call))?;
        let payload = self.payload(call);
        if payload.is_empty() && self.0.trans_type != TransType::Xa {
            return self.with_headers(call, request::empty(Method::GET, location));
        }
        let mut request = request::empty(Method::POST, location);
        if payload.is_empty() {
            // Not left to the client, which leaves it out; there are servers that insist.
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        *request.body_mut() = payload.into_owned().into();
        self.with_headers(call, request)
    }

    /// The identity stands among the parameters, and the URL stays as it is.
    pub(super) fn json_rpc_request(
        &self,
        call: &Call,
        location: &Location,
    ) -> Result<Request<Bytes>, String> {
        let mut params = params(call.payload.as_bytes())?;
        let identity = self.identity(call);
        for (name, value) in identity {
            params.insert(name.to_owned(), to_raw_value(value).map_err(|error| error.to_string())?);
        }
        let method = location.value("method");
        let [(_, branch), (_, gid), (_, op), _] = identity;
        let body = serde_json::to_vec(&JsonRpc {
            jsonrpc: "2.0",
            id: format!("{gid}/{branch}/{op}/{}", call.key.attempt),
            method: &method.unwrap_or_default(),
            params,
        });
        let body = body.map_err(|error| error.to_string())?;
        let mut request = request::empty(Method::POST, location);
        *request.body_mut() = body.into();
        self.with_headers(call, request)
    }

    fn with_headers(&self, call: &Call, mut request: Request<Bytes>) -> Result<Request<Bytes>, String> {
        let map = request.headers_mut();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers::add_trace(map, call)?;
        headers::add_to_http(map, &self.0.branch_headers)?;
        Ok(request)
    }

    /// What a call over gRPC says beside its message.
    pub(super) fn metadata(&self, call: &Call) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::with_capacity(16);
        headers::add_trace(&mut map, call)?;
        headers::add_to_grpc(&mut map, &self.0.branch_headers)?;
        for (name, value) in self.identity(call) {
            headers::add(&mut map, &format!("dtm-{name}"), value.as_bytes())?;
        }
        // Where the coordinator is: only initiators say.
        headers::add(&mut map, "dtm-dtm", b"")?;
        Ok(map)
    }
}

/// The members of a payload. Some clients write `null` for none.
fn params(payload: &[u8]) -> Result<Params, String> {
    if payload.is_empty() {
        return Ok(Params::new());
    }
    match serde_json::from_slice::<Option<Params>>(payload) {
        Ok(params) => Ok(params.unwrap_or_default()),
        // The parser's own words may quote the payload.
        Err(_) => Err("the branch's payload is not a JSON object, as JSON-RPC needs it for its parameters, \
            so nothing was sent"
            .into()),
    }
}
