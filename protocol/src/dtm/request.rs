//! What clients ask for, whatever the encoding they asked in.

use std::collections::BTreeMap;

/// A whole transaction, or what identifies one: the body of prepare, submit, abort and prepareWorkflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransRequest {
    /// Its id, free text.
    pub gid: String,
    /// `saga`, `tcc`, `xa`, `msg` or `workflow`; not checked yet.
    pub trans_type: String,
    /// Steps of a saga, or targets of a message.
    pub steps: Vec<Step>,
    /// The payload of each step, in order. Those of old clients, which stand in the steps, come last.
    pub payloads: Vec<Vec<u8>>,
    /// message: whom to ask; workflow: where to call back.
    pub query_prepared: String,
    /// `http`, `grpc` or `json-rpc`; empty: `http`.
    pub protocol: String,
    /// JSON text whose meaning depends on the type.
    pub custom_data: String,
    /// abort: why.
    pub rollback_reason: String,
    /// workflow: how it ended.
    pub req_extra: BTreeMap<String, String>,
    /// How it is run.
    pub options: TransOptions,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The URL that does it; empty: nothing to do.
    pub action: String,
    /// The URL that undoes it; empty: nothing to undo.
    pub compensate: String,
}

/// Options of a transaction. Zero means: the coordinator's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransOptions {
    /// Answer after the first pass.
    pub wait_result: bool,
    /// Seconds until going forward is given up.
    pub timeout_to_fail: i64,
    /// Seconds one call may take.
    pub request_timeout: i64,
    /// Seconds between attempts.
    pub retry_interval: i64,
    /// saga: attempts of an action beyond the first.
    pub retry_limit: i64,
    /// More headers of every call.
    pub branch_headers: BTreeMap<String, String>,
    /// message: deliver to all at once.
    pub concurrent: bool,
}

/// A branch to add, or a workflow's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchRequest {
    /// Whose.
    pub gid: String,
    /// `tcc`, `xa` or `workflow`; not checked yet.
    pub trans_type: String,
    /// Its id.
    pub branch_id: String,
    /// The body of later calls, or what a workflow's step came to.
    pub payload: Vec<u8>,
    /// tcc: `confirm` and `cancel`; xa: `url`; workflow: `op` and `status`. Anything else is ignored.
    pub data: BTreeMap<String, String>,
}
