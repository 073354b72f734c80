//! Turns types of the engine into documents of the native API. Nothing is decided here.

use serde_json::value::RawValue;
use trine_engine::{
    Branch, CallReport, Event, Exposure, ForceTo, OpProgress, OpState, Outcome, Payload, Progress, Record,
    RollbackCause, Snapshot, Spec, Transaction, WaitingOn,
};
use trine_protocol::v1::{
    Answer, Base64, BranchView, CauseView, Exposure as ExposureView, HistoryEvent, NextCall,
    OpState as OpStateView, OpView, StepOutcome, TransactionView, WaitingOn as WaitingOnView, WorkflowStep,
    WorkflowView,
};
use trine_protocol::{Op, OutcomeKind, Pattern, Status, Target, Timestamp, json};

use super::super::workflows;

/// The answer to a command.
pub(crate) fn answer(snapshot: Snapshot) -> Answer {
    Answer {
        settled: snapshot.status.is_settled(),
        cause: snapshot.cause.as_ref().map(cause),
        waiting_on: snapshot.waiting_on.map(waiting_on),
        gid: snapshot.gid,
        pattern: snapshot.pattern,
        status: snapshot.status,
        parked: snapshot.parked,
    }
}

/// The op that the transaction waits for.
pub(crate) fn waiting_on(on: WaitingOn) -> WaitingOnView {
    let WaitingOn { branch, op, attempts, last, last_error, next_at, since } = on;
    WaitingOnView { branch, op, attempts, last_outcome: last, last_error, next_at, since }
}

fn cause(cause: &RollbackCause) -> CauseView {
    let (branch, reason) = match cause {
        RollbackCause::Refused { branch, reason } => (Some(branch.clone()), Some(reason.clone())),
        RollbackCause::Exhausted { branch, reason } => (Some(branch.clone()), reason.clone()),
        RollbackCause::Aborted { reason } => (None, reason.clone()),
        RollbackCause::CheckRefused { reason } => (None, Some(reason.clone())),
        RollbackCause::Deadline { branch, reason } => (branch.clone(), reason.clone()),
    };
    CauseView { kind: cause.kind().into(), branch, reason }
}

/// One transaction in full, from its records and its state.
pub(super) fn view(transaction: &Transaction, records: &[Record], now: Timestamp) -> TransactionView {
    let spec = transaction.spec();
    let forced = || forced_cause(transaction, records);
    TransactionView {
        gid: transaction.gid().clone(),
        pattern: transaction.pattern(),
        status: transaction.status(),
        settled: transaction.status().is_settled(),
        parked: transaction.parked().map(str::to_owned),
        cause: transaction.cause().map(cause).or_else(forced),
        waiting_on: transaction.waiting_on().map(waiting_on),
        may_stand: transaction.may_stand().into_iter().cloned().collect(),
        exposure: exposure(spec),
        labels: spec.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        opened: spec.open,
        seq: transaction.seq(),
        created_at: transaction.created_at(),
        updated_at: transaction.updated_at(),
        settled_at: transaction.settled_at(),
        deadline_at: transaction.deadline_at(),
        check: transaction.check().map(|check| op_view(Op::Check, check, spec.check.as_ref())),
        branches: transaction.branches().iter().map(|branch| branch_view(transaction, branch)).collect(),
        next: next_calls(transaction),
        wake_at: transaction.agenda(now).wake_at,
    }
}

fn exposure(spec: &Spec) -> Option<ExposureView> {
    let exposure = match spec.exposure {
        Exposure::Ahead => ExposureView::Ahead,
        Exposure::Exact => ExposureView::Exact,
    };
    (spec.pattern == Pattern::Saga).then_some(exposure)
}

/// The recorded steps and the end of a workflow.
pub(super) fn workflow(transaction: &Transaction, records: &[Record]) -> WorkflowView {
    let forced = || forced_cause(transaction, records);
    let (result, result_base64) = every_byte(&workflows::result(transaction).unwrap_or_default());
    WorkflowView {
        gid: transaction.gid().clone(),
        status: transaction.status(),
        settled: transaction.status().is_settled(),
        steps: transaction.progress_made().iter().map(|progress| step(progress)).collect(),
        result,
        result_base64,
        cause: transaction.cause().map(cause).or_else(forced),
    }
}

/// A recorded step. If it was refused, a JSON object is its output, and anything else its reason.
fn step(progress: &Progress) -> WorkflowStep {
    let json = as_json(&progress.data);
    let is_reason = !progress.done && json.as_ref().is_none_or(|json| !json.get().starts_with('{'));
    WorkflowStep {
        branch: progress.branch.clone(),
        op: progress.op.clone(),
        outcome: if progress.done { StepOutcome::Done } else { StepOutcome::Refused },
        output: json.filter(|_| !is_reason),
        reason: is_reason.then(|| String::from_utf8_lossy(progress.data.as_bytes()).into_owned()),
    }
}

/// A payload as JSON. Native payloads are JSON; of dialects, bytes that are not text are shown as base64.
fn as_json(payload: &Payload) -> Option<Box<RawValue>> {
    let (json, bytes) = output(payload);
    json.or_else(|| serde_json::value::to_raw_value(&bytes?).ok())
}

/// Bytes as JSON if that keeps every byte, and otherwise as base64. A `null` is given as base64, because readers take it for an absent field.
fn every_byte(bytes: &[u8]) -> (Option<Box<RawValue>>, Option<Base64>) {
    match output(&bytes.into()) {
        (Some(json), _) if json.get().as_bytes() == bytes && json.get() != "null" => (Some(json), None),
        _ => (None, (!bytes.is_empty()).then(|| bytes.into())),
    }
}

/// The operator's reason, if the rollback had no earlier cause.
fn forced_cause(transaction: &Transaction, records: &[Record]) -> Option<CauseView> {
    if transaction.forced() != Some(ForceTo::RolledBack) {
        return None;
    }
    let reason = records.iter().rev().find_map(|record| match &record.event {
        Event::Forced { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    Some(CauseView { kind: "forced".into(), branch: None, reason })
}

fn branch_view(transaction: &Transaction, branch: &Branch) -> BranchView {
    let pattern = transaction.pattern();
    let after = branch.after.iter().filter_map(|&position| transaction.branches().get(position as usize));
    let mut ops = vec![op_view(Op::forward(pattern), &branch.forward, branch.spec.forward.as_ref())];
    if let Some(op) = finish_op(transaction, branch) {
        ops.push(op_view(op, branch.finish(), branch.spec.target(pattern, op)));
    }
    BranchView {
        id: branch.spec.id.clone(),
        after: after.map(|branch| branch.spec.id.clone()).collect(),
        exposed: branch.exposed,
        read_only: branch.read_only,
        ops,
    }
}

/// The op of this branch in phase two.
fn finish_op(transaction: &Transaction, branch: &Branch) -> Option<Op> {
    let pattern = transaction.pattern();
    let touched = *branch.finish() != OpProgress::default();
    let decided_yes = matches!(transaction.status(), Status::Committing | Status::Committed);
    let op = if transaction.cause().is_some() {
        Op::on_rollback(pattern)
    } else if decided_yes || touched {
        Op::on_commit(pattern)
    } else {
        None
    }?;
    let asked = branch.exposed && !branch.read_only && branch.spec.target(pattern, op).is_some();
    (touched || (asked && transaction.forced().is_none())).then_some(op)
}

fn op_view(op: Op, progress: &OpProgress, target: Option<&Target>) -> OpView {
    let mut view = OpView {
        op,
        state: OpStateView::Pending,
        attempts: progress.attempts,
        target: target.cloned(),
        output: None,
        output_base64: None,
        reason: None,
        retry_at: None,
        last_outcome: progress.last,
        last_error: progress.error().map(str::to_owned),
        since: progress.in_vain_since(),
        not_sent: progress.is_not_sent(),
    };
    match &progress.state {
        OpState::Pending => {}
        OpState::Waiting { until } => {
            view.state = OpStateView::Waiting;
            view.retry_at = Some(*until);
        }
        OpState::Done { output: bytes } => {
            view.state = OpStateView::Done;
            (view.output, view.output_base64) = output(bytes);
        }
        OpState::Refused { reason } => {
            view.state = OpStateView::Refused;
            view.reason = Some(reason.to_string());
        }
        OpState::Parked { cause } => {
            view.state = OpStateView::Parked;
            view.reason = Some(cause.as_str().into());
        }
    }
    view
}

fn next_calls(transaction: &Transaction) -> Vec<NextCall> {
    let owed = transaction.owed();
    let next = owed.into_iter().map(|owed| NextCall {
        branch: owed
            .key
            .branch
            .and_then(|position| transaction.branches().get(position as usize))
            .map(|branch| branch.spec.id.clone()),
        op: owed.key.op,
        attempt: owed.key.attempt,
        due_at: owed.due_at,
    });
    next.collect()
}

/// The output of a participant: as JSON; as a string if it is not JSON or nests too deep; as base64 if it is not text. JSON is
/// compact, so that it fits on one line of an event stream.
fn output(payload: &Payload) -> (Option<Box<RawValue>>, Option<Base64>) {
    if payload.is_empty() {
        return (None, None);
    }
    let Ok(text) = std::str::from_utf8(payload.as_bytes()) else {
        return (None, Some(Base64::from(payload.as_bytes())));
    };
    let json = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if !json::is_too_deep(raw.get()) => {
            RawValue::from_string(json::compact(raw.get()).into_owned())
        }
        Ok(_) | Err(_) => serde_json::value::to_raw_value(text),
    };
    (json.ok(), None)
}

/// One record as an element of the history.
pub(super) fn history_event(record: &Record) -> HistoryEvent {
    let mut view = bare(record);
    match &record.event {
        Event::BranchRegistered { branch } => view.branch = Some(branch.id.clone()),
        Event::RollbackBegun { cause: why, owed } => {
            view.owed = owed.clone();
            let why = cause(why);
            view.cause = Some(why.kind);
            view.branch = why.branch;
            view.reason = why.reason;
        }
        Event::CallAnswered { branch, op, attempt, outcome, retry_at, report } => {
            view.branch = branch.clone();
            view.op = Some(*op);
            view.attempt = Some(*attempt);
            view.retry_at = *retry_at;
            answered(&mut view, outcome, report);
        }
        Event::NotSent { branch, op, since, reason } => {
            view.branch = branch.clone();
            view.op = Some(*op);
            view.since = Some(*since);
            view.reason = Some(reason.to_string());
        }
        Event::OpParked { branch, op, cause } => {
            view.branch = branch.clone();
            view.op = Some(*op);
            view.cause = Some(cause.as_str().into());
        }
        Event::Replayed { branch, .. } => view.branch = branch.clone(),
        Event::Quarantined { detail } => view.reason = Some(detail.clone()),
        Event::Forced { to, reason, by } => {
            view.to = Some(to.status().as_str().into());
            view.reason = Some(reason.to_string());
            view.by = by.clone();
        }
        Event::Progressed { progress, .. } => {
            view.branch = Some(progress.branch.clone());
            view.step = Some(progress.op.clone());
            view.outcome = Some(if progress.done { OutcomeKind::Done } else { OutcomeKind::Refused });
            (view.output, view.output_base64) = output(&progress.data);
        }
        Event::Finished { committed, reason, result } => {
            let to = if *committed { Status::Committed } else { Status::RolledBack };
            view.to = Some(to.as_str().into());
            view.reason = reason.clone();
            (view.output, view.output_base64) = output(result);
        }
        Event::Created { .. }
        | Event::Started
        | Event::Submitted { .. }
        | Event::Resumed { .. }
        | Event::CommitDecided
        | Event::Committed
        | Event::TakenOver
        | Event::RolledBack => {}
    }
    view
}

/// An element with only name, seq and time.
fn bare(record: &Record) -> HistoryEvent {
    HistoryEvent {
        seq: record.seq,
        at: record.at,
        event: record.event.name().into(),
        branch: None,
        op: None,
        step: None,
        attempt: None,
        outcome: None,
        status_code: None,
        duration_ms: None,
        error: None,
        retry_at: None,
        since: None,
        output: None,
        output_base64: None,
        read_only: false,
        cause: None,
        reason: None,
        by: None,
        to: None,
        owed: None,
    }
}

fn answered(view: &mut HistoryEvent, outcome: &Outcome, report: &CallReport) {
    view.outcome = Some(outcome.kind());
    view.status_code = report.status_code;
    view.duration_ms = Some(report.duration_ms);
    view.error = report.error.clone();
    match outcome {
        Outcome::Done { output: bytes, read_only } => {
            (view.output, view.output_base64) = output(bytes);
            view.read_only = *read_only;
        }
        Outcome::Refused { reason } => view.reason = Some(reason.clone()),
        Outcome::Ongoing { .. } | Outcome::Unknown | Outcome::ClientError => {}
    }
}

#[cfg(test)]
mod tests;
