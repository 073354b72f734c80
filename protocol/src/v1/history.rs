//! `GET /v1/transactions/{gid}/history`, and the data of the live stream.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Base64;
use crate::{BranchId, Gid, Op, OutcomeKind, Timestamp};

/// A page of a transaction's events, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    /// The transaction.
    pub gid: Gid,
    /// Its events, oldest first.
    pub events: Vec<HistoryEvent>,
    /// Records that are damaged or missing; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableRecord>,
    /// Pass as `after_seq` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after_seq: Option<u64>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnreadableRecord {
    /// Its place in the transaction's journal.
    pub seq: u64,
    /// The damage.
    pub detail: String,
}

/// One event. Which fields are present depends on `event`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEvent {
    /// Its place in the transaction's journal, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// `created`, `branch_registered`, `started`, `submitted`, `commit_decided`, `rollback_begun`, `call_answered`, `not_sent`,
    /// `op_parked`, `replayed`, `quarantined`, `forced`, `taken_over`, `resumed`, `progressed`, `finished`, `committed` or
    /// `rolled_back`.
    pub event: String,
    /// The branch of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The op of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// The op of a workflow's branch, in its executor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The attempt that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How the attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// The status of the answer, when there was one: of HTTP (100 and up) or of gRPC (0 to 16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// How long the call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The error, if there was no usable answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time that was set for the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// `not_sent`: since when the call could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The participant's answer, as JSON; text that is not JSON is a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// The participant's answer, if it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_base64: Option<Base64>,
    /// The participant voted read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The cause of a rollback, of parking, of a replay or of a forced end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// `rollback_begun` of a saga that is `ahead`: the branches whose action was ever due, if that is known. Only these are undone.
    /// Absent: every branch that may have run is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Vec<BranchId>>,
    /// The reason in words: of a refusal, or of an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The operator who forced or replayed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The end: `committed` or `rolled_back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}
