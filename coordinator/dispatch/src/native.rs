//! The native dialect: calls with Trine's headers, and what their answers mean.

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use trine_engine::Call;
use trine_protocol::{JournalId, Timestamp};

use super::answer::Classified;
use super::decode::Body;
use super::location::Location;
use super::wire_dialect::WireDialect;
use super::{classify, grpc, grpc_wire, request};

/// Trine's own dialect. Each call names the journal, so that a participant can see whether a gid that it has on record came
/// from the same journal.
#[derive(Debug)]
pub(super) struct Native {
    /// The journal's id, as bytes that all calls share.
    journal: Bytes,
}

impl Native {
    /// The dialect of calls from this journal.
    pub(super) fn new(journal: &JournalId) -> Self {
        Self { journal: Bytes::copy_from_slice(journal.as_str().as_bytes()) }
    }
}

impl WireDialect for Native {
    fn ask_http(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String> {
        let mut request = request::empty(Method::POST, location);
        *request.headers_mut() = request::headers(call, &self.journal)
            .map_err(|error| format!("the call's headers cannot be built: {error}"))?;
        *request.body_mut() = Bytes::copy_from_slice(request::body(call));
        Ok(request)
    }

    fn read_http(
        &self,
        call: &Call,
        status: u16,
        headers: &HeaderMap,
        body: &Body,
        now: Timestamp,
    ) -> Classified {
        classify::classify(call.op(), status, headers, body, now)
    }

    fn ask_grpc(&self, call: &Call) -> Result<grpc_wire::Question, String> {
        let metadata = request::identity(call, &self.journal)
            .map_err(|error| format!("the call's metadata cannot be built: {error}"))?;
        Ok(grpc_wire::Question::new(metadata, call.payload.as_bytes()))
    }

    fn read_grpc(&self, call: &Call, reply: &grpc_wire::Reply, now: Timestamp) -> Classified {
        grpc::outcome::classify(call.op(), reply, now)
    }
}
