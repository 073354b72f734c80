//! One attempt over gRPC: a unary call. This crate does not look into the bytes of its request and reply.
//!
//! The protocol is written here, because client libraries hide three facts that a coordinator needs: the status of a reply
//! that is too large to keep, whether a status came from HTTP or from gRPC, and whether a request provably never left. Only
//! a request that never left is sent again.
//!
//! Inside: connections (`connections`, `connect`), the bytes on them (`wire`), the meaning of a reply (`outcome`), and the
//! reasons why there is no reply (`failure`).

mod connect;
mod connections;
mod destination;
mod failure;
pub(super) mod outcome;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use trine_engine::Call;

use super::Options;
use super::answer::{Classified, FailedAttempt, NoAnswer, Unreached};
use super::grpc_wire::{self, Collector};
use super::names::Names;
use super::sockets::Sockets;
use super::text::clean;
use super::wire_dialect::WireDialect;
use connections::{Connections, Lease, Undelivered};
use failure::Stage;
use trine_clock::{self as clock, Stopwatch};

use super::grpc_wire::{Question, Reply};
pub(super) use destination::Destination;

/// A request with the call's one message as its body.
type Message = Request<Full<Bytes>>;

/// Calls over gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    connections: Connections,
}

/// Why there is no reply to classify.
enum NoReply {
    /// Another reason, in words for an operator.
    Words(String),
    /// There was no connection.
    Unreached(Unreached),
    /// The answer is one of HTTP and not of gRPC.
    NotGrpc(u16, String),
    /// The connection failed.
    Broken(hyper::Error),
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
        dialect: &dyn WireDialect,
        destination: &Destination,
    ) -> Result<Classified, NoAnswer> {
        let host = destination.host();
        let mut stage = Stage::Connect;
        let limit = Duration::from_millis(call.timeout_ms);
        let failed =
            |error: String| NoAnswer::Failed(FailedAttempt { status_code: None, error: clean(&error) });
        let question = dialect.ask_grpc(call).map_err(failed)?;
        match tokio::time::timeout(limit, self.converse(&question, limit, destination, &mut stage)).await {
            Ok(Ok(reply)) => Ok(dialect.read_grpc(call, &reply, clock::now())),
            Ok(Err(NoReply::Words(words))) => Err(failed(words)),
            Ok(Err(NoReply::Unreached(unreached))) => Err(unreached.into()),
            Ok(Err(NoReply::NotGrpc(status, words))) => {
                let (outcome, error) = (dialect.read_not_grpc(status), Some(clean(&words)));
                Ok(Classified { status_code: status, outcome, parks: None, error })
            }
            Ok(Err(NoReply::Broken(error))) => Err(failed(failure::broken(stage, host, &error))),
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
    ) -> Result<Reply, NoReply> {
        let (lease, response) = self.deliver(question, limit, destination, stage).await?;
        *stage = Stage::Reply;
        let reply = match not_grpc(destination.host(), &response) {
            Some(trouble) => Err(trouble),
            None => read(destination.host(), response).await,
        };
        if !matches!(reply, Err(NoReply::Broken(_))) {
            lease.good();
        }
        reply
    }

    /// Sends the request. If the connection closed before a byte of the request left, one more connection is tried.
    async fn deliver(
        &self,
        question: &Question,
        limit: Duration,
        destination: &Destination,
        stage: &mut Stage,
    ) -> Result<(Lease, Response<Incoming>), NoReply> {
        let stopwatch = Stopwatch::start();
        let mut closed = None;
        for _ in 0..2 {
            *stage = Stage::Connect;
            let mut lease = self.connections.lease(destination).await.map_err(NoReply::Unreached)?;
            *stage = Stage::Send;
            let left = limit.saturating_sub(Duration::from_millis(stopwatch.elapsed_ms()));
            match lease.send(prepare(question, destination, left)).await {
                Ok(response) => return Ok((lease, response)),
                Err(Undelivered { error, may_have_left: true }) => return Err(NoReply::Broken(error)),
                Err(Undelivered { error, may_have_left: false }) => closed = Some(error),
            }
        }
        let closed = closed.map(NoReply::Broken);
        Err(closed.unwrap_or_else(|| NoReply::Words("the call was not sent".into())))
    }
}

fn prepare(question: &Question, destination: &Destination, left: Duration) -> Message {
    let mut request = Request::new(Full::new(question.body.clone()));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = destination.uri().clone();
    *request.headers_mut() = question.metadata.clone();
    grpc_wire::add_headers(request.headers_mut(), u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    request
}

/// Why an answer cannot come from a gRPC server; none if it can.
fn not_grpc(host: &str, response: &Response<Incoming>) -> Option<NoReply> {
    let status = response.status();
    if status != StatusCode::OK {
        let words = failure::http_status(host, status.as_u16());
        return Some(NoReply::NotGrpc(status.as_u16(), words));
    }
    let content_type = response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    let is_grpc = content_type.is_some_and(|value| {
        let rest = value.strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    });
    let named = String::from_utf8_lossy(content_type.unwrap_or(b"none"));
    (!is_grpc).then(|| NoReply::NotGrpc(status.as_u16(), failure::content_type(host, &named)))
}

/// Reads a reply up to its trailers, and keeps of its message what may be kept.
async fn read(host: &str, response: Response<Incoming>) -> Result<Reply, NoReply> {
    let (head, mut body) = response.into_parts();
    let mut message = Collector::default();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame.map_err(NoReply::Broken)?.into_data() {
            Ok(data) if message.push(&data) => continue,
            Ok(_) => return Err(NoReply::Words(failure::too_long(host))),
            Err(frame) => frame,
        };
        trailers = frame.into_trailers().ok();
    }
    Reply::new(head.headers, trailers, message).ok_or_else(|| NoReply::Words(failure::no_status(host)))
}

#[cfg(test)]
mod tests;
