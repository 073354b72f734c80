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
    /// After the head of the reply, before its status.
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

/// The TLS handshake succeeded without HTTP/2.
pub(super) fn no_http2(host: &str) -> String {
    format!("{host} does not offer HTTP/2 over TLS (ALPN h2), which gRPC needs")
}

/// The HTTP/2 handshake failed.
pub(super) fn handshake(host: &str, error: &(dyn Error + 'static)) -> String {
    format!("cannot speak HTTP/2 with {host} ({})", chain(error))
}

/// The answer has an HTTP status other than 200.
pub(super) fn http_status(host: &str, status: u16) -> String {
    format!("HTTP {status}: {host} did not answer as gRPC; is something in front of the participant?")
}

/// The HTTP status is 200, and the content type is not gRPC's.
pub(super) fn content_type(host: &str, content_type: &str) -> String {
    format!("HTTP 200: {host} answered with content type {content_type}, which is not gRPC; it may have run")
}

/// The reply is longer than what is read.
pub(super) fn too_long(host: &str) -> String {
    let max = crate::grpc_wire::REPLY_BYTES_MAX;
    format!("{host} answered with more than {max} bytes; its status was not waited for; it may have run")
}

/// The reply ended without a status.
pub(super) fn no_status(host: &str) -> String {
    format!("{host} answered without a grpc-status; it may have run")
}
