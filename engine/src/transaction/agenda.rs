//! What is owed: a function of state and time, so recovery reads the journal and asks for the agenda (law L3).

use trine_protocol::{Op, Pattern, Status, Timestamp};

use super::{OpProgress, OpState, Transaction};
use crate::input::CallKey;
use crate::spec::FinishOrder;

/// A call that state owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    pub key: CallKey,
    /// None: now.
    pub due_at: Option<Timestamp>,
}

/// The calls that are due now, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agenda {
    pub calls: Vec<CallKey>,
    /// When time alone changes something: by a retry, a deadline, a start or a check.
    pub wake_at: Option<Timestamp>,
}

impl Transaction {
    pub fn agenda(&self, now: Timestamp) -> Agenda {
        let mut agenda = Agenda { calls: Vec::new(), wake_at: self.next_tick() };
        for owed in self.owed() {
            match owed.due_at {
                Some(due_at) if due_at > now => {
                    agenda.wake_at = Some(agenda.wake_at.map_or(due_at, |wake_at| wake_at.min(due_at)));
                }
                Some(_) | None => agenda.calls.push(owed.key),
            }
        }
        agenda
    }

    /// Everything that is owed, now or later.
    pub fn owed(&self) -> Vec<Owed> {
        if self.is_quarantined {
            return Vec::new();
        }
        match self.status {
            Status::Open => self.owed_check(),
            Status::Running if self.started => self.owed_where(&self.forward_ready()),
            Status::Committing | Status::RollingBack => self.owed_where(&self.finish_ready()),
            Status::Running | Status::Committed | Status::RolledBack => Vec::new(),
        }
    }

    fn owed_check(&self) -> Vec<Owed> {
        let check = self.check().filter(|_| self.spec.check.is_some());
        check.and_then(|check| owed_op(None, Op::Check, check)).into_iter().collect()
    }

    fn owed_where(&self, ready: &[bool]) -> Vec<Owed> {
        let Some(op) = self.phase_op() else { return Vec::new() };
        (0..self.branches.len())
            .filter(|&position| ready[position])
            .filter_map(|position| owed_op(Some(position as u32), op, self.phase_progress(position)?))
            .collect()
    }

    /// Branches whose dependencies are done, and the dependencies of these as well: a branch in between that has nothing to
    /// do does not let its successors overtake its predecessors.
    pub(super) fn forward_ready(&self) -> Vec<bool> {
        let mut ready = vec![false; self.branches.len()];
        for &position in &self.topological {
            let branch = &self.branches[position as usize];
            let done = |&dependency: &u32| {
                ready[dependency as usize] && self.branches[dependency as usize].forward.is_done()
            };
            ready[position as usize] = branch.after.iter().all(done);
        }
        ready
    }

    /// Branches whose turn it is in phase two.
    pub(super) fn finish_ready(&self) -> Vec<bool> {
        let ready = if self.status == Status::RollingBack {
            self.rollback_ready()
        } else {
            vec![true; self.branches.len()]
        };
        let unfinished = |position: &usize| {
            ready[*position] && self.phase_progress(*position).is_some_and(|op| !op.is_done())
        };
        let mut positions = 0..self.branches.len();
        let turn = match self.spec.finish_order {
            FinishOrder::Parallel => return ready,
            FinishOrder::FirstToLast => positions.find(unfinished),
            FinishOrder::LastToFirst => positions.rev().find(unfinished),
        };
        (0..self.branches.len()).map(|position| Some(position) == turn).collect()
    }

    /// Branches whose dependents are undone, and the dependents of these as well: a branch in between that has nothing to
    /// undo does not let its predecessors overtake its successors.
    pub(super) fn rollback_ready(&self) -> Vec<bool> {
        let mut ready = vec![true; self.branches.len()];
        for &position in self.topological.iter().rev() {
            let position = position as usize;
            let undone = ready[position] && self.phase_progress(position).is_none_or(OpProgress::is_done);
            if !undone {
                for &dependency in &self.branches[position].after {
                    ready[dependency as usize] = false;
                }
            }
        }
        ready
    }

    /// When time alone moves the transaction, by its start or its deadline.
    fn next_tick(&self) -> Option<Timestamp> {
        if self.is_quarantined {
            return None;
        }
        match self.status {
            Status::Running if !self.started => min(self.start_at, self.forward_deadline()),
            Status::Open => min(self.unasked_check(), self.forward_deadline()),
            Status::Running => self.forward_deadline(),
            Status::Committing | Status::RollingBack | Status::Committed | Status::RolledBack => None,
        }
    }

    /// When a check without a target counts as answered.
    pub(super) fn unasked_check(&self) -> Option<Timestamp> {
        match self.check()?.state {
            OpState::Waiting { until } if self.spec.check.is_none() && self.pattern() == Pattern::Message => {
                Some(until)
            }
            OpState::Waiting { .. }
            | OpState::Pending
            | OpState::Done { .. }
            | OpState::Refused { .. }
            | OpState::Parked { .. } => None,
        }
    }

    /// When the transaction rolls back. A message never does.
    pub(super) fn forward_deadline(&self) -> Option<Timestamp> {
        self.deadline_at.filter(|_| self.pattern() != Pattern::Message)
    }
}

fn min(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn owed_op(branch: Option<u32>, op: Op, progress: &OpProgress) -> Option<Owed> {
    let key = CallKey { branch, op, attempt: progress.attempts + 1 };
    match progress.state {
        OpState::Pending => Some(Owed { key, due_at: None }),
        OpState::Waiting { until } => Some(Owed { key, due_at: Some(until) }),
        OpState::Done { .. } | OpState::Refused { .. } | OpState::Parked { .. } => None,
    }
}
