//! What must hold at every step of every history, and at its end.

use trine_protocol::{Pattern, Status};

use super::super::trace::gid;
use super::world::World;
use crate::input::{CallKey, Rejection};
use crate::shard::{Call, Snapshot, Ticket};
use crate::transaction::Transaction;

/// Whether this durable state lets the call leave.
fn owes(state: &Transaction, key: CallKey) -> bool {
    if state.is_exposed_ahead() {
        // Answers that are not durable may stand between this state and the call.
        let asks = state.phase_op() == Some(key.op);
        let progress = key.branch.and_then(|branch| state.phase_progress(branch as usize));
        let branch = key.branch.map(|branch| &state.branches()[branch as usize]);
        return asks
            && branch.is_some_and(|branch| branch.exposed)
            && progress.is_some_and(|op| !op.is_done());
    }
    state.owed().iter().any(|owed| owed.key == key)
}

impl World<'_> {
    /// Law L4: a call leaves when the durable journal owes it; and only one per branch is under way.
    pub(super) fn check_call(&mut self, call: Call) {
        let states = self.store.states(&gid());
        let durable = states.last().expect("a call without a journal");
        let owing = call.fence.checked_sub(1).and_then(|at| states.get(at as usize));
        let owing = owing.expect("a call is fenced with a seq that is not durable");
        assert!(owes(owing, call.key), "{:?} is not owed at seq {}", call.key, call.fence);
        if !self.overtaken {
            assert!(owes(durable, call.key), "{:?} is not owed by the durable state", call.key);
        }
        assert!(call.fence >= self.fence, "the fence went back from {} to {}", self.fence, call.fence);
        self.fence = call.fence;
        let busy = self.calls.iter().any(|other| other.key.branch == call.key.branch);
        assert!(!busy, "two calls to one branch are under way");
        let spec = call.key.branch.map(|at| &durable.branches()[at as usize].spec);
        let target = match spec {
            Some(spec) => spec.target(call.pattern, call.key.op),
            None => durable.spec().check.as_ref(),
        };
        assert_eq!(Some(&call.target), target, "a call goes to the wrong place");
        self.calls.push(call);
    }

    /// Law L4: a reply is a durable fact; and what initiators are told is true for ever.
    pub(super) fn check_reply(&mut self, ticket: Ticket, result: Result<Snapshot, Rejection>) {
        match &result {
            Ok(snapshot) if snapshot.status.is_settled() => self.check_certain(snapshot),
            Ok(snapshot) => self.check_snapshot(snapshot),
            Err(_) => {}
        }
        let ticket = Some(ticket);
        if ticket == self.initiator.created {
            assert!(result.is_ok(), "the creation was refused: {result:?}");
            self.initiator.create_acknowledged = true;
            self.submit();
        } else if ticket == self.initiator.waiting {
            let snapshot = result.expect("a repeated creation succeeds");
            assert!(snapshot.status.is_settled(), "a waiter was told before the end");
            self.initiator.end_acknowledged = true;
            self.note("waiter told the end");
        } else if ticket == self.initiator.submitted {
            self.initiator.submit_acknowledged = true;
            match result {
                Ok(_) => self.note("submission accepted"),
                Err(rejection) => {
                    assert!(matches!(rejection, Rejection::IllegalState { .. }), "{rejection}");
                    let status = self.store.state(&gid()).unwrap().status();
                    let lost = matches!(status, Status::RollingBack | Status::RolledBack);
                    assert!(lost, "a submission was refused while the journal says {status}");
                }
            }
        } else if ticket == self.initiator.aborted {
            self.check_abort(result);
        } else {
            panic!("a reply for nobody, or twice: {ticket:?}");
        }
        self.initiator.forget(ticket);
    }

    fn check_snapshot(&self, snapshot: &Snapshot) {
        let states = self.store.states(&gid());
        let was = states.iter().any(|state| state.status() == snapshot.status);
        assert!(was, "{} was told, and was never durable", snapshot.status);
    }

    /// An end is told before its record is durable only if the journal can end in no other way.
    fn check_certain(&mut self, snapshot: &Snapshot) {
        let decided = self.store.load(&gid()).expect("an end was told without a journal");
        let end = match decided.status() {
            Status::Committing => Status::Committed,
            Status::RollingBack => Status::RolledBack,
            other @ (Status::Open | Status::Running | Status::Committed | Status::RolledBack) => other,
        };
        assert_eq!(end, snapshot.status, "an end was told that is not the decided one");
        if decided.status() != end {
            self.note("end told before its record");
            if !self.overtaken {
                let left = |branch: usize| {
                    let op = self.shard.resident(&gid()).and_then(|state| state.phase_progress(branch));
                    op.is_some_and(|op| !op.is_done())
                };
                assert!(!(0..decided.branches().len()).any(left), "an end was told while a call is owed");
            }
        }
        self.initiator.told = Some(snapshot.status);
    }

    fn check_abort(&mut self, result: Result<Snapshot, Rejection>) {
        let status = self.store.state(&gid()).map(Transaction::status);
        match result {
            Ok(_) => {
                self.initiator.abort_accepted = true;
                self.note("abort accepted");
                let undoing = matches!(status, Some(Status::RollingBack | Status::RolledBack));
                assert!(undoing, "an abort was accepted while the journal says {status:?}");
            }
            Err(Rejection::IllegalState { .. }) => {
                self.initiator.abort_rejected = true;
                self.note("abort rejected");
                let decided = match status {
                    Some(Status::Committing | Status::Committed) => true,
                    Some(Status::Running) => self.case.spec.pattern == Pattern::Message,
                    Some(Status::Open | Status::RollingBack | Status::RolledBack) | None => false,
                };
                assert!(decided, "an abort was refused while the journal says {status:?}");
            }
            Err(Rejection::NotFound) => {
                assert_eq!(status, None, "an abort did not find what is in the journal");
            }
            Err(other) => panic!("an abort was refused: {other}"),
        }
    }

    /// Laws L1 and L6: with nothing in flight, memory is what the journal gives.
    pub(super) fn check_memory(&self) {
        if self.batch.is_some() || self.loads > 0 || self.overtaken {
            return;
        }
        // Answers that decide nothing are not written yet.
        if let Some(resident) = self.shard.resident(&gid()).filter(|_| !self.waits_for_company()) {
            assert_eq!(Some(resident), self.store.state(&gid()), "memory differs from the journal");
        }
    }

    pub(super) fn check_end(&mut self) {
        let end = self.store.load(&gid()).expect("the journal is there");
        assert_eq!(Some(&end), self.store.state(&gid()), "folding again gives another state");
        if let Err(broken) = self.participants.whole_or_undone(&end) {
            panic!("{broken}: {:?}", self.participants.effects);
        }
        let committed = end.status() == Status::Committed;
        self.note(if committed { "committed" } else { "rolled back" });
        assert!(!(self.initiator.abort_accepted && committed), "an accepted abort was not kept");
        let told = self.initiator.told.filter(|told| *told != end.status());
        assert_eq!(told, None, "another end was told");
        assert!(!self.initiator.abort_rejected || committed, "an abort was refused, and then it rolled back");
        assert!(self.initiator.create_acknowledged, "the creation was never acknowledged");
    }
}
