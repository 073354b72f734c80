//! Parsed requests of dtm's clients, independent of their encoding.

use std::collections::BTreeMap;

/// The body of prepare, submit, abort and prepareWorkflow: a whole transaction, or only its identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransRequest {
    /// The gid, free text.
    pub gid: String,
    /// `saga`, `tcc`, `xa`, `msg` or `workflow`; not checked yet.
    pub trans_type: String,
    /// Steps of a saga, or targets of a message.
    pub steps: Vec<Step>,
    /// The payload of each step, in order. Payloads that old clients put into the steps come last.
    pub payloads: Vec<Vec<u8>>,
    /// message: the URL of the check; workflow: the URL of callbacks.
    pub query_prepared: String,
    /// `http`, `grpc` or `json-rpc`; empty: `http`.
    pub protocol: String,
    /// JSON text whose meaning depends on the type.
    pub custom_data: String,
    /// abort: the reason.
    pub rollback_reason: String,
    /// workflow: its end.
    pub req_extra: BTreeMap<String, String>,
    /// Options.
    pub options: TransOptions,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The URL of the action; empty: nothing to do.
    pub action: String,
    /// The URL of the compensation; empty: nothing to undo.
    pub compensate: String,
}

/// Options of a transaction. Zero means: the coordinator's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransOptions {
    /// Answer after the first pass.
    pub wait_result: bool,
    /// Seconds until the transaction is rolled back if it is not decided.
    pub timeout_to_fail: i64,
    /// Seconds one call may take.
    pub request_timeout: i64,
    /// Seconds between attempts.
    pub retry_interval: i64,
    /// saga: attempts of an action beyond the first.
    pub retry_limit: i64,
    /// Additional headers of every call.
    pub branch_headers: BTreeMap<String, String>,
    /// message: deliver to all at once.
    pub concurrent: bool,
}

/// A branch to add, or a workflow's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchRequest {
    /// The gid of the transaction.
    pub gid: String,
    /// `tcc`, `xa` or `workflow`; not checked yet.
    pub trans_type: String,
    /// The branch id.
    pub branch_id: String,
    /// The body of later calls, or the result of a workflow's step.
    pub payload: Vec<u8>,
    /// tcc: `confirm` and `cancel`; xa: `url`; workflow: `op` and `status`. Anything else is ignored.
    pub data: BTreeMap<String, String>,
}
