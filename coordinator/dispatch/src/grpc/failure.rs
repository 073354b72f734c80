//! Why there was no usable reply, in words for an operator. Not here: replies that have a status (`outcome`).

use std::error::Error;

use crate::transport::{self, chain};

/// Where a call stood when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before there was a connection: it did not run.
    Connect,
    /// Before the head of the reply.
    Send,
    /// After it, before the status.
    Reply,
}

/// The call took longer than it may.
pub(super) fn timeout(stage: Stage, host: &str, timeout_ms: u64) -> String {
    match stage {
        Stage::Connect => transport::unconnected(host, timeout_ms),
        Stage::Send => format!("no answer from {host} within {timeout_ms} ms; it may have run"),
        Stage::Reply => {
            format!("{host} began to answer, but sent no status within {timeout_ms} ms; it may have run")
        }
    }
}

/// The connection failed under the call.
pub(super) fn broken(stage: Stage, host: &str, error: &hyper::Error) -> String {
    let what = match stage {
        Stage::Connect | Stage::Send if error.is_canceled() || error.is_closed() => {
            "closed the connection before it answered"
        }
        Stage::Connect | Stage::Send => "broke the call off before it answered",
        Stage::Reply => "began to answer and broke off",
    };
    format!("{host} {what}; it may have run ({})", chain(error))
}

/// TLS is there, and HTTP/2 over it is not.
pub(super) fn no_http2(host: &str) -> String {
    format!("{host} does not offer HTTP/2 over TLS (ALPN h2), which gRPC needs")
}

/// The beginnings of HTTP/2 could not be sent.
pub(super) fn handshake(host: &str, error: &(dyn Error + 'static)) -> String {
    format!("cannot speak HTTP/2 with {host} ({})", chain(error))
}

/// HTTP says no before gRPC says anything.
pub(super) fn http_status(host: &str, status: u16) -> String {
    format!("HTTP {status}: {host} did not answer as gRPC; is something in front of the participant?")
}

/// HTTP says yes, and what follows is not gRPC.
pub(super) fn content_type(host: &str, content_type: &str) -> String {
    format!("HTTP 200: {host} answered with content type {content_type}, which is not gRPC; it may have run")
}

/// The reply goes on and on.
pub(super) fn too_long(host: &str) -> String {
    let max = super::wire::REPLY_BYTES_MAX;
    format!("{host} answered with more than {max} bytes; its status was not waited for; it may have run")
}

/// The reply ended without saying how the call did.
pub(super) fn no_status(host: &str) -> String {
    format!("{host} answered without a grpc-status; it may have run")
}
