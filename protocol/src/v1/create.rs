//! `POST /v1/transactions` and `POST /v1/transactions/{gid}/branches`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Base64, strict};
use crate::duration::HumanDuration;
use crate::{BranchId, Gid, Pattern, Target};

/// A transaction to create: declared (all branches here, the coordinator drives every phase) or open.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateTransaction {
    /// Chosen by the initiator so that it can repeat the request safely; made up by the coordinator when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<Gid>,
    /// The pattern.
    pub pattern: Pattern,
    /// True: the initiator registers branches, drives try or prepare itself, and then commits or aborts.
    /// For tcc, two_phase and message.
    #[serde(default)]
    pub open: bool,
    /// Labels to find the transaction in lists; at most 16.
    /// Keys: `[A-Za-z0-9._/-]{1,64}`; values: at most 256 bytes without control characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "strict::unique_map")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::labels))]
    pub labels: BTreeMap<String, String>,
    /// Options of the transaction.
    #[serde(default, deserialize_with = "strict::object")]
    pub options: Options,
    /// Open messages only: asked whether the initiator's local transaction committed, when the initiator falls silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Target>,
    /// The branches; may be empty only when `open`.
    #[serde(default, deserialize_with = "strict::objects")]
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub branches: Vec<Branch>,
}

/// One participant's part. It names a target per op, or one `url` for all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Branch {
    /// Unique within the transaction.
    pub id: BranchId,
    /// One target for every op of this branch; `Trine-Op` tells them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Target>,
    /// saga: the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Target>,
    /// saga: undoes the action; a branch without it is not undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Target>,
    /// tcc: reserve.
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub try_: Option<Target>,
    /// tcc: use the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Target>,
    /// tcc: give the reservation back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Target>,
    /// two_phase: vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Target>,
    /// two_phase: make the prepared work permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Target>,
    /// two_phase: drop the prepared work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Target>,
    /// message: take the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Target>,
    /// saga, message: ids of branches that must be done first, at most 100. As soon as one branch states `after`
    /// (even empty), the stated dependencies are the only ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub after: Option<Vec<BranchId>>,
    /// JSON that every op sends byte for byte as its body. When absent: `null` over HTTP, an empty
    /// message over gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub payload: Option<Box<RawValue>>,
    /// Bytes instead of `payload`. They are sent decoded: as `application/octet-stream` over HTTP, as
    /// the message over gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<Base64>,
    /// Overrides the transaction's options for this branch.
    #[serde(default, deserialize_with = "strict::object")]
    pub options: BranchOptions,
}

impl Branch {
    /// A branch with only an id.
    pub fn new(id: BranchId) -> Self {
        Self {
            id,
            url: None,
            action: None,
            compensate: None,
            try_: None,
            confirm: None,
            cancel: None,
            prepare: None,
            commit: None,
            rollback: None,
            deliver: None,
            after: None,
            payload: None,
            payload_base64: None,
            options: BranchOptions::default(),
        }
    }
}

/// The body of a registration.
pub type RegisterBranch = Branch;

/// How a transaction is driven. Every duration is a humantime string or an integer in the `_ms` field; never both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Options {
    /// How long one call may take (default 10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub call_timeout_ms: Option<u64>,
    /// How calls without a usable answer are repeated.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "strict::optional_object")]
    pub retry: Option<Retry>,
    /// What happens after `retry.max_attempts` (default park).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// How long going forward may take before it is rolled back (default: for ever when declared, 60s when
    /// open). Not for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub deadline_ms: Option<u64>,
    /// Wait this long before the first call. Declared transactions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_delay: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 31_536_000_000u64))]
    pub start_delay_ms: Option<u64>,
    /// Open messages: how long to wait for the initiator before asking it (default 10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_after: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub check_after_ms: Option<u64>,
    /// saga and message, when no branch states `after`: one by one, or all at once
    /// (default: saga one by one, message all at once).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// saga: whether a step may be called before the answers of the steps before it are durable (default `auto`).
    #[serde(skip_serializing_if = "Exposure::is_auto")]
    pub exposure: Option<Exposure>,
}

/// The options that a branch may override.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BranchOptions {
    /// How long one call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub call_timeout_ms: Option<u64>,
    /// How calls are repeated; overrides the transaction's policy field by field.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "strict::optional_object")]
    pub retry: Option<Retry>,
    /// What happens after `retry.max_attempts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
}

/// Capped exponential backoff with jitter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retry {
    /// Delay before the second attempt (default 200ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub initial_ms: Option<u64>,
    /// Growth from one delay to the next, 1 to 10 (default 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1.0, maximum = 10.0))]
    pub factor: Option<f64>,
    /// Longest delay (default 30s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 31_536_000_000u64))]
    pub max_interval_ms: Option<u64>,
    /// Share of each delay that is random, 0 to 1 (default 0.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0.0, maximum = 1.0))]
    pub jitter: Option<f64>,
    /// Attempts without a usable answer before `on_exhausted`, 1 to 1000000 (default: no limit).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000))]
    pub max_attempts: Option<u32>,
    /// Answers in a row that no retry mends (400, 401, 403, 404, 405, 413, 415, 501 and the like; gRPC: UNIMPLEMENTED,
    /// INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED …) before `on_exhausted`, spread over about a minute, 1 to
    /// 1000000 (default 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000))]
    pub client_error_attempts: Option<u32>,
}

/// What happens to an op whose attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnExhausted {
    /// Park: no more automatic attempts until replayed.
    Park,
    /// Forward ops: roll the transaction back. Other ops park.
    RollBack,
}

/// The order of branches without `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Order {
    /// One after the other, as listed.
    Sequence,
    /// All at once.
    Parallel,
}

/// When the branches of a saga are on record as branches that may have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Exposure {
    /// `ahead` if every target names a registered participant of which all live instances are guarded; otherwise `exact`.
    Auto,
    /// All of them from the beginning. No step waits for the record of the step before it. After a crash, steps may be
    /// repeated after later steps took effect, and steps that never ran may be compensated.
    Ahead,
    /// Each one before it is called, so each step waits for the record of the step before it.
    Exact,
}

impl Exposure {
    /// The word of the documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ahead => "ahead",
            Self::Exact => "exact",
        }
    }

    /// Whether nothing else is stated. Both spellings of the default are the same request.
    fn is_auto(stated: &Option<Self>) -> bool {
        matches!(stated, None | Some(Self::Auto))
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

    use crate::limits::{LABEL_VALUE_BYTES_MAX, LABELS_MAX};

    /// The bounds of labels that a schema can express.
    pub(super) fn labels() -> Schema {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(LABEL_VALUE_BYTES_MAX / 4))
            .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
        let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9._/-]{1,64}$"));
        ObjectBuilder::new()
            .property_names(Some(key))
            .additional_properties(Some(value))
            .max_properties(Some(LABELS_MAX))
            .into()
    }
}
