//! The manner of a call: what it looks like on the wire, and what its answer means. Chosen once per call, by the terms its
//! transaction carries; nothing after the choice asks which one it is.
//!
//! Not here: where a call goes, and whether there was an answer at all (`http`, `grpc`).

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use trine_engine::{Call, Outcome};
use trine_protocol::limits::OUTPUT_BYTES_MAX;
use trine_protocol::{JournalId, Timestamp};

use super::classify::{self, Dialect};
use super::decode::Body;
use super::dispatcher::Heard;
use super::location::Location;
use super::{grpc, request};

/// One way of making calls and of reading their answers. Errors say in words why a call cannot be made.
pub(super) trait Manner: Send + Sync {
    /// The request over HTTP.
    fn ask_http(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String>;

    /// How much of an answer over HTTP is read: enough to know what it means.
    fn body_bytes_max(&self) -> usize {
        OUTPUT_BYTES_MAX
    }

    /// What a status of HTTP means where gRPC was to answer: some gateway, or no gRPC server at all.
    fn read_not_grpc(&self, status: u16) -> Outcome {
        if classify::is_client_error(status) { Outcome::ClientError } else { Outcome::Unknown }
    }

    /// What an answer over HTTP means.
    fn read_http(&self, call: &Call, status: u16, headers: &HeaderMap, body: &Body, now: Timestamp) -> Heard;

    /// The request over gRPC.
    fn ask_grpc(&self, call: &Call) -> Result<grpc::Question, String>;

    /// What a reply over gRPC means.
    fn read_grpc(&self, call: &Call, reply: &grpc::Reply, now: Timestamp) -> Heard;
}

/// The manner of a call from this journal.
pub(super) fn of(call: &Call, journal: &JournalId) -> Result<Box<dyn Manner>, String> {
    match &call.terms {
        None => Ok(Box::new(Native(journal.clone()))),
        Some(terms) => match Dialect::of(terms) {
            Some(dialect) => Ok(Box::new(dialect)),
            None => Err("the transaction's terms cannot be read, so nothing was sent; \
                was it created by a newer version of the coordinator?"
                .into()),
        },
    }
}

/// Ours. A participant tells by the journal whether it is the one that it has on record.
struct Native(JournalId);

impl Manner for Native {
    fn ask_http(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String> {
        let mut request = request::empty(Method::POST, location);
        *request.headers_mut() = request::headers(call, &self.0)
            .map_err(|error| format!("the call's headers cannot be built: {error}"))?;
        *request.body_mut() = request::body(call).into();
        Ok(request)
    }

    fn read_http(&self, call: &Call, status: u16, headers: &HeaderMap, body: &Body, now: Timestamp) -> Heard {
        if let Some(words) = classify::conflict(status, headers, body) {
            return Heard::conflict(status, words);
        }
        let (outcome, error) = classify::classify(call.op(), status, headers, body, now);
        Heard { status_code: status, outcome, parks: None, error }
    }

    fn ask_grpc(&self, call: &Call) -> Result<grpc::Question, String> {
        let metadata = request::identity(call, &self.0)
            .map_err(|error| format!("the call's metadata cannot be built: {error}"))?;
        Ok(grpc::Question::new(metadata, call.payload.as_bytes()))
    }

    fn read_grpc(&self, call: &Call, reply: &grpc::Reply, now: Timestamp) -> Heard {
        grpc::outcome::classify(call.op(), reply, now)
    }
}
