//! Participants behind a barrier, and the effects at them.

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::{Call, FinishOrder, Transaction};
use trine_protocol::{Gid, Op, Pattern, Status};

/// The effect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The op took effect.
    Effect,
    /// The op had taken effect before.
    Duplicate,
    /// An undo without its op: no effect.
    Empty,
    /// An op after its undo: no effect.
    Hanging,
    /// Its fence is lower than one that the branch has seen: no effect.
    Fenced,
}

/// All participants of all transactions.
#[derive(Debug, Default)]
pub struct Participants {
    /// The first call of each op that was not refused, with its position in the order of all calls.
    seen: BTreeMap<(Gid, u32, Op), usize>,
    effects: BTreeMap<(Gid, u32, Op), u32>,
    /// The highest fence that each branch has seen.
    fences: BTreeMap<(Gid, u32), u64>,
}

impl Participants {
    /// Runs one op behind the barrier, in one local transaction. The rules are those of `sdk/src/barrier/rules.rs`.
    pub fn execute(&mut self, gid: &Gid, pattern: Pattern, branch: u32, op: Op, fence: u64) -> Happened {
        let highest = self.fences.get(&(gid.clone(), branch)).copied().unwrap_or_default();
        self.raise_fence(gid, branch, fence);
        let of = |op: Op| (gid.clone(), branch, op);
        let undo = Op::on_rollback(pattern);
        let forward = Op::forward(pattern);
        if self.seen.contains_key(&of(op)) {
            return Happened::Duplicate;
        }
        if op == forward && undo.is_some_and(|undo| self.seen.contains_key(&of(undo))) {
            return Happened::Hanging;
        }
        // What is on record is answered from there, whatever the fence.
        if fence < highest {
            return Happened::Fenced;
        }
        self.seen.insert(of(op), self.seen.len());
        if Some(op) == undo && !self.seen.contains_key(&of(forward)) {
            return Happened::Empty;
        }
        *self.effects.entry(of(op)).or_default() += 1;
        Happened::Effect
    }

    /// A call arrives, and its op is not done now. What it did is rolled back; its fence is kept.
    pub fn put_off(&mut self, call: &Call) {
        if let Some(branch) = call.key.branch {
            self.raise_fence(&call.gid, branch, call.fence);
        }
    }

    fn raise_fence(&mut self, gid: &Gid, branch: u32, fence: u64) {
        let highest = self.fences.entry((gid.clone(), branch)).or_default();
        *highest = fence.max(*highest);
    }

    fn effects(&self, gid: &Gid, branch: u32, op: Option<Op>) -> u32 {
        op.and_then(|op| self.effects.get(&(gid.clone(), branch, op))).copied().unwrap_or_default()
    }

    /// Checks the effects of a settled transaction.
    pub fn check(&self, transaction: &Transaction) -> Result<(), String> {
        let (gid, pattern) = (transaction.gid(), transaction.pattern());
        for (position, branch) in transaction.branches().iter().enumerate() {
            let count = |op| self.effects(gid, position as u32, op);
            // The initiator of an open tcc or two_phase calls `try` or `prepare` itself. The simulation leaves these calls out.
            let tried = transaction.spec().open && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase);
            let driven = !tried && branch.spec.forward.is_some();
            let can_undo = branch.spec.on_rollback.is_some() || Op::on_rollback(pattern).is_none();
            let forward = count(Some(Op::forward(pattern)));
            let finished = count(Op::on_commit(pattern));
            let undone = count(Op::on_rollback(pattern));
            let finish = u32::from(branch.spec.on_commit.is_some() && !branch.read_only);
            let good = match transaction.status() {
                Status::Committed => forward == u32::from(driven) && finished == finish && undone == 0,
                Status::RolledBack if branch.read_only || !can_undo => finished == 0 && undone == 0,
                Status::RolledBack => forward == undone && finished == 0,
                Status::Open | Status::Running | Status::Committing | Status::RollingBack => false,
            };
            if !good {
                return Err(format!(
                    "{gid} ({pattern}) is {}, but branch {} went forward {forward} times, was finished {finished} \
                     times and undone {undone} times",
                    transaction.status(),
                    branch.spec.id
                ));
            }
        }
        self.check_order(transaction)
    }

    /// Checks the order: a branch runs after the branches it waits for, they are undone in reverse, and phase two goes one by one
    /// where it must.
    fn check_order(&self, transaction: &Transaction) -> Result<(), String> {
        let (gid, pattern) = (transaction.gid(), transaction.pattern());
        let branches = transaction.branches();
        let at = |branch: usize, op: Op| self.seen.get(&(gid.clone(), branch as u32, op)).copied();
        let in_order = |first: usize, second: usize, op: Op| match (at(first, op), at(second, op)) {
            (Some(before), Some(after)) if before > after => {
                let [first, second] = [first, second].map(|branch| &branches[branch].spec.id);
                Err(format!("{gid} ({pattern}): {op} of {second} came before that of {first}"))
            }
            _ => Ok(()),
        };
        let forward = Op::forward(pattern);
        for branch in 0..branches.len() {
            for before in waits_for(transaction, branch) {
                let has_run = at(before, forward).is_some() || branches[before].spec.forward.is_none();
                if at(branch, forward).is_some() && !has_run {
                    return Err(format!("{gid} ({pattern}): {branch} ran, and {before} has not"));
                }
                in_order(before, branch, forward)?;
                Op::on_rollback(pattern).map_or(Ok(()), |undo| in_order(branch, before, undo))?;
            }
        }
        let finishing = [Op::on_commit(pattern), Op::on_rollback(pattern)];
        for op in finishing.into_iter().flatten() {
            for second in 1..branches.len() {
                for first in 0..second {
                    match transaction.spec().finish_order {
                        FinishOrder::Parallel => {}
                        FinishOrder::FirstToLast => in_order(first, second, op)?,
                        FinishOrder::LastToFirst => in_order(second, first, op)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// All branches that a branch waits for, directly or through others.
fn waits_for(transaction: &Transaction, branch: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut left = vec![branch];
    while let Some(next) = left.pop() {
        for &before in &transaction.branches()[next].after {
            if all.insert(before as usize) {
                left.push(before as usize);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use Happened::{Duplicate, Effect, Empty, Fenced, Hanging};

    use super::*;

    fn execute(participants: &mut Participants, branch: u32, op: Op, fence: u64) -> Happened {
        let gid = Gid::parse("g").unwrap();
        participants.execute(&gid, Pattern::Saga, branch, op, fence)
    }

    #[test]
    fn a_lower_fence_than_the_highest_is_refused_unless_the_op_is_on_record() {
        let mut participants = Participants::default();
        let mut run = |op, fence| execute(&mut participants, 0, op, fence);
        assert_eq!(run(Op::Action, 5), Effect);
        assert_eq!(run(Op::Action, 4), Duplicate);
        assert_eq!(run(Op::Compensate, 4), Fenced);
        assert_eq!(run(Op::Action, 7), Duplicate, "which raises the fence");
        assert_eq!(run(Op::Compensate, 6), Fenced);
        assert_eq!(run(Op::Compensate, 7), Effect);
    }

    #[test]
    fn a_blocked_action_is_on_record_and_each_branch_has_a_fence_of_its_own() {
        let mut participants = Participants::default();
        assert_eq!(execute(&mut participants, 0, Op::Compensate, 7), Empty);
        assert_eq!(execute(&mut participants, 0, Op::Action, 6), Hanging);
        assert_eq!(execute(&mut participants, 1, Op::Action, 6), Effect);
    }
}
