//! One attempt over gRPC: a unary call whose request and reply are bytes this crate does not look into.
//!
//! The protocol is spoken here rather than by a library, because a coordinator wants of it what libraries hide: a reply
//! too large to keep still has a status, a status that HTTP gave is seen as such, and a request that provably never left
//! is told from one that may have. Nothing is ever repeated but what never left.
//!
//! Inside: connections (`connections`, `connect`), the bytes on them (`wire`), what they mean (`outcome`), and why there
//! is nothing to mean anything (`failure`).

mod connect;
mod connections;
mod destination;
mod failure;
mod outcome;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use trine_engine::Call;

use super::dispatcher::{Failed, Heard};
use super::text::clean;
use super::{Options, request};
use crate::clock::{self, Stopwatch};
use connections::{Connections, Lease, Undelivered};
use failure::Stage;
use wire::{Collector, Reply};

pub(super) use destination::Destination;

/// What is sent.
type Message = Request<Full<Bytes>>;

/// Calls over gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    connections: Connections,
}

/// Why there is no reply to make sense of.
enum Trouble {
    /// In words for an operator, all of them.
    Words(String),
    /// What came is an answer of HTTP and none of gRPC.
    NotGrpc(u16, String),
    /// The connection failed.
    Broken(hyper::Error),
}

impl Client {
    /// A client with its own connections.
    pub(super) fn new(options: &Options) -> Self {
        Self { connections: Connections::new(options) }
    }

    /// One request and its whole reply, within the call's timeout.
    pub(super) async fn exchange(&self, call: &Call, destination: &Destination) -> Result<Heard, Failed> {
        let host = destination.host();
        let mut stage = Stage::Connect;
        let limit = Duration::from_millis(call.timeout_ms);
        let failed = |error: String| Failed { status_code: None, error: clean(&error) };
        match tokio::time::timeout(limit, self.converse(call, destination, &mut stage)).await {
            Ok(Ok(reply)) => Ok(outcome::classify(call.op(), &reply, clock::now())),
            Ok(Err(Trouble::Words(words))) => Err(failed(words)),
            Ok(Err(Trouble::NotGrpc(status, words))) => {
                Err(Failed { status_code: Some(status), error: clean(&words) })
            }
            Ok(Err(Trouble::Broken(error))) => Err(failed(failure::broken(stage, host, &error))),
            Err(_) => Err(failed(failure::timeout(stage, host, call.timeout_ms))),
        }
    }

    /// A lease that is not given back as good takes its connection out of use, also when this future is dropped.
    async fn converse(
        &self,
        call: &Call,
        destination: &Destination,
        stage: &mut Stage,
    ) -> Result<Reply, Trouble> {
        let stopwatch = Stopwatch::start();
        let (lease, response) = self.deliver(call, destination, stage, &stopwatch).await?;
        *stage = Stage::Reply;
        let reply = match not_grpc(destination.host(), &response) {
            Some(trouble) => Err(trouble),
            None => read(destination.host(), response).await,
        };
        if !matches!(reply, Err(Trouble::Broken(_))) {
            lease.good();
        }
        reply
    }

    /// Sends the request. A connection may turn out to have closed before a byte of it left: then there is one more.
    async fn deliver(
        &self,
        call: &Call,
        destination: &Destination,
        stage: &mut Stage,
        stopwatch: &Stopwatch,
    ) -> Result<(Lease, Response<Incoming>), Trouble> {
        let mut closed = None;
        for _ in 0..2 {
            *stage = Stage::Connect;
            let mut lease = self.connections.lease(destination).await.map_err(Trouble::Words)?;
            *stage = Stage::Send;
            let left_ms = call.timeout_ms.saturating_sub(stopwatch.elapsed_ms());
            match lease.send(prepare(call, destination, left_ms).map_err(Trouble::Words)?).await {
                Ok(response) => return Ok((lease, response)),
                Err(Undelivered { error, may_have_left: true }) => return Err(Trouble::Broken(error)),
                Err(Undelivered { error, may_have_left: false }) => closed = Some(error),
            }
        }
        let closed = closed.map(Trouble::Broken);
        Err(closed.unwrap_or_else(|| Trouble::Words("the call was not sent".into())))
    }
}

fn prepare(call: &Call, destination: &Destination, left_ms: u64) -> Result<Message, String> {
    let headers =
        request::identity(call).map_err(|error| format!("the call's metadata cannot be built: {error}"))?;
    let body = Full::new(wire::frame(call.payload.as_bytes()));
    let mut request = Request::new(body);
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = destination.uri().clone();
    *request.headers_mut() = headers;
    wire::add_headers(request.headers_mut(), left_ms);
    Ok(request)
}

/// What is wrong with an answer that no gRPC server gives.
fn not_grpc(host: &str, response: &Response<Incoming>) -> Option<Trouble> {
    let status = response.status();
    if status != StatusCode::OK {
        let words = failure::http_status(host, status.as_u16());
        return Some(Trouble::NotGrpc(status.as_u16(), words));
    }
    let content_type = response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    let is_grpc = content_type.is_some_and(|value| {
        let rest = value.strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    });
    let named = String::from_utf8_lossy(content_type.unwrap_or(b"none"));
    (!is_grpc).then(|| Trouble::NotGrpc(status.as_u16(), failure::content_type(host, &named)))
}

/// Reads a reply to its trailers; of its message only what may be kept.
async fn read(host: &str, response: Response<Incoming>) -> Result<Reply, Trouble> {
    let (head, mut body) = response.into_parts();
    let mut message = Collector::default();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame.map_err(Trouble::Broken)?.into_data() {
            Ok(data) if message.push(&data) => continue,
            Ok(_) => return Err(Trouble::Words(failure::too_long(host))),
            Err(frame) => frame,
        };
        trailers = frame.into_trailers().ok();
    }
    Reply::new(head.headers, trailers, message).ok_or_else(|| Trouble::Words(failure::no_status(host)))
}

#[cfg(test)]
mod tests;
