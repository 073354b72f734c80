//! Calls of a transaction beside those under way.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::Timestamp;

use super::slot::Resident;
use crate::input::CallKey;

/// Most transactions never have any of these, so they are apart from the [`Resident`].
#[derive(Debug, Clone, Default)]
pub(super) struct OtherCalls {
    /// Calls that left for this gid before it was created here, and have not come back.
    pub(super) left_earlier: BTreeSet<CallKey>,
    /// Calls that found no room at their host, and when to offer them again.
    pub(super) deferred: BTreeMap<CallKey, Timestamp>,
    /// Calls that could not be sent, and since when. A read keeps this map.
    pub(super) unsent: BTreeMap<CallKey, Timestamp>,
}

impl Resident {
    pub(super) fn other_calls(&self) -> &OtherCalls {
        const NONE: &OtherCalls =
            &OtherCalls { left_earlier: BTreeSet::new(), deferred: BTreeMap::new(), unsent: BTreeMap::new() };
        self.other_calls.as_deref().unwrap_or(NONE)
    }

    pub(super) fn other_calls_mut(&mut self) -> &mut OtherCalls {
        self.other_calls.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::spec::{BranchSpec, Spec};
    use crate::transaction::Branch;

    /// Beside the texts that its initiator gave: payloads, targets, ids and labels.
    #[test]
    fn a_transaction_of_two_branches_that_waits_in_memory_takes_less_than_1200_bytes() {
        // An `Arc` counts its owners in two words.
        let shared = |size: usize| size + 2 * size_of::<usize>();
        let branch = shared(size_of::<BranchSpec>()) + size_of::<Arc<BranchSpec>>() + size_of::<Branch>();
        let all = size_of::<Resident>() + shared(size_of::<Spec>()) + 2 * branch;
        assert!(all < 1_200, "{all} bytes");
    }
}
