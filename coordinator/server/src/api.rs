//! The HTTP API: the native API, the dialects (a folder each; `v1` is the native one), health, and the API's description.
//!
//! A handler turns a request into a command for `runtime::Handle`, or into a read through the store's traits, and turns the
//! result into an answer. Rules of patterns are in the engine, calls in dispatch. There is no authentication yet; its
//! place is among the layers in `server.rs`.

mod body;
mod docs;
pub mod dtm;
pub mod health;
mod observed;
mod params;
pub(crate) mod problem;
mod v1;
mod workflows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;
use tokio_util::sync::CancellationToken;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use trine_dispatch::Directory;
use trine_engine::Record;
use trine_protocol::Gid;
use trine_protocol::errors::Code;

use crate::metrics::{AdmissionReason, Metrics};
use crate::registrar::Registrar;
use crate::runtime::Handle;
use problem::{Refusal, echo};
use trine_store::{Membership, Queries, Readable, ReadablePage, Registry, StoreError, StoreFuture};

pub use v1::admin::router as admin_router;

pub use docs::{openapi, router as docs_router};
pub use observed::Observed;

use v1::from_wire::check_text;

/// A batch is written within milliseconds. When it takes longer than this, the store is in trouble, and who looks at a transaction
/// then must not wait for it.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(1);

/// The dependencies of the handlers. They are shared, because the router copies its state several times for each request.
pub struct ApiState {
    /// Takes commands.
    pub handle: Handle,
    /// Reads transactions.
    pub queries: Arc<dyn Queries>,
    /// Registers participants.
    pub registrar: Registrar,
    /// Reads registered participants.
    pub registry: Arc<dyn Registry>,
    /// Reads the coordinators of the store.
    pub membership: Arc<dyn Membership>,
    /// The participants that this coordinator knows. If a name is missing, the registry must be asked.
    pub directory: Arc<Directory>,
    pub limits: Limits,
    /// Cancelled when the shutdown begins: live streams end then.
    pub shutdown: CancellationToken,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Configurable bounds of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes_max: usize,
    /// How long a call to the store may take before the answer is 503.
    pub store_timeout: Duration,
    /// How often a live stream reads the journal when nothing wakes it.
    pub events_poll: Duration,
    /// Bytes of history that a live stream holds for a client that has not fetched them; at least one event.
    pub events_ahead_bytes_max: usize,
    /// Transactions that one replay of many replays side by side.
    pub replays_in_flight_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: trine_protocol::limits::BODY_BYTES_MAX,
            store_timeout: Duration::from_secs(10),
            events_poll: Duration::from_secs(2),
            events_ahead_bytes_max: 1024 * 1024,
            replays_in_flight_max: 16,
        }
    }
}

impl ApiState {
    /// Waits for a store call, at most `store_timeout`. Dropping the future is safe: the call runs in a task of its own.
    pub(crate) async fn bounded<T>(&self, future: StoreFuture<T>) -> Result<T, Refusal> {
        match tokio::time::timeout(self.limits.store_timeout, future).await {
            Ok(result) => result.map_err(Refusal::from),
            Err(_) => Err(StoreError::Unavailable("it took too long".into()).into()),
        }
    }

    /// All records of a transaction. Damage is noted in `Damaged`, and refused.
    pub(crate) async fn records(&self, gid: &Gid) -> Result<Vec<Record>, Refusal> {
        self.readable(gid).await?.whole(gid).map_err(|error| self.damaged(gid, &error))
    }

    /// The readable records of a transaction. Damage is noted in `Damaged`.
    pub(crate) async fn readable(&self, gid: &Gid) -> Result<Readable, Refusal> {
        self.caught_up(gid).await;
        let found = self.bounded(self.queries.readable(gid.clone(), 0)).await?;
        self.keep_in_mind(gid, &found);
        Ok(found)
    }

    /// One page of the readable records.
    pub(crate) async fn readable_page(
        &self,
        gid: &Gid,
        after_seq: u64,
        limit: usize,
    ) -> Result<ReadablePage, Refusal> {
        self.caught_up(gid).await;
        let page = self.bounded(self.queries.readable_page(gid.clone(), after_seq, limit)).await?;
        self.keep_in_mind(gid, &page.found);
        Ok(page)
    }

    /// Waits until the journal has what this coordinator has decided: whoever was told an end finds it.
    async fn caught_up(&self, gid: &Gid) {
        // When the time is over, what is in the journal is shown.
        let _ = tokio::time::timeout(CAUGHT_UP_WITHIN, self.handle.caught_up(gid)).await;
    }

    fn keep_in_mind(&self, gid: &Gid, found: &Readable) {
        if let Some(damaged) = found.damaged.first() {
            self.handle.damaged().met(gid, &format_args!("seq {}: {}", damaged.seq, damaged.detail));
        }
    }

    /// Notes a damaged journal, and returns the refusal for it.
    pub(crate) fn damaged(&self, gid: &Gid, why: &dyn fmt::Display) -> Refusal {
        self.handle.damaged().met(gid, why);
        Refusal::damaged(gid)
    }
}

/// The native API, `/v1`.
pub fn router(state: Arc<ApiState>) -> Router {
    let body_limit = DefaultBodyLimit::max(state.limits.body_bytes_max);
    let (router, _) = v1::routes().split_for_parts();
    router.layer(body_limit).with_state(state)
}

/// Merges routers, and adds the rules for every path: a problem document for an unknown route or method, a 500
/// without details after a panic, and `nosniff`.
pub fn compose(routers: impl IntoIterator<Item = Router>) -> Router {
    let all = routers.into_iter().fold(Router::new(), Router::merge);
    guarded(all.method_not_allowed_fallback(method_not_allowed).fallback(route_not_found))
}

/// The router for connections above the limit: health, and 503 for everything else.
pub fn reserved(health: Router, metrics: Metrics) -> Router {
    let turn_away = async move || {
        metrics.admission_rejected(AdmissionReason::Connections);
        let detail = "as many connections are open as this coordinator takes; nothing was done, try again";
        Refusal::new(Code::Busy, detail)
    };
    guarded(health.method_not_allowed_fallback(method_not_allowed).fallback(turn_away))
}

/// The rules for every answer of a router: a 500 without details after a panic, and `nosniff`.
fn guarded(router: Router) -> Router {
    router.layer((MapResponseLayer::new(no_sniffing), CatchPanicLayer::custom(problem::from_panic)))
}

fn no_sniffing<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn route_not_found(uri: Uri) -> Refusal {
    Refusal::new(Code::RouteNotFound, format!("there is nothing at {}; see /docs", echo(uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not take {}; see /docs", echo(uri.path()), echo(method.as_str()));
    Refusal::new(Code::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests;
