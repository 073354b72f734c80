//! The checks of a walk at every step: each call was owed, and each answer is durable.

use trine_engine::{Call, Rejection, Snapshot, Ticket};
use trine_protocol::{Pattern, Status};

use super::Walk;
use crate::memories::is_ahead;

impl Walk {
    pub(super) fn check_call(&mut self, call: &Call) -> Result<(), String> {
        let what = format!("{} {:?}", call.gid, call.key);
        let state = self.store.state(&call.gid).ok_or(format!("{what} was called without a journal"))?;
        if call.fence != state.seq() && !self.overtaken.contains(&call.gid) {
            return Err(format!("{what} is fenced with {}, and {} is durable", call.fence, state.seq()));
        }
        self.memories.check_call(call, self.store.state_at(&call.gid, call.fence))?;
        self.verdict.repeated += u64::from(self.steps.call(call) && is_ahead(&self.initiated, &call.gid));
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
        let teller = self.shard.resident(&initiated.gid);
        self.verdict.told_early += u64::from(initiated.is_told_early(result, durable, teller)?);
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
            self.steps.check_end(self.store.records(&initiated.gid))?;
            let end = self.store.state(&initiated.gid);
            self.verdict.forced += u64::from(end.is_some_and(|end| end.forced().is_some()));
            match initiated.check_end(&self.store, &self.participants)? {
                Status::Committed => self.verdict.committed += 1,
                _ => self.verdict.rolled_back += 1,
            }
        }
        Ok(())
    }
}
