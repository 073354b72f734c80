//! The dialect as JSON-RPC 2.0, on one path. Every reply has the same four keys.

use std::fmt;

use axum::extract::State as Ext;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trine_protocol::dtm::TransRequest;

use super::decode::{self, OrZero, Text};
use super::outcome::DtmError;
use super::whole::Whole;
use super::{Front, envelope, panics};

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const INTERNAL_ERROR: i64 = -32_603;
/// Code of dtm for `FAILURE`.
const FAILURE: i64 = -32_901;
/// Code of dtm for `ONGOING`.
const ONGOING: i64 = -32_902;

/// A parsed call.
#[derive(Debug, Default)]
struct Call {
    version: String,
    id: String,
    method: String,
    params: Option<Box<RawValue>>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// The request is wrong, so no method was called.
    Before(i64, String),
    /// The method returned an error.
    Said(DtmError),
    /// The method panicked. The text is for the client.
    Panicked(String),
}

/// `POST /api/json-rpc`.
pub(super) async fn answer(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    let call: Call = match decode::read(&body) {
        Ok(call) => call,
        Err(text) => return envelope::unbound(&reply("", Err(Fault::Before(PARSE_ERROR, text)))),
    };
    let result = match panics::caught(dispatch(&front, &call)).await {
        Ok(result) => result,
        Err(text) => Err(Fault::Panicked(text)),
    };
    let code = match &result {
        Err(Fault::Said(DtmError::Unavailable(_, _, code))) => Some(*code),
        _ => None,
    };
    let response = envelope::json_of(StatusCode::OK, &reply(&call.id, result));
    match code {
        Some(code) => envelope::coded(response, code),
        None => response,
    }
}

async fn dispatch(front: &Front, call: &Call) -> Result<Value, Fault> {
    if call.id.is_empty() || call.version != "2.0" {
        let text = "the request needs \"jsonrpc\": \"2.0\" and an id that is a non-empty string";
        return Err(Fault::Before(INVALID_REQUEST, text.into()));
    }
    let service = &front.service;
    let done = match call.method.as_str() {
        "newGid" => return Ok(json!({"gid": service.new_gid()})),
        "prepare" => service.prepare(call.transaction()?).await,
        "submit" => service.submit(call.transaction()?).await,
        "abort" => service.abort(call.transaction()?).await,
        "registerBranch" => {
            let request = decode::branch(call.params()).map_err(malformed)?;
            service.register_branch(request).await
        }
        _ => return Err(Fault::Before(METHOD_NOT_FOUND, "there is no such method".into())),
    };
    done.map(|()| Value::Null).map_err(Fault::Said)
}

impl Call {
    fn params(&self) -> &[u8] {
        self.params.as_ref().map_or(b"null", |params| params.get().as_bytes())
    }

    fn transaction(&self) -> Result<TransRequest, Fault> {
        decode::transaction(self.params()).map_err(malformed)
    }
}

fn malformed(text: String) -> Fault {
    Fault::Before(PARSE_ERROR, text)
}

fn reply(id: &str, result: Result<Value, Fault>) -> Value {
    let id = if id.is_empty() { Value::Null } else { id.into() };
    let (error, result) = match result {
        Ok(result) => (Value::Null, result),
        Err(fault) => {
            let (code, message, result) = match fault {
                Fault::Before(code, text) => (code, text, Value::Null),
                Fault::Said(DtmError::Failure(text)) => (FAILURE, text, json!({})),
                Fault::Said(DtmError::Ongoing(text)) => (ONGOING, text, json!({})),
                Fault::Said(DtmError::Unfit(text)) => (INVALID_PARAMS, text, Value::Null),
                Fault::Said(DtmError::Other(text) | DtmError::Unavailable(text, ..)) => {
                    (INTERNAL_ERROR, text, json!({}))
                }
                Fault::Said(DtmError::Missing(text)) | Fault::Panicked(text) => {
                    (INTERNAL_ERROR, text, Value::Null)
                }
            };
            (json!({"code": code, "message": message}), result)
        }
    };
    json!({"jsonrpc": "2.0", "id": id, "error": error, "result": result})
}

/// As lenient about keys and null as all requests of the dialect.
impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Call;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Call, A::Error> {
                let mut call = Call::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.to_ascii_lowercase().as_str() {
                        "jsonrpc" => call.version = text(&mut map)?,
                        "id" => call.id = text(&mut map)?,
                        "method" => call.method = text(&mut map)?,
                        "params" => call.params = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(call)
            }
        }

        fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<String, A::Error> {
            map.next_value::<OrZero<Text>>().map(|OrZero(Text(text))| text)
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests;
