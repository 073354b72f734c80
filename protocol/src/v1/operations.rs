//! Documents for abort, replay, force, participants and coordinators.

use serde::{Deserialize, Serialize};

use super::WaitingOn;
use crate::duration::HumanDuration;
use crate::{BranchId, Gid, Pattern, Status, Timestamp};

/// `POST /v1/transactions/{gid}/abort`; the body may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Abort {
    /// Recorded and shown; at most 1024 bytes without control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub reason: Option<String>,
}

/// `POST /v1/admin/transactions/{gid}/replay`; the body may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Replay {
    /// Only this branch; all branches when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchId>,
}

/// The answer to a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Replayed {
    /// The transaction.
    pub gid: Gid,
    /// Its status.
    pub status: Status,
    /// Still parked. This happens only if one branch was replayed and another one is parked, too.
    pub parked: bool,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
}

/// The end that an operator gives to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ForceOutcome {
    /// As if every branch had taken effect.
    Committed,
    /// As if no branch had an effect.
    RolledBack,
}

/// `POST /v1/admin/transactions/{gid}/force`: settles as the operator says. No participant is called any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Force {
    /// The status it gets.
    pub outcome: ForceOutcome,
    /// Why; recorded until retention deletes the transaction. 1 to 1024 bytes, not blank, without control characters.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 256,
            pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[!-~][^\u0000-\u001f\u007f-\u009f]*$"
        )
    )]
    pub reason: String,
    /// Who forces; recorded. At most 1024 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub by: Option<String>,
}

/// `POST /v1/admin/replay`: replays every parked transaction that matches all given filters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayMany {
    /// Only this pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Only this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only with a branch at this host (`host:port`) or participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{1,2048}$"))]
    pub host: Option<String>,
    /// Only with this label, `key=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._/-]{1,64}[=:][ -~]{0,256}$"))]
    pub label: Option<String>,
    /// At most this many (default and most 10000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 10000))]
    pub limit: Option<u32>,
}

/// The answer to a replay of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayManyAnswer {
    /// Parked transactions that matched.
    pub matched: u64,
    /// Of these, replayed.
    pub replayed: u64,
    /// Of these, not replayed: settled or changed meanwhile, or the coordinator was busy. Ask again.
    pub failed: u64,
    /// More transactions match: ask again.
    pub more: bool,
}

/// `POST /v1/participants`: registers a service instance. A repetition before the TTL ends is a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterParticipant {
    /// The name branches use: `name:/path`. `[A-Za-z0-9._-]{1,64}`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,
    /// `http(s)://host[:port][/prefix]`; the branch's path is appended.
    #[cfg_attr(
        feature = "openapi",
        schema(
            max_length = 2048,
            pattern = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?$"
        )
    )]
    pub base_url: String,
    /// How long the instance counts as alive without a heartbeat (default 30s, 1s to 1h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1_000, maximum = 3_600_000))]
    pub ttl_ms: Option<u64>,
    /// All ops of this instance run behind a barrier (default false): duplicates, and compensations of actions that never
    /// ran, have no effect. Sagas whose participants are all guarded are `ahead` unless they say otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guarded: bool,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The name.
    pub name: String,
    /// The instance.
    pub base_url: String,
    /// Register again before then.
    pub expires_at: Timestamp,
}

/// One instance of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ParticipantInstance {
    /// Where it is.
    pub base_url: String,
    /// When it first registered.
    pub registered_at: Timestamp,
    /// When it lapses without a heartbeat.
    pub expires_at: Timestamp,
    /// Calls go to it now.
    pub alive: bool,
    /// Its last registration said that all of its ops run behind a barrier.
    #[serde(default)]
    pub guarded: bool,
}

/// A participant with its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Participant {
    /// The name branches use.
    pub name: String,
    /// Its instances, lapsed ones too until they are deleted or swept.
    pub instances: Vec<ParticipantInstance>,
}

/// A coordinator that shares the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coordinator {
    /// Its name.
    pub name: String,
    /// Its heartbeat has not lapsed. What the others own is adopted by those that are alive.
    pub alive: bool,
    /// When the process that has the name started. By the store's clock, as all times here.
    pub started_at: Timestamp,
    /// It lives, and has let the others take over by its own word, because its lanes cannot work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
    /// When it last said that it is alive, or that it has given up; the beginning of time when it has stopped in good order.
    pub heartbeat_at: Timestamp,
    /// Transactions it owns that are not settled.
    pub unfinished: u64,
    /// The node of a database cluster it writes to, where all must write to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_node: Option<String>,
}

/// `GET /v1/admin/coordinators`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CoordinatorList {
    /// By name.
    pub coordinators: Vec<Coordinator>,
}

/// `GET /v1/participants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ParticipantList {
    /// By name.
    pub participants: Vec<Participant>,
}
