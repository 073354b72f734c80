//! A store and participants to prove the engine against: as simple as can be, and exact about what they promise.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::{Gid, Op, Pattern, Status};

use crate::event::{Outcome, Record};
use crate::spec::{FinishOrder, Payload};
use crate::transaction::Transaction;

/// A journal whose append is compare-and-append on `(gid, seq)`, and which remembers every state it has led through.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    journals: BTreeMap<Gid, Journal>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    pub(super) records: Vec<Record>,
    /// The state after each record.
    pub(super) states: Vec<Transaction>,
}

impl Store {
    /// Loses the last records of a gid, as a failover to a server that has not got them does.
    pub(super) fn lose(&mut self, gid: &Gid, left: usize) {
        let journal = self.journals.get_mut(gid).expect("a journal");
        journal.records.truncate(left);
        journal.states.truncate(left);
    }

    /// Appends a batch, all of a gid's records or none of them; returns the gids that met another record.
    pub(super) fn append(&mut self, records: &[Record]) -> Vec<Gid> {
        let mut by_gid: BTreeMap<&Gid, Vec<&Record>> = BTreeMap::new();
        records.iter().for_each(|record| by_gid.entry(&record.gid).or_default().push(record));
        let mut conflicts = Vec::new();
        for (gid, records) in by_gid {
            let journal = self.journals.entry(gid.clone()).or_default();
            let next = journal.records.len() as u64 + 1;
            assert!(records[0].seq <= next, "{gid} would get a gap before seq {}", records[0].seq);
            if records[0].seq < next {
                conflicts.push(gid.clone());
                continue;
            }
            for record in records {
                let state =
                    Transaction::apply(journal.states.last().cloned(), record).expect("a legal record");
                journal.records.push(record.clone());
                journal.states.push(state);
            }
        }
        conflicts
    }

    /// What reading the gid's journal gives.
    pub(super) fn load(&self, gid: &Gid) -> Option<Transaction> {
        Transaction::fold(&self.journals.get(gid)?.records).expect("the journal folds")
    }

    /// The durable state.
    pub(super) fn state(&self, gid: &Gid) -> Option<&Transaction> {
        self.journals.get(gid)?.states.last()
    }

    /// Every durable state so far, oldest first.
    pub(super) fn states(&self, gid: &Gid) -> &[Transaction] {
        self.journals.get(gid).map_or(&[], |journal| &journal.states)
    }

    pub(super) fn records(&self, gid: &Gid) -> &[Record] {
        self.journals.get(gid).map_or(&[], |journal| &journal.records)
    }
}

/// What asking a participant led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// It took effect.
    Effect,
    /// It had taken effect before.
    Duplicate,
    /// Undoing what never ran.
    Empty,
    /// Going forward after it was undone.
    Hanging,
}

/// The participants of one transaction, each behind a barrier that answers duplicates, empty undoing and hanging.
#[derive(Debug)]
pub(super) struct Participants {
    pattern: Pattern,
    seen: BTreeSet<(u32, Op)>,
    /// What took effect, in order.
    pub(super) effects: Vec<(u32, Op)>,
    /// The branch that only reads, if one does.
    pub(super) read_only: Option<u32>,
}

impl Participants {
    pub(super) fn new(pattern: Pattern, read_only: Option<u32>) -> Self {
        Self { pattern, seen: BTreeSet::new(), effects: Vec::new(), read_only }
    }

    /// Runs one op behind the barrier, in one local transaction.
    pub(super) fn execute(&mut self, branch: u32, op: Op) -> Happened {
        let forward = Op::forward(self.pattern);
        let undo = Op::on_rollback(self.pattern);
        if op == forward && undo.is_some_and(|undo| self.seen.contains(&(branch, undo))) {
            // The undoing came first and may have found nothing: running now would leave an effect behind.
            return if self.seen.contains(&(branch, op)) { Happened::Duplicate } else { Happened::Hanging };
        }
        if !self.seen.insert((branch, op)) {
            return Happened::Duplicate;
        }
        if Some(op) == undo && !self.seen.contains(&(branch, forward)) {
            return Happened::Empty;
        }
        self.effects.push((branch, op));
        Happened::Effect
    }

    /// Two branches whose participants have seen the same and will do the same.
    pub(super) fn are_alike(&self, one: u32, two: u32) -> bool {
        let seen = |at: u32| {
            let of_branch = self.seen.iter().filter(move |(branch, _)| *branch == at);
            of_branch.map(|(_, op)| *op)
        };
        seen(one).eq(seen(two)) && (self.read_only == Some(one)) == (self.read_only == Some(two))
    }

    /// The answer that tells it.
    pub(super) fn answer(&self, branch: u32, op: Op, happened: Happened) -> Outcome {
        match happened {
            Happened::Hanging => Outcome::Refused { reason: "it was undone".into() },
            Happened::Effect | Happened::Duplicate | Happened::Empty => Outcome::Done {
                output: Payload::default(),
                read_only: op == Op::Prepare && self.read_only == Some(branch),
            },
        }
    }

    /// Whole or undone: what must be true of the effects when the transaction has settled.
    pub(super) fn whole_or_undone(&self, transaction: &Transaction) -> Result<(), String> {
        for branch in 0..transaction.branches().len() as u32 {
            let count =
                |op: Option<Op>| self.effects.iter().filter(|(b, o)| *b == branch && Some(*o) == op).count();
            let forward = count(Some(Op::forward(self.pattern)));
            let finished = count(Op::on_commit(self.pattern));
            let undone = count(Op::on_rollback(self.pattern));
            let finish = usize::from(Op::on_commit(self.pattern).is_some() && self.read_only != Some(branch));
            let good = match transaction.status() {
                Status::Committed => (forward, finished, undone) == (1, finish, 0),
                // A read-only vote holds nothing, so nothing has to be given back.
                Status::RolledBack if self.read_only == Some(branch) => finished == 0,
                Status::RolledBack => forward == undone && finished == 0,
                Status::Open | Status::Running | Status::Committing | Status::RollingBack => false,
            };
            if !good {
                let status = transaction.status();
                return Err(format!(
                    "{status}, but branch {branch} went forward {forward} times, was finished {finished} times and \
                     undone {undone} times"
                ));
            }
        }
        self.undone_in_order(transaction)?;
        self.finished_in_order(transaction)
    }

    /// What is to be finished one by one took effect one by one.
    fn finished_in_order(&self, transaction: &Transaction) -> Result<(), String> {
        for op in [Op::on_commit(self.pattern), Op::on_rollback(self.pattern)] {
            let of_op = self.effects.iter().filter(|(_, effect)| Some(*effect) == op);
            let branches = of_op.map(|(branch, _)| *branch);
            let in_order = match transaction.spec().finish_order {
                FinishOrder::Parallel => true,
                FinishOrder::FirstToLast => branches.is_sorted(),
                FinishOrder::LastToFirst => branches.is_sorted_by(|a, b| a >= b),
            };
            if !in_order {
                return Err(format!("out of order: {:?}", self.effects));
            }
        }
        Ok(())
    }

    /// What was really undone was undone after everything that was built on it.
    fn undone_in_order(&self, transaction: &Transaction) -> Result<(), String> {
        let Some(undo) = Op::on_rollback(self.pattern) else { return Ok(()) };
        let at = |branch: u32| self.effects.iter().position(|effect| *effect == (branch, undo));
        for (position, branch) in transaction.branches().iter().enumerate() {
            for &dependency in &branch.after {
                if let (Some(first), Some(second)) = (at(dependency), at(position as u32))
                    && first < second
                {
                    return Err(format!(
                        "branch {dependency} was undone before branch {position}, built on it"
                    ));
                }
            }
        }
        Ok(())
    }
}
