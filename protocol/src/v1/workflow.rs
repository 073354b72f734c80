//! `POST /v1/workflows/{gid}`, `.../steps` and `.../finish`, and the body of a workflow's callback.
//!
//! Inputs, outputs and results are JSON: a history shows them as they are, and two of them can be compared whatever white
//! space they were sent with.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::CauseView;
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
    /// Where the coordinator calls an executor back when nothing is heard of the workflow.
    pub callback: Target,
    /// What the workflow is about: JSON that every callback brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub input: Option<Box<RawValue>>,
    /// How long nothing may be heard of the executor until it is called back (default 10s, at least 1s).
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
    /// Its input; absent when it was started without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
}

/// How far a workflow is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowView {
    /// The workflow.
    pub gid: Gid,
    /// `open` until its executor finishes it.
    pub status: Status,
    /// Committed or rolled back; the status is final.
    pub settled: bool,
    /// Its steps in the order they were recorded: an executor does not do these again.
    pub steps: Vec<WorkflowStep>,
    /// What a finished workflow came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// Why it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
}

/// One step of a workflow: what an executor records, and what a later one is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowStep {
    /// Which branch, in the executor's numbering.
    pub branch: BranchId,
    /// Which op of the branch, in the executor's words; 1 to 64 bytes without control characters.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 16, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")
    )]
    pub op: String,
    /// What the step came to.
    pub outcome: StepOutcome,
    /// What a step that is done returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// Why a step was refused; at most 1024 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub reason: Option<String>,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepOutcome {
    /// It took effect.
    Done,
    /// A business "no".
    Refused,
}

/// Ends a workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinishWorkflow {
    /// How it ended.
    pub outcome: WorkflowOutcome,
    /// What a workflow that committed came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// Why a workflow was rolled back; at most 1024 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))]
    pub reason: Option<String>,
}

/// How a workflow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WorkflowOutcome {
    /// Every step that counts took effect.
    Committed,
    /// Its executor has undone what the steps did.
    RolledBack,
}
