//! Documents about workflows.

use serde_json::value::RawValue;
use trine_engine::{CallPolicy, Draft, Payload, Progress, RetryPolicy, Spec};
use trine_protocol::Pattern;
use trine_protocol::limits::CHECK_AFTER_MS_DEFAULT;
use trine_protocol::v1::{
    FinishWorkflow, StartWorkflow, StepOutcome, WorkflowCallback, WorkflowOutcome, WorkflowStep,
};

use super::{check_target, check_text, named_by};
use crate::api::json;
use crate::api::problem::Refusal;
use crate::api::v1::digest;
use crate::api::v1::options::duration;
use crate::api::workflows::STEP_OP_BYTES_MAX;

/// An answered callback is a record, so an idle executor must not be asked more often than this.
const CALLBACK_AFTER_MS_MIN: u64 = 1_000;
/// Callbacks that fail are repeated at least this often, unless the workflow asks for fewer.
const CALLBACK_INTERVAL_MS_MAX: u64 = 60_000;

/// Turns a start into a spec. The callback's body is made here once: it is part of the journal.
pub(in crate::api::v1) fn workflow_spec(request: &StartWorkflow) -> Result<Spec, Refusal> {
    check_word("name", &request.name)?;
    check_target("callback", &request.callback)?;
    let after_ms = duration(
        "",
        "callback_after",
        request.callback_after,
        request.callback_after_ms,
        CALLBACK_AFTER_MS_MIN,
    )?
    .unwrap_or(CHECK_AFTER_MS_DEFAULT);
    let input = compact("input", request.input.as_deref())?;
    let body = WorkflowCallback { name: request.name.clone(), input };
    let body = serde_json::to_vec(&body).map_err(|error| Refusal::internal(&error))?;
    let policy = CallPolicy::default();
    let retry = RetryPolicy {
        initial_ms: after_ms,
        max_interval_ms: after_ms.max(CALLBACK_INTERVAL_MS_MAX),
        ..policy.retry
    };
    let draft = Draft {
        open: true,
        check: Some(request.callback.clone()),
        check_after_ms: after_ms,
        // The executor may have gone on by itself, so an answered callback is repeated no sooner than a silent one.
        check_call: CallPolicy { retry, ongoing_ms: after_ms, ..policy },
        digest: digest::of_workflow(&body),
        check_payload: Payload::from(body.as_slice()),
        ..Draft::new(Pattern::Workflow)
    };
    draft.build().map_err(Refusal::from)
}

/// The participant a start names, with the field that names it.
pub(in crate::api::v1) fn participant_of_workflow(request: &StartWorkflow) -> Vec<(String, String)> {
    named_by("callback".into(), &request.callback).into_iter().collect()
}

/// Turns a step into what is recorded of it.
pub(in crate::api::v1) fn progress(step: &WorkflowStep) -> Result<Progress, Refusal> {
    check_word("op", &step.op)?;
    if step.op.len() > STEP_OP_BYTES_MAX {
        return Err(Refusal::field("op", format!("has more than {STEP_OP_BYTES_MAX} bytes")));
    }
    let done = step.outcome == StepOutcome::Done;
    if !done && step.output.is_some() {
        return Err(Refusal::field("output", "a refused step has a `reason`, and no output"));
    }
    let data = if done {
        no_reason(step.reason.as_deref(), "only a refused step has a reason")?;
        payload("output", step.output.as_deref())?
    } else {
        Payload::from(reason(step.reason.as_deref())?.unwrap_or_default())
    };
    Ok(Progress { branch: step.branch.clone(), op: step.op.clone(), done, data })
}

/// How a workflow ended: whether it committed, why not, and its result.
pub(in crate::api::v1) fn end(request: &FinishWorkflow) -> Result<(bool, Option<String>, Payload), Refusal> {
    if request.outcome == WorkflowOutcome::Committed {
        no_reason(request.reason.as_deref(), "only a workflow that is rolled back has a reason")?;
        return Ok((true, None, payload("result", request.result.as_deref())?));
    }
    if request.result.is_some() {
        return Err(Refusal::field("result", "only a workflow that committed has a result"));
    }
    Ok((false, reason(request.reason.as_deref())?.map(str::to_owned), Payload::default()))
}

fn check_word(field: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::field(field, "must not be empty"));
    }
    check_text(field, text)
}

fn reason(text: Option<&str>) -> Result<Option<&str>, Refusal> {
    text.map_or(Ok(()), |text| check_text("reason", text))?;
    Ok(text)
}

fn no_reason(text: Option<&str>, detail: &str) -> Result<(), Refusal> {
    text.map_or(Ok(()), |_| Err(Refusal::field("reason", detail)))
}

fn payload(field: &str, json: Option<&RawValue>) -> Result<Payload, Refusal> {
    Ok(compact(field, json)?.map_or_else(Payload::default, |json| Payload::from(json.get())))
}

/// JSON without insignificant white space: so equal documents are equal records.
fn compact(field: &str, json: Option<&RawValue>) -> Result<Option<Box<RawValue>>, Refusal> {
    let Some(json) = json else { return Ok(None) };
    if json::depth(json.get()) > json::DEPTH_MAX {
        return Err(Refusal::field(field, format!("nests deeper than {} levels", json::DEPTH_MAX)));
    }
    let compact = RawValue::from_string(json::compact(json.get()));
    compact.map(Some).map_err(|error| Refusal::internal(&error))
}
