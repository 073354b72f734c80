//! Participants behind a barrier, and what took effect at them.

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::Transaction;
use trine_protocol::{Gid, Op, Pattern, Status};

/// What asking a participant led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It took effect.
    Effect,
    /// It had taken effect before.
    Duplicate,
    /// It was undone without having run: no effect.
    Empty,
    /// It came after it was undone: no effect.
    Hanging,
}

/// Every participant of every transaction.
#[derive(Debug, Default)]
pub struct Participants {
    seen: BTreeSet<(Gid, u32, Op)>,
    effects: BTreeMap<(Gid, u32, Op), u32>,
}

impl Participants {
    /// Runs one op behind the barrier, in one local transaction.
    pub fn execute(&mut self, gid: &Gid, pattern: Pattern, branch: u32, op: Op) -> Happened {
        let of = |op: Op| (gid.clone(), branch, op);
        let undo = Op::on_rollback(pattern);
        let forward = Op::forward(pattern);
        if self.seen.contains(&of(op)) {
            return Happened::Duplicate;
        }
        if op == forward && undo.is_some_and(|undo| self.seen.contains(&of(undo))) {
            return Happened::Hanging;
        }
        self.seen.insert(of(op));
        if Some(op) == undo && !self.seen.contains(&of(forward)) {
            return Happened::Empty;
        }
        *self.effects.entry(of(op)).or_default() += 1;
        Happened::Effect
    }

    fn effects(&self, gid: &Gid, branch: u32, op: Option<Op>) -> u32 {
        op.and_then(|op| self.effects.get(&(gid.clone(), branch, op))).copied().unwrap_or_default()
    }

    /// What a settled transaction promises of its branches.
    pub fn check(&self, transaction: &Transaction) -> Result<(), String> {
        let (gid, pattern) = (transaction.gid(), transaction.pattern());
        for (position, branch) in transaction.branches().iter().enumerate() {
            let count = |op| self.effects(gid, position as u32, op);
            // The initiator of an open tcc or two_phase tries by itself; this walk's does so without participants.
            let driven = !transaction.spec().open || pattern == Pattern::Message;
            let forward = count(Some(Op::forward(pattern)));
            let finished = count(Op::on_commit(pattern));
            let undone = count(Op::on_rollback(pattern));
            let finish = u32::from(Op::on_commit(pattern).is_some() && !branch.read_only);
            let good = match transaction.status() {
                Status::Committed => forward == u32::from(driven) && finished == finish && undone == 0,
                Status::RolledBack if branch.read_only => finished == 0,
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
        Ok(())
    }
}
