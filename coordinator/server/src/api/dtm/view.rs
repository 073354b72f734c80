//! dtm's JSON documents of transactions, branches and key-value entries.
//!
//! Every time is present and RFC 3339, because some clients cannot read null. `id` is 0 where there is no number.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub(crate) struct Global {
    pub(crate) id: u64,
    pub(crate) create_time: String,
    pub(crate) update_time: String,
    pub(crate) gid: String,
    pub(crate) trans_type: String,
    pub(crate) status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) query_prepared: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollback_time: Option<String>,
    /// The result of a workflow, as its executor stated it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) result: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) rollback_reason: String,
    /// JSON text of the options.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) options: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) custom_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cron_interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cron_time: Option<String>,
    /// The coordinator that drives it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    pub(crate) concurrent: bool,
}

/// One op of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub(crate) struct Branch {
    pub(crate) id: u64,
    pub(crate) create_time: String,
    pub(crate) update_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) gid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
    /// Standard base64 on the wire.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "base64")]
    pub(crate) bin_data: Vec<u8>,
    pub(crate) branch_id: String,
    pub(crate) op: String,
    pub(crate) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollback_time: Option<String>,
}

/// An entry of the key-value table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub(crate) struct KeyValue {
    pub(crate) id: u64,
    pub(crate) create_time: String,
    pub(crate) update_time: String,
    pub(crate) cat: String,
    pub(crate) k: String,
    pub(crate) v: String,
    pub(crate) version: u64,
}

fn base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use base64::Engine;
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}
