//! The dtm dialect: its clients work against Trine unmodified. HTTP and JSON-RPC, gRPC beside it.
//!
//! `service` is what all of them ask for, in domain types and without a wire: initiators (`initiate`), workflows'
//! executors (`workflows`) and operators (`operate`). It turns requests into specs (`plan`) and commands for the lanes, and
//! what the engine knows into the dialect's words (`show`, `view`, `outcome`). Topics (`topics`) are kept in the key-value table
//! (`entries`). No rule of any pattern is here. In front of it are `http` and `json_rpc`, which share `decode` and
//! `envelope` and answer no page of somebody else (`browsers`), and `grpc`.

mod branch_headers;
mod browsers;
mod decode;
mod entries;
mod envelope;
mod first_pass;
mod grpc;
mod http;
mod initiate;
mod json_rpc;
mod names;
mod operate;
mod outcome;
mod panics;
mod plan;
mod repeated;
pub(crate) mod service;
mod show;
mod topics;
pub(crate) mod view;
mod whole;
mod workflows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::runtime::Handle;
use service::Service;
use trine_store::Store;

/// What the dialect's handlers work with, whatever the wire. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    service: Service,
    body_bytes_max: usize,
    metrics: Metrics,
}

/// Renders every metric in the OpenMetrics text format.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

impl Front {
    /// Writes through the handle, reads from the store within a time, bodies up to a size.
    pub fn new(
        handle: Handle,
        store: Arc<dyn Store>,
        store_timeout: Duration,
        body_bytes_max: usize,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        Self { service: Service { handle, store, store_timeout }, body_bytes_max, metrics }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("body_bytes_max", &self.body_bytes_max).finish_non_exhaustive()
    }
}

/// Everything under `/api/`.
pub fn router(front: Front) -> Router {
    http::router(front)
}

/// The gRPC service and its reflection, for a listener of HTTP/2.
pub fn grpc_router(front: Front) -> Router {
    grpc::router(front)
}

#[cfg(test)]
mod tests;
