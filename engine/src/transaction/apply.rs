//! The only way state changes (law L1). Legal pairs of status and event are listed; every other pair is
//! [`Corrupt`] and names both.

use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Timestamp};

use super::{Branch, NotSent, OpProgress, OpState, Transaction};
use crate::event::{Event, Outcome, ParkCause, Record};
use crate::spec::{BranchSpec, Payload, Spec};

/// A record that does not fit the state it meets. The journal is not the history of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{gid} seq {seq}: {event} does not fit {state}")]
pub struct Corrupt {
    pub gid: Gid,
    pub seq: u64,
    pub event: &'static str,
    /// The status that the record met, and what is wrong if the status alone does not say so.
    pub state: String,
}

impl Corrupt {
    fn of(record: &Record, state: String) -> Self {
        Self { gid: record.gid.clone(), seq: record.seq, event: record.event.name(), state }
    }
}

impl Transaction {
    /// Applies one record: a new one, or one that is read.
    pub fn apply(state: Option<Self>, record: &Record) -> Result<Self, Corrupt> {
        match (state, &record.event, record.seq) {
            (Some(mut next), _, _) => next.follow(record).map(|()| next),
            (None, Event::Created { .. }, 1) => Ok(Self::created(record)),
            (None, _, _) => Err(Corrupt::of(record, "an absent transaction".into())),
        }
    }

    /// Applies the next record in place. After an error the state is of no use: it may be half changed.
    pub(crate) fn follow(&mut self, record: &Record) -> Result<(), Corrupt> {
        if record.gid != self.gid {
            return Err(Corrupt::of(record, format!("the journal of {}", self.gid)));
        }
        if record.seq != self.seq + 1 {
            return Err(Corrupt::of(record, format!("a journal that ends at seq {}", self.seq)));
        }
        let before = self.status;
        self.change(record).map_err(|why| Corrupt::of(record, format!("{before}{why}")))?;
        self.seq = record.seq;
        self.updated_at = record.at;
        self.mark_exposed();
        Ok(())
    }

    fn created(record: &Record) -> Self {
        let Event::Created { spec, start_at, deadline_at, check_at } = &record.event else {
            unreachable!("the caller matched Created");
        };
        let mut created = Self {
            gid: record.gid.clone(),
            seq: record.seq,
            spec: Arc::clone(spec),
            status: if spec.open { Status::Open } else { Status::Running },
            decision_seq: None,
            started: start_at.is_none(),
            start_at: *start_at,
            deadline_at: *deadline_at,
            branches: Vec::with_capacity(spec.branches.len()),
            topological: Vec::with_capacity(spec.branches.len()),
            check: check_at.map(|until| {
                Box::new(OpProgress { state: OpState::Waiting { until }, ..OpProgress::default() })
            }),
            reports: None,
            cause: None,
            is_quarantined: false,
            forced: None,
            created_at: record.at,
            updated_at: record.at,
        };
        created.set_branches(spec);
        created.mark_exposed();
        created
    }

    fn set_branches(&mut self, spec: &Spec) {
        let at: std::collections::BTreeMap<&BranchId, u32> = spec
            .branches
            .iter()
            .enumerate()
            .map(|(position, branch)| (&branch.id, position as u32))
            .collect();
        for branch in &spec.branches {
            let after = branch.after.iter().filter_map(|id| at.get(id).copied()).collect();
            self.branches.push(new_branch(Arc::clone(branch), after, self.tries_itself()));
        }
        // `Draft::build` promised there is no cycle, so every pass finds at least one.
        let mut placed = vec![false; self.branches.len()];
        while self.topological.len() < self.branches.len() {
            let before = self.topological.len();
            for (position, branch) in self.branches.iter().enumerate() {
                if !placed[position] && branch.after.iter().all(|&dependency| placed[dependency as usize]) {
                    placed[position] = true;
                    self.topological.push(position as u32);
                }
            }
            assert!(self.topological.len() > before, "a spec with a dependency cycle was built");
        }
    }

    /// The table of legal pairs of status and event. On error returns the text that [`Corrupt`] shows behind the status.
    fn change(&mut self, record: &Record) -> Result<(), String> {
        use Status::{Committing, Open, RollingBack, Running};
        match (self.status, &record.event) {
            (Open, Event::BranchRegistered { branch }) if self.pattern() != Pattern::Workflow => {
                self.register(branch)
            }
            (Running, Event::Started) if !self.started => {
                self.started = true;
                Ok(())
            }
            (Open, Event::Submitted { start_at })
                if matches!(self.pattern(), Pattern::Message | Pattern::Saga) =>
            {
                self.status = Running;
                self.started = start_at.is_none();
                self.start_at = *start_at;
                Ok(())
            }
            (Open | Running, Event::CommitDecided) if Op::on_commit(self.pattern()).is_some() => {
                self.status = Committing;
                self.decision_seq = Some(record.seq);
                Ok(())
            }
            (Open, Event::RollbackBegun { .. }) if self.pattern() != Pattern::Workflow => {
                self.begin_rollback(record)
            }
            (Open, Event::Resumed { .. } | Event::Progressed { .. } | Event::Finished { .. })
                if self.pattern() == Pattern::Workflow =>
            {
                self.apply_report(&record.event)
            }
            (Running, Event::RollbackBegun { .. }) if self.pattern() != Pattern::Message => {
                self.begin_rollback(record)
            }
            (Running, Event::TakenOver) if self.is_exposed_ahead() => Ok(()),
            (Open | Running | Committing | RollingBack, Event::CallAnswered { .. }) => {
                self.apply_answer(record)
            }
            (Open | Running | Committing | RollingBack, Event::NotSent { branch, op, since, reason }) => {
                let not_sent = NotSent { since: *since, reason: reason.clone(), told_at: record.at };
                self.apply_not_sent(branch.as_ref(), *op, not_sent)
            }
            (Open | Running | Committing | RollingBack, Event::OpParked { branch, op, cause }) => {
                self.park(branch.as_ref(), *op, *cause)
            }
            (Open | Running | Committing | RollingBack, Event::Replayed { branch, due_at }) => {
                self.replay(branch.as_ref(), *due_at)
            }
            (Open | Running | Committing | RollingBack, Event::Quarantined { .. }) => {
                self.is_quarantined = true;
                Ok(())
            }
            (Open | Running | Committing | RollingBack, Event::Forced { to, .. }) => {
                self.forced = Some(*to);
                self.status = to.status();
                Ok(())
            }
            (Running, Event::Committed) if Op::on_commit(self.pattern()).is_none() => {
                self.status = Status::Committed;
                Ok(())
            }
            (Committing, Event::Committed) => {
                self.status = Status::Committed;
                Ok(())
            }
            (RollingBack, Event::RolledBack) => {
                self.status = Status::RolledBack;
                Ok(())
            }
            (_, _) => Err(String::new()),
        }
    }

    pub(super) fn tries_itself(&self) -> bool {
        self.spec.open && self.is_driven_by_initiator()
    }

    fn register(&mut self, spec: &Arc<BranchSpec>) -> Result<(), String> {
        if self.position(&spec.id).is_some() {
            return Err(format!(" with a branch {}", spec.id));
        }
        let after: Option<Box<[u32]>> =
            spec.after.iter().map(|id| self.position(id).map(|p| p as u32)).collect();
        let after = after.ok_or_else(|| " without a branch this one waits for".to_owned())?;
        self.topological.push(self.branches.len() as u32);
        self.branches.push(new_branch(Arc::clone(spec), after, self.tries_itself()));
        Ok(())
    }

    fn begin_rollback(&mut self, record: &Record) -> Result<(), String> {
        let Event::RollbackBegun { cause, owed } = &record.event else {
            unreachable!("the caller matched RollbackBegun");
        };
        if let Some(owed) = owed {
            if let Some(unknown) = owed.iter().find(|id| self.position(id).is_none()) {
                return Err(format!(" without a branch {unknown}"));
            }
            // A branch that was never owed was never called: there is nothing to undo.
            self.branches.iter_mut().for_each(|branch| branch.exposed &= owed.contains(&branch.spec.id));
        }
        self.status = Status::RollingBack;
        self.decision_seq = Some(record.seq);
        self.cause = Some(Box::new(cause.clone()));
        Ok(())
    }

    fn apply_answer(&mut self, record: &Record) -> Result<(), String> {
        let Event::CallAnswered { branch, op, attempt, outcome, retry_at, report } = &record.event else {
            unreachable!("the caller matched CallAnswered");
        };
        self.record_attempt(branch.as_ref(), *op, *attempt, outcome, *retry_at)?;
        if let Some(progress) = self.op_mut(branch.as_ref(), *op) {
            progress.remember(outcome, report, record.at);
        }
        Ok(())
    }

    fn record_attempt(
        &mut self,
        branch: Option<&BranchId>,
        op: Op,
        attempt: u32,
        outcome: &Outcome,
        retry_at: Option<Timestamp>,
    ) -> Result<(), String> {
        let late = self.is_late_forward(op);
        let callback = self.pattern() == Pattern::Workflow;
        let counts = match branch {
            None => self.spec.check_call.ongoing_counts,
            Some(id) => self.position(id).is_some_and(|position| self.policy(position, op).ongoing_counts),
        };
        let expected = self.op_mut(branch, op).ok_or_else(|| format!(", which does not ask for {op}"))?;
        if attempt != expected.attempts + 1 || !expected.is_unsettled() {
            return Err(format!(" with {op} at attempt {} in state {:?}", expected.attempts, expected.state));
        }
        expected.attempts = attempt;
        expected.last = Some(outcome.kind());
        let parked = expected.is_parked();
        match (outcome, retry_at) {
            // What a workflow's executor answers decides nothing: only what it records does.
            (Outcome::Done { .. } | Outcome::Refused { .. }, Some(until)) if callback => {
                expected.state = OpState::Waiting { until };
            }
            (Outcome::Done { .. } | Outcome::Refused { .. }, None) if callback => {
                return Err(" and no time for the next callback".into());
            }
            (Outcome::Done { output, .. }, _) => expected.state = OpState::Done { output: output.clone() },
            (Outcome::Refused { reason }, _) => {
                expected.state = OpState::Refused { reason: reason.as_str().into() }
            }
            // Nobody repeats a forward call once it is being undone, and a parked op stays parked.
            (Outcome::Ongoing { .. } | Outcome::Unknown | Outcome::ClientError, _) if late || parked => {}
            (Outcome::Ongoing { .. }, Some(until)) => {
                let trouble = expected.trouble_mut();
                trouble.client_errors = 0;
                trouble.failures += u32::from(counts);
                expected.state = OpState::Waiting { until };
            }
            (Outcome::Unknown | Outcome::ClientError, Some(until)) => {
                let trouble = expected.trouble_mut();
                trouble.failures += 1;
                let errors = trouble.client_errors + 1;
                trouble.client_errors = if *outcome == Outcome::ClientError { errors } else { 0 };
                expected.state = OpState::Waiting { until };
            }
            (Outcome::Ongoing { .. } | Outcome::Unknown | Outcome::ClientError, None) => {
                return Err(" and no time for the next attempt".into());
            }
        }
        if let (Outcome::Done { read_only: true, .. }, Op::Prepare, false) = (outcome, op, late)
            && let Some(position) = branch.and_then(|id| self.position(id))
        {
            self.branches[position].read_only = true;
        }
        Ok(())
    }

    /// A forward answer that comes while rolling back is recorded for people. It changes nothing that is owed.
    pub(super) fn is_late_forward(&self, op: Op) -> bool {
        self.status == Status::RollingBack && op == Op::forward(self.pattern())
    }

    /// The progress that an answer to `op` belongs to. None when no answer to `op` is legal in this status.
    fn op_mut(&mut self, branch: Option<&BranchId>, op: Op) -> Option<&mut OpProgress> {
        let Some(id) = branch else {
            return self.check.as_deref_mut().filter(|_| op == Op::Check && self.status == Status::Open);
        };
        let forward = op == Op::forward(self.pattern());
        let expected = self.phase_op() == Some(op) || self.is_late_forward(op);
        let position = self.position(id).filter(|_| expected)?;
        let branch = &mut self.branches[position];
        Some(if forward { &mut branch.forward } else { branch.finish.get_or_insert_default() })
    }

    fn apply_not_sent(&mut self, branch: Option<&BranchId>, op: Op, not_sent: NotSent) -> Result<(), String> {
        let late = self.is_late_forward(op);
        let progress = self.op_mut(branch, op).filter(|_| !late);
        let progress = progress.ok_or_else(|| format!(", which does not ask for {op}"))?;
        if !matches!(progress.state, OpState::Pending | OpState::Waiting { .. }) {
            return Err(format!(" with {op} in state {:?}", progress.state));
        }
        progress.trouble_mut().not_sent = Some(not_sent);
        Ok(())
    }

    fn park(&mut self, branch: Option<&BranchId>, op: Op, cause: ParkCause) -> Result<(), String> {
        let progress = self.op_mut(branch, op).ok_or_else(|| format!(", which does not ask for {op}"))?;
        if !progress.is_unsettled() {
            return Err(format!(" with {op} in state {:?}", progress.state));
        }
        progress.state = OpState::Parked { cause };
        Ok(())
    }

    fn replay(&mut self, only: Option<&BranchId>, due_at: Timestamp) -> Result<(), String> {
        self.is_quarantined = false;
        let phase = self.phase_op();
        let forward = phase == Some(Op::forward(self.pattern()));
        let revive = |progress: &mut OpProgress| {
            let later = match progress.state {
                OpState::Parked { .. } => true,
                OpState::Waiting { until } => until > due_at,
                OpState::Pending | OpState::Done { .. } | OpState::Refused { .. } => false,
            };
            if later {
                progress.forgive();
                progress.state = OpState::Waiting { until: due_at };
            }
        };
        if phase.is_none() && only.is_none() {
            self.check.as_deref_mut().map(revive);
            return Ok(());
        }
        for branch in self.branches.iter_mut().filter(|b| only.is_none_or(|id| b.spec.id == *id)) {
            let progress = if forward { Some(&mut branch.forward) } else { branch.finish.as_deref_mut() };
            progress.map(revive);
        }
        Ok(())
    }

    /// Law L9: a branch that is owed is exposed. It follows from the state that is about to be durable, so no record has to
    /// say that a call was started.
    fn mark_exposed(&mut self) {
        match self.status {
            // The initiator may call a branch as soon as its registration is durable.
            Status::Open if self.is_driven_by_initiator() => {
                self.branches.iter_mut().for_each(|branch| branch.exposed = true);
            }
            Status::Running if self.started && self.is_exposed_ahead() => {
                self.branches.iter_mut().for_each(|branch| branch.exposed = true);
            }
            Status::Running if self.started => {
                let ready = self.forward_ready();
                for (branch, ready) in self.branches.iter_mut().zip(ready) {
                    branch.exposed |= ready;
                }
            }
            Status::Open
            | Status::Running
            | Status::Committing
            | Status::RollingBack
            | Status::Committed
            | Status::RolledBack => {}
        }
    }
}

/// An op without a target is done from the start, unless the initiator makes the calls.
fn new_branch(spec: Arc<BranchSpec>, after: Box<[u32]>, tried_elsewhere: bool) -> Branch {
    let mut forward = OpProgress::default();
    if spec.forward.is_none() && !tried_elsewhere {
        forward.state = OpState::Done { output: Payload::default() };
    }
    Branch { spec, after, exposed: false, read_only: false, forward, finish: None }
}
