//! The wire dialect of transactions that came in the dtm dialect: requests look, and answers are read, as dtm's participants
//! expect.
//!
//! Inside: requests (`request`, `headers`) and answers (`answer`). Each file says what differs from the native dialect, and why.

mod answer;
mod headers;
mod request;

use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderMap;
use trine_engine::{Call, Outcome};
use trine_protocol::dtm::{CallProtocol, NO_BRANCH, Terms, TransType, op};
use trine_protocol::{Op, Timestamp};

use crate::answer::Classified;
use crate::decode::Body;
use crate::grpc_wire;
use crate::location::Location;
use crate::wire_dialect::WireDialect;

/// Calls of one transaction, by its terms.
#[derive(Debug)]
pub(crate) struct Dialect(Terms);

impl Dialect {
    /// From a transaction's terms; none when they cannot be read.
    pub(crate) fn of(terms: &str) -> Option<Self> {
        Terms::decode(terms).map(Self)
    }

    /// The parameters by which a participant and its barrier identify a call: the same for every attempt.
    fn identity<'a>(&'a self, call: &'a Call) -> [(&'static str, &'a str); 4] {
        let branch = call.branch.as_ref().map_or(NO_BRANCH, |branch| branch.as_str());
        // Nobody calls a workflow's branches but the workflow: whatever is called, it is its callback.
        let branch = if self.0.trans_type == TransType::Workflow { NO_BRANCH } else { branch };
        [
            ("branch_id", branch),
            ("gid", &self.0.gid),
            ("op", self.op(call.op())),
            ("trans_type", self.0.trans_type.as_str()),
        ]
    }

    /// The dialect's word for an op.
    fn op(&self, op: Op) -> &str {
        if self.0.trans_type == TransType::Workflow {
            return &self.0.workflow;
        }
        match op {
            Op::Action | Op::Deliver | Op::Prepare => op::ACTION,
            Op::Compensate => op::COMPENSATE,
            Op::Try => op::TRY,
            Op::Confirm => op::CONFIRM,
            Op::Cancel => op::CANCEL,
            Op::Commit => op::COMMIT,
            Op::Rollback => op::ROLLBACK,
            Op::Check => op::MSG,
        }
    }

    /// Whether a call over HTTP is one of JSON-RPC.
    fn is_json_rpc(&self, call: &Call) -> bool {
        self.0.protocol == CallProtocol::JsonRpc && call.target.as_str().contains("method")
    }
}

impl WireDialect for Dialect {
    fn ask_http(&self, call: &Call, location: &Location) -> Result<Request<Bytes>, String> {
        if self.is_json_rpc(call) {
            self.json_rpc_request(call, location)
        } else {
            self.http_request(call, location)
        }
    }

    fn body_bytes_max(&self) -> usize {
        answer::BODY_BYTES_MAX
    }

    fn read_http(
        &self,
        call: &Call,
        status: u16,
        headers: &HeaderMap,
        body: &Body,
        _: Timestamp,
    ) -> Classified {
        let read = if self.is_json_rpc(call) { answer::json_rpc } else { answer::http };
        let (outcome, error) = read(status, headers, body);
        Classified { status_code: status, outcome, parks: None, error }
    }

    // dtm repeats these for ever, and its users mend them while it does.
    fn read_not_grpc(&self, _: u16) -> Outcome {
        Outcome::Unknown
    }

    fn ask_grpc(&self, call: &Call) -> Result<grpc_wire::Question, String> {
        Ok(grpc_wire::Question::new(self.metadata(call)?, &self.payload(call)))
    }

    fn read_grpc(&self, _: &Call, reply: &grpc_wire::Reply, _: Timestamp) -> Classified {
        let (outcome, error) = answer::grpc(reply);
        Classified { status_code: reply.status_code(), outcome, parks: None, error }
    }
}

#[cfg(test)]
mod tests;
