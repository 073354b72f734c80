//! Views of transactions: the answer to a command, a whole transaction, rows of lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Base64, Exposure};
use crate::{BranchId, Gid, Op, OutcomeKind, Pattern, Status, Target, Timestamp};

/// The answer to every command on a transaction. 200 when settled, 202 when it goes on (creation, commit, abort).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// The durable status at the moment of the answer.
    pub status: Status,
    /// Committed or rolled back; the status is final.
    pub settled: bool,
    /// At least one op is parked.
    pub parked: bool,
    /// The cause of the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
}

/// The op that a transaction waits for. If several ops are due, it is the one that needs a person most: first a parked op, then
/// one that cannot be sent, then one that is answered with errors. Absent once the transaction is settled, and while it waits
/// only for its initiator or its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaitingOn {
    /// The branch; absent for a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The op.
    pub op: Op,
    /// Answered attempts so far.
    pub attempts: u32,
    /// How the last attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<OutcomeKind>,
    /// What went wrong last: the words of the last attempt, or why a call could not be sent. At most 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When the next attempt is due. Absent: now, or under way, or parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Since when the op has been tried in vain; absent while nothing is known to be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Why a transaction rolls back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CauseView {
    /// `refused`, `deadline`, `aborted`, `exhausted`, `check_refused` or `forced`.
    pub kind: String,
    /// The branch that said no, used up its attempts, or was waited for when the deadline passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The reason of the refusal, or the last error of the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransactionSummary {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// The status.
    pub status: Status,
    /// Why it needs a person, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// When it settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The rows.
    pub transactions: Vec<TransactionSummary>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A whole transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransactionView {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// The status.
    pub status: Status,
    /// Committed or rolled back.
    pub settled: bool,
    /// Why it needs a person, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// The cause of the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
    /// Rolled back: branches that took effect, or may have, and that nothing undid. These are branches of a saga without
    /// `compensate`, and branches that were not yet undone when an operator settled the transaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_stand: Vec<BranchId>,
    /// saga: `ahead` or `exact`, also if the creation said `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// As given at creation.
    pub labels: BTreeMap<String, String>,
    /// Created open.
    pub opened: bool,
    /// Journal records so far.
    pub seq: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// When it settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// The deadline for going forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// Open messages: the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<OpView>,
    /// The branches in the order they were given.
    pub branches: Vec<BranchView>,
    /// Calls that are owed, now or later.
    pub next: Vec<NextCall>,
    /// When the coordinator acts next by itself, if no call is due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
}

/// One branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BranchView {
    /// Its id.
    pub id: BranchId,
    /// Branches that must be done first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<BranchId>,
    /// It may have run, so it is undone if the transaction rolls back.
    pub exposed: bool,
    /// It voted read-only and is left out of phase two.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The ops that were called, or will be.
    pub ops: Vec<OpView>,
}

/// The state of a branch's op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OpState {
    /// Not called yet.
    Pending,
    /// Waiting for the next attempt.
    Waiting,
    /// Took effect.
    Done,
    /// A business "no".
    Refused,
    /// Needs a person.
    Parked,
}

/// One op of one branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpView {
    /// The op.
    pub op: Op,
    /// The status.
    pub state: OpState,
    /// Answered attempts so far.
    pub attempts: u32,
    /// The target of its calls; absent if the initiator drives the op, or there is nothing to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The participant's answer, as JSON; text that is not JSON is a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// The participant's answer, if it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_base64: Option<Base64>,
    /// Why it was refused or parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// How the last attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<OutcomeKind>,
    /// What went wrong last: the words of the last attempt, or why a call could not be sent. At most 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Since when the op has been tried in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its calls cannot be sent. No attempt is counted, and Trine tries to send them again and again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_sent: bool,
}

/// A call that is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextCall {
    /// The branch; absent for a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
    /// The op.
    pub op: Op,
    /// The number of the attempt.
    pub attempt: u32,
    /// When it is due; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}
