//! The coordinator's calls for a workflow: start or resume, record a step, finish.
//!
//! Each call may be repeated. A record carries a mark of the execution that made it, so no two executions make equal
//! records. The coordinator takes an equal record for a repetition, and refuses a different one: an execution whose record
//! was taken knows that no other execution has recorded the step.

use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trine_protocol::errors::Code;
use trine_protocol::limits::TEXT_BYTES_MAX;
use trine_protocol::v1::{
    Answer, Base64, FinishWorkflow, StartWorkflow, StepOutcome, WorkflowOutcome, WorkflowStep, WorkflowView,
};
use trine_protocol::{BranchId, Gid, Status, Target, json};

use super::WorkflowError;
use crate::Error;
use crate::client::{ApiRequest, Client};

/// Op of the one record that belongs to no branch: the decision to commit or to roll back.
const DECISION: &str = "decision";

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Action,
    Commit,
    Rollback,
    /// Belongs to the workflow and not to a branch.
    Decision,
}

/// Whether the input and the result of a handler are bytes or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bytes,
    Json,
}

/// A workflow's identity. The gid alone finds the workflow; the coordinator compares name and input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) gid: Gid,
    pub(super) name: String,
    pub(super) input: Vec<u8>,
    pub(super) form: Form,
}

/// How far a workflow is.
#[derive(Debug)]
pub(super) enum Standing {
    Open(Vec<Recorded>),
    Done(Vec<u8>),
    Refused(String),
}

/// What a step came to: JSON, or the reason of a refusal.
pub(super) type Settled = Result<Box<RawValue>, String>;

/// How a workflow ends: its result, or the reason of its refusal.
pub(super) type End = Result<Vec<u8>, String>;

/// A step on record.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) branch: BranchId,
    pub(super) phase: Phase,
    /// The other branches that had been asked for when this was recorded, and had no record yet.
    pub(super) open: Vec<String>,
    pub(super) settled: Settled,
}

/// The output of a recorded step. SDKs before the native calls wrote the same document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    executor: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The coordinator of this service, and the callback that workflows are begun with.
#[derive(Debug, Clone)]
pub(super) struct Coordinator {
    pub(super) client: Client,
    pub(super) callback: Target,
    /// None: the coordinator's default.
    pub(super) callback_after_ms: Option<u64>,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Action, Self::Commit, Self::Rollback, Self::Decision];

    /// The word in the journal.
    fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Decision => DECISION,
        }
    }
}

impl Form {
    /// Bytes as the two fields of a document, one for JSON and one for base64.
    fn write(
        self,
        what: &str,
        bytes: &[u8],
    ) -> Result<(Option<Box<RawValue>>, Option<Base64>), WorkflowError> {
        match self {
            Self::Bytes => Ok((None, (!bytes.is_empty()).then(|| bytes.into()))),
            Self::Json => {
                let json = serde_json::from_slice::<Box<RawValue>>(bytes);
                let json = json.map_err(|error| WorkflowError::json(what, &error))?;
                // The coordinator reads a `null` as an absent field, and takes no JSON that nests deep. As bytes it keeps both.
                let as_bytes = json.get() == "null" || json::depth(json.get()) > json::DEPTH_MAX;
                Ok(if as_bytes { (None, Some(bytes.into())) } else { (Some(json), None) })
            }
        }
    }

    /// The bytes of two such fields, whichever of them was written.
    pub(super) fn read(self, json: Option<&RawValue>, base64: Option<&Base64>) -> Vec<u8> {
        match (base64, json) {
            (Some(bytes), _) => bytes.as_bytes().to_vec(),
            (None, Some(json)) => json.get().as_bytes().to_vec(),
            (None, None) if self == Self::Json => b"null".to_vec(),
            (None, None) => Vec::new(),
        }
    }
}

impl Coordinator {
    /// Starts the workflow, or reads how far it is. From now on the coordinator takes the asker for its executor.
    pub(super) async fn start(&self, about: &About) -> Result<Standing, WorkflowError> {
        let (input, input_base64) = about.form.write("the input", &about.input)?;
        let start = StartWorkflow {
            name: about.name.clone(),
            callback: self.callback.clone(),
            input,
            input_base64,
            callback_after: None,
            callback_after_ms: self.callback_after_ms,
        };
        match self.ask(&about.gid, "", &start).await {
            Ok(view) => standing(about, view),
            Err(error) if refuses(&error, &[Code::GidConflict]) => {
                let what = "it is another transaction, or a workflow with another name or input".to_owned();
                Err(WorkflowError::Conflict { gid: about.gid.clone(), what })
            }
            Err(error) => Err(unusable(error)),
        }
    }

    /// Records a step for `executor`. When this returns, the record is durable, and no other execution's.
    pub(super) async fn record(
        &self,
        gid: &Gid,
        executor: &str,
        branch: &BranchId,
        phase: Phase,
        settled: &Settled,
        open: Vec<String>,
    ) -> Result<(), WorkflowError> {
        let (outcome, output, reason) = match settled {
            Ok(output) => (StepOutcome::Done, Some(output.clone()), None),
            Err(reason) => (StepOutcome::Refused, None, Some(reason.clone())),
        };
        let marked = Marked { executor: executor.to_owned(), open, output, reason };
        let marked = serde_json::value::to_raw_value(&marked)
            .map_err(|error| WorkflowError::json("a step", &error))?;
        // The coordinator takes no JSON that nests deep. The step has run, so it has to be recorded all the same: as a string.
        let marked = if json::depth(marked.get()) > json::DEPTH_MAX {
            serde_json::value::to_raw_value(marked.get())
                .map_err(|error| WorkflowError::json("a step", &error))?
        } else {
            marked
        };
        let (branch, op) = (branch.clone(), phase.as_str().to_owned());
        let step = WorkflowStep { branch, op, outcome, output: Some(marked), reason: None };
        match self.ask::<Answer>(gid, "/steps", &step).await {
            // The step was recorded by an earlier attempt, and somebody else has ended the workflow since.
            Ok(answer) if answer.settled => Err(WorkflowError::Superseded),
            Ok(_) => Ok(()),
            Err(error) if refuses(&error, &[Code::BranchConflict, Code::IllegalState]) => {
                Err(WorkflowError::Superseded)
            }
            Err(error) => Err(unusable(error)),
        }
    }

    /// Finishes the workflow, and returns how it has ended.
    pub(super) async fn finish(&self, about: &About, end: End) -> Result<Vec<u8>, WorkflowError> {
        let finish = match &end {
            Ok(result) => {
                let (result, result_base64) = about.form.write("the result", result)?;
                FinishWorkflow { outcome: WorkflowOutcome::Committed, result, result_base64, reason: None }
            }
            Err(reason) => FinishWorkflow {
                outcome: WorkflowOutcome::RolledBack,
                result: None,
                result_base64: None,
                // A record of an older SDK may hold a reason that the coordinator does not take as it is.
                reason: Some(clip(reason)),
            },
        };
        match self.ask::<Answer>(&about.gid, "/finish", &finish).await {
            Ok(_) => end.map_err(WorkflowError::Refused),
            Err(error) if refuses(&error, &[Code::IllegalState]) => match self.start(about).await? {
                Standing::Open(_) => Err(unusable(error)),
                Standing::Done(result) => Ok(result),
                Standing::Refused(reason) => Err(WorkflowError::Refused(reason)),
            },
            Err(error) => Err(unusable(error)),
        }
    }

    async fn ask<T>(&self, gid: &Gid, call: &str, document: &impl Serialize) -> Result<T, Error>
    where
        T: DeserializeOwned + 'static,
    {
        ApiRequest::new(&self.client, Method::POST, format!("/v1/workflows/{gid}{call}")).body(document).await
    }
}

/// Whether this is the coordinator's "no" with one of these codes.
fn refuses(error: &Error, codes: &[Code]) -> bool {
    matches!(error, Error::Refused(problem) if codes.iter().any(|code| code.as_str() == problem.code))
}

fn unusable(error: Error) -> WorkflowError {
    match error {
        Error::Refused(problem) => WorkflowError::Rejected {
            status: problem.status,
            message: format!("{}: {}", problem.code, problem.detail),
        },
        error => WorkflowError::Coordinator(Arc::new(error)),
    }
}

fn standing(about: &About, view: WorkflowView) -> Result<Standing, WorkflowError> {
    overruled(&view)?;
    match view.status {
        Status::Open => view.steps.into_iter().map(recorded).collect::<Result<_, _>>().map(Standing::Open),
        Status::Committed => {
            Ok(Standing::Done(about.form.read(view.result.as_deref(), view.result_base64.as_ref())))
        }
        Status::RolledBack => {
            Ok(Standing::Refused(view.cause.and_then(|cause| cause.reason).unwrap_or_default()))
        }
        other => Err(WorkflowError::Diverged(format!("a workflow that is {other}"))),
    }
}

/// An end that is not the recorded decision: what was done for the decision does not belong to the end.
fn overruled(view: &WorkflowView) -> Result<(), WorkflowError> {
    let decision = view.steps.iter().find(|step| step.op == DECISION).map(|step| step.outcome);
    match (decision, view.status) {
        (Some(StepOutcome::Refused), Status::Committed) => {
            Err(WorkflowError::Overruled { decided: "roll back", ended: "committed" })
        }
        (Some(StepOutcome::Done), Status::RolledBack) => {
            Err(WorkflowError::Overruled { decided: "commit", ended: "rolled back" })
        }
        _ => Ok(()),
    }
}

fn recorded(step: WorkflowStep) -> Result<Recorded, WorkflowError> {
    let WorkflowStep { branch, op, outcome, output, reason } = step;
    let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.as_str() == op) else {
        let what = format!("step {branch}/{op} has an op of another implementation");
        return Err(WorkflowError::Diverged(what));
    };
    let marked = output.as_deref().and_then(marked);
    let (open, output, reason) = match marked {
        Some(marked) => (marked.open, marked.output, marked.reason),
        // Another implementation records the output, or the reason, as it is.
        None => (Vec::new(), output, reason),
    };
    let settled = match outcome {
        StepOutcome::Done => Ok(output.unwrap_or_else(null)),
        StepOutcome::Refused => {
            Err(reason.or(output.map(|output| output.get().to_owned())).unwrap_or_default())
        }
    };
    Ok(Recorded { branch, phase, open, settled })
}

/// The document that SDKs record, if this is one. A coordinator shows JSON that nests deep as a string.
fn marked(output: &RawValue) -> Option<Marked> {
    let direct = serde_json::from_str(output.get()).ok();
    direct.or_else(|| serde_json::from_str(&serde_json::from_str::<String>(output.get()).ok()?).ok())
}

/// JSON's null.
pub(super) fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// A reason as a coordinator takes it: no control characters, and no longer than one may be.
pub(super) fn clip(reason: &str) -> String {
    let mut reason = reason.replace(char::is_control, " ");
    reason.truncate(reason.floor_char_boundary(TEXT_BYTES_MAX));
    reason
}

/// The id of the branch with this number: at least two digits. Number 0 stands for no branch, and has the decision.
pub(super) fn branch_id(number: usize) -> BranchId {
    BranchId::parse(&format!("{number:02}")).expect("digits are within the grammar of branch ids")
}
