//! Branches, checks and a workflow's executor, behind one address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use tokio::sync::mpsc;

use super::book::{Book, Reply};
use super::initiators::Initiator;
use crate::support::Http;

/// What the handlers know.
#[derive(Clone)]
struct Shared {
    book: Book,
    coordinator: String,
    own: SocketAddr,
}

/// A running server; it ends with the test.
pub(super) struct Participants {
    own: SocketAddr,
}

type Parameters = Query<BTreeMap<String, String>>;

impl Participants {
    pub(super) async fn start(book: Book, coordinator: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/branch", axum::routing::any(branch))
            .route("/check", axum::routing::any(check))
            .route("/workflow", axum::routing::any(workflow))
            .with_state(Shared { book, coordinator, own });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { own }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.own)
    }
}

async fn branch(State(shared): State<Shared>, Query(parameters): Parameters) -> (StatusCode, &'static str) {
    tokio::time::sleep(Duration::from_millis(shared.book.delay_ms())).await; // tidy-allow: sleep, a slow participant
    match shared.book.act(&parameters["gid"], &parameters["branch_id"], &parameters["op"]) {
        Reply::Success => (StatusCode::OK, r#"{"dtm_result":"SUCCESS"}"#),
        // As old clients say it.
        Reply::Failure => (StatusCode::OK, r#"{"dtm_result":"FAILURE"}"#),
        Reply::Ongoing => (StatusCode::TOO_EARLY, "ONGOING"),
        Reply::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "out of luck"),
    }
}

/// Whether the local transaction of a message committed: the initiator wrote it down before it submitted.
async fn check(State(shared): State<Shared>, Query(parameters): Parameters) -> (StatusCode, &'static str) {
    assert_eq!((parameters["branch_id"].as_str(), parameters["op"].as_str()), ("00", "msg"));
    if shared.book.close_local(&parameters["gid"]) {
        (StatusCode::OK, "")
    } else {
        (StatusCode::CONFLICT, "FAILURE")
    }
}

/// The coordinator calls back a workflow that was abandoned.
async fn workflow(State(shared): State<Shared>, Query(parameters): Parameters) -> (StatusCode, &'static str) {
    assert_eq!((parameters["branch_id"].as_str(), parameters["op"].as_str()), ("00", "transfer"));
    let initiator = Initiator {
        http: Http::new(),
        base: shared.coordinator.clone(),
        branches: format!("http://{}", shared.own),
        book: shared.book.clone(),
        gid: parameters["gid"].clone(),
    };
    let ended = initiator.execute().await.wanted.is_some();
    if ended { (StatusCode::OK, "") } else { (StatusCode::INTERNAL_SERVER_ERROR, "not finished") }
}

/// Where a workflow is called back, and each time it is.
pub(super) async fn callbacks() -> (String, mpsc::UnboundedReceiver<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/workflow", listener.local_addr().expect("an address"));
    let (told, callbacks) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/workflow",
        axum::routing::any(move || {
            let _ = told.send(());
            std::future::ready(StatusCode::OK)
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, callbacks)
}
