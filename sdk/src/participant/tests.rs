//! Handlers behind the router, called as the coordinator calls them; and registration against a scripted coordinator.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;
use trine_protocol::{Op, headers};

use super::{Participant, Registration};
use crate::client::Client;
use crate::{BranchContext, CheckAnswer, CheckContext, Outcome};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Answers with the outcome that is its state.
async fn stated(outcome: Outcome, _: BranchContext, _: Value) -> Result<Outcome, Error> {
    Ok(outcome)
}

fn request(path: &str, op: Op, body: &str) -> Request<Body> {
    let context = BranchContext::new("g-1".parse().unwrap(), "b-1".parse().unwrap(), op);
    Request::post(path)
        .header(headers::GID, "g-1")
        .header(headers::BRANCH, "b-1")
        .header(headers::OP, op.as_str())
        .header(headers::PATTERN, context.pattern.as_str())
        .header(headers::ATTEMPT, "2")
        .header(headers::FENCE, "9")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// Status, one header and the document of an answer.
async fn read(response: Response, header: &str) -> (u16, String, Value) {
    let value = response.headers().get(header).map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, value, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn call(router: Router, request: Request<Body>, header: &str) -> (u16, String, Value) {
    read(router.oneshot(request).await.unwrap(), header).await
}

#[tokio::test]
async fn outcomes_become_the_answers_of_the_protocol() {
    let refused = Outcome::refused("only 3 left");
    let rows: [(Op, Outcome, u16, &str, &str); 9] = [
        (Op::Try, Outcome::Done(json!({"id": 1})), 200, "content-type", "application/json"),
        (Op::Prepare, Outcome::DoneReadOnly, 200, headers::VOTE, "read-only"),
        (Op::Prepare, Outcome::empty(), 200, headers::VOTE, ""),
        (Op::Action, Outcome::DoneReadOnly, 200, headers::VOTE, ""),
        (Op::Try, refused.clone(), 409, "content-type", "application/problem+json"),
        (Op::Confirm, refused.clone(), 500, "content-type", "application/problem+json"),
        (Op::Compensate, refused, 500, "retry-after", ""),
        (Op::Action, Outcome::Ongoing(None), 425, "retry-after", ""),
        (Op::Action, Outcome::Ongoing(Some(Duration::from_millis(1_200))), 425, "retry-after", "2"),
    ];
    for (op, outcome, status, header, value) in rows {
        let participant = Participant::new(outcome.clone()).mount(op, "/x", stated);
        let (found, found_value, _) = call(participant.into_router(), request("/x", op, ""), header).await;
        assert_eq!((found, found_value.as_str()), (status, value), "{op} {outcome:?}");
    }
    let soon = Participant::new(Outcome::Ongoing(Some(Duration::ZERO))).action("/x", stated).into_router();
    assert_eq!(call(soon, request("/x", Op::Action, ""), "retry-after").await.1, "1");
}

#[tokio::test]
async fn a_refusal_tells_its_reason() {
    let router = Participant::new(Outcome::refused("only 3 left")).try_("/x", stated).into_router();
    let (_, _, document) = call(router, request("/x", Op::Try, "null"), "").await;
    assert_eq!((&document["detail"], &document["status"]), (&json!("only 3 left"), &json!(409)));
}

#[tokio::test]
async fn errors_and_panics_are_unknown_and_tell_nothing() {
    async fn fails(_: (), _: BranchContext, _: Value) -> Result<Outcome, Error> {
        Err("password=secret".into())
    }
    async fn panics(_: (), _: BranchContext, _: Value) -> Result<Outcome, Error> {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
    let router = Participant::new(()).action("/fails", fails).action("/panics", panics).into_router();
    for path in ["/fails", "/panics"] {
        let (status, _, document) = call(router.clone(), request(path, Op::Action, ""), "").await;
        assert_eq!(status, 500);
        assert!(!document.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn one_path_serves_every_op_of_a_branch() {
    async fn echo(_: (), context: BranchContext, payload: Value) -> Result<Outcome, Error> {
        Ok(Outcome::Done(json!([context.op, context.attempt, context.fence, payload])))
    }
    let router = Participant::new(()).try_("/b", echo).confirm("/b", echo).cancel("/b", echo).into_router();
    for op in [Op::Try, Op::Confirm, Op::Cancel] {
        let (status, _, output) = call(router.clone(), request("/b", op, "{\"a\":1}"), "").await;
        assert_eq!((status, output), (200, json!([op, 2, 9, {"a": 1}])));
    }
    assert_eq!(call(router, request("/b", Op::Action, ""), "").await.0, 400);
}

#[tokio::test]
async fn calls_that_are_not_well_formed_are_not_run() {
    #[derive(serde::Deserialize)]
    struct Item {
        _sku: String,
    }
    async fn never(_: (), _: BranchContext, _: Item) -> Result<Outcome, Error> {
        panic!("it ran")
    }
    let router = Participant::new(()).action("/x", never).into_router();
    let bare = Request::post("/x").body(Body::empty()).unwrap();
    for request in [
        bare,
        request("/x", Op::Action, "{"),
        request("/x", Op::Action, "{\"sku\":1}"),
        request("/x", Op::Action, ""),
    ] {
        let (status, kind, document) = call(router.clone(), request, "content-type").await;
        assert_eq!((status, kind.as_str()), (400, "application/problem+json"));
        assert!(document["detail"].is_string());
    }
}

#[tokio::test]
async fn a_check_is_answered_as_the_protocol_wants() {
    async fn check(answer: Option<CheckAnswer>, context: CheckContext) -> Result<CheckAnswer, Error> {
        assert_eq!((context.gid.as_str(), context.attempt, context.fence), ("g-1", 2, 9));
        answer.ok_or_else(|| "cannot tell".into())
    }
    for (answer, status) in
        [(Some(CheckAnswer::Committed), 200), (Some(CheckAnswer::NotCommitted), 409), (None, 500)]
    {
        let router = Participant::new(answer).check("/check", check).into_router();
        let mut request = request("/check", Op::Check, "null");
        request.headers_mut().remove(headers::BRANCH);
        assert_eq!(call(router, request, "").await.0, status);
    }
}

#[tokio::test]
async fn a_context_can_be_extracted_by_any_handler_of_axum() {
    async fn handler(context: BranchContext) -> String {
        context.idempotency_key()
    }
    let router = Router::new().route("/x", post(handler));
    let response = router.clone().oneshot(request("/x", Op::Action, "")).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    assert_eq!(&body[..], b"g-1/b-1/action");
    let (status, _, _) = call(router, Request::post("/x").body(Body::empty()).unwrap(), "").await;
    assert_eq!(status, 400);
}

#[test]
#[should_panic(expected = "try is mounted twice at /x")]
fn mounting_an_op_twice_is_a_mistake() {
    let _ = Participant::new(Outcome::empty()).try_("/x", stated).try_("/x", stated);
}

#[tokio::test]
async fn a_handler_outlives_its_caller() {
    type Steps = (
        mpsc::Sender<()>,
        Arc<tokio::sync::Mutex<Option<oneshot::Receiver<()>>>>,
        mpsc::Sender<&'static str>,
    );
    async fn slow((started, go_on, ended): Steps, _: BranchContext, _: Value) -> Result<Outcome, Error> {
        started.send(()).await?;
        go_on.lock().await.take().unwrap().await?;
        ended.send("ended").await?;
        Ok(Outcome::empty())
    }
    let (started, mut has_started) = mpsc::channel(1);
    let (go_on, may_go_on) = oneshot::channel();
    let (ended, mut has_ended) = mpsc::channel(1);
    let steps: Steps = (started, Arc::new(tokio::sync::Mutex::new(Some(may_go_on))), ended);
    let router = Participant::new(steps).action("/x", slow).into_router();
    let caller = tokio::spawn(router.oneshot(request("/x", Op::Action, "")));
    has_started.recv().await.unwrap();
    caller.abort();
    caller.await.unwrap_err();
    go_on.send(()).unwrap();
    assert_eq!(has_ended.recv().await, Some("ended"));
}

/// A coordinator that reports registrations and refuses those named `bad`; the first one finds it busy. To participants named
/// `early` it is of a version that does not know guarded ones.
async fn coordinator() -> (Client, mpsc::UnboundedReceiver<String>) {
    type Told = (mpsc::UnboundedSender<String>, Arc<std::sync::atomic::AtomicU32>);
    async fn register(State((told, count)): State<Told>, axum::Json(body): axum::Json<Value>) -> Response {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        let name = body["name"].as_str().unwrap().to_owned();
        let guarded = if body["guarded"] == true { " guarded" } else { "" };
        told.send(format!("register {name} {} {}{guarded}", body["base_url"], body["ttl_ms"])).unwrap();
        if name == "bad" || (name == "early" && body.get("guarded").is_some()) {
            let code = trine_protocol::errors::Code::InvalidField;
            let mut problem = trine_protocol::errors::Problem::new(code, "no");
            problem.field = (name == "early").then(|| "guarded".to_owned());
            return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(problem)).into_response();
        }
        let at = "2026-01-31T12:00:00Z";
        axum::Json(json!({"name": name, "base_url": body["base_url"], "expires_at": at})).into_response()
    }
    async fn remove(State((told, _)): State<Told>, uri: axum::http::Uri) -> StatusCode {
        told.send(format!("delete {uri}")).unwrap();
        StatusCode::NO_CONTENT
    }
    let (told, heard) = mpsc::unbounded_channel();
    let router = Router::new()
        .route("/v1/participants", post(register))
        .route("/v1/participants/{name}", delete(remove))
        .with_state((told, Arc::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (client, heard)
}

#[tokio::test]
async fn an_instance_registers_sends_heartbeats_and_says_farewell() {
    let (client, mut heard) = coordinator().await;
    let registration =
        Registration::new(client, "stock", "http://127.0.0.1:9").ttl(Duration::from_millis(300)).start();
    registration.registered().await.unwrap();
    for _ in 0..3 {
        assert_eq!(heard.recv().await.unwrap(), "register stock \"http://127.0.0.1:9\" 300");
    }
    registration.shutdown().await;
    let last = std::iter::from_fn(|| heard.try_recv().ok()).last();
    assert_eq!(last.unwrap(), "delete /v1/participants/stock?base_url=http%3A%2F%2F127.0.0.1%3A9");
}

#[tokio::test]
async fn an_instance_says_that_it_is_guarded_in_every_heartbeat_if_it_is() {
    let (client, mut heard) = coordinator().await;
    let registration = Registration::new(client, "stock", "http://127.0.0.1:9").guarded();
    let _running = registration.ttl(Duration::from_millis(300)).start();
    for _ in 0..2 {
        assert_eq!(heard.recv().await.unwrap(), "register stock \"http://127.0.0.1:9\" 300 guarded");
    }
}

#[tokio::test]
async fn a_guarded_instance_registers_with_a_coordinator_that_does_not_know_the_word() {
    let (client, mut heard) = coordinator().await;
    let registration = Registration::new(client, "early", "http://127.0.0.1:9").guarded();
    let registration = registration.ttl(Duration::from_millis(300)).start();
    registration.registered().await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "register early \"http://127.0.0.1:9\" 300 guarded");
    assert_eq!(heard.recv().await.unwrap(), "register early \"http://127.0.0.1:9\" 300");
}

#[tokio::test]
async fn a_refused_registration_is_told() {
    let (client, _heard) = coordinator().await;
    let registration =
        Registration::new(client, "bad", "http://127.0.0.1:9").ttl(Duration::from_millis(300)).start();
    assert_eq!(registration.registered().await.unwrap_err().code(), Some("TX0002"));
}

/// As the barriers' errors are made.
#[derive(Debug, thiserror::Error)]
#[error("the call is fenced off")]
struct Guard(#[source] crate::Fenced);

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Wrapped(#[from] Guard);

#[tokio::test]
async fn a_call_that_is_fenced_off_is_answered_412_however_deep_the_error_lies() {
    async fn fenced(_: (), call: BranchContext, _: Value) -> Result<Outcome, Wrapped> {
        let fenced = crate::Fenced {
            gid: call.gid.to_string(),
            branch: call.branch.to_string(),
            op: call.op,
            fence: call.fence,
            highest: 12,
        };
        Err(Guard(fenced).into())
    }
    let router = Participant::new(()).action("/x", fenced).into_router();
    let (status, content, problem) = call(router, request("/x", Op::Action, ""), "content-type").await;
    assert_eq!((status, content.as_str()), (412, "application/problem+json"));
    assert_eq!(problem["type"], "urn:trine:participant:fenced");
    assert_eq!(problem["detail"], "action of g-1/b-1 carries fence 9, the branch has seen 12");
}

#[derive(Debug, thiserror::Error)]
#[error("the call is of another transaction")]
struct Foreign(#[source] crate::Conflict);

#[tokio::test]
async fn a_call_that_is_in_conflict_with_the_record_is_answered_412_and_says_so() {
    async fn foreign(_: (), call: BranchContext, _: Value) -> Result<Outcome, Foreign> {
        Err(Foreign(crate::Conflict {
            gid: call.gid.to_string(),
            branch: call.branch.to_string(),
            op: call.op,
            differs: crate::Differs::Journal,
            asked: call.journal.map_or_else(String::new, |journal| journal.to_string()),
            recorded: "one".to_owned(),
        }))
    }
    let router = Participant::new(()).action("/x", foreign).into_router();
    let mut request = request("/x", Op::Action, "");
    request.headers_mut().insert(headers::JOURNAL, "two".parse().unwrap());
    let (status, conflict, problem) = call(router, request, headers::CONFLICT).await;
    assert_eq!((status, conflict.as_str()), (412, "journal"));
    assert_eq!(problem["type"], "urn:trine:participant:conflict");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(
            "action of g-1/b-1 comes from journal two, and on record here it is from journal one"
        )
    );
}
