//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Liveness does not ask the store, because a restart would not bring a database back. Readiness does, with a time limit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Ext};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use trine_protocol::errors::Code;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use crate::http::AboutHealth;
use crate::metrics;
use trine_store::vitals::Proof;
use trine_store::{Maintenance, StoreError};

/// The path of readiness.
const READY: &str = "/readyz";

/// The dependencies of the health checks.
#[derive(Clone)]
pub struct Health {
    /// Proves that a lane can append, read and remove a record.
    pub prove: Arc<dyn Fn() -> Proof + Send + Sync>,
    /// Says whether the database server is fit to be written to.
    pub store: Arc<dyn Maintenance>,
    /// The time limit of `/readyz`.
    pub ready_timeout: Duration,
    /// Number of transactions whose journal cannot be read.
    pub damaged: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Renders every metric in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Why the coordinator is not ready for another reason than the store: a word, a colon, and the remedy.
    pub why_not_ready: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Cancelled when the shutdown begins. Then the coordinator is not ready.
    pub shutdown: CancellationToken,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("ready_timeout", &self.ready_timeout).finish_non_exhaustive()
    }
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct HealthView {
    /// `alive` or `ready`.
    status: &'static str,
    /// Transactions that are left alone because their journal cannot be read (TX0021), as met since the start; absent where
    /// there are none. The others go on: it is ready all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_transactions: Option<u64>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(health: Health) -> Router {
    let (router, _) = routes().split_for_parts();
    router.with_state(health)
}

/// Limits readiness to half of the listener's seats for health. Readiness waits for the store, and must not take the seats
/// that liveness and metrics need.
pub fn with_seats(health: Router, seats: usize) -> Router {
    let places = Arc::new(Semaphore::new((seats / 2).max(1)));
    health.layer(from_fn_with_state(places, bounded_readiness))
}

async fn bounded_readiness(Ext(places): Ext<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if request.uri().path() != READY {
        return next.run(request).await;
    }
    let Ok(_place) = places.try_acquire() else {
        let detail =
            "as many readiness checks are under way as may be at once: the store is slow, or does not answer";
        return Refusal::new(Code::NotReady, detail).into_response();
    };
    next.run(request).await
}

/// The routes' description.
pub(super) fn described() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Health> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(render_metrics))
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "health",
    responses((status = 200, description = "It does", body = HealthView))
)]
async fn healthz() -> Json<HealthView> {
    Json(HealthView { status: "alive", damaged_transactions: None })
}

/// Whether requests would be served: a record was just appended, read and removed over a lane's own connection, the clock is
/// right, and no shutdown has begun.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "health",
    responses((status = 200, description = "They would", body = HealthView))
)]
async fn readyz(Ext(health): Ext<Health>) -> Result<Json<HealthView>, Refusal> {
    if health.shutdown.is_cancelled() {
        return Err(Refusal::shutting_down());
    }
    if let Some(why) = (health.why_not_ready)() {
        return Err(Refusal::new(Code::NotReady, why));
    }
    let proved = tokio::time::timeout(health.ready_timeout, (health.prove)());
    let judged = tokio::time::timeout(health.ready_timeout, health.store.ping());
    let (proved, judged) = futures_util::future::join(proved, judged).await;
    // Only `Unfit` counts. Other errors concern the connection of this question, and the lanes have connections of their own.
    if let Ok(Err(unfit @ StoreError::Unfit(_))) = judged {
        return Err(unfit.into());
    }
    let error = match proved {
        Ok(Ok(())) => {
            let damaged_transactions = Some((health.damaged)()).filter(|damaged| *damaged > 0);
            return Ok(Json(HealthView { status: "ready", damaged_transactions }));
        }
        Ok(Err(error)) => error,
        Err(_) => StoreError::Unavailable("it took too long".into()),
    };
    // The error may name users and hosts, so it goes to the log only.
    tracing::warn!(%error, "not ready");
    Err(Refusal::new(
        Code::NotReady,
        "journal: a record could not be appended over a lane's own connection and read back; the log says why",
    ))
}

/// Every metric, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"))
)]
async fn render_metrics(Ext(health): Ext<Health>) -> Response {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    ([content_type], Extension(AboutHealth), (health.metrics)()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http::{self, Budget, Routers};

    /// Nothing here takes so long.
    const LONG: Duration = Duration::from_secs(30);

    async fn ask(addr: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn said(addr: std::net::SocketAddr, path: &str) -> String {
        let mut text = String::new();
        let mut stream = ask(addr, path).await;
        // A connection that is closed without an answer may end in a reset.
        let _ = tokio::time::timeout(LONG, stream.read_to_string(&mut text)).await.expect("an answer");
        text
    }

    #[tokio::test]
    async fn readiness_that_hangs_leaves_liveness_its_seats() {
        let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
        let hang = move || {
            entered.send(()).unwrap();
            std::future::pending::<()>()
        };
        let health = Router::new().route(READY, get(hang)).route("/healthz", get(|| async { "alive" }));
        let health = with_seats(health, 4);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let options = http::Options { connections_max: 0, reserved_max: 4, ..http::Options::default() };
        let routers = Routers { all: health.clone(), reserved: Some(health) };
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(http::serve(listener, routers, options, Budget::new(1 << 24), stop.clone()));
        let hung = [ask(addr, READY).await, ask(addr, READY).await];
        for _ in &hung {
            entries.recv().await.unwrap();
        }
        for _ in 0..8 {
            let answer = said(addr, READY).await;
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("readiness checks"), "{answer}");
            let answer = said(addr, "/healthz").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        serving.abort();
    }
}
