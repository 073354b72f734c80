//! `POST /v1/workflows/{gid}`, `.../steps` and `.../finish`, and the body of a workflow's callback.
//!
//! Inputs, outputs and results are JSON, so that a history can show them, and white space does not count when two are compared.
//! An input and a result may be bytes instead.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Base64, CauseView};
use crate::duration::HumanDuration;
use crate::{BranchId, Gid, Status, Target};

/// Begins a workflow, or resumes the one that has this gid, name and input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartWorkflow {
    /// Which of the executor's workflows; 1 to 1024 bytes without control characters.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")
    )]
    pub name: String,
    /// The target of callbacks, which come when the executor falls silent.
    pub callback: Target,
    /// The input of the workflow: JSON that every callback contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub input: Option<Box<RawValue>>,
    /// Bytes instead of an `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<Base64>,
    /// How long the executor may be silent until it is called back (default 10s, at least 1s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_after: Option<HumanDuration>,
    /// The same in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1_000, maximum = 31_536_000_000u64))]
    pub callback_after_ms: Option<u64>,
}

/// The body of a callback.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkflowCallback {
    /// The workflow's name.
    pub name: String,
    /// The input, if the workflow was started with JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// The input, if the workflow was started with bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<Base64>,
}

/// The progress of a workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowView {
    /// The workflow.
    pub gid: Gid,
    /// `open` until its executor finishes it.
    pub status: Status,
    /// Committed or rolled back; the status is final.
    pub settled: bool,
    /// The recorded steps, in order. An executor does not do them again.
    pub steps: Vec<WorkflowStep>,
    /// The result of a finished workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// The result, if it is bytes that are not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<Base64>,
    /// Why it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
}

/// One step of a workflow: an executor records it, and a later executor reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowStep {
    /// The branch, in the executor's numbering.
    pub branch: BranchId,
    /// Which op of the branch, in the executor's words; 1 to 64 bytes without control characters.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 16, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")
    )]
    pub op: String,
    /// The outcome of the step.
    pub outcome: StepOutcome,
    /// The result of a step that is done. A refused step may have a JSON object here instead of a `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// Why a step was refused; at most 1024 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub reason: Option<String>,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepOutcome {
    /// The step took effect.
    Done,
    /// A business "no".
    Refused,
}

/// Ends a workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinishWorkflow {
    /// The end.
    pub outcome: WorkflowOutcome,
    /// The result of a committed workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// Bytes instead of a `result`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_base64: Option<Base64>,
    /// Why a workflow was rolled back; at most 1024 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub reason: Option<String>,
}

/// The end of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WorkflowOutcome {
    /// The workflow succeeded, and its steps keep their effects.
    Committed,
    /// The executor has undone the steps.
    RolledBack,
}
