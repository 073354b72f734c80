//! When the end of a transaction is certain before its last record is durable.

use trine_protocol::{Pattern, Status};

use super::Transaction;
use crate::event::ForceTo;

impl Transaction {
    /// The opposite of `to` was decided. A decision stands: phase two may be over at the participants, and initiators may have
    /// been told the end ([`Self::end_is_certain`]).
    pub(super) fn is_decided_against(&self, to: ForceTo) -> bool {
        match (self.status, to) {
            (Status::RollingBack, ForceTo::Committed) => true,
            // Initiators of other dialects are told the end behind its record, and their operators may give a commit up.
            (Status::Committing, ForceTo::RolledBack) => self.spec.terms.is_none(),
            (Status::Committing, ForceTo::Committed) | (Status::RollingBack, ForceTo::RolledBack) => false,
            (Status::Open | Status::Running | Status::Committed | Status::RolledBack, _) => false,
        }
    }

    /// Whether this state, whose records up to `durable_seq` are durable, can end in no other way: the decision is durable, and
    /// every op of phase two has been answered with Done. If the later records are lost, the ops are asked again and nothing
    /// else. So an initiator may be told the end before the record of it is durable.
    pub(crate) fn end_is_certain(&self, durable_seq: u64) -> bool {
        let has_phase_two = match self.pattern() {
            Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase => self.spec.terms.is_none(),
            Pattern::Message | Pattern::Workflow => false,
        };
        let is_decided = self.decision_seq.is_some_and(|decision_seq| decision_seq <= durable_seq);
        // An operator's word is a decision of its own, and is told when it is durable.
        has_phase_two && is_decided && self.status.is_settled() && self.forced.is_none()
    }
}
