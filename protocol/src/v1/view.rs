//! What a transaction looks like from outside: the answer to a command, one in full, lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Base64;
use crate::{BranchId, Gid, Op, OutcomeKind, Pattern, Status, Target, Timestamp};

/// The answer to every command on a transaction. 200 when settled, 202 when it goes on (creation, commit, abort).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// Where it stands, durably, at the moment of answering.
    pub status: Status,
    /// Committed or rolled back; the status is final.
    pub settled: bool,
    /// Something needs a person.
    pub parked: bool,
    /// Why it is rolled back, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
}

/// What a transaction waits for: of all ops that are asked for now, the one that needs somebody most. What is parked comes
/// first, then what cannot be sent, then what answers with errors. Absent once it is settled, and while it waits for its
/// initiator or its start alone.
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
    /// When the next attempt is due; absent: now, or under way, or never by itself when it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Since when it has been asked in vain; absent while nothing is known to be wrong.
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
    /// In the words of whoever said no; or what was wrong with the branch last.
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
    /// Where it stands.
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

/// One transaction in full.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransactionView {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// Where it stands.
    pub status: Status,
    /// Committed or rolled back.
    pub settled: bool,
    /// Why it needs a person, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// Why it rolls or rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
    /// Rolled back: branches that took effect, or may have, and that nothing undid. A saga's branch without `compensate`,
    /// and what was not undone before an operator settled it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_stand: Vec<BranchId>,
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
    /// When going forward is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// Open messages: what is known of the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<OpView>,
    /// The branches in the order they were given.
    pub branches: Vec<BranchView>,
    /// Calls that are owed, now or later.
    pub next: Vec<NextCall>,
    /// When the coordinator looks again by itself, if nothing is owed before.
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
    /// What was asked of it, or is to be.
    pub ops: Vec<OpView>,
}

/// Where an op of a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OpState {
    /// Not asked for yet.
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
    /// Which op.
    pub op: Op,
    /// Where it stands.
    pub state: OpState,
    /// Answered attempts so far.
    pub attempts: u32,
    /// Where its calls go; absent when an initiator drives it or there is nothing to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What the participant answered, as JSON; text that is not JSON stands here as a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// The same when it is no text.
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
    /// Since when it has been asked in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its calls cannot be sent; no attempt is counted, and they are offered again and again.
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
    /// The number the attempt will have, or has if it is under way.
    pub attempt: u32,
    /// When it is due; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}
