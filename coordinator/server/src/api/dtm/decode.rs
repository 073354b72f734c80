//! Parses the JSON of dtm's clients as leniently as dtm does: keys in any case, repeated or unknown keys, null for any value.
//! The meaning of a request is not checked here.
//!
//! Nested values cannot overflow the stack: unknown values are skipped without recursion, and known ones are flat.

mod lenient;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use trine_protocol::dtm::{BranchRequest, Step, TransRequest};

use crate::api::problem::echo;
use lenient::Texts;
pub(super) use lenient::{OrZero, Text};

/// The error for a body that ends too early.
const ENDED: &str = "unexpected end of JSON input";

/// The body of prepare, submit and the like.
pub(super) fn transaction(body: &[u8]) -> Result<TransRequest, String> {
    let Transaction { mut request, payloads, steps } = read(body)?;
    request.payloads = payloads;
    let (steps, data) = split(steps);
    request.steps = steps;
    request.payloads.extend(data);
    Ok(request)
}

/// The body of registerBranch: a flat map of texts.
pub(super) fn branch(body: &[u8]) -> Result<BranchRequest, String> {
    let mut data = read::<Texts>(body)?.into_map();
    let mut take = |key: &str| data.remove(key).unwrap_or_default();
    Ok(BranchRequest {
        gid: take("gid"),
        trans_type: take("trans_type"),
        branch_id: take("branch_id"),
        payload: take("data").into_bytes(),
        data,
    })
}

/// Parses steps from JSON text. Empty text has no steps. Payloads inside steps are ignored.
pub(super) fn steps(text: &str) -> Result<Vec<Step>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let steps: Vec<OrZero<Texts>> = read(text.as_bytes())?;
    Ok(split(steps).0)
}

/// Parses one JSON value with nothing after it. Null is the default value.
pub(super) fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, String> {
    let text = String::from_utf8_lossy(body);
    // As in `api::body::parse`, only a body with an error is read with the paths of its fields.
    match serde_json::from_str(&text) {
        Ok(OrZero(value)) => Ok(value),
        Err(_) => read_with_paths(&text),
    }
}

fn read_with_paths<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read: Result<OrZero<T>, _> = serde_path_to_error::deserialize(&mut reader);
    let OrZero(value) = read.map_err(|error| match error.path().to_string().as_str() {
        path if path != "." && error.inner().is_data() => {
            format!("{}: {}", echo(path), message(error.inner()))
        }
        _ => message(error.inner()),
    })?;
    reader.end().map_err(|error| message(&error))?;
    Ok(value)
}

fn message(error: &serde_json::Error) -> String {
    if error.is_eof() { ENDED.to_owned() } else { echo(&error.to_string()) }
}

/// Separates steps from the payloads that old clients put into them.
fn split(steps: Vec<OrZero<Texts>>) -> (Vec<Step>, Vec<Vec<u8>>) {
    let (mut all, mut payloads) = (Vec::new(), Vec::new());
    for OrZero(step) in steps {
        let mut step = step.into_map();
        let mut take = |key: &str| step.remove(key).unwrap_or_default();
        let data = take("data");
        if !data.is_empty() {
            payloads.push(data.into_bytes());
        }
        all.push(Step { action: take("action"), compensate: take("compensate") });
    }
    (all, payloads)
}

/// The JSON object of a transaction. Its `Deserialize` is written by hand: keys match in any case, and the last of several counts.
#[derive(Debug, Default)]
struct Transaction {
    /// All fields except the following ones.
    request: TransRequest,
    payloads: Vec<Vec<u8>>,
    steps: Vec<OrZero<Texts>>,
}

impl<'de> Deserialize<'de> for Transaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Transaction;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Transaction, A::Error> {
                let mut transaction = Transaction::default();
                while let Some(key) = map.next_key::<String>()? {
                    transaction.field(&key, &mut map)?;
                }
                Ok(transaction)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Transaction {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let request = &mut self.request;
        let options = &mut request.options;
        match key.to_ascii_lowercase().as_str() {
            "gid" => request.gid = text(map)?,
            "trans_type" => request.trans_type = text(map)?,
            "query_prepared" => request.query_prepared = text(map)?,
            "protocol" => request.protocol = text(map)?,
            "custom_data" => request.custom_data = text(map)?,
            "rollback_reason" => request.rollback_reason = text(map)?,
            "req_extra" => request.req_extra = texts(map)?,
            "branch_headers" => options.branch_headers = texts(map)?,
            "wait_result" => options.wait_result = zero_or(map)?,
            "concurrent" => options.concurrent = zero_or(map)?,
            "timeout_to_fail" => options.timeout_to_fail = zero_or(map)?,
            "request_timeout" => options.request_timeout = zero_or(map)?,
            "retry_interval" => options.retry_interval = zero_or(map)?,
            "retry_limit" => options.retry_limit = zero_or(map)?,
            "steps" => self.steps = zero_or(map)?,
            "payloads" => {
                let payloads: Vec<OrZero<Text>> = zero_or(map)?;
                self.payloads = payloads.into_iter().map(|OrZero(Text(text))| text.into_bytes()).collect();
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

fn zero_or<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(map: &mut A) -> Result<T, A::Error> {
    map.next_value::<OrZero<T>>().map(|OrZero(value)| value)
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<String, A::Error> {
    zero_or(map).map(|Text(text)| text)
}

fn texts<'de, A: MapAccess<'de>>(map: &mut A) -> Result<BTreeMap<String, String>, A::Error> {
    zero_or(map).map(Texts::into_map)
}

#[cfg(test)]
mod tests;
