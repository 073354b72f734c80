//! Shows the request that a call would send, and reads an answer as if it had come, without a network: for tests of the code
//! that hands calls to a dispatcher.

use std::sync::Arc;

use hyper::header::HeaderMap;
use tonic::Code;
use trine_engine::{Answer, Call};
use trine_protocol::JournalId;

use super::answer::report;
use super::decode::Body;
use super::dispatcher::dialect_of;
use super::grpc_wire;
use super::location::Location;
use super::native::Native;
use trine_clock as clock;

/// What every call has, and no reader of a test wants to see each time.
const USUAL: [&str; 3] = ["content-length", "content-type", "traceparent"];

/// Where calls come from in tests.
pub fn journal() -> JournalId {
    JournalId::parse("journal-1").unwrap()
}

pub(super) fn native() -> Arc<Native> {
    Arc::new(Native::new(&journal()))
}

/// A call to nowhere in particular.
pub fn call(op: trine_protocol::Op) -> Call {
    Call {
        gid: trine_protocol::Gid::parse("gid-1").unwrap(),
        pattern: trine_protocol::Pattern::Saga,
        key: trine_engine::CallKey { branch: Some(0), op, attempt: 1 },
        branch: Some("a".parse().unwrap()),
        target: trine_protocol::Target::parse("http://127.0.0.1:1/").unwrap(),
        payload: trine_engine::Payload::default(),
        timeout_ms: 1_000,
        fence: 1,
        terms: None,
    }
}

/// The request of a call in one line: how, where to, unusual headers, and what it carries.
pub fn asked(call: &Call) -> String {
    let dialect = dialect_of(call, &native()).unwrap_or_else(|error| panic!("{error}"));
    if call.target.grpc().is_some() {
        let question = dialect.ask_grpc(call).unwrap_or_else(|error| panic!("{error}"));
        let (metadata, message) = question.parts();
        let method = call.target.as_str().trim_start_matches("grpc://");
        return format!("gRPC {method}{} {}", headers(metadata), message.escape_ascii())
            .trim_end()
            .to_owned();
    }
    let location = Location::of(call.target.as_str()).unwrap();
    let request = dialect.ask_http(call, &location).unwrap_or_else(|error| panic!("{error}"));
    let (method, url) = (request.method(), request.uri());
    let body = String::from_utf8_lossy(request.body());
    format!("{method} {url}{} {body}", headers(request.headers())).trim_end().to_owned()
}

/// An answer: over HTTP a status and a body, over gRPC a status and its words.
pub fn heard(call: &Call, status: u16, words: &str) -> Answer {
    let dialect = dialect_of(call, &native()).unwrap_or_else(|error| panic!("{error}"));
    let classified = if call.target.grpc().is_some() {
        dialect.read_grpc(
            call,
            &grpc_wire::Reply::of_status(Code::from_i32(status.into()), words),
            clock::now(),
        )
    } else {
        let body = Body::Whole(words.as_bytes().to_vec());
        dialect.read_http(call, status, &HeaderMap::new(), &body, clock::now())
    };
    Answer { random_permille: 0, ..report(Ok(classified), 0) }
}

fn headers(map: &HeaderMap) -> String {
    let unusual = map.iter().filter(|(name, value)| {
        !USUAL.contains(&name.as_str()) || (*name == "content-type" && *value != "application/json")
    });
    let mut all: Vec<String> =
        unusual.map(|(name, value)| format!(" [{name}: {}]", value.as_bytes().escape_ascii())).collect();
    all.sort();
    all.concat()
}
