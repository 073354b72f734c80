//! The layer around the routes of a router: it measures requests, counts refusals, and names the journal.
//!
//! This is one layer for three purposes, because the router copies and boxes every layer of a route for each request.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State as Ext};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use trine_clock::Stopwatch;
use trine_protocol::headers;

use super::problem;
use crate::metrics::Metrics;

/// What is done around each request.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Requests are measured here, by their route template and never by their path.
    pub metrics: Metrics,
    /// Whether requests that are refused for lack of capacity are counted, by reason.
    pub counts_refusals: bool,
    /// The journal's id. It goes with every answer, for initiators that call participants themselves.
    pub journal: Option<HeaderValue>,
}

impl Observed {
    /// Wraps all routes of a router.
    pub fn around(self, router: Router) -> Router {
        router.route_layer(from_fn_with_state(Arc::new(self), observe))
    }
}

async fn observe(Ext(observed): Ext<Arc<Observed>>, request: Request, next: Next) -> Response {
    let stopwatch = Stopwatch::start();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let Observed { metrics, counts_refusals, journal } = &*observed;
    if let Some(journal) = journal {
        response.headers_mut().insert(headers::JOURNAL, journal.clone());
    }
    if let Some(reason) = problem::turned_away(&response).filter(|_| *counts_refusals) {
        metrics.admission_rejected(reason);
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    let took_s = stopwatch.elapsed().as_secs_f64();
    metrics.http_request(route, method.as_str(), response.status().as_u16(), took_s);
    response
}
