//! An execution as its handler sees it: branches, their steps, and the records of the steps.
//!
//! A branch counts as asked for when `run` is called, before the step is awaited and before anything is sent. So all steps
//! that may have run are known when the handler ends, even if the handler dropped one half way. Each record names the
//! branches that were asked for and had no record yet, so that the next executor knows of these steps as well.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use trine_protocol::limits::BRANCHES_MAX;
use trine_protocol::{BranchId, Gid, JournalId, Op};

use super::wire::{About, Coordinator, Phase, Recorded, Settled, branch_id, clip};
use super::{Failure, Step, WorkflowError};
use crate::BranchContext;
use crate::client::call::with_causes;

/// Most branches of a workflow. A workflow has at most 1000 records: up to two for each branch, and one for the decision.
pub const WORKFLOW_BRANCHES_MAX: usize = BRANCHES_MAX / 2 - 1;

/// What is done with a branch after the decision.
pub(super) type Finisher =
    Box<dyn FnOnce(Step) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> + Send>;

/// A running execution of a workflow. The handler gets one and asks it for branches. Cheap to clone.
///
/// **A handler must ask for the same branches in the same order each time it is executed** with the same input and the
/// same answers of its steps, because a step is found on record by the number of its branch. Values that vary (the time, a
/// random number, a row of a database) belong into a step: the first answer of a step is kept.
///
/// ```
/// use trine_sdk::workflow::{Failure, Workflow};
///
/// async fn quote(flow: Workflow, amount: u64) -> Result<u64, Failure> {
///     // The rate of the first execution is recorded, and every later execution gets the same.
///     let rate: u64 = flow.branch().run(async |_| Ok(rate_of_today().await?)).await?;
///     Ok(amount * rate)
/// }
/// # async fn rate_of_today() -> std::io::Result<u64> { Ok(2) }
/// ```
#[derive(Clone)]
pub struct Workflow {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) about: About,
    pub(super) coordinator: Coordinator,
    /// The journal that holds the workflow, if the coordinator names it.
    journal: Option<JournalId>,
    /// The mark of this execution on its records.
    executor: String,
    recorded: HashMap<(BranchId, Phase), Recorded>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// How many branches the handler was given.
    branches: usize,
    /// The branches whose step was asked for, in that order.
    pub(super) asked: Vec<Asked>,
    /// Why no step may begin and nothing may be recorded any more.
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
    /// No answer yet. The step may have run all the same.
    Pending,
    Done,
    Refused,
}

/// The ops by which participants and barriers know the phases of a branch.
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
        // The answer to the start call has named it.
        let journal = coordinator.client.inner.transport.journal();
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { about, coordinator, journal, executor, recorded, state }) }
    }

    /// The workflow's gid.
    pub fn gid(&self) -> &Gid {
        &self.inner.about.gid
    }

    /// The next branch: `01`, `02` and so on. Nothing is recorded of a branch until its step is asked for.
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

    pub(super) fn on_record(&self, branch: &BranchId, phase: Phase) -> Option<&Settled> {
        self.recorded.get(&(branch.clone(), phase)).map(|step| &step.settled)
    }

    /// The decision, if one is on record: to commit, or to roll back with a reason.
    pub(super) fn decision(&self) -> Option<Result<(), &str>> {
        let settled = self.on_record(&branch_id(0), Phase::Decision)?;
        Some(settled.as_ref().map(|_| ()).map_err(String::as_str))
    }

    /// Branches whose steps an earlier execution is known to have asked for.
    pub(super) fn asked_on_record(&self) -> impl Iterator<Item = &str> {
        let own = self.recorded.keys().filter(|(_, phase)| *phase != Phase::Decision);
        let others = self.recorded.values().flat_map(|step| &step.open);
        own.map(|(branch, _)| branch.as_str()).chain(others.map(String::as_str))
    }

    pub(super) async fn record(
        &self,
        branch: &BranchId,
        phase: Phase,
        settled: &Settled,
        open: Vec<String>,
    ) -> Result<(), WorkflowError> {
        self.coordinator.record(&self.about.gid, &self.executor, branch, phase, settled, open).await
    }

    pub(super) fn step(&self, asked: &BranchId, op: Op) -> Step {
        let mut context = BranchContext::new(self.about.gid.clone(), asked.clone(), op);
        context.journal.clone_from(&self.journal);
        Step::new(context, self.coordinator.client.clone())
    }

    /// From now on no step begins and nothing is recorded or finished. The first reason counts.
    fn stop(&self, error: WorkflowError) -> Failure {
        Failure::Stopped(self.lock().stopped.get_or_insert(error).clone())
    }

    fn stopped(&self) -> Result<(), Failure> {
        self.lock().stopped.clone().map_or(Ok(()), |error| Err(Failure::Stopped(error)))
    }
}

/// The branches that have no answer yet.
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

/// A branch of a workflow. Say first how to undo the step and how to make it last, then run the step.
///
/// ```
/// use trine_sdk::workflow::{Failure, Step, Workflow};
///
/// // A try that reserves, a confirm that keeps the reservation, a cancel that gives it back: each at one address.
/// async fn reserve(flow: &Workflow, quantity: u32) -> Result<String, Failure> {
///     let at = "inventory:/stock/branch";
///     flow.branch()
///         .on_commit(async move |step: Step| step.tell(at, &quantity).await)
///         .on_rollback(async move |step: Step| step.tell(at, &quantity).await)
///         .call(at, quantity)
///         .await
/// }
/// ```
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
    /// The id of the branch, the same at every execution.
    pub fn id(&self) -> &BranchId {
        &self.id
    }

    /// Says how to undo the step. `undo` runs if the workflow is refused, even if the step never answered. It also runs if
    /// the step itself was refused, however the workflow ends, because a late duplicate of the step may still take effect.
    /// So `undo` must be harmless where there is nothing to undo; behind a barrier it is.
    /// `undo` may not be refused. It is tried at every callback until it is done.
    pub fn on_rollback<F, R>(mut self, undo: F) -> Self
    where
        F: FnOnce(Step) -> R + Send + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.on_rollback = Some(Box::new(|step| Box::pin(undo(step))));
        self
    }

    /// Says how to make the step last. `keep` runs if the step was done and the workflow is committed. It may not be refused,
    /// and is tried at every callback until it is done.
    /// To participants and barriers the branch is then a try with confirm and cancel, instead of an action with a
    /// compensation.
    pub fn on_commit<F, R>(mut self, keep: F) -> Self
    where
        F: FnOnce(Step) -> R + Send + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.on_commit = Some(Box::new(|step| Box::pin(keep(step))));
        self
    }

    /// The step. If it is on record, the record is the answer. Otherwise `action` runs, and its answer is recorded when the
    /// step is done or refused. An answer is JSON, at most 63 levels deep.
    /// The branch counts as asked for when this function is called, before its future is awaited. Await the future to the
    /// end. Several steps may be awaited at once.
    ///
    /// # Errors
    /// [`Failure::Refused`], after which the handler may go another way. Any other error ends the execution, whatever the
    /// handler does.
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
            // A handler that has ended has none any more.
            if let Some(asked) = flow.inner.lock().asked.get_mut(position) {
                asked.answer = answer;
            }
            let output = settled.map_err(Failure::Refused)?;
            read(&flow.inner, &id, &output)
        }
    }

    /// As [`Branch::run`], for a step that is one call of a participant: see [`Step::call`].
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
    /// Notes that the step of a branch may run from now on.
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

    /// The recorded answer of a step. Runs the step and records its answer if there is none.
    async fn settle<T, F, R>(&self, id: &BranchId, ops: Ops, action: F) -> Result<Settled, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Step) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        self.stopped()?;
        if let Some(settled) = self.on_record(id, Phase::Action) {
            // The answer may end the handler at once. Steps that are awaited along with this one are asked for first.
            tokio::task::yield_now().await;
            return Ok(settled.clone());
        }
        match self.decision() {
            Some(Ok(())) => {
                let what = format!("step {id} is new, and it was decided to commit without it");
                return Err(self.stop(WorkflowError::Diverged(what)));
            }
            // The step would be undone at once.
            Some(Err(_)) => return Ok(Err("it was decided to roll back".into())),
            None => {}
        }
        self.may_act(id)?;
        let op = ops.of(Phase::Action);
        let settled = match action(self.step(id, op)).await {
            Ok(output) => Ok(written(&output).map_err(|error| self.bad_output(id, &error))?),
            Err(Failure::Refused(reason)) => Err(clip(&reason)),
            Err(Failure::Unknown(error)) => {
                let reason = with_causes(&*error);
                tracing::warn!(gid = %self.about.gid, branch = %id, %op, reason, "not known whether a step took effect");
                let _ = self.stop(WorkflowError::Unknown { step: format!("{id}/{op}"), reason });
                return Err(Failure::Unknown(error));
            }
            Err(Failure::Stopped(error)) => return Err(self.stop(error)),
        };
        // Again steps that are awaited along with this one are asked for first, so that the record names them.
        tokio::task::yield_now().await;
        let mut open = open(&self.lock().asked);
        open.retain(|branch| branch != id.as_str());
        self.record(id, Phase::Action, &settled, open).await.map_err(|error| self.stop(error))?;
        Ok(settled)
    }

    /// An action must not begin after the handler has ended: its undo may have run already.
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

/// An output as JSON, if the JSON can be read back: a later execution gets the output from the record.
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
