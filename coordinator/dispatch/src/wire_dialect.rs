//! [`WireDialect`]: the look of a call on the wire and the meaning of its answer, which differ by dialect.
//!
//! Not here: where a call goes, and whether there was an answer at all (`http`, `grpc`).

use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderMap;
use trine_engine::{Call, Outcome};
use trine_protocol::Timestamp;
use trine_protocol::limits::OUTPUT_BYTES_MAX;

use super::answer::Classified;
use super::classify;
use super::decode::Body;
use super::grpc_wire::{Question, Reply};
use super::location::Location;

/// Encodes a call and reads its answer, natively or as dtm does. Chosen once per call, by `Call::terms`. Errors say in words
/// why a call cannot be made.
pub(super) trait WireDialect: Send + Sync {
    /// The request over HTTP.
    fn ask_http(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String>;

    /// How much of an answer over HTTP is read: enough to know what it means.
    fn body_bytes_max(&self) -> usize {
        OUTPUT_BYTES_MAX
    }

    /// What an HTTP status other than 200 means for a call over gRPC: a gateway answered, or a server that does not speak gRPC.
    fn read_not_grpc(&self, status: u16) -> Outcome {
        if classify::is_client_error(status) { Outcome::ClientError } else { Outcome::Unknown }
    }

    /// What an answer over HTTP means.
    fn read_http(
        &self,
        call: &Call,
        status: u16,
        headers: &HeaderMap,
        body: &Body,
        now: Timestamp,
    ) -> Classified;

    /// The request over gRPC.
    fn ask_grpc(&self, call: &Call) -> Result<Question, String>;

    /// What a reply over gRPC means.
    fn read_grpc(&self, call: &Call, reply: &Reply, now: Timestamp) -> Classified;
}
