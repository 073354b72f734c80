//! One execution of a workflow, from the start call to the finish call.
//!
//! The decision to commit or to roll back is recorded before any branch is committed or undone, and before a workflow ends
//! that another executor might undo. So a handler that refuses today and would not refuse tomorrow never commits what it
//! began to undo. If two executors decide differently, the record of one is taken and the other executor stops.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;

use trine_protocol::{BranchId, Op};

use super::flow::{Answer, Asked, Finisher, Inner, Workflow, open};
use super::wire::{About, Coordinator, End, Form, Phase, Standing, branch_id, clip, null};
use super::{Failure, WorkflowError};
use crate::client::call::with_causes;

/// The future of a handler.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>>;

/// A handler with its types hidden.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) form: Form,
    pub(super) run: Arc<dyn Fn(Workflow, Vec<u8>) -> Running + Send + Sync>,
}

/// Executes a workflow from where it is to its end, or to where it cannot go on for now.
pub(super) async fn execute(
    coordinator: Coordinator,
    handler: Handler,
    about: About,
) -> Result<Vec<u8>, WorkflowError> {
    let recorded = match coordinator.start(&about).await? {
        Standing::Open(recorded) => recorded,
        Standing::Done(result) => return Ok(result),
        Standing::Refused(reason) => return Err(WorkflowError::Refused(reason)),
    };
    let input = about.input.clone();
    let flow = Workflow::new(about, coordinator, recorded);
    let answer = (handler.run)(flow.clone(), input).await;
    let inner = &flow.inner;
    let (end, asked) = close(inner, answer)?;
    let decides = asked.iter().any(|asked| asked.on_commit.is_some() || asked.on_rollback.is_some());
    let open = open(&asked);
    let owed = owed(inner, &end, asked)?;
    if decides && inner.decision().is_none() {
        let decision = end.as_ref().map(|_| null()).map_err(String::clone);
        inner.record(&branch_id(0), Phase::Decision, &decision, open).await?;
    }
    for owed in owed {
        finish_branch(inner, owed).await?;
    }
    inner.coordinator.finish(&inner.about, end).await
}

/// Closes a handler that ended, and says which way the workflow goes and with which branches.
fn close(inner: &Inner, answer: Result<Vec<u8>, Failure>) -> Result<(End, Vec<Asked>), WorkflowError> {
    let mut state = inner.lock();
    state.over = true;
    if let Some(error) = state.stopped.take() {
        return Err(error);
    }
    let asked = mem::take(&mut state.asked);
    drop(state);
    if let Some(branch) =
        inner.asked_on_record().find(|branch| asked.iter().all(|known| known.id.as_str() != *branch))
    {
        // The step may have taken effect, and this execution does not know how to undo it.
        return Err(WorkflowError::Diverged(format!("step {branch} is on record, and was not asked for")));
    }
    let end = match (answer, inner.decision()) {
        (Err(Failure::Unknown(error)), _) => {
            let reason = with_causes(&*error);
            return Err(WorkflowError::Unknown { step: "the handler".into(), reason });
        }
        (Err(Failure::Stopped(error)), _) => return Err(error),
        (Ok(_) | Err(Failure::Refused(_)), Some(Err(reason))) => Err(reason.to_owned()),
        (Err(Failure::Refused(reason)), Some(Ok(()))) => {
            let what = format!("it was decided to commit, and now the handler refuses: {reason}");
            return Err(WorkflowError::Diverged(what));
        }
        (Err(Failure::Refused(reason)), None) => Err(clip(&reason)),
        (Ok(result), _) => Ok(result),
    };
    let open = asked.iter().find(|asked| end.is_ok() && asked.answer == Answer::Pending);
    if let Some(open) = open {
        let reason = "the handler ended well without waiting for its answer".to_owned();
        return Err(WorkflowError::Unknown { step: open.id.to_string(), reason });
    }
    Ok((end, asked))
}

/// An op that is owed to a branch after the decision.
struct Owed {
    branch: BranchId,
    phase: Phase,
    op: Op,
    finisher: Finisher,
}

/// The ops that the decision asks for and that are not on record: commits in the order in which the steps were asked for,
/// rollbacks in reverse. Steps that were refused are undone whatever the end: a late duplicate of one might succeed.
fn owed(inner: &Inner, end: &End, mut asked: Vec<Asked>) -> Result<Vec<Owed>, WorkflowError> {
    asked.reverse();
    let commits = |asked: &Asked| end.is_ok() && asked.answer == Answer::Done;
    let (committed, undone): (Vec<_>, Vec<_>) = asked.into_iter().partition(commits);
    let committed = committed.into_iter().rev().map(|asked| (Phase::Commit, asked));
    let undone = undone.into_iter().map(|asked| (Phase::Rollback, asked));
    let mut owed = Vec::new();
    for (phase, asked) in committed.chain(undone) {
        let op = asked.op(phase);
        let finisher = if phase == Phase::Commit { asked.on_commit } else { asked.on_rollback };
        let Some(finisher) = finisher else { continue };
        match inner.on_record(&asked.id, phase) {
            None => owed.push(Owed { branch: asked.id, phase, op, finisher }),
            Some(Ok(_)) => {}
            Some(Err(reason)) => {
                let what = format!("{op} of {} is on record as refused: {reason}", asked.id);
                return Err(WorkflowError::Diverged(what));
            }
        }
    }
    Ok(owed)
}

async fn finish_branch(inner: &Inner, owed: Owed) -> Result<(), WorkflowError> {
    let Owed { branch, phase, op, finisher } = owed;
    let reason = match finisher(inner.step(&branch, op)).await {
        Ok(()) => return inner.record(&branch, phase, &Ok(null()), Vec::new()).await,
        Err(Failure::Refused(reason)) => format!("it may not be refused, and was: {reason}"),
        Err(Failure::Unknown(error)) => with_causes(&*error),
        Err(Failure::Stopped(error)) => return Err(error),
    };
    Err(WorkflowError::Unknown { step: format!("{branch}/{op}"), reason })
}
