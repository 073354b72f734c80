//! An execution as its handler sees it: branches, their steps, and what is on record of them.
//!
//! A branch counts as asked for as soon as its step is, synchronously and before anything is sent: whatever may have run is
//! known when the handler ends, also if it dropped the step half way. Each record names the branches that had none yet, so
//! that whoever resumes knows of them, too.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use trine_protocol::limits::BRANCHES_MAX;
use trine_protocol::{BranchId, Gid, JournalId, Op};

use super::wire::{About, Coordinator, NO_BRANCH, Phase, Recorded, Settled, branch_id, clip};
use super::{Failure, Step, WorkflowError};
use crate::BranchContext;
use crate::client::call::with_causes;

/// Most branches of a workflow: each has up to two records, and there is the decision.
pub const WORKFLOW_BRANCHES_MAX: usize = BRANCHES_MAX / 2 - 1;

/// What is done with a branch after the decision.
pub(super) type Finisher =
    Box<dyn FnOnce(Step) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> + Send>;

/// A running execution of a workflow, in the hands of its handler. Cheap to clone.
///
/// **The handler must ask for the same branches in the same order whenever it is executed** with the same input and the
/// same answers of its steps: a step is found in the record by its branch's number. What varies (the time, a random
/// number, a row of a database) belongs into a step, whose first answer is kept.
#[derive(Clone)]
pub struct Workflow {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) about: About,
    pub(super) coordinator: Coordinator,
    /// The journal that holds the workflow, if the coordinator says.
    journal: Option<JournalId>,
    /// The mark of this execution on what it records.
    executor: String,
    recorded: HashMap<(String, Phase), Recorded>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Branches given out.
    branches: usize,
    /// Those whose step was asked for, in that order.
    pub(super) asked: Vec<Asked>,
    /// Why nothing may happen any more.
    pub(super) stopped: Option<WorkflowError>,
    /// The handler has ended.
    pub(super) over: bool,
}

/// A branch whose step was asked for.
pub(super) struct Asked {
    pub(super) id: BranchId,
    ops: Ops,
    pub(super) answer: Answer,
    pub(super) on_commit: Option<Finisher>,
    pub(super) on_rollback: Option<Finisher>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// None: it may have run all the same.
    Pending,
    Done,
    Refused,
}

/// Under which ops a branch's phases are known to participants and barriers.
#[derive(Debug, Clone, Copy)]
enum Ops {
    Saga,
    Tcc,
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow").field("about", &self.inner.about).finish_non_exhaustive()
    }
}

impl Workflow {
    pub(super) fn new(about: About, coordinator: Coordinator, recorded: Vec<Recorded>) -> Self {
        let recorded = recorded.into_iter().map(|step| ((step.branch.clone(), step.phase), step)).collect();
        let executor = uuid::Uuid::now_v7().to_string();
        // Of the answer that said how far it is.
        let journal = coordinator.client.inner.transport.journal();
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { about, coordinator, journal, executor, recorded, state }) }
    }

    /// The workflow's gid.
    pub fn gid(&self) -> &Gid {
        &self.inner.about.gid
    }

    /// The next branch: `01`, `02` and so on. It is nothing until its step is asked for.
    pub fn branch(&self) -> Branch {
        let number = {
            let mut state = self.inner.lock();
            state.branches += 1;
            state.branches
        };
        Branch { flow: self.clone(), number, id: branch_id(number), on_commit: None, on_rollback: None }
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn on_record(&self, branch: &str, phase: Phase) -> Option<&Settled> {
        self.recorded.get(&(branch.to_owned(), phase)).map(|step| &step.settled)
    }

    /// Which way phase two goes, if that is on record: yes, or no with a reason.
    pub(super) fn decision(&self) -> Option<Result<(), &str>> {
        let settled = self.on_record(NO_BRANCH, Phase::Decision)?;
        Some(settled.as_ref().map(|_| ()).map_err(String::as_str))
    }

    /// Branches whose steps an earlier execution is known to have asked for.
    pub(super) fn asked_on_record(&self) -> impl Iterator<Item = &str> {
        let own = self.recorded.keys().filter(|(_, phase)| *phase != Phase::Decision);
        let others = self.recorded.values().flat_map(|step| &step.open);
        own.map(|(branch, _)| branch).chain(others).map(String::as_str)
    }

    pub(super) async fn record(
        &self,
        branch: &str,
        phase: Phase,
        settled: &Settled,
        open: Vec<String>,
    ) -> Result<(), WorkflowError> {
        self.coordinator.record(&self.about, &self.executor, branch, phase, settled, open).await
    }

    pub(super) fn step(&self, asked: &BranchId, op: Op) -> Step {
        let mut context = BranchContext::new(self.about.gid.clone(), asked.clone(), op);
        context.journal.clone_from(&self.journal);
        Step::new(context, self.coordinator.client.clone())
    }

    /// From now on nothing happens any more; the first reason counts.
    fn stop(&self, error: WorkflowError) -> Failure {
        Failure::Stopped(self.lock().stopped.get_or_insert(error).clone())
    }

    fn stopped(&self) -> Result<(), Failure> {
        self.lock().stopped.clone().map_or(Ok(()), |error| Err(Failure::Stopped(error)))
    }
}

/// Branches without an answer on record.
pub(super) fn open(asked: &[Asked]) -> Vec<String> {
    asked.iter().filter(|asked| asked.answer == Answer::Pending).map(|asked| asked.id.to_string()).collect()
}

impl Asked {
    pub(super) fn op(&self, phase: Phase) -> Op {
        self.ops.of(phase)
    }
}

impl Ops {
    fn of(self, phase: Phase) -> Op {
        match (self, phase) {
            (Self::Saga, Phase::Rollback) => Op::Compensate,
            (Self::Saga, Phase::Action | Phase::Commit | Phase::Decision) => Op::Action,
            (Self::Tcc, Phase::Commit) => Op::Confirm,
            (Self::Tcc, Phase::Rollback) => Op::Cancel,
            (Self::Tcc, Phase::Action | Phase::Decision) => Op::Try,
        }
    }
}

/// A branch to be: first what undoes it and what makes it last, then its step.
#[must_use = "a branch does nothing until it is run"]
pub struct Branch {
    flow: Workflow,
    number: usize,
    id: BranchId,
    on_commit: Option<Finisher>,
    on_rollback: Option<Finisher>,
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branch").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Branch {
    /// Its id.
    pub fn id(&self) -> &BranchId {
        &self.id
    }

    /// What undoes the step. It is run if the workflow is refused, also when the step never answered, and however the
    /// workflow ends if the step itself was refused (a late duplicate of it may still take effect), so it must be harmless
    /// where there is nothing to undo; barriers are.
    /// It may not be refused, and is tried at every callback until it is done.
    pub fn on_rollback<F, R>(mut self, undo: F) -> Self
    where
        F: FnOnce(Step) -> R + Send + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.on_rollback = Some(Box::new(|step| Box::pin(undo(step))));
        self
    }

    /// What makes the step last. It is run if the workflow is done and this step was; it may not be refused, and is tried
    /// at every callback until it is done. It also makes the branch a try with confirm and cancel to participants and
    /// barriers, instead of an action with a compensation.
    pub fn on_commit<F, R>(mut self, keep: F) -> Self
    where
        F: FnOnce(Step) -> R + Send + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.on_commit = Some(Box::new(|step| Box::pin(keep(step))));
        self
    }

    /// The step: answered from the record if it is there, and otherwise run, and recorded when it is done or refused.
    ///
    /// The branch counts as asked for when this is called, before it is awaited; await it to the end. Several may be
    /// awaited at once.
    ///
    /// # Errors
    /// [`Failure::Refused`], which the handler may cope with; anything else ends the execution, whatever the handler does.
    pub fn run<T, F, R>(self, action: F) -> impl Future<Output = Result<T, Failure>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnOnce(Step) -> R + Send,
        R: Future<Output = Result<T, Failure>> + Send,
    {
        let Self { flow, number, id, on_commit, on_rollback } = self;
        let ops = if on_commit.is_some() { Ops::Tcc } else { Ops::Saga };
        let asked = Asked { id: id.clone(), ops, answer: Answer::Pending, on_commit, on_rollback };
        let position = flow.inner.ask(number, asked);
        async move {
            let position = position?;
            let settled = flow.inner.settle(&id, ops, action).await?;
            let answer = if settled.is_ok() { Answer::Done } else { Answer::Refused };
            // Of a handler that has ended there are none any more.
            if let Some(asked) = flow.inner.lock().asked.get_mut(position) {
                asked.answer = answer;
            }
            let output = settled.map_err(Failure::Refused)?;
            read(&flow.inner, &id, &output)
        }
    }

    /// The step is a call of a participant: see [`Step::call`].
    ///
    /// # Errors
    /// As [`Branch::run`].
    pub fn call<P, T>(
        self,
        target: impl Into<String>,
        payload: P,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        P: Serialize + Send + Sync,
        T: Serialize + DeserializeOwned + Send,
    {
        let target = target.into();
        self.run(async move |step: Step| step.call(target, &payload).await)
    }
}

impl Inner {
    /// Takes note of a branch that may run from now on.
    fn ask(&self, number: usize, asked: Asked) -> Result<usize, Failure> {
        let mut state = self.lock();
        if state.over {
            let what = format!("step {} was asked for after the handler had ended", asked.id);
            return Err(Failure::Stopped(WorkflowError::Diverged(what)));
        }
        if number > WORKFLOW_BRANCHES_MAX {
            return Err(Failure::refused(format!("more than {WORKFLOW_BRANCHES_MAX} branches")));
        }
        state.asked.push(asked);
        Ok(state.asked.len() - 1)
    }

    /// What a step came to, by the record, which this completes.
    async fn settle<T, F, R>(&self, id: &BranchId, ops: Ops, action: F) -> Result<Settled, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Step) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        self.stopped()?;
        if let Some(settled) = self.on_record(id.as_str(), Phase::Action) {
            // The answer may end the handler at once: first, steps that are awaited along with this one are asked for.
            tokio::task::yield_now().await;
            return Ok(settled.clone());
        }
        match self.decision() {
            Some(Ok(())) => {
                let what = format!("step {id} is new, and it was decided to commit without it");
                return Err(self.stop(WorkflowError::Diverged(what)));
            }
            // It will be undone; there is no point in doing it.
            Some(Err(_)) => return Ok(Err("it was decided to roll back".into())),
            None => {}
        }
        self.may_act(id)?;
        let op = ops.of(Phase::Action);
        let settled = match action(self.step(id, op)).await {
            Ok(output) => Ok(written(&output).map_err(|error| self.bad_output(id, &error))?),
            Err(Failure::Refused(reason)) => Err(clip(reason)),
            Err(Failure::Unknown(error)) => {
                let reason = with_causes(&*error);
                tracing::warn!(gid = %self.about.gid, branch = %id, %op, reason, "not known whether a step took effect");
                let _ = self.stop(WorkflowError::Unknown { step: format!("{id}/{op}"), reason });
                return Err(Failure::Unknown(error));
            }
            Err(Failure::Stopped(error)) => return Err(self.stop(error)),
        };
        // Likewise: so that the record names them.
        tokio::task::yield_now().await;
        let mut open = open(&self.lock().asked);
        open.retain(|branch| branch != id.as_str());
        self.record(id.as_str(), Phase::Action, &settled, open).await.map_err(|error| self.stop(error))?;
        Ok(settled)
    }

    /// Whether an action may begin: one that is begun late would follow its own undo.
    fn may_act(&self, id: &BranchId) -> Result<(), Failure> {
        if self.lock().over {
            let what = format!("step {id} would begin after the handler had ended");
            return Err(Failure::Stopped(WorkflowError::Diverged(what)));
        }
        Ok(())
    }

    fn bad_output(&self, id: &BranchId, error: &serde_json::Error) -> Failure {
        self.stop(WorkflowError::json(format!("the output of step {id}"), error))
    }
}

/// An output as it is recorded, if it can be read back: what is replayed is what was returned.
fn written<T: Serialize + DeserializeOwned>(
    output: &T,
) -> Result<Box<serde_json::value::RawValue>, serde_json::Error> {
    let written = serde_json::value::to_raw_value(output)?;
    serde_json::from_str::<T>(written.get())?;
    Ok(written)
}

fn read<T: DeserializeOwned>(
    inner: &Inner,
    id: &BranchId,
    output: &serde_json::value::RawValue,
) -> Result<T, Failure> {
    serde_json::from_str(output.get()).map_err(|error| inner.bad_output(id, &error))
}
