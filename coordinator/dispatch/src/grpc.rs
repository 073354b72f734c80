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
pub(super) mod outcome;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Request, Response, StatusCode};
use trine_engine::Call;

use super::Options;
use super::connect::Unreached;
use super::dispatcher::{self, Failed, Heard};
use super::manner::Manner;
use super::names::Names;
use super::sockets::Sockets;
use super::text::clean;
use connections::{Connections, Lease, Undelivered};
use failure::Stage;
use trine_clock::{self as clock, Stopwatch};
use wire::Collector;

pub(super) use destination::Destination;
pub(super) use wire::Reply;

/// What is sent.
type Message = Request<Full<Bytes>>;

/// What is asked of a method.
pub(super) struct Question {
    metadata: HeaderMap,
    /// The one message, framed.
    body: Bytes,
}

/// Calls over gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    connections: Connections,
}

/// Why there is no reply to make sense of.
enum Trouble {
    /// In words for an operator, all of them.
    Words(String),
    /// There was no connection.
    Unreached(Unreached),
    /// What came is an answer of HTTP and none of gRPC.
    NotGrpc(u16, String),
    /// The connection failed.
    Broken(hyper::Error),
}

impl Question {
    /// Asks with these bytes as the message.
    pub(super) fn new(metadata: HeaderMap, message: &[u8]) -> Self {
        Self { metadata, body: wire::frame(message) }
    }

    /// What it says beside its message, and its message.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn parts(&self) -> (&HeaderMap, &[u8]) {
        (&self.metadata, wire::unframed(&self.body))
    }
}

impl Client {
    /// A client with its own connections.
    pub(super) fn new(options: &Options, names: Names, sockets: Sockets) -> Self {
        Self { connections: Connections::new(options, names, sockets) }
    }

    /// One request and its whole reply, within the call's timeout.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        manner: &dyn Manner,
        destination: &Destination,
    ) -> Result<Heard, dispatcher::Trouble> {
        let host = destination.host();
        let mut stage = Stage::Connect;
        let limit = Duration::from_millis(call.timeout_ms);
        let failed =
            |error: String| dispatcher::Trouble::Failed(Failed { status_code: None, error: clean(&error) });
        let question = manner.ask_grpc(call).map_err(failed)?;
        match tokio::time::timeout(limit, self.converse(&question, limit, destination, &mut stage)).await {
            Ok(Ok(reply)) => Ok(manner.read_grpc(call, &reply, clock::now())),
            Ok(Err(Trouble::Words(words))) => Err(failed(words)),
            Ok(Err(Trouble::Unreached(Unreached::Failed(words)))) => Err(failed(words)),
            Ok(Err(Trouble::Unreached(Unreached::NotSent(words)))) => {
                Err(dispatcher::Trouble::NotSent(clean(&words)))
            }
            Ok(Err(Trouble::Unreached(Unreached::Held(words)))) => {
                Err(dispatcher::Trouble::Held(clean(&words)))
            }
            Ok(Err(Trouble::NotGrpc(status, words))) => {
                let (outcome, error) = (manner.read_not_grpc(status), Some(clean(&words)));
                Ok(Heard { status_code: status, outcome, parks: None, error })
            }
            Ok(Err(Trouble::Broken(error))) => Err(failed(failure::broken(stage, host, &error))),
            Err(_) => Err(failed(failure::timeout(stage, host, call.timeout_ms))),
        }
    }

    /// A lease that is not given back as good takes its connection out of use, also when this future is dropped.
    async fn converse(
        &self,
        question: &Question,
        limit: Duration,
        destination: &Destination,
        stage: &mut Stage,
    ) -> Result<Reply, Trouble> {
        let (lease, response) = self.deliver(question, limit, destination, stage).await?;
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
        question: &Question,
        limit: Duration,
        destination: &Destination,
        stage: &mut Stage,
    ) -> Result<(Lease, Response<Incoming>), Trouble> {
        let stopwatch = Stopwatch::start();
        let mut closed = None;
        for _ in 0..2 {
            *stage = Stage::Connect;
            let mut lease = self.connections.lease(destination).await.map_err(Trouble::Unreached)?;
            *stage = Stage::Send;
            let left = limit.saturating_sub(Duration::from_millis(stopwatch.elapsed_ms()));
            match lease.send(prepare(question, destination, left)).await {
                Ok(response) => return Ok((lease, response)),
                Err(Undelivered { error, may_have_left: true }) => return Err(Trouble::Broken(error)),
                Err(Undelivered { error, may_have_left: false }) => closed = Some(error),
            }
        }
        let closed = closed.map(Trouble::Broken);
        Err(closed.unwrap_or_else(|| Trouble::Words("the call was not sent".into())))
    }
}

fn prepare(question: &Question, destination: &Destination, left: Duration) -> Message {
    let mut request = Request::new(Full::new(question.body.clone()));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = destination.uri().clone();
    *request.headers_mut() = question.metadata.clone();
    wire::add_headers(request.headers_mut(), u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    request
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
