//! The requests of a workflow's executor over HTTP, and their answers.
//!
//! Executors write requests with these types. The coordinator parses requests more leniently (`api/dtm/decode`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a workflow.
pub const TRANS_TYPE: &str = "workflow";

/// The paths of the requests.
pub mod path {
    /// Begins or resumes: [`Prepare`](super::Prepare), answered with [`Prepared`](super::Prepared).
    pub const PREPARE: &str = "/api/dtmsvr/prepareWorkflow";
    /// Records a step: [`Record`](super::Record).
    pub const RECORD: &str = "/api/dtmsvr/registerBranch";
    /// Ends: [`Finish`](super::Finish).
    pub const FINISH: &str = "/api/dtmsvr/submit";
}

/// Creates a workflow, or asks for its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// Its id.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// JSON text of a [`Custom`].
    pub custom_data: String,
    /// The URL of callbacks.
    pub query_prepared: String,
    /// `http`.
    pub protocol: String,
    /// Seconds of silence until the executor is called back; 0: the coordinator's default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_interval: u64,
}

/// The identity of a workflow, in its `custom_data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom {
    /// The name, which is the op of callbacks.
    pub name: String,
    /// The input, which is the body of callbacks. Base64 on the wire.
    #[serde(default, with = "bytes")]
    pub data: Vec<u8>,
}

/// The progress of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The workflow.
    pub transaction: WorkflowTransaction,
    /// The recorded steps, in order.
    #[serde(default)]
    pub progresses: Vec<Progress>,
}

/// The state of a workflow. Fields that the server leaves out are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkflowTransaction {
    /// Its id.
    pub gid: String,
    /// [`TRANS_TYPE`]; another type means that the gid belongs to another transaction.
    pub trans_type: String,
    /// One of [`status`](super::status).
    pub status: String,
    /// Why it failed.
    pub rollback_reason: String,
    /// What it came to. Base64 on the wire.
    #[serde(with = "bytes")]
    pub result: Vec<u8>,
    /// The `custom_data` of the creation. Servers may leave it out.
    pub custom_data: String,
}

/// A recorded step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Which branch.
    pub branch_id: String,
    /// `action`, `commit` or `rollback`.
    pub op: String,
    /// `succeed` or `failed`.
    pub status: String,
    /// The recorded result. Base64 on the wire.
    #[serde(with = "bytes")]
    pub bin_data: Vec<u8>,
}

/// Records a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The gid of the workflow.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// Which branch.
    pub branch_id: String,
    /// `action`, `commit` or `rollback`.
    pub op: String,
    /// `succeed` or `failed`.
    pub status: String,
    /// The result, as text.
    pub data: String,
}

/// Ends a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The gid of the workflow.
    pub gid: String,
    /// [`TRANS_TYPE`].
    pub trans_type: String,
    /// The end.
    pub req_extra: Ending,
}

/// The end of a workflow.
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

/// The answer to a request that returns no document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// One of [`result`](super::result), or empty.
    pub dtm_result: String,
    /// The error text.
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
