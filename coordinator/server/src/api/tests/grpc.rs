//! Transactions whose branches are gRPC methods, with real calls.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::Status;

use super::Api;
use trine_dispatch::grpc_server::{GrpcServer, metadata, ok};
use trine_dispatch::{Directory, Dispatcher, Options};

/// Every call that was made, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, who: &str, op: &str, body: &[u8]) {
        self.0.lock().unwrap().push(format!("{who} {op} {}", body.escape_ascii()));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A gRPC service that refuses payloads that begin with `n`, and otherwise answers with bytes that are not text.
async fn stock(seen: &Seen) -> GrpcServer {
    let seen = seen.clone();
    GrpcServer::start(move |request| {
        let (op, body) = (metadata(&request, "trine-op"), request.into_inner());
        seen.add("grpc", &op, &body);
        let refuses = op != "compensate" && body.first() == Some(&b'n');
        async move { if refuses { Err(Status::aborted("only 7 left")) } else { ok(&b"\x08\xff"[..]) } }
    })
    .await
}

/// The same over HTTP, without refusals.
async fn orders(seen: &Seen) -> String {
    let seen = seen.clone();
    let serve = move |headers: HeaderMap, body: Bytes| {
        seen.add("http", headers["trine-op"].to_str().unwrap(), &body);
        async { "{\"order\":1}" }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/orders", post(serve))).await });
    url
}

fn api() -> Api {
    let journal = trine_dispatch::on_paper::journal();
    let dispatcher = Dispatcher::new(Options::default(), Arc::new(Directory::new()), journal);
    Api::start_with(Arc::new(dispatcher))
}

/// The body of an answer that [`Api`] shows.
fn body(shown: &str) -> Value {
    serde_json::from_str(shown.lines().last().unwrap()).unwrap()
}

async fn create(api: &Api, document: Value) -> Value {
    body(&api.post_with("/v1/transactions", &[("prefer", "wait=30")], &document.to_string()).await)
}

/// The attempts in a history: op, outcome, status, and the other fields.
async fn attempts(api: &Api, gid: &str) -> Vec<String> {
    let history = body(&api.get(&format!("/v1/transactions/{gid}/history")).await);
    let events = history["events"].as_array().unwrap().iter();
    let attempts = events.filter(|event| event["event"] == "call_answered").map(|event| {
        let words = ["branch", "op", "outcome", "status_code", "reason", "output", "output_base64"];
        let words: Vec<String> = words.iter().map(|word| event[*word].to_string()).collect();
        words.join(" ").replace('"', "")
    });
    attempts.collect()
}

#[tokio::test]
async fn one_saga_goes_over_http_and_grpc() {
    let seen = Seen::default();
    let (server, url, api) = (stock(&seen).await, orders(&seen).await, api());
    let answer = create(
        &api,
        json!({"gid": "mixed", "pattern": "saga", "branches": [
            {"id": "stock", "action": server.target("Reserve"), "compensate": server.target("Release"),
             "payload_base64": "CgNBLTE="},
            {"id": "order", "url": url, "payload": {"sku": "A-1"}},
        ]}),
    )
    .await;
    assert_eq!(answer["status"], "committed", "{answer}");
    assert_eq!(seen.all(), ["grpc action \\n\\x03A-1", "http action {\\\"sku\\\":\\\"A-1\\\"}"]);
    let expected = ["stock action done 0 null null CP8=", "order action done 200 null {order:1} null"];
    assert_eq!(attempts(&api, "mixed").await, expected);
    let view = body(&api.get("/v1/transactions/mixed").await);
    assert_eq!(view["branches"][0]["ops"][0]["output_base64"], "CP8=");
    assert_eq!(view["branches"][0]["ops"][0]["target"], server.target("Reserve"));
    let list = body(&api.get(&format!("/v1/transactions?host={}", server.host)).await);
    assert_eq!(list["transactions"][0]["gid"], "mixed");
}

#[tokio::test]
async fn a_refusal_over_grpc_compensates_over_grpc_and_http() {
    let seen = Seen::default();
    let (server, url, api) = (stock(&seen).await, orders(&seen).await, api());
    let answer = create(
        &api,
        json!({"gid": "no", "pattern": "saga", "branches": [
            {"id": "order", "url": url, "payload": 7},
            {"id": "first", "url": server.target("Reserve")},
            {"id": "second", "url": server.target("Reserve"), "payload_base64": "bg=="},
        ]}),
    )
    .await;
    let cause = json!({"kind": "refused", "branch": "second", "reason": "only 7 left"});
    assert_eq!((&answer["status"], &answer["cause"]), (&json!("rolled_back"), &cause));
    let expected = [
        "http action 7",
        "grpc action ",
        "grpc action n",
        "grpc compensate n",
        "grpc compensate ",
        "http compensate 7",
    ];
    assert_eq!(seen.all(), expected);
    let attempts = attempts(&api, "no").await;
    assert_eq!(attempts[2], "second action refused 10 only 7 left null null");
    assert_eq!(attempts[3], "second compensate done 0 null null CP8=");
}

#[tokio::test]
async fn a_refusal_that_may_not_be_is_unknown_and_asked_again() {
    let asked = Arc::new(Mutex::new(0));
    let server = GrpcServer::start(move |request| {
        let mut asked = asked.lock().unwrap();
        *asked += u32::from(metadata(&request, "trine-op") == "confirm");
        let refuses = *asked == 1;
        async move { if refuses { Err(Status::aborted("no")) } else { ok("") } }
    })
    .await;
    let api = api();
    let answer = create(
        &api,
        json!({"gid": "tcc", "pattern": "tcc", "options": {"retry": {"initial_ms": 1}},
            "branches": [{"id": "stock", "url": server.target("Stock")}]}),
    )
    .await;
    assert_eq!(answer["status"], "committed", "{answer}");
    let expected = [
        "stock try done 0 null null null",
        "stock confirm unknown 10 null null null",
        "stock confirm done 0 null null null",
    ];
    assert_eq!(attempts(&api, "tcc").await, expected);
}

#[tokio::test]
async fn the_check_of_a_message_may_be_a_grpc_method() {
    let seen = Seen::default();
    let (server, api) = (stock(&seen).await, api());
    create(
        &api,
        json!({"gid": "message", "pattern": "message", "open": true, "check": server.target("Check"),
            "options": {"check_after_ms": 1}, "branches": [{"id": "mail", "deliver": server.target("Send")}]}),
    )
    .await;
    api.follow_until("message", "committed").await;
    assert_eq!(seen.all(), ["grpc check ", "grpc deliver "]);
}
