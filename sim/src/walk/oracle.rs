//! The checks of a walk at every step: each call was owed, and each answer is durable.

use trine_engine::{Call, Rejection, Snapshot, Ticket};
use trine_protocol::{Pattern, Status};

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
        if call.pattern == Pattern::Workflow {
            self.verdict.callbacks += 1;
            let called = self.initiated.iter().find(|initiated| initiated.gid == call.gid);
            let executor = called.and_then(|initiated| initiated.executor.as_ref());
            if let Some(executor) = executor.filter(|_| !self.has_lost_time) {
                executor
                    .check_callback(self.now, call.fence, 0)
                    .map_err(|error| format!("{what}: {error}"))?;
            }
        }
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
        let (index, question) = self.asked.remove(&ticket).ok_or("a reply for nobody, or twice")?;
        if question.is_told_quiet(result, self.steady()) {
            self.verdict.told_quiet += 1;
            self.check_quiet(index)?;
        }
        let initiated = &mut self.initiated[index];
        initiated.hear_as_executor(&question, result, &self.store)?;
        let durable = self.store.state(&initiated.gid).map(|state| state.status());
        initiated.hear(question.ask, result, durable, durable.is_none())
    }

    /// Checks an answer that says that nothing is due.
    fn check_quiet(&self, index: usize) -> Result<(), String> {
        let gid = &self.initiated[index].gid;
        if let Some(call) = self.calls.iter().find(|call| call.gid == *gid) {
            return Err(format!("{gid} is told to be quiet while {:?} is under way", call.key));
        }
        match self.store.state(gid).map(|state| state.agenda(self.shard.time_of(gid, self.steady())).calls) {
            Some(due) if !due.is_empty() && !self.overtaken.contains(gid) => {
                Err(format!("{gid} is told to be quiet and {due:?} is due"))
            }
            Some(_) => Ok(()),
            None => Err(format!("{gid} is told to be quiet and is not durable")),
        }
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
