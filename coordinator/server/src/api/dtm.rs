//! The dtm dialect, in which unmodified clients of dtm use Trine: over HTTP, JSON-RPC and gRPC.
//!
//! - The three wires: `http` and `json_rpc` (which share `decode`, `envelope` and `browsers`), and `grpc`.
//! - `service`, one service behind the wires, in domain types: `initiate` (initiators), `workflows` (executors), `operate`
//!   (operators).
//! - Translation: `plan` turns a request into a spec; `show`, `view` and `outcome` turn state into dtm's words.
//! - `topics`, which are kept in the key-value table (`entries`).
//!
//! Rules of patterns are in the engine.

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

/// The dependencies of the dialect's handlers. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    service: Arc<Service>,
    body_bytes_max: usize,
    metrics: Metrics,
}

/// Renders every metric in the OpenMetrics text format.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

impl Front {
    /// A front that writes through the handle, and reads from the store with a time limit.
    pub fn new(
        handle: Handle,
        store: Arc<dyn Store>,
        store_timeout: Duration,
        body_bytes_max: usize,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        Self { service: Arc::new(Service { handle, store, store_timeout }), body_bytes_max, metrics }
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
