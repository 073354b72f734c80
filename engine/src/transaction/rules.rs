//! What must follow from a state, whatever led to it: decisions, parking, settling.

use trine_protocol::{Op, Pattern, Status};

use super::{Branch, OpProgress, OpState, Transaction};
use crate::event::{Event, ParkCause, RollbackCause};
use crate::spec::{CallPolicy, OnExhausted};

impl Transaction {
    /// The event that must be durable together with this state. `advance` applies it in the same step, and asks again.
    pub(super) fn consequence(&self) -> Option<Event> {
        if self.is_quarantined {
            return None;
        }
        match self.status {
            Status::Open => self.after_check(),
            Status::Running if self.started => self.while_running(),
            Status::Committing => self.finish_with(Event::Committed),
            Status::RollingBack => self.finish_with(Event::RolledBack),
            Status::Running | Status::Committed | Status::RolledBack => None,
        }
    }

    fn after_check(&self) -> Option<Event> {
        let check = self.check()?;
        match &check.state {
            OpState::Done { .. } => Some(Event::Submitted { start_at: self.not_before() }),
            OpState::Refused { reason } => {
                Some(Event::rollback(RollbackCause::CheckRefused { reason: reason.to_string() }))
            }
            OpState::Pending | OpState::Waiting { .. } | OpState::Parked { .. } => {
                let cause = exhaustion(check, &self.spec.check_call)?;
                Some(Event::OpParked { branch: None, op: Op::Check, cause })
            }
        }
    }

    fn while_running(&self) -> Option<Event> {
        let pattern = self.pattern();
        for branch in &self.branches {
            if let OpState::Refused { reason } = &branch.forward.state {
                let cause =
                    RollbackCause::Refused { branch: branch.spec.id.clone(), reason: reason.to_string() };
                return Some(Event::rollback(cause));
            }
        }
        let exhausted = |branch: &Branch| exhaustion(&branch.forward, branch.spec.forward_policy());
        if let Some((branch, cause)) =
            self.branches.iter().find_map(|branch| Some((branch, exhausted(branch)?)))
        {
            let id = branch.spec.id.clone();
            let rolls_back = branch.spec.forward_policy().on_exhausted == OnExhausted::RollBack
                && pattern != Pattern::Message;
            return Some(if rolls_back {
                let reason = branch.forward.error().map(str::to_owned);
                Event::rollback(RollbackCause::Exhausted { branch: id, reason })
            } else {
                Event::OpParked { branch: Some(id), op: Op::forward(pattern), cause }
            });
        }
        let all_done = self.branches.iter().all(|branch| branch.forward.is_done());
        all_done.then(|| match Op::on_commit(pattern) {
            Some(_) => Event::CommitDecided,
            None => Event::Committed,
        })
    }

    pub(crate) fn policy(&self, position: usize, op: Op) -> &CallPolicy {
        let branch = &self.branches[position].spec;
        if op == Op::forward(self.pattern()) { branch.forward_policy() } else { &branch.call }
    }

    fn finish_with(&self, settled: Event) -> Option<Event> {
        let asked = |position: usize| {
            self.phase_progress(position).map(|progress| (&self.branches[position], progress))
        };
        let mut all_done = true;
        for (branch, progress) in (0..self.branches.len()).filter_map(asked) {
            all_done &= progress.is_done();
            if let Some((cause, op)) = exhaustion(progress, &branch.spec.call).zip(self.phase_op()) {
                return Some(Event::OpParked { branch: Some(branch.spec.id.clone()), op, cause });
            }
        }
        all_done.then_some(settled)
    }
}

/// The reason to park an op that waits for its next attempt: its attempts or its client errors are used up.
fn exhaustion(progress: &OpProgress, policy: &CallPolicy) -> Option<ParkCause> {
    let waits = matches!(progress.state, OpState::Waiting { .. });
    let trouble = progress.trouble();
    let used_up = policy.retry.max_attempts.is_some_and(|max| trouble.failures >= max);
    let in_vain = trouble.client_errors >= policy.retry.client_error_attempts;
    let cause = used_up.then_some(ParkCause::Exhausted).or(in_vain.then_some(ParkCause::ClientError));
    cause.filter(|_| waits)
}
