//! Calls to participants: the trait [`Caller`], which the lanes use, and its implementation over HTTP and gRPC.
//!
//! A caller makes one attempt and reports the answer as an outcome. A caller never repeats a call, follows no redirect and
//! knows no rule of any pattern. The engine decides whether and when there is another attempt.
//!
//! [`Dispatcher`] chooses the call's dialect by its terms (`wire_dialect`, `native`, `dtm`), resolves the target in the
//! [`Directory`], waits for a place at the host (`hosts`), looks the name up (`names`), connects (`connect`), and makes the
//! request (`request`; `http` or `grpc`). Answers become outcomes in `classify` (native, HTTP),
//! `grpc/outcome` (native, gRPC) and `dtm/answer`. `transport` and `grpc/failure` describe attempts without an answer.

mod address;
mod answer;
mod classify;
mod connect;
mod decode;
mod directory;
mod dispatcher;
mod dtm;
mod grpc;
mod grpc_wire;
mod held;
mod hints;
mod hosts;
mod http;
mod location;
mod names;
mod native;
mod request;
mod retry_after;
mod shortage;
mod sockets;
mod text;
mod transport;
mod wire_dialect;

#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "for tests alone")]
pub mod grpc_server;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "for tests alone")]
pub mod on_paper;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use trine_engine::{Answer, Call};

pub use directory::{Directory, Refresh};
pub use dispatcher::Dispatcher;

/// How one released call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// The attempt was made.
    Answer(Answer),
    /// Nothing left this process, so no attempt is counted. Offer the call again after the delay.
    NotSent {
        /// The delay, from now.
        retry_after_ms: u64,
        /// Why it did not leave, in a short sentence for people.
        reason: String,
    },
    /// This coordinator holds the call back: it is cut off from its store, or has no place, no look-up or no file descriptor
    /// left for the call. The reason lies here and not at the participant, so it never counts towards parking the branch.
    Held {
        /// The delay, from now.
        retry_after_ms: u64,
        /// Why it is held back, in a short sentence for people.
        reason: String,
    },
}

/// Makes calls. Every call ends exactly once, within its timeout plus a bounded wait for a place.
pub trait Caller: Send + Sync + std::fmt::Debug + 'static {
    /// Makes one call.
    fn call(&self, call: Call) -> BoxFuture<'static, Returned>;
}

/// Bounds and times of [`Dispatcher`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most calls under way at one host (scheme, name and port).
    pub per_host_max: usize,
    /// Most calls under way at one service: a registered participant at one of its hosts, or what begins with the same first
    /// segment of the path at one host.
    pub per_service_max: usize,
    /// Most calls waiting for a place at one service.
    pub queue_len_max: usize,
    /// Longest wait for a place.
    pub queue_wait_ms: u64,
    /// Most calls under way or waiting, all hosts together; a host with free places is served beyond it.
    pub calls_max: usize,
    /// Longest time to connect; a call's own timeout may be shorter.
    pub connect_timeout_ms: u64,
    /// Longest time for the look-up of a name.
    pub name_timeout_ms: u64,
    /// Name servers; none: those of the operating system's configuration.
    pub name_servers: Vec<SocketAddr>,
    /// Most look-ups of names under way. Each has up to two sockets.
    pub lookups_max: usize,
    /// Most connections to participants, all hosts together, in use or kept.
    pub connections_max: usize,
    /// How long an unused connection is kept. Shorter than participants keep theirs, or calls meet closed ones.
    pub idle_timeout_ms: u64,
    /// Most unused connections kept per host. gRPC keeps one.
    pub idle_per_host_max: usize,
}

impl Options {
    /// What holds where nothing is set. The defaults of the configuration's keys are taken from here.
    pub const DEFAULT: Self = Self {
        per_host_max: 512,
        per_service_max: 128,
        queue_len_max: 1_000,
        queue_wait_ms: 5_000,
        calls_max: 20_000,
        connect_timeout_ms: 3_000,
        name_timeout_ms: 3_000,
        name_servers: Vec::new(),
        lookups_max: 64,
        connections_max: 1 << 20,
        idle_timeout_ms: 4_000,
        idle_per_host_max: 128,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}
