//! The stage of the golden tests: the dialect's three wires over running lanes and a store in memory, and participants with
//! scripted answers. The stage writes a story, which a test compares with the expected one.
//!
//! A story lists in order: requests with their answers; when the test asks for them, the calls since the last time as they look
//! on the wire, each with its answer; and the rows of `query`. A request over HTTP without an answer below it was answered with
//! [`SUCCESS`].

mod grpc;
mod participants;

use axum::body::Body;
use axum::http::{Method, Request};
use expect_test::Expect;
use serde_json::Value;
use trine_engine::{Command, Draft, ReplyOn};
use trine_protocol::dtm::gid_of;
use trine_protocol::{Pattern, Status, Timestamp};

use super::*;
use crate::api::tests::masked;
use crate::metrics::Metrics;
use crate::runtime::Lanes;
use participants::Participants;
use trine_clock::Clock;
use trine_store::memory::{Damage, Faults};

/// Longest wait; then the test fails.
const PATIENCE_MS: u64 = 30_000;

/// The content type of answers for which the story names none.
const JSON: &str = "application/json; charset=utf-8";

/// The answer that a story does not print.
const SUCCESS: &str = r#"200 {"dtm_result":"SUCCESS"}"#;

pub(super) struct Stage {
    http: Router,
    grpc: Router,
    handle: Handle,
    participants: Participants,
    /// Number of calls that the story has listed.
    calls_told: usize,
    story: String,
    memory: Memory,
    /// Keeps the lanes running.
    _lanes: Lanes,
}

impl Stage {
    pub(super) fn start() -> Self {
        let memory = Memory::new("a");
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let participants = Participants::default();
        let caller: Arc<dyn Caller> = Arc::new(participants.clone());
        let lanes = Lanes::start(&store, &caller, &Metrics::new(), &Clock::system(), Options::default());
        let handle = lanes.handle().clone();
        let metrics = Arc::new(String::new);
        let front = Front::new(handle.clone(), store, Duration::from_secs(10), 1 << 20, metrics);
        let (http, grpc) = (router(front.clone()), grpc_router(front));
        Self { http, grpc, handle, participants, calls_told: 0, story: String::new(), memory, _lanes: lanes }
    }

    /// The store's faults.
    pub(super) fn faults(&self) -> &Faults {
        self.memory.faults()
    }

    /// Damages the first record of a transaction.
    pub(super) fn damage(&self, gid: &str) {
        let damage = Damage::Event(br#"{"v":1,"event":"started"}"#.to_vec());
        assert!(self.memory.damage(&gid_of(gid).unwrap(), 1, &damage));
    }

    /// Scripts the answers to the next calls of a URL. Later calls are answered as the last word of the URL says.
    pub(super) fn script(&self, url: &str, answers: &[(u16, &str)]) {
        self.participants.script(url, answers);
    }

    /// The next call to a URL is not answered before [`Stage::release`].
    pub(super) fn hold(&self, url: &str) {
        self.participants.hold(url);
    }

    /// Answers the call that is held at a URL, once it has come.
    pub(super) async fn release(&self, url: &str, status: u16, words: &str) {
        self.patiently(self.participants.release(url, status, words)).await;
    }

    /// Waits until `count` calls were made since the start.
    pub(super) async fn called(&self, count: usize) {
        self.patiently(self.participants.called(count)).await;
    }

    /// `POST /api/dtmsvr/..`
    pub(super) async fn post(&mut self, path: &str, body: &str) {
        self.tell(&format!("POST {path} {body}"));
        self.send(Method::POST, &format!("/api/dtmsvr/{path}"), body).await;
    }

    /// `GET /api/dtmsvr/..`, or of a whole path.
    pub(super) async fn get(&mut self, path: &str) {
        self.tell(&format!("GET {path}"));
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/api/dtmsvr/{path}") };
        self.send(Method::GET, &uri, "").await;
    }

    /// `DELETE /api/dtmsvr/..`
    pub(super) async fn delete(&mut self, path: &str) {
        self.tell(&format!("DELETE {path}"));
        self.send(Method::DELETE, &format!("/api/dtmsvr/{path}"), "").await;
    }

    /// `POST /api/json-rpc`
    pub(super) async fn rpc(&mut self, body: &str) {
        self.tell(&format!("JSON-RPC {body}"));
        self.send(Method::POST, "/api/json-rpc", body).await;
    }

    async fn send(&mut self, method: Method, uri: &str, body: &str) {
        let answer = shown(&self.ask(method, uri, body).await);
        if answer != SUCCESS {
            self.tell(&format!("    {answer}"));
        }
    }

    /// Sends a request that the story does not list.
    pub(super) async fn ask(&self, method: Method, uri: &str, body: &str) -> Answered {
        // Clients send any content type, or none.
        let request = Request::builder().method(method).uri(uri).header("content-type", "text/plain");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        answered(self.http.clone().oneshot(request).await.unwrap()).await
    }

    /// A method of gRPC. The message is written as JSON, with the names of the protocol's file and bytes as text.
    pub(super) async fn grpc(&mut self, method: &str, message: &str) {
        self.tell(&format!("gRPC {method} {message}"));
        let answer = grpc::ask(&self.grpc, method, message).await;
        self.tell(&format!("    {answer}"));
    }

    /// Waits until a transaction has ended.
    pub(super) async fn settled(&self, gid: &str) {
        let until = self.handle.within(Duration::from_millis(PATIENCE_MS));
        let status = self.look(gid, ReplyOn::Settled { until }).await;
        assert!(status.is_settled(), "{gid} is still {status}\n{}", self.story);
    }

    /// Waits until nothing is due for a transaction.
    pub(super) async fn quiet(&self, gid: &str) {
        let until = self.handle.within(Duration::from_millis(PATIENCE_MS));
        self.look(gid, ReplyOn::Quiet { until }).await;
    }

    async fn look(&self, gid: &str, reply_on: ReplyOn) -> Status {
        let looked = self.handle.submit(gid_of(gid).unwrap(), Command::Look, reply_on).await;
        looked.unwrap_or_else(|error| panic!("{gid}: {error}\n{}", self.story)).status
    }

    async fn patiently(&self, work: impl Future<Output = ()>) {
        let limit = Duration::from_millis(PATIENCE_MS);
        let done = tokio::time::timeout(limit, work).await;
        assert!(done.is_ok(), "the calls were {:#?}\n{}", self.participants.calls(), self.story);
    }

    /// Waits until a transaction has ended, and lists its calls and rows.
    pub(super) async fn ends(&mut self, gid: &str) {
        self.settled(gid).await;
        self.calls();
        self.rows(gid).await;
    }

    /// Waits until nothing is due for a transaction, and lists its calls and rows.
    pub(super) async fn rests(&mut self, gid: &str) {
        self.quiet(gid).await;
        self.calls();
        self.rows(gid).await;
    }

    /// Lists the calls since the last time.
    pub(super) fn calls(&mut self) {
        let calls = self.participants.calls();
        for call in &calls[self.calls_told..] {
            self.story.push_str(&format!("  > {call}\n"));
        }
        if self.calls_told == calls.len() {
            self.story.push_str("  > nobody is called\n");
        }
        self.calls_told = calls.len();
    }

    /// The same, sorted, where the order of calls is not determined.
    pub(super) fn calls_in_any_order(&mut self) {
        let mut calls = self.participants.calls().split_off(self.calls_told);
        self.calls_told += calls.len();
        calls.sort();
        for call in calls {
            self.story.push_str(&format!("  > {call}\n"));
        }
    }

    /// Lists the rows of `query`, in a short form.
    pub(super) async fn rows(&mut self, gid: &str) {
        let encoded: String = gid.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let uri = format!("/api/dtmsvr/query?gid={encoded}");
        let document = self.ask(Method::GET, &uri, "").await.json();
        let global = &document["transaction"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut line = format!("  = {gid} is {}", text(&global["status"]));
        for time in ["finish_time", "rollback_time"] {
            if global[time].is_string() {
                line.push_str(&format!(", with a {time}"));
            }
        }
        for (key, word) in [("rollback_reason", "because"), ("result", "result")] {
            if global[key].is_string() {
                line.push_str(&format!(", {word} {}", global[key]));
            }
        }
        self.tell(&line);
        for row in document["branches"].as_array().unwrap() {
            let words = ["branch_id", "op", "status"].map(|key| text(&row[key]));
            self.tell(&format!("    {}", words.join(" ")));
        }
    }

    /// Lists the time between the last update of a transaction and its next attempt, in milliseconds.
    pub(super) async fn pause(&mut self, gid: &str) {
        self.quiet(gid).await;
        let pause_ms = self.pause_ms(gid).await;
        self.tell(&format!("  = {gid} goes on after {} s", pause_ms as f64 / 1_000.0));
    }

    /// The same as a number.
    pub(super) async fn pause_ms(&self, gid: &str) -> u64 {
        let global = self.ask(Method::GET, &format!("/api/dtmsvr/query?gid={gid}"), "").await.json();
        let time = |key: &str| {
            let text = global["transaction"][key].as_str();
            let time = text.and_then(Timestamp::parse_rfc3339);
            time.unwrap_or_else(|| panic!("no {key} in {global}")).millis()
        };
        time("next_cron_time") - time("update_time")
    }

    /// Creates a native transaction: open, without branches.
    pub(super) async fn create_natively(&self, gid: &str) {
        let spec = Draft { open: true, ..Draft::new(Pattern::Tcc) }.build().unwrap();
        let create = Command::Create(Arc::new(spec));
        self.handle.submit(gid_of(gid).unwrap(), create, ReplyOn::Durable).await.unwrap();
    }

    fn tell(&mut self, line: &str) {
        self.story.push_str(line.trim_end());
        self.story.push('\n');
    }

    /// Compares the story with the expected one.
    pub(super) fn is(&self, expected: &Expect) {
        expected.assert_eq(&self.story);
    }
}

/// Status, unusual headers, and the body with its times masked.
fn shown(answered: &Answered) -> String {
    let mut text = answered.status.as_u16().to_string();
    for name in ["content-type", "location", "retry-after"] {
        let value = answered.header(name);
        if !value.is_empty() && value != JSON {
            text.push_str(&format!(" [{name}: {value}]"));
        }
    }
    format!("{text} {}", masked(&answered.body))
}
