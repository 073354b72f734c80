//! Turns the documents of workflows into types of the engine.

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

/// Shortest pause between callbacks. Each answered callback is a record, so more would fill the journal.
const CALLBACK_AFTER_MS_MIN: u64 = 1_000;
/// Longest pause after failed callbacks, unless the workflow asks for a longer one.
const CALLBACK_INTERVAL_MS_MAX: u64 = 60_000;

/// Turns a start into a spec. The body of the callback is made once, here, and kept in the journal.
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
        // An answered callback proves nothing about the executor's progress, so the next one comes after the usual pause.
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

/// Turns a step into a progress record.
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

/// Compact JSON, so that equal documents give equal records.
fn compact(field: &str, json: Option<&RawValue>) -> Result<Option<Box<RawValue>>, Refusal> {
    let Some(json) = json else { return Ok(None) };
    if json::depth(json.get()) > json::DEPTH_MAX {
        return Err(Refusal::field(field, format!("nests deeper than {} levels", json::DEPTH_MAX)));
    }
    let compact = RawValue::from_string(json::compact(json.get()));
    compact.map(Some).map_err(|error| Refusal::internal(&error))
}
