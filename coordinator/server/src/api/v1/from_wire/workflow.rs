//! Turns the documents of workflows into types of the engine.

use serde_json::value::RawValue;
use trine_engine::{CallPolicy, Draft, Payload, Progress, RetryPolicy, Spec};
use trine_protocol::Pattern;
use trine_protocol::limits::CHECK_AFTER_MS_DEFAULT;
use trine_protocol::v1::{
    FinishWorkflow, StartWorkflow, StepOutcome, WorkflowCallback, WorkflowOutcome, WorkflowStep,
};

use super::{check_target, check_text, named_by};
use crate::api::problem::Refusal;
use crate::api::v1::digest;
use crate::api::v1::options::duration;
use crate::api::workflows::STEP_OP_BYTES_MAX;
use trine_protocol::json;

/// Shortest pause between callbacks. Each answered callback is a record, so more would fill the journal.
const CALLBACK_AFTER_MS_MIN: u64 = 1_000;
/// Longest pause after failed callbacks, unless the workflow asks for a longer one.
const CALLBACK_INTERVAL_MS_MAX: u64 = 60_000;

/// Turns a start into a spec. The body of the callback is made once, here, and kept in the journal.
pub(in crate::api::v1) fn workflow_spec(request: &StartWorkflow) -> Result<Spec, Refusal> {
    check_word("name", &request.name)?;
    check_target(&"callback", &request.callback)?;
    let after_ms = duration(
        format_args!(""),
        "callback_after",
        request.callback_after,
        request.callback_after_ms,
        CALLBACK_AFTER_MS_MIN,
    )?
    .unwrap_or(CHECK_AFTER_MS_DEFAULT);
    one_of("input", request.input.is_some(), request.input_base64.is_some())?;
    let input = compact("input", request.input.as_deref())?;
    let input_base64 = request.input_base64.clone();
    let body = WorkflowCallback { name: request.name.clone(), input, input_base64 };
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
        check_call: CallPolicy { retry, ongoing_ms: after_ms, ..policy }.into(),
        digest: digest::of_workflow(&body),
        check_payload: Payload::from(body.as_slice()),
        ..Draft::new(Pattern::Workflow)
    };
    draft.build().map_err(Refusal::from)
}

/// The participant a start names, with the field that names it.
pub(in crate::api::v1) fn participant_of_workflow(request: &StartWorkflow) -> Vec<(String, String)> {
    named_by(&"callback", &request.callback).into_iter().collect()
}

/// Turns a step into a progress record.
pub(in crate::api::v1) fn progress(step: &WorkflowStep) -> Result<Progress, Refusal> {
    check_word("op", &step.op)?;
    if step.op.len() > STEP_OP_BYTES_MAX {
        return Err(Refusal::field("op", format!("has more than {STEP_OP_BYTES_MAX} bytes")));
    }
    let done = step.outcome == StepOutcome::Done;
    let output = compact("output", step.output.as_deref())?;
    let data = if done {
        no_reason(step.reason.as_deref(), "only a refused step has a reason")?;
        payload(output.as_deref())
    } else if let Some(output) = &output {
        no_reason(step.reason.as_deref(), "a refused step has a `reason` or an `output`, not both")?;
        // Any other JSON could be the text of a reason.
        if !output.get().starts_with('{') {
            return Err(Refusal::field("output", "of a refused step must be an object"));
        }
        payload(Some(output))
    } else {
        Payload::from(reason(step.reason.as_deref())?.unwrap_or_default())
    };
    Ok(Progress { branch: step.branch.clone(), op: step.op.clone(), done, data })
}

/// How a workflow ended: whether it committed, why not, and its result.
pub(in crate::api::v1) fn end(request: &FinishWorkflow) -> Result<(bool, Option<String>, Payload), Refusal> {
    one_of("result", request.result.is_some(), request.result_base64.is_some())?;
    if request.outcome == WorkflowOutcome::Committed {
        no_reason(request.reason.as_deref(), "only a workflow that is rolled back has a reason")?;
        let result = match &request.result_base64 {
            Some(bytes) => Payload::from(bytes.as_bytes()),
            None => payload(compact("result", request.result.as_deref())?.as_deref()),
        };
        return Ok((true, None, result));
    }
    for (field, given) in
        [("result", request.result.is_some()), ("result_base64", request.result_base64.is_some())]
    {
        if given {
            return Err(Refusal::field(field, "only a workflow that committed has a result"));
        }
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

/// JSON and bytes are two ways to give one thing.
fn one_of(field: &str, json: bool, base64: bool) -> Result<(), Refusal> {
    if json && base64 {
        let detail = format!("give `{field}` or `{field}_base64`, not both");
        return Err(Refusal::field(format!("{field}_base64"), detail));
    }
    Ok(())
}

fn payload(json: Option<&RawValue>) -> Payload {
    json.map_or_else(Payload::default, |json| Payload::from(json.get()))
}

/// Compact JSON, so that equal documents give equal records.
fn compact(field: &str, json: Option<&RawValue>) -> Result<Option<Box<RawValue>>, Refusal> {
    let Some(json) = json else { return Ok(None) };
    if json::is_too_deep(json.get()) {
        return Err(Refusal::field(field, format!("nests deeper than {} levels", json::DEPTH_MAX)));
    }
    let compact = RawValue::from_string(json::compact(json.get()).into_owned());
    compact.map(Some).map_err(|error| Refusal::internal(&error))
}
