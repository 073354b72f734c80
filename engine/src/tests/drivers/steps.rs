//! What can happen next, and which faults are left.

use super::world::World;

/// One step. `c` is the coordinator that it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Its batch is written.
    Commit(usize),
    /// A journal that it asked for is read.
    Load(usize),
    /// Its sweep brings in what it owns.
    Sweep(usize),
    /// Its next timer goes off.
    Wait(usize),
    /// This call is executed; its answer counts if the caller still waits for it.
    Arrive(usize),
    /// This write, which nobody knew about, lands at last.
    Land(usize),
    Fault(Fault, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// This coordinator becomes the owner, while the former one goes on.
    Adopt,
    Crash,
    /// Its lane loses its memory; its calls come back all the same.
    Panic,
    /// Its batch is written, and the acknowledgement is lost.
    DoubtWritten,
    /// Its batch is written later, after it was read back.
    DoubtLate,
    /// It is told to abort.
    Abort,
    /// This call is given up, and arrives later.
    Delay,
    /// The participant refuses this call.
    Refuse,
}

impl Step {
    pub(super) fn is_fault(self) -> bool {
        matches!(self, Self::Fault(..))
    }
}

impl World {
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for c in 0..2 {
            steps.extend(self.members[c].batch.as_ref().map(|_| Step::Commit(c)));
            steps.extend((self.members[c].loads > 0).then_some(Step::Load(c)));
            steps.extend(self.is_left_behind(c).then_some(Step::Sweep(c)));
            steps.extend(self.waits_for_company(c).then_some(Step::Wait(c)));
        }
        steps.extend((0..self.calls.len()).map(Step::Arrive));
        steps.extend((0..self.ghosts.len()).map(Step::Land));
        if steps.is_empty() && !self.is_settled() {
            steps.extend((0..2).filter(|&c| self.members[c].shard.poll_timeout().is_some()).map(Step::Wait));
        }
        for fault in self.faults_left() {
            let members = (0..2).filter(|&c| self.may_happen(fault, c));
            let calls = 0..self.calls.len();
            match fault {
                Fault::Delay => {
                    steps.extend(calls.filter(|&i| self.calls[i].live).map(|i| Step::Fault(fault, i)))
                }
                Fault::Refuse => steps.extend(calls.map(|i| Step::Fault(fault, i))),
                Fault::Adopt
                | Fault::Crash
                | Fault::Panic
                | Fault::DoubtWritten
                | Fault::DoubtLate
                | Fault::Abort => steps.extend(members.map(|c| Step::Fault(fault, c))),
            }
        }
        steps
    }

    fn may_happen(&self, fault: Fault, c: usize) -> bool {
        let member = &self.members[c];
        match fault {
            Fault::Adopt => self.owner.is_some_and(|owner| owner != c) && !self.is_settled(),
            Fault::Crash | Fault::Panic => member.shard.knows(&super::super::trace::gid()),
            Fault::DoubtWritten | Fault::DoubtLate => member.batch.is_some(),
            Fault::Abort => self.owner.is_some() && !self.is_settled(),
            Fault::Delay | Fault::Refuse => false,
        }
    }
}
