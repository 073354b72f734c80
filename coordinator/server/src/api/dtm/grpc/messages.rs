//! The messages of `proto/dtmgimp.proto`, and their translation into requests. They are written by hand and not generated,
//! because they are few and final. A test compares them with the file.

use std::collections::BTreeMap;

use prost::Message;
use trine_protocol::dtm::{BranchRequest, CallProtocol, TransOptions, TransRequest};

use crate::api::dtm::decode;
use crate::api::dtm::outcome::DtmError;
use crate::api::dtm::view::{Branch, Global};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Options {
    #[prost(bool, tag = "1")]
    pub(super) wait_result: bool,
    #[prost(int64, tag = "2")]
    pub(super) timeout_to_fail: i64,
    #[prost(int64, tag = "3")]
    pub(super) retry_interval: i64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) branch_headers: BTreeMap<String, String>,
    #[prost(int64, tag = "6")]
    pub(super) request_timeout: i64,
    #[prost(int64, tag = "7")]
    pub(super) retry_limit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) gid: String,
    #[prost(string, tag = "2")]
    pub(super) trans_type: String,
    #[prost(message, optional, tag = "3")]
    pub(super) options: Option<Options>,
    #[prost(string, tag = "4")]
    pub(super) custom_data: String,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(super) payloads: Vec<Vec<u8>>,
    #[prost(string, tag = "6")]
    pub(super) query_prepared: String,
    #[prost(string, tag = "7")]
    pub(super) steps: String,
    #[prost(btree_map = "string, string", tag = "8")]
    pub(super) req_extra: BTreeMap<String, String>,
    #[prost(string, tag = "9")]
    pub(super) rollback_reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GidReply {
    #[prost(string, tag = "1")]
    pub(super) gid: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NewBranch {
    #[prost(string, tag = "1")]
    pub(super) gid: String,
    #[prost(string, tag = "2")]
    pub(super) trans_type: String,
    #[prost(string, tag = "3")]
    pub(super) branch_id: String,
    #[prost(string, tag = "4")]
    pub(super) op: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) data: BTreeMap<String, String>,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProgressesReply {
    #[prost(message, optional, tag = "1")]
    pub(super) transaction: Option<Transaction>,
    #[prost(message, repeated, tag = "2")]
    pub(super) progresses: Vec<Progress>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Transaction {
    #[prost(string, tag = "1")]
    pub(super) gid: String,
    #[prost(string, tag = "2")]
    pub(super) status: String,
    #[prost(string, tag = "3")]
    pub(super) rollback_reason: String,
    #[prost(string, tag = "4")]
    pub(super) result: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Progress {
    #[prost(string, tag = "1")]
    pub(super) status: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) bin_data: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(super) branch_id: String,
    #[prost(string, tag = "4")]
    pub(super) op: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Topic {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
    #[prost(string, tag = "2")]
    pub(super) url: String,
    #[prost(string, tag = "3")]
    pub(super) remark: String,
}

impl Request {
    /// The request. A transaction that is submitted over gRPC calls its participants over gRPC.
    pub(super) fn meant(self) -> Result<TransRequest, DtmError> {
        let steps = decode::steps(&self.steps).map_err(|error| DtmError::Other(format!("Steps: {error}")))?;
        let options = self.options.unwrap_or_default();
        Ok(TransRequest {
            gid: self.gid,
            trans_type: self.trans_type,
            steps,
            payloads: self.payloads,
            query_prepared: self.query_prepared,
            protocol: CallProtocol::Grpc.as_str().to_owned(),
            custom_data: self.custom_data,
            rollback_reason: self.rollback_reason,
            req_extra: self.req_extra,
            options: TransOptions {
                wait_result: options.wait_result,
                timeout_to_fail: options.timeout_to_fail,
                request_timeout: options.request_timeout,
                retry_interval: options.retry_interval,
                retry_limit: options.retry_limit,
                branch_headers: options.branch_headers,
                // The protobuf message has no such field.
                concurrent: false,
            },
        })
    }
}

impl NewBranch {
    pub(super) fn meant(self) -> BranchRequest {
        let Self { gid, trans_type, branch_id, op: _, data, payload } = self;
        BranchRequest { gid, trans_type, branch_id, payload, data }
    }
}

impl From<(Global, Vec<Branch>)> for ProgressesReply {
    fn from((global, branches): (Global, Vec<Branch>)) -> Self {
        let progress = |branch: Branch| Progress {
            status: branch.status,
            bin_data: branch.bin_data,
            branch_id: branch.branch_id,
            op: branch.op,
        };
        let Global { gid, status, rollback_reason, result, .. } = global;
        Self {
            transaction: Some(Transaction { gid, status, rollback_reason, result }),
            progresses: branches.into_iter().map(progress).collect(),
        }
    }
}
