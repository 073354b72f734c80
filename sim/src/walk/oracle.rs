//! What a walk checks at every step: what was called was owed, what was told is durable.

use trine_engine::{Call, Rejection, Snapshot, Ticket};
use trine_protocol::Status;

use super::Walk;

impl Walk {
    pub(super) fn check_call(&mut self, call: &Call) -> Result<(), String> {
        let what = format!("{} {:?}", call.gid, call.key);
        let state = self.store.state(&call.gid).ok_or(format!("{what} was called without a journal"))?;
        if call.fence > state.seq() {
            return Err(format!("{what} is fenced with {}, which is not durable", call.fence));
        }
        let owed = state.owed().iter().any(|owed| owed.key == call.key);
        if !owed && !self.overtaken.contains(&call.gid) {
            return Err(format!("{what} was called and is not owed by the durable state"));
        }
        let fence = self.fences.entry(call.gid.clone()).or_default();
        if call.fence < *fence {
            return Err(format!("{what}: its fence went back from {fence} to {}", call.fence));
        }
        *fence = call.fence;
        let busy = |other: &Call| other.gid == call.gid && other.key.branch == call.key.branch;
        if self.calls.iter().any(busy) {
            return Err(format!("{what} was called while another call to its branch is under way"));
        }
        self.verdict.calls += 1;
        Ok(())
    }

    pub(super) fn check_reply(
        &mut self,
        ticket: Ticket,
        result: &Result<Snapshot, Rejection>,
    ) -> Result<(), String> {
        let (index, ask) = self.asked.remove(&ticket).ok_or("a reply for nobody, or twice")?;
        let initiated = &mut self.initiated[index];
        let durable = self.store.state(&initiated.gid).map(|state| state.status());
        initiated.hear(ask, result, durable, durable.is_none())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        for initiated in &self.initiated {
            match initiated.check_end(&self.store, &self.participants)? {
                Status::Committed => self.verdict.committed += 1,
                _ => self.verdict.rolled_back += 1,
            }
        }
        Ok(())
    }
}
