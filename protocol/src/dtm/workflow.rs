//! What a workflow's executor says over HTTP and what it is told: its three requests, as it writes them.
//!
//! The coordinator reads requests more leniently than this (`api/dtm/decode`); these are for whoever sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a workflow.
pub const TRANS_TYPE: &str = "workflow";

/// Where its executor asks.
pub mod path {
    /// To begin or to resume: [`Prepare`](super::Prepare), answered with [`Prepared`](super::Prepared).
    pub const PREPARE: &str = "/api/dtmsvr/prepareWorkflow";
    /// To record a step: [`Record`](super::Record).
    pub const RECORD: &str = "/api/dtmsvr/registerBranch";
    /// To end: [`Finish`](super::Finish).
    pub const FINISH: &str = "/api/dtmsvr/submit";
}

/// Creates a workflow, or asks how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// Its id.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// JSON text of a [`Custom`].
    pub custom_data: String,
    /// Where the executor is called back.
    pub query_prepared: String,
    /// `http`.
    pub protocol: String,
    /// Seconds without a sign of the executor until it is called back; 0: the coordinator's default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_interval: u64,
}

/// What a workflow is about, in its `custom_data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom {
    /// Its name, the op of its callbacks.
    pub name: String,
    /// Its input, the body of its callbacks. Base64 on the wire.
    #[serde(default, with = "bytes")]
    pub data: Vec<u8>,
}

/// How far a workflow is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The workflow.
    pub transaction: Standing,
    /// What was recorded, in order.
    #[serde(default)]
    pub progresses: Vec<Progress>,
}

/// Where a workflow stands. What it does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Its id.
    pub gid: String,
    /// [`TRANS_TYPE`], unless the id is that of something else.
    pub trans_type: String,
    /// One of [`status`](super::status).
    pub status: String,
    /// Why it failed.
    pub rollback_reason: String,
    /// What it came to. Base64 on the wire.
    #[serde(with = "bytes")]
    pub result: Vec<u8>,
    /// As it was created with; servers need not tell.
    pub custom_data: String,
}

/// A step that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Which branch.
    pub branch_id: String,
    /// `action`, `commit` or `rollback`.
    pub op: String,
    /// `succeed` or `failed`.
    pub status: String,
    /// What was recorded. Base64 on the wire.
    #[serde(with = "bytes")]
    pub bin_data: Vec<u8>,
}

/// Records a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of which workflow.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// Which branch.
    pub branch_id: String,
    /// `action`, `commit` or `rollback`.
    pub op: String,
    /// `succeed` or `failed`.
    pub status: String,
    /// What it came to, as text.
    pub data: String,
}

/// Ends a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Which.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// How.
    pub req_extra: Ending,
}

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// `succeed` or `failed`.
    pub status: String,
    /// Why it failed.
    pub rollback_reason: String,
    /// What it came to. Base64 on the wire.
    #[serde(default, with = "bytes")]
    pub result: Vec<u8>,
}

/// What is said in an answer that is no document of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// One of [`result`](super::result), or empty.
    pub dtm_result: String,
    /// Why not.
    pub message: String,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Bytes as standard base64.
mod bytes {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_spelt_as_the_wire_spells_them() {
        let custom = Custom { name: "ship".into(), data: b"\x00x".to_vec() };
        assert_eq!(serde_json::to_value(custom).unwrap(), json!({"name": "ship", "data": "AHg="}));
        let ending =
            Ending { status: "succeed".into(), rollback_reason: String::new(), result: b"ok".to_vec() };
        let finish = Finish { gid: "g".into(), trans_type: TRANS_TYPE.into(), req_extra: ending };
        let expected = json!({
            "gid": "g", "trans_type": "workflow",
            "req_extra": {"status": "succeed", "rollback_reason": "", "result": "b2s="},
        });
        assert_eq!(serde_json::to_value(finish).unwrap(), expected);
    }

    #[test]
    fn an_answer_need_not_say_what_is_empty() {
        let answer = json!({
            "transaction": {"id": 0, "gid": "g", "trans_type": "workflow", "status": "prepared"},
            "progresses": [{"branch_id": "01", "op": "action", "status": "succeed", "bin_data": "AHg="}],
        });
        let prepared: Prepared = serde_json::from_value(answer).unwrap();
        assert_eq!(prepared.transaction.result, b"");
        assert_eq!(prepared.progresses[0].bin_data, b"\x00x");
    }
}
