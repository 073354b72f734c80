//! The steps of the sagas that are exposed ahead: which were called, and which were repeated.

use std::collections::BTreeSet;

use trine_engine::{Call, Event, Outcome, Record, Transaction};
use trine_protocol::{BranchId, Gid, Op, Status};

#[derive(Debug, Default)]
pub(crate) struct Steps {
    called: BTreeSet<(Gid, BranchId)>,
    /// A coordinator has heard that they are done.
    done: BTreeSet<(Gid, BranchId)>,
}

impl Steps {
    /// A call leaves. True if its step was answered with success before.
    pub(crate) fn call(&mut self, call: &Call) -> bool {
        let Some(step) = step(call) else { return false };
        let again = self.done.contains(&step);
        self.called.insert(step);
        again
    }

    pub(crate) fn answer(&mut self, call: &Call, outcome: &Outcome) {
        if matches!(outcome, Outcome::Done { .. }) {
            self.done.extend(step(call));
        }
    }

    /// Checks that a rollback which leaves branches out names those that were owed, no others, and all that were called.
    pub(crate) fn check_end(&self, journal: &[Record]) -> Result<(), String> {
        let mut state: Option<Transaction> = None;
        let mut owed: BTreeSet<BranchId> = BTreeSet::new();
        for record in journal {
            if let Event::RollbackBegun { owed: Some(named), .. } = &record.event {
                let named: BTreeSet<BranchId> = named.iter().cloned().collect();
                if named != owed {
                    return Err(format!("{} undoes {named:?}, and {owed:?} were owed", record.gid));
                }
                let of_this = self.called.iter().filter(|(gid, _)| *gid == record.gid);
                if let Some((gid, left_out)) = of_this.into_iter().find(|(_, id)| !named.contains(id)) {
                    return Err(format!("{gid} undoes {named:?}, and {left_out} was called"));
                }
            }
            let next = Transaction::apply(state.take(), record).map_err(|corrupt| corrupt.to_string())?;
            if next.status() == Status::Running {
                let positions = next.owed().into_iter().filter_map(|owed| owed.key.branch);
                owed.extend(positions.map(|at| next.branches()[at as usize].spec.id.clone()));
            }
            state = Some(next);
        }
        Ok(())
    }
}

fn step(call: &Call) -> Option<(Gid, BranchId)> {
    let branch = call.branch.clone().filter(|_| call.op() == Op::Action)?;
    Some((call.gid.clone(), branch))
}
