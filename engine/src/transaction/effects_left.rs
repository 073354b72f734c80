//! What is left of a transaction that is rolled back.

use trine_protocol::{BranchId, Status};

use super::{Branch, OpState, Transaction};

impl Transaction {
    /// Branches of a rolled back transaction whose effect may stand: they took effect, or may have, and were not undone. This
    /// is a branch of a saga without a compensation, or one that was not undone before an operator settled the transaction.
    pub fn may_stand(&self) -> Vec<&BranchId> {
        let left = |branch: &&Branch| self.status == Status::RolledBack && self.is_left(branch);
        self.branches.iter().filter(left).map(|branch| &branch.spec.id).collect()
    }

    fn is_left(&self, branch: &Branch) -> bool {
        let had_to_run = branch.spec.forward.is_some() || self.tries_itself();
        let refused = matches!(branch.forward.state, OpState::Refused { .. });
        had_to_run && branch.exposed && !branch.read_only && !refused && !branch.finish().is_done()
    }
}
