//! What answers mean in the dialect. Over HTTP, words anywhere in a body decide, even against the status: old participants
//! refuse with a 200. Pure.

use hyper::header::HeaderMap;
use serde_json::Value;
use tonic::Code;
use trine_engine::Outcome;
use trine_protocol::dtm::result::{FAILURE, ONGOING};

use crate::classify::{advice, in_words, output};
use crate::decode::Body;
use crate::grpc::outcome;
use crate::grpc_wire::Reply;
use crate::hints::NO_REASON;
use crate::text::clean;

/// How much of an answer is read: a word anywhere in it decides.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// JSON-RPC's code for a business "no".
const REFUSED_CODE: f64 = -32_901.0;
/// JSON-RPC's code for "ask again".
const ONGOING_CODE: f64 = -32_902.0;

/// The outcome, and what an operator should know about it.
type Meaning = (Outcome, Option<String>);

/// An answer over HTTP. The order of the questions is part of the dialect.
pub(super) fn http(status: u16, headers: &HeaderMap, body: &Body) -> Meaning {
    if status == 425 {
        return ongoing();
    }
    if let Body::Opaque { why, .. } = body {
        // What cannot be read may say FAILURE.
        return unknown(format!("HTTP {status}: the answer {why}, and its words decide"));
    }
    // Looked for in the bytes, and in the text they stand for in another charset.
    let text = body.text(headers);

    let within = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    let says = |word: &str| {
        within(body.bytes(), word) || text.as_deref().is_some_and(|text| within(text.as_bytes(), word))
    };
    if says(ONGOING) {
        ongoing()
    } else if status == 409 || says(FAILURE) {
        (refused(&body.words(headers)), None)
    } else if status == 200 && matches!(body, Body::Cut(_)) {
        // What was not read may say FAILURE.
        let meaning = format!("the answer is longer than {BODY_BYTES_MAX} bytes, and its words decide");
        unknown(format!("HTTP {status}: {meaning}"))
    } else if status == 200 {
        let (output, error) = output(headers, body);
        (Outcome::Done { output, read_only: false }, error.map(|error| clean(&error)))
    } else {
        unknown(in_our_terms(status, headers, body))
    }
}

/// An answer of JSON-RPC: one over HTTP, whose errors have codes besides.
pub(super) fn json_rpc(status: u16, headers: &HeaderMap, body: &Body) -> Meaning {
    let read = http(status, headers, body);
    if !matches!(read.0, Outcome::Done { .. }) {
        return read;
    }
    let answer: Option<Value> = match body {
        Body::Whole(_) => {
            body.text(headers).and_then(|text| serde_json::from_str(&text).ok()).filter(Value::is_object)
        }
        // There may be an error in what is missing.
        Body::Cut(_) | Body::Opaque { .. } => None,
    };
    let Some(answer) = answer else {
        return unknown(in_words(status, "the answer is no JSON-RPC, or too long to be read", headers, body));
    };
    let error = &answer["error"];
    if error.is_null() {
        return read;
    }
    // Some write numbers as text, or with a fraction.
    let code = match &error["code"] {
        Value::Number(code) => code.as_f64(),
        Value::String(code) => code.trim().parse().ok(),
        _ => None,
    };
    if code == Some(REFUSED_CODE) {
        let words = error["message"].as_str().filter(|words| !words.trim().is_empty());
        (refused(words.unwrap_or(&error.to_string())), None)
    } else if code == Some(ONGOING_CODE) {
        ongoing()
    } else {
        unknown(in_words(status, "the participant answered with an error of JSON-RPC", headers, body))
    }
}

/// A reply over gRPC.
pub(super) fn grpc(reply: &Reply) -> Meaning {
    match reply.status {
        Code::Ok => {
            let (output, error) = outcome::output(reply);
            (Outcome::Done { output, read_only: false }, error)
        }
        Code::FailedPrecondition => ongoing(),
        // So old participants say it.
        Code::Aborted if reply.words == ONGOING => ongoing(),
        Code::Aborted => (refused(&reply.words), None),
        Code::ResourceExhausted | Code::Unavailable => {
            unknown(outcome::in_words(reply, "the participant is not available, or at a limit"))
        }
        _ => unknown(outcome::advice(reply)),
    }
}

/// The call is made again after the transaction's own interval: the dialect has no header for a delay.
fn ongoing() -> Meaning {
    (Outcome::Ongoing { retry_after_ms: None }, None)
}

fn refused(words: &str) -> Outcome {
    let reason = clean(words);
    Outcome::Refused { reason: if reason.is_empty() { NO_REASON.into() } else { reason } }
}

fn unknown(error: String) -> Meaning {
    (Outcome::Unknown, Some(clean(&error)))
}

/// The native words, except for statuses that mean something else here.
fn in_our_terms(status: u16, headers: &HeaderMap, body: &Body) -> String {
    let meaning = match status {
        200..=299 => "only 200 means that it took effect",
        405 => "the participant does not take this method at this path; a call without a payload is a GET",
        429 => "the participant limits the rate",
        503 => "the participant is not available",
        _ => return advice(status, headers, body),
    };
    in_words(status, meaning, headers, body)
}
