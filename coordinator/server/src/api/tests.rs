//! The exact HTTP of the native API, over running lanes, a store in memory and a fake participant.

mod damaged;
mod errors;
mod events;
mod exposure;
mod grpc;
mod operators;
mod participants;
mod transactions;
mod workflows;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use expect_test::Expect;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use trine_engine::{Answer, Call, CallReport, Outcome, Payload};

use super::health::Health;
use super::{ApiState, Limits, Observed, compose, docs_router, health, router};
use crate::api::v1::admin;
use crate::metrics::Metrics;
use crate::registrar::Registrar;
use crate::runtime::{Lanes, Options};
use trine_dispatch::{Caller, Directory, Returned};
use trine_store::Store;
use trine_store::memory::Memory;

const SAGA: &str = r#"{"gid":"order-42","pattern":"saga","labels":{"customer":"7"},"branches":[
    {"id":"stock","action":"http://a/take","compensate":"http://a/give","payload":{"sku":"A-1"}},
    {"id":"order","action":"http://b/refuse","compensate":"http://b/cancel","after":["stock"]}]}"#;
const OPEN: &str = r#"{"gid":"pay-1","pattern":"tcc","open":true}"#;
const WAIT: [(&str, &str); 1] = [("prefer", "wait=10")];

/// Participants that may be registered.
const INSTANCES_MAX: usize = 3;

/// A participant that answers by the path: `/refuse` refuses, `/broken` gives no usable answer, `/missing` is a 404, and any other
/// path is done.
#[derive(Debug)]
struct Participant;

impl Caller for Participant {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        Box::pin(async move {
            let target = call.target.as_str().to_owned();
            let broken = target.ends_with("/broken");
            let missing = target.ends_with("/missing");
            let refused = target.ends_with("/refuse") && call.op().may_be_refused();
            let outcome = if refused {
                Outcome::Refused { reason: "no stock".into() }
            } else if broken {
                Outcome::Unknown
            } else if missing {
                Outcome::ClientError
            } else {
                Outcome::Done { output: Payload::from("{ \"ok\": true }"), read_only: false }
            };
            let status_code = Some(if refused {
                409
            } else if broken {
                500
            } else if missing {
                404
            } else {
                200
            });
            let error = missing.then(|| "HTTP 404: there is nothing at this path".to_owned());
            let report = CallReport { status_code, duration_ms: 5, error };
            Returned::Answer(Answer { outcome, parks: None, report, random_permille: 0 })
        })
    }
}

struct Api {
    router: axum::Router,
    memory: Memory,
    shutdown: CancellationToken,
    /// Keeps the lanes running.
    lanes: Lanes,
}

impl Api {
    fn start() -> Self {
        Self::start_with(Arc::new(Participant))
    }

    /// Starts with another caller, such as one that makes real calls.
    fn start_with(caller: Arc<dyn Caller>) -> Self {
        Self::start_over(Memory::new("a"), caller)
    }

    fn start_over(memory: Memory, caller: Arc<dyn Caller>) -> Self {
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let metrics = Metrics::new();
        let lanes = Lanes::start(
            &store,
            &caller,
            &metrics,
            &trine_clock::Clock::system(),
            Options { proof_holds_ms: 0, ..Options::default() },
        );
        let shutdown = CancellationToken::new();
        let directory = Arc::new(Directory::new());
        let state = Arc::new(ApiState {
            handle: lanes.handle().clone(),
            queries: Arc::new(memory.clone()),
            registrar: Registrar::start(Arc::new(memory.clone()), Arc::clone(&directory), INSTANCES_MAX),
            registry: Arc::new(memory.clone()),
            membership: Arc::new(memory.clone()),
            directory,
            // Live streams hold one event at a time, so the tests cover reading again.
            limits: Limits {
                events_poll: Duration::from_millis(50),
                events_ahead_bytes_max: 1,
                ..Limits::default()
            },
            shutdown: shutdown.clone(),
        });
        let health = Health {
            store: Arc::new(memory.clone()),
            prove: {
                let (vitals, store) = (Arc::clone(lanes.handle().vitals()), Arc::clone(&store));
                Arc::new(move || vitals.prove(&store))
            },
            ready_timeout: Duration::from_secs(2),
            why_not_ready: {
                let handle = lanes.handle().clone();
                Arc::new(move || handle.why_not_ready())
            },
            damaged: Arc::new({
                let damaged = lanes.handle().damaged().clone();
                move || damaged.len()
            }),
            metrics: Arc::new({
                let metrics = metrics.clone();
                move || metrics.render()
            }),
            shutdown: shutdown.clone(),
        };
        let observed = Observed { metrics, counts_refusals: true, journal: None };
        let routers = [
            observed.clone().around(router(state.clone())),
            observed.around(admin::router(state)),
            health::router(health),
            docs_router(),
        ];
        Self { router: compose(routers), memory, shutdown, lanes }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).unwrap();
        shown(self.send(request).await).await
    }

    async fn post(&self, path: &str, body: &str) -> String {
        self.post_with(path, &[], body).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        shown(self.send(request.body(Body::from(body.to_owned())).unwrap()).await).await
    }

    /// Reads a transaction's live stream until an event has come.
    async fn follow_until(&self, gid: &str, event: &str) {
        let request = Request::get(format!("/v1/transactions/{gid}/events"));
        let response = self.send(request.body(Body::empty()).unwrap()).await;
        let mut stream = response.into_body().into_data_stream();
        let mut text = String::new();
        while !text.contains(&format!("event: {event}\n")) {
            let chunk = stream.next().await.unwrap_or_else(|| panic!("no {event} in {text}")).unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn delete(&self, path: &str) -> String {
        let request = Request::delete(path).body(Body::empty()).unwrap();
        shown(self.send(request).await).await
    }
}

/// Status, the headers with a meaning, and the body with its times masked.
async fn shown(response: Response<Body>) -> String {
    let mut text = format!("{}\n", response.status());
    for name in ["location", "preference-applied", "retry-after", "allow", "content-type"] {
        if let Some(value) = response.headers().get(name) {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
    }
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    text.push_str(&masked(&body));
    text.push('\n');
    text
}

/// Replaces every RFC 3339 time.
pub(super) fn masked(text: &str) -> String {
    let parts = text.split('"').map(|part| {
        let is_time = trine_protocol::Timestamp::parse_rfc3339(part).is_some();
        if is_time { "<time>" } else { part }
    });
    parts.collect::<Vec<_>>().join("\"")
}

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}
