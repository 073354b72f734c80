//! From an input to the first event (two, if an answer or a call that was not sent also parks its op or begins a rollback). Every input is decided, and deciding changes nothing (law L2). A repeated request is a
//! success without events. A late answer is no event.

use std::sync::Arc;

use trine_protocol::limits::{
    BRANCHES_MAX, ONGOING_DELAY_MS_MIN, ONGOING_PATIENCE_MS_MAX, RETRY_AFTER_MS_MAX,
};
use trine_protocol::{BranchId, Op, Pattern, Status, Timestamp};

use super::{OpProgress, Transaction, Trouble};
use crate::event::{Event, ForceTo, Outcome, RollbackCause};
use crate::input::{Answer, CallKey, Command, Input, Rejection};
use crate::spec::{BranchSpec, CallPolicy, Spec, SpecError, SpecErrorKind};

/// The pause before the next question is at least one part in so many of the time for which the op has been ongoing. Each answer
/// is a record, because each attempt needs a number that survives a crash. With such pauses the number of records grows with the
/// logarithm of the time.
const ONGOING_SHARE: u64 = 16;

pub(super) type Decision = Result<Vec<Event>, Rejection>;

/// Decides an input on a transaction, or on the absence of one.
pub fn decide(state: Option<&Transaction>, input: &Input, now: Timestamp) -> Decision {
    match (state, input) {
        (None, Input::Command(Command::Create(spec))) => Ok(vec![created(spec, now)]),
        (None, Input::Command(_)) => Err(Rejection::NotFound),
        (
            None,
            Input::Answer(..)
            | Input::NotSent { .. }
            | Input::Tick
            | Input::TakeOver
            | Input::Quarantine { .. },
        ) => Ok(Vec::new()),
        (Some(transaction), Input::Command(command)) => transaction.command(command, now),
        (Some(transaction), Input::Answer(key, answer)) => Ok(transaction.answer(*key, answer, now)),
        (Some(transaction), Input::NotSent { key, tried_ms, reason }) => {
            Ok(transaction.not_sent(*key, *tried_ms, reason, now))
        }
        (Some(transaction), Input::Tick) => Ok(transaction.tick(now)),
        (Some(_), Input::TakeOver) => Ok(vec![Event::TakenOver]),
        (Some(transaction), Input::Quarantine { detail }) => Ok(transaction.quarantine(detail)),
    }
}

fn created(spec: &Arc<Spec>, now: Timestamp) -> Event {
    let start_at = (!spec.open && spec.start_delay_ms > 0).then(|| now.plus_millis(spec.start_delay_ms));
    let is_checked = spec.open && matches!(spec.pattern, Pattern::Message | Pattern::Workflow);
    Event::Created {
        start_at,
        deadline_at: spec.deadline_ms.map(|deadline| start_at.unwrap_or(now).plus_millis(deadline)),
        check_at: is_checked.then(|| now.plus_millis(spec.check_after_ms)),
        spec: Arc::clone(spec),
    }
}

impl Transaction {
    fn command(&self, command: &Command, now: Timestamp) -> Decision {
        match command {
            Command::Create(spec) if spec.digest == self.spec.digest => Ok(Vec::new()),
            Command::Create(_) => Err(Rejection::GidConflict),
            Command::Register(branch) => self.register_branch(branch),
            Command::Commit => self.commit(None),
            Command::CommitAt { age_ms } => {
                self.commit(Some(self.created_at.plus_millis(*age_ms)).filter(|at| *at > now))
            }
            Command::Look => Ok(Vec::new()),
            Command::Resume => self.resume(now),
            Command::Record(progress) => self.record(progress, now),
            Command::Finish { committed, reason, result } => {
                self.end_workflow(*committed, reason.as_deref(), result)
            }
            Command::Abort { reason } => self.abort(reason.clone()),
            Command::Replay { branch } => self.replay_at(branch.as_ref(), now),
            Command::Force { to, reason, by } => self.force(*to, reason, by.as_deref()),
        }
    }

    fn illegal(&self, what: &'static str, why: &'static str) -> Decision {
        Err(Rejection::IllegalState { what, status: self.status, why })
    }

    fn register_branch(&self, branch: &Arc<BranchSpec>) -> Decision {
        if let Some(position) = self.position(&branch.id) {
            let same = self.branches[position].spec.digest == branch.digest;
            return if same { Ok(Vec::new()) } else { Err(Rejection::BranchConflict(branch.id.clone())) };
        }
        if self.status != Status::Open || self.pattern() == Pattern::Workflow {
            let why = if self.pattern() == Pattern::Workflow {
                "; a workflow's branches are its own, and it records progress"
            } else if self.spec.open {
                "; it is decided"
            } else {
                "; it was created with all its branches"
            };
            return self.illegal("register a branch", why);
        }
        self.spec.check_branch(branch, "")?;
        if self.branches.len() >= BRANCHES_MAX {
            return Err(SpecError { field: "branches".into(), kind: SpecErrorKind::TooManyBranches }.into());
        }
        if let Some(missing) = branch.after.iter().find(|id| self.position(id).is_none()) {
            let kind = SpecErrorKind::UnknownDependency(missing.clone());
            return Err(SpecError { field: "after".into(), kind }.into());
        }
        Ok(vec![Event::BranchRegistered { branch: Arc::clone(branch) }])
    }

    fn commit(&self, start_at: Option<Timestamp>) -> Decision {
        match (self.status, self.pattern()) {
            (Status::Open, Pattern::Message | Pattern::Saga) => Ok(vec![Event::Submitted { start_at }]),
            (Status::Open, Pattern::Tcc | Pattern::TwoPhase) => Ok(vec![Event::CommitDecided]),
            (Status::Open, Pattern::Workflow) => self.illegal("commit", "; a workflow ends itself"),
            (Status::Running, Pattern::Message) | (Status::Committing | Status::Committed, _) => {
                Ok(Vec::new())
            }
            (Status::Running, _) if self.spec.open => Ok(Vec::new()),
            (Status::Running, _) => self.illegal(
                "commit",
                "; it was not created as open, so the coordinator decides when every branch has answered",
            ),
            (Status::RollingBack | Status::RolledBack, _) => {
                self.illegal("commit", "; it was decided to roll back")
            }
        }
    }

    fn abort(&self, reason: Option<String>) -> Decision {
        match (self.status, self.pattern()) {
            (Status::Open | Status::Running, Pattern::Workflow) => {
                self.illegal("abort", "; a workflow undoes what it did and ends itself")
            }
            (Status::Open, _) | (Status::Running, Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase) => {
                Ok(vec![Event::rollback(RollbackCause::Aborted { reason })])
            }
            (Status::RollingBack | Status::RolledBack, _) => Ok(Vec::new()),
            (Status::Running, Pattern::Message) => {
                self.illegal("abort", "; a submitted message is delivered, never undone")
            }
            (Status::Committing | Status::Committed, _) => {
                self.illegal("abort", "; it was decided to commit")
            }
        }
    }

    fn replay_at(&self, branch: Option<&BranchId>, now: Timestamp) -> Decision {
        if let Some(id) = branch
            && self.position(id).is_none()
        {
            return Err(Rejection::BranchNotFound(id.clone()));
        }
        if self.status.is_settled() {
            return self.illegal("replay", "; it is settled");
        }
        let mut next = self.clone();
        let event = Event::Replayed { branch: branch.cloned(), due_at: now };
        let record = crate::event::Record { gid: self.gid.clone(), seq: self.seq + 1, at: now, event };
        // Asked again while nothing waits for a later time: a success without events.
        match Self::apply(Some(next.clone()), &record) {
            Ok(replayed) => next = replayed,
            Err(corrupt) => panic!("replay is legal in every unsettled status: {corrupt}"),
        }
        let same = next.branches == self.branches
            && next.check == self.check
            && next.is_quarantined == self.is_quarantined;
        Ok(if same { Vec::new() } else { vec![record.event] })
    }

    fn force(&self, to: ForceTo, reason: &str, by: Option<&str>) -> Decision {
        if self.status == to.status() {
            return Ok(Vec::new());
        }
        if self.status.is_settled() {
            return self.illegal("force", "; it is settled the other way, and that is final");
        }
        if self.is_decided_against(to) {
            return self.illegal("force", "; the opposite was decided, and initiators may have been told so");
        }
        Ok(vec![Event::Forced { to, reason: reason.to_owned(), by: by.map(str::to_owned) }])
    }

    fn tick(&self, now: Timestamp) -> Vec<Event> {
        let forward = matches!(self.status, Status::Open | Status::Running) && !self.is_quarantined;
        if forward && self.forward_deadline().is_some_and(|deadline| deadline <= now) {
            // Going forward is given up on whoever was waited for.
            let waited_for = self.waiting_on().filter(|_| self.status == Status::Running);
            let (branch, reason) = waited_for.map_or((None, None), |on| (on.branch, on.last_error));
            return vec![Event::rollback(RollbackCause::Deadline { branch, reason })];
        }
        if forward && self.status == Status::Open && self.unasked_check().is_some_and(|at| at <= now) {
            return vec![Event::Submitted { start_at: self.not_before() }];
        }
        if forward && !self.started && self.start_at.is_some_and(|start| start <= now) {
            return vec![Event::Started];
        }
        Vec::new()
    }

    fn quarantine(&self, detail: &str) -> Vec<Event> {
        if self.status.is_settled() || self.is_quarantined {
            return Vec::new();
        }
        vec![Event::Quarantined { detail: detail.to_owned() }]
    }

    /// An answer counts when its attempt is the one that is owed (law L8).
    fn answer(&self, key: CallKey, answer: &Answer, now: Timestamp) -> Vec<Event> {
        let Some((branch, progress, policy)) = self.owed_op(key) else { return Vec::new() };
        if progress.attempts + 1 != key.attempt || !progress.is_unsettled() {
            return Vec::new();
        }
        let mut report = answer.report.clone();
        let outcome = match &answer.outcome {
            Outcome::Refused { reason } if !key.op.may_be_refused() => {
                report.error =
                    Some(format!("{} may not be refused, yet the answer was no: {reason}", key.op));
                Outcome::Unknown
            }
            Outcome::Done { .. }
            | Outcome::Refused { .. }
            | Outcome::Ongoing { .. }
            | Outcome::Unknown
            | Outcome::ClientError => answer.outcome.clone(),
        };
        let unknown_ms = || policy.retry.delay_ms(progress.trouble().failures + 1, answer.random_permille);
        let delay_ms = match &outcome {
            Outcome::Done { .. } | Outcome::Refused { .. } => {
                (self.pattern() == Pattern::Workflow).then_some(policy.ongoing_ms)
            }
            Outcome::Ongoing { .. } if policy.ongoing_counts => Some(unknown_ms()),
            Outcome::Ongoing { retry_after_ms } => {
                let asked_ms = retry_after_ms.map_or(policy.ongoing_ms, |ms| ms.min(RETRY_AFTER_MS_MAX));
                let at_it_ms = progress.trouble().ongoing_since.map_or(0, |since| now.millis_since(since));
                let patience_ms = (at_it_ms / ONGOING_SHARE).min(ONGOING_PATIENCE_MS_MAX);
                Some(asked_ms.max(patience_ms).max(ONGOING_DELAY_MS_MIN))
            }
            Outcome::Unknown => Some(unknown_ms()),
            Outcome::ClientError => {
                let Trouble { failures, client_errors, .. } = progress.trouble();
                let random_permille = answer.random_permille;
                Some(policy.retry.client_error_delay_ms(failures + 1, client_errors + 1, random_permille))
            }
        };
        let again_at = delay_ms.filter(|_| !self.is_late_forward(key.op)).map(|delay| now.plus_millis(delay));
        // A late answer parks nothing: nobody repeats its call. What is parked stays parked for the reason it has.
        let parks = answer.parks.filter(|_| outcome == Outcome::Unknown);
        let parks = parks.filter(|_| !self.is_late_forward(key.op) && !progress.is_parked());
        let parked = parks.map(|cause| Event::OpParked { branch: branch.clone(), op: key.op, cause });
        let answered = Event::CallAnswered {
            branch,
            op: key.op,
            attempt: key.attempt,
            outcome,
            retry_at: again_at.map(|at| self.put_off_at_least(at)),
            report,
        };
        std::iter::once(answered).chain(parked).collect()
    }

    /// The op that an answer is about. None when this state expects no such answer.
    pub(super) fn owed_op(&self, key: CallKey) -> Option<(Option<BranchId>, &OpProgress, &CallPolicy)> {
        if self.is_quarantined || self.status.is_settled() {
            return None;
        }
        let Some(position) = key.branch else {
            let check = self.check().filter(|_| key.op == Op::Check && self.status == Status::Open)?;
            return Some((None, check, &self.spec.check_call));
        };
        // What no state has owed was never called, so it has no answer.
        let branch = self.branches.get(position as usize).filter(|branch| branch.exposed)?;
        let progress = if self.is_late_forward(key.op) {
            &branch.forward
        } else if self.phase_op() == Some(key.op) {
            self.phase_progress(position as usize)?
        } else {
            return None;
        };
        Some((Some(branch.spec.id.clone()), progress, self.policy(position as usize, key.op)))
    }
}
