//! What can happen next in a history, and which faults are left for it.

use trine_protocol::Op;

use super::super::trace::gid;
use super::Depth;
use super::world::World;
use crate::spec::FinishOrder;

/// Everything that can happen next. Those that are no fault come first in the list of choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The batch that is being written is written.
    Commit,
    /// A journal that was asked for is read.
    Load,
    /// A call is executed and answered.
    Answered(usize),
    /// Nothing else is left but to wait.
    Wait,
    /// The delayed request arrives at last.
    Arrive,
    /// The write nobody knew about lands at last.
    Land,
    CommitFails,
    CommitDoubtful(Doubt),
    AnswerLost {
        call: usize,
        executed: bool,
    },
    Delayed(usize),
    Refused {
        call: usize,
        duplicated: bool,
    },
    Crash {
        calls: AtCrash,
        written: bool,
    },
    Abort,
    AbortElsewhere,
}

/// What a commit without an acknowledgement really did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    Written,
    Lost,
    WrittenLater,
}

/// What becomes of the calls that were under way when the coordinator died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtCrash {
    Executed,
    NotExecuted,
    Delayed,
}

/// Which faults have been spent.
#[derive(Debug, Default)]
pub(super) struct Spent {
    crash: bool,
    lost: bool,
    delayed: bool,
    pub(super) refused: bool,
    commit: bool,
    abort: bool,
    /// Time has passed while something else could have happened.
    waited: bool,
    total: usize,
}

impl World<'_> {
    pub(super) fn options(&self) -> Vec<Step> {
        let mut options = Vec::new();
        options.extend(self.batch.as_ref().map(|_| Step::Commit));
        options.extend((self.loads > 0).then_some(Step::Load));
        options.extend((0..self.calls.len()).filter(|call| !self.has_twin(*call)).map(Step::Answered));
        if options.is_empty() {
            options.push(Step::Wait);
        }
        if self.depth == Depth::Faults {
            options.truncate(1);
        }
        if self.waits_for_company() && !self.spent.waited && options[0] != Step::Wait {
            options.push(Step::Wait);
        }
        options.extend((!self.late_calls.is_empty()).then_some(Step::Arrive));
        options.extend(self.late_write.as_ref().map(|_| Step::Land));
        if self.spent.total < self.faults_max {
            self.faults(&mut options);
        }
        options
    }

    fn faults(&self, options: &mut Vec<Step>) {
        if self.batch.is_some() && !self.spent.commit {
            options.push(Step::CommitFails);
            let doubts = [Doubt::Written, Doubt::Lost, Doubt::WrittenLater];
            options.extend(doubts.map(Step::CommitDoubtful));
        }
        for (call, to) in self.calls.iter().enumerate().filter(|(call, _)| !self.has_twin(*call)) {
            if !self.spent.lost {
                options.extend([true, false].map(|executed| Step::AnswerLost { call, executed }));
            }
            if !self.spent.delayed && to.key.op != Op::Check {
                options.push(Step::Delayed(call));
            }
            if !self.spent.refused && to.key.op == Op::forward(to.pattern) && to.key.op.may_be_refused() {
                options.extend([true, false].map(|duplicated| Step::Refused { call, duplicated }));
            }
        }
        if !self.spent.abort {
            options.push(Step::Abort);
            options.extend((!self.store.states(&gid()).is_empty()).then_some(Step::AbortElsewhere));
        }
        if !self.spent.crash {
            for written in [false, true].into_iter().filter(|written| !written || self.batch.is_some()) {
                options.push(Step::Crash { calls: AtCrash::NotExecuted, written });
                if !self.calls.is_empty() {
                    options.push(Step::Crash { calls: AtCrash::Executed, written });
                    options.push(Step::Crash { calls: AtCrash::Delayed, written });
                }
            }
        }
    }

    /// An earlier call differs in the name of its branch alone: what happens to this one would be the same history
    /// with two names exchanged. Where phase two goes one by one, the names say whose turn it is.
    fn has_twin(&self, call: usize) -> bool {
        let Some(state) = self.store.state(&gid()) else { return false };
        if state.spec().finish_order != FinishOrder::Parallel {
            return false;
        }
        let alike = |one: u32, two: u32| {
            let (a, b) = (&state.branches()[one as usize], &state.branches()[two as usize]);
            let depended_on = |at: &u32| state.branches().iter().any(|branch| branch.after.contains(at));
            let late = |at| self.late_calls.iter().any(|key| key.branch == Some(at));
            (&a.after, &a.forward, &a.finish, a.exposed) == (&b.after, &b.forward, &b.finish, b.exposed)
                && !depended_on(&one)
                && !depended_on(&two)
                && !late(one)
                && !late(two)
                && self.participants.are_alike(one, two)
        };
        let this = self.calls[call].key;
        self.calls[..call].iter().any(|other| {
            (other.key.op, other.key.attempt) == (this.op, this.attempt)
                && other.key.branch.zip(this.branch).is_some_and(|(one, two)| alike(one, two))
        })
    }

    pub(super) fn spend(&mut self, step: Step) {
        let spent = match step {
            Step::Wait => return self.spent.waited = true,
            Step::Commit | Step::Load | Step::Answered(_) | Step::Arrive | Step::Land => return,
            Step::CommitFails | Step::CommitDoubtful(_) => &mut self.spent.commit,
            Step::AnswerLost { .. } => &mut self.spent.lost,
            Step::Delayed(_) => &mut self.spent.delayed,
            Step::Refused { .. } => &mut self.spent.refused,
            Step::Crash { .. } => &mut self.spent.crash,
            Step::Abort | Step::AbortElsewhere => &mut self.spent.abort,
        };
        *spent = true;
        self.spent.total += 1;
    }
}
