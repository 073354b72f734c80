//! A front over a store in memory and lanes whose calls are never answered. The files below compare answers word for word, over
//! lanes that call scripted participants ([`stage`]).

mod abort;
mod counted;
mod differences;
mod envelope;
mod grpc;
mod json_rpc;
mod message;
mod names;
mod on_record;
mod operate;
mod options;
mod prepare;
mod queries;
mod register;
mod saga;
mod saga_limits;
mod stage;
mod submit;
mod tcc;
mod times;
mod topics;
mod transitions;
mod wait_result;
mod workflow;
mod xa;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::future::BoxFuture;
use tower::ServiceExt as _;
use trine_engine::Call;

use super::*;
use crate::runtime::{Lanes, Options};
use trine_dispatch::{Caller, Returned};
use trine_store::memory::Memory;

pub(super) const BODY_BYTES_MAX: usize = 2_000;

/// A caller that never answers.
#[derive(Debug)]
struct Silent;

impl Caller for Silent {
    fn call(&self, _: Call) -> BoxFuture<'static, Returned> {
        Box::pin(std::future::pending())
    }
}

/// A front, and its lanes, which the test must keep alive.
pub(super) fn front() -> (Front, Lanes) {
    let store: Arc<dyn Store> = Arc::new(Memory::new("a"));
    let caller: Arc<dyn Caller> = Arc::new(Silent);
    let lanes = Lanes::start(
        &store,
        &caller,
        &crate::metrics::Metrics::new(),
        &trine_clock::Clock::system(),
        Options::default(),
    );
    let metrics = Arc::new(|| -> String { panic!("a secret of the metrics") });
    let front = Front::new(lanes.handle().clone(), store, Duration::from_secs(10), BODY_BYTES_MAX, metrics);
    (front, lanes)
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answered {
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON, whatever its content type.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request through the router.
pub(super) async fn send(router: &Router, method: Method, uri: &str, body: &str) -> Answered {
    let request = Request::builder().method(method).uri(uri).body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    answered(response).await
}

/// A response, read to its end.
pub(super) async fn answered(response: axum::response::Response) -> Answered {
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    Answered { status: head.status, headers: head.headers, body }
}

#[tokio::test]
async fn a_coordinator_whose_clock_is_wrong_prepares_no_message_that_would_be_asked_about() {
    let (front, lanes) = front();
    let (router, asked) = (router(front), trine_clock::Stopwatch::start());
    let wrong = trine_protocol::Timestamp::from_millis(trine_clock::now().millis() - 3_600_500);
    lanes.handle().store_clock().heard(wrong, asked);
    let message = r#"{"gid":"m","trans_type":"msg","query_prepared":"http://p/asked"}"#;
    let answered = send(&router, Method::POST, "/api/dtmsvr/prepare", message).await;
    let said = (answered.status.as_u16(), answered.header("retry-after"));
    assert_eq!(said, (500, "1"), "as whatever is temporary: {}", answered.body);
    let words =
        "nothing was done, because this machine's clock is 1h ahead of the store's: repeat this at another";
    assert!(answered.body.contains(words), "{}", answered.body);
    assert!(!answered.body.contains("FAILURE"), "it may be done elsewhere: {}", answered.body);
    let saga = r#"{"gid":"s","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#;
    let answered = send(&router, Method::POST, "/api/dtmsvr/submit", saga).await;
    assert_eq!(answered.status, StatusCode::OK, "it has no time: {}", answered.body);
}

#[tokio::test]
async fn a_body_that_finds_no_room_is_told_to_come_back() {
    let (front, _lanes) = front();
    let request = |uri: &str| {
        let parts = futures_util::stream::iter([Err::<bytes::Bytes, _>(crate::http::BodyFault::NoRoom)]);
        Request::post(uri).body(Body::from_stream(parts)).unwrap()
    };
    let asked = router(front.clone()).oneshot(request("/api/dtmsvr/submit")).await.unwrap();
    let asked = answered(asked).await;
    assert_eq!((asked.status.as_u16(), asked.header("retry-after")), (503, "1"));
    let asked = grpc_router(front).oneshot(request("/dtmgimp.Dtm/Submit")).await.unwrap();
    assert_eq!(asked.headers()["grpc-status"], (tonic::Code::Unavailable as i32).to_string().as_str());
}
