//! The client against a server that answers from a script and records what it was asked.

mod open;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use trine_protocol::errors::{Code, Problem};
use trine_protocol::headers;

use super::*;

/// What the server was asked.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: HeaderMap,
    body: Value,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A server that gives its answers in order, and then none: it closes the connection.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Response>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    url: String,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = Response>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            script: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    fn client(&self) -> Client {
        quick(&[&self.url])
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    server.asked.lock().unwrap().push(Asked {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let next = server.script.lock().unwrap().pop_front();
    // Unwinding ends the connection's task, which closes the connection without an answer.
    next.unwrap_or_else(|| std::panic::resume_unwind(Box::new("end of script")))
}

fn quick(urls: &[&str]) -> Client {
    let builder = Client::builder()
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .retry_for(Duration::from_secs(5));
    urls.iter().fold(builder, |builder, url| builder.coordinator(*url)).build().unwrap()
}

fn answered(status: u16, standing: &str) -> Response {
    let settled = matches!(standing, "committed" | "rolled_back");
    let body =
        json!({"gid": "g-1", "pattern": "saga", "status": standing, "settled": settled, "parked": false});
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

fn problem(code: Code) -> Response {
    let status = StatusCode::from_u16(code.http_status()).unwrap();
    (status, axum::Json(Problem::new(code, "because"))).into_response()
}

fn busy() -> Response {
    let mut response = problem(Code::Busy);
    response.headers_mut().insert("retry-after", 3600.into());
    response
}

/// An answer that breaks off in the middle: what arrives is no answer.
fn broken() -> Response {
    let mut response = answered(202, "running");
    response.headers_mut().insert("content-length", 100_000.into());
    response
}

fn saga() -> Saga {
    Saga::new()
        .branch(SagaBranch::new("stock").action("inventory:/stock/reserve").payload(&json!({"quantity": 2})))
}

#[tokio::test]
async fn a_saga_is_written_as_the_api_reads_it() {
    let server = Server::start([answered(202, "running")]).await;
    let saga = Saga::new()
        .gid("order-42")
        .label("customer", "7")
        .deadline(Duration::from_secs(30))
        .exposure(trine_protocol::v1::Exposure::Ahead)
        .retry(RetryPolicy {
            initial: Some(Duration::from_millis(200)),
            max_attempts: Some(20),
            ..Default::default()
        })
        .branch(
            SagaBranch::new("stock")
                .action("inventory:/stock/reserve")
                .compensate("inventory:/stock/release"),
        )
        .branch(SagaBranch::new("order").url("http://127.0.0.1:7001/orders").after(["stock"]).payload("x"))
        .branch(
            SagaBranch::new("raw").url("http://127.0.0.1:7001/raw").payload(&7).payload_bytes(b"\x0a\xff"),
        );
    server.client().submit(&saga).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1/transactions");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("prefer"), "");
    let expected = json!({
        "gid": "order-42", "pattern": "saga", "open": false, "labels": {"customer": "7"},
        "options": {"deadline_ms": 30_000, "retry": {"initial": "200ms", "max_attempts": 20}, "exposure": "ahead"},
        "branches": [
            {"id": "stock", "action": "inventory:/stock/reserve", "compensate": "inventory:/stock/release", "options": {}},
            {"id": "order", "url": "http://127.0.0.1:7001/orders", "after": ["stock"], "payload": "x", "options": {}},
            {"id": "raw", "url": "http://127.0.0.1:7001/raw", "payload_base64": "Cv8=", "options": {}},
        ],
    });
    assert_eq!(asked.body, expected);
    // What is written must be what the protocol reads back.
    serde_json::from_value::<CreateTransaction>(asked.body.clone()).unwrap();
}

#[tokio::test]
async fn busy_and_broken_answers_are_repeated_with_the_same_gid() {
    let script = [busy(), broken(), problem(Code::StoreUnavailable), answered(202, "running")];
    let server = Server::start(script).await;
    let answer = server.client().submit(&saga()).await.unwrap();
    assert_eq!(answer.status, trine_protocol::Status::Running);
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|other| other.body == asked[0].body && other.body["gid"].is_string()));
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    for code in
        [Code::InvalidField, Code::GidConflict, Code::IllegalState, Code::BodyTooLarge, Code::Internal]
    {
        let server = Server::start([problem(code)]).await;
        let error = server.client().submit(&saga()).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), (Some(code.as_str()), false));
        assert_eq!(server.lines().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn patience_ends_and_says_how_it_ended() {
    let server = Server::start([busy(), busy()]).await;
    let client = Client::builder().coordinator(&server.url).retry_for(Duration::ZERO).build().unwrap();
    let error = client.submit(&saga()).await.unwrap_err();
    assert!(error.is_transient());
    assert!(matches!(error, Error::GaveUp { attempts: 1, .. }), "{error}");
    assert_eq!(error.code(), Some("TX0010"));
}

#[tokio::test]
async fn the_next_coordinator_is_asked_when_one_does_not_answer() {
    let gone = Server::start([]).await;
    let alive = Server::start([answered(202, "running"), answered(202, "running")]).await;
    let client = quick(&[&gone.url, &alive.url]);
    client.submit(&saga()).await.unwrap();
    client.submit(&saga()).await.unwrap();
    // It stays with the one that answered.
    assert_eq!((gone.lines().len(), alive.lines().len()), (1, 2));
}

#[tokio::test]
async fn waiting_asks_again_until_it_is_settled() {
    let server = Server::start([
        answered(202, "running"),
        broken(),
        answered(202, "running"),
        answered(200, "committed"),
    ])
    .await;
    let answer = server.client().submit_and_wait(&saga(), Duration::from_secs(60)).await.unwrap();
    assert!(answer.settled);
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|each| each.header("prefer") == "wait=20" && each.body == asked[0].body));
}

#[tokio::test]
async fn waiting_ends_with_the_time_and_gives_the_last_answer() {
    let script = (0..10_000).map(|_| answered(202, "running"));
    let server = Server::start(script).await;
    let answer = server.client().submit_and_wait(&saga(), Duration::from_millis(20)).await.unwrap();
    assert!(!answer.settled);
    let answer = server.client().submit_and_wait(&saga(), Duration::ZERO).await.unwrap();
    assert!(!answer.settled);
    assert_eq!(server.asked().last().unwrap().header("prefer"), "");
}

#[tokio::test]
async fn deciding_and_asking_go_to_their_paths() {
    let view = json!({
        "gid": "g-1", "pattern": "tcc", "status": "open", "settled": false, "labels": {}, "opened": true, "seq": 1,
        "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z", "branches": [], "next": [],
    });
    let history =
        json!({"gid": "g-1", "events": [{"seq": 1, "at": "2026-01-31T12:00:00Z", "event": "created"}]});
    let server = Server::start([
        answered(202, "committing"),
        answered(200, "rolled_back"),
        axum::Json(view).into_response(),
        axum::Json(history).into_response(),
        problem(Code::TransactionNotFound),
    ])
    .await;
    let client = server.client();
    let gid = Gid::parse("g-1").unwrap();
    client.commit(&gid).await.unwrap();
    client.abort_and_wait(&gid, "changed my mind", Duration::from_secs(3)).await.unwrap();
    assert!(client.get(&gid).await.unwrap().opened);
    assert_eq!(client.history(&gid).await.unwrap().events.len(), 1);
    assert_eq!(client.get(&gid).await.unwrap_err().code(), Some("TX0009"));
    let asked = server.asked();
    assert_eq!(asked[1].body, json!({"reason": "changed my mind"}));
    assert_eq!(asked[1].header("prefer"), "wait=3");
    assert_eq!(
        server.lines()[..4],
        [
            "POST /v1/transactions/g-1/commit",
            "POST /v1/transactions/g-1/abort",
            "GET /v1/transactions/g-1",
            "GET /v1/transactions/g-1/history",
        ]
    );
}

#[tokio::test]
async fn mistakes_in_building_send_nothing() {
    let server = Server::start([]).await;
    let client = server.client();
    let unserializable = std::collections::BTreeMap::from([((1, 2), 3)]);
    for saga in [
        saga().gid("not a gid"),
        saga().branch(SagaBranch::new("")),
        saga().branch(SagaBranch::new("a").action("ftp://x/")),
        saga().branch(SagaBranch::new("a").after(["b c"])),
        saga().branch(SagaBranch::new("a").payload(&unserializable)),
    ] {
        let error = client.submit(&saga).await.unwrap_err();
        assert!(matches!(error, Error::InvalidTransaction { .. }), "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn urls_that_cannot_be_coordinators_are_refused() {
    for url in ["", "127.0.0.1:36789", "ftp://host/", "http://", "http://host/?a=b"] {
        assert!(matches!(Client::new(url), Err(Error::InvalidUrl { .. })), "{url}");
    }
    assert!(matches!(Client::builder().build(), Err(Error::InvalidUrl { .. })));
    assert!(Client::new("https://trine.example/prefix/").is_ok());
}

#[tokio::test]
async fn answers_of_other_servers_are_told_apart() {
    let server = Server::start([(StatusCode::OK, "<html>welcome</html>").into_response()]).await;
    let error = server.client().submit(&saga()).await.unwrap_err();
    assert!(matches!(error, Error::NotACoordinator { status: 200, .. }), "{error}");
    let moved = (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response();
    let server = Server::start([moved]).await;
    let error = server.client().submit(&saga()).await.unwrap_err();
    assert!(matches!(error, Error::NotACoordinator { status: 302, .. }), "{error}");
}

#[tokio::test]
async fn a_gateway_without_a_coordinator_is_named_and_asked_again() {
    let gateway =
        || (StatusCode::BAD_GATEWAY, [("server", "nginx/1.22.1")], "<h1>\n502</h1>").into_response();
    let server = Server::start([gateway(), answered(202, "running"), gateway()]).await;
    server.client().submit(&saga()).await.unwrap();
    let client = Client::builder().coordinator(&server.url).retry_for(Duration::ZERO).build().unwrap();
    let Error::GaveUp { last, .. } = client.get(&Gid::parse("g-1").unwrap()).await.unwrap_err() else {
        panic!("it is repeated")
    };
    let Error::Gateway { server, excerpt, status: 502, .. } = *last else { panic!("{last}") };
    assert_eq!((server.as_str(), excerpt.as_str()), ("nginx/1.22.1", "<h1>\\n502</h1>"));
}

#[tokio::test]
async fn an_operators_request_is_its_path_and_its_document() {
    let server = Server::start([answered(200, "rolled_back"), StatusCode::NO_CONTENT.into_response()]).await;
    let client = server.client();
    let gid = Gid::parse("g-1").unwrap();
    client.force(&gid, crate::v1::ForceOutcome::RolledBack, "why").by("anna").await.unwrap();
    client.forget_participant("stock", Some("http://h/a?b&c")).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].body, json!({"outcome": "rolled_back", "reason": "why", "by": "anna"}));
    let lines = [
        "POST /v1/admin/transactions/g-1/force",
        "DELETE /v1/participants/stock?base_url=http%3A%2F%2Fh%2Fa%3Fb%26c",
    ];
    assert_eq!(server.lines(), lines);
    let mistake = client.forget_participant("a/b", None).await.unwrap_err();
    assert!(matches!(mistake, Error::InvalidTransaction { .. }), "{mistake}");
}

#[test]
fn gids_sort_by_the_time_they_were_chosen() {
    let gids: Vec<Gid> = (0..100).map(|_| new_gid()).collect();
    assert!(gids.is_sorted());
}

#[test]
fn an_instance_is_addressed_by_its_encoded_url() {
    let path = resolve::instance_path("inventory", "http://10.0.0.7:80/a?b&c").unwrap();
    assert_eq!(path, "/v1/participants/inventory?base_url=http%3A%2F%2F10.0.0.7%3A80%2Fa%3Fb%26c");
    assert!(resolve::instance_path("a/b", "http://x").is_err());
}
