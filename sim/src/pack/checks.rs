//! The checks at every step and at the end.

use trine_engine::{Call, Rejection, Snapshot, Ticket};
use trine_protocol::{Pattern, Status};

use super::member::Asked;
use super::{Pack, SKEW_MS_MAX};
use crate::ask::Question;
use crate::memories::is_ahead;

impl Pack {
    /// Checks a call. A zombie may repeat a call that was once owed. No member may make a call that no durable state has owed.
    pub(super) fn check_call(&mut self, m: usize, call: &Call) -> Result<(), String> {
        let what = format!("coordinator {m} called {} {:?}", call.gid, call.key);
        let member = &mut self.members[m];
        member.memories.check_call(call, self.shared.store.state_at(&call.gid, call.fence))?;
        self.verdict.repeated += u64::from(self.steps.call(call) && is_ahead(&self.initiated, &call.gid));
        if !member.shard.drives(&call.gid) {
            return Err(format!("{what}, which it does not drive"));
        }
        if call.pattern == Pattern::Workflow {
            self.verdict.callbacks += 1;
            let called = self.initiated.iter().find(|initiated| initiated.gid == call.gid);
            let executor = called.and_then(|initiated| initiated.executor.as_ref());
            // If clocks are set, they may be arbitrarily far apart, so the time of a callback cannot be checked.
            if let Some(executor) = executor.filter(|_| !self.sets_clocks) {
                let checked = executor.check_callback(self.now, call.fence, SKEW_MS_MAX);
                checked.map_err(|error| format!("{what}: {error}"))?;
            }
        }
        let busy = |other: &Call| other.gid == call.gid && other.key.branch == call.key.branch;
        if member.calls.iter().any(busy) {
            return Err(format!("{what} while another call to its branch is under way"));
        }
        self.verdict.calls += 1;
        self.verdict.calls_of_zombies += u64::from(self.shared.owner(&call.gid) != Some(m));
        Ok(())
    }

    pub(super) fn check_reply(
        &mut self,
        m: usize,
        ticket: Ticket,
        result: &Result<Snapshot, Rejection>,
    ) -> Result<(), String> {
        let asked = self.members[m].asked.remove(&ticket);
        let Asked { index, question, at, absent } = asked.ok_or("a reply for nobody, or twice")?;
        let member = &self.members[m];
        let initiated = &mut self.initiated[index];
        if question.is_told_quiet(result, member.now(self.now)) {
            self.verdict.told_quiet += 1;
            if let Some(call) = member.calls.iter().find(|call| call.gid == initiated.gid) {
                return Err(format!("{} is told to be quiet while {:?} is under way", call.gid, call.key));
            }
        }
        initiated.hear_as_executor(&Question { at, ..question }, result, &self.shared.store)?;
        let settled = result.as_ref().is_ok_and(|snapshot| snapshot.status.is_settled());
        let elsewhere = settled && self.shared.owner(&initiated.gid) != Some(m);
        self.verdict.told_elsewhere += u64::from(elsewhere);
        let durable = self.shared.store.state(&initiated.gid).map(|state| state.status());
        let teller = member.shard.resident(&initiated.gid);
        self.verdict.told_early += u64::from(initiated.is_told_early(result, durable, teller)?);
        initiated.hear(question.ask, result, durable, absent)
    }

    /// Checks that every unsettled transaction that is due is in the memory of its owner, and driven there alone.
    pub(super) fn check_drivers(&mut self) -> Result<(), String> {
        for (gid, owner) in self.shared.unsettled() {
            let drivers: Vec<usize> =
                (0..self.members.len()).filter(|&m| self.members[m].shard.drives(gid)).collect();
            let belongs = self.shared.unfinished(owner, self.members[owner].wall(self.now)).contains(gid);
            // A read that failed is tried again later, so the gid may be known without being loaded.
            let is_read = self.members[owner].shard.knows(gid);
            if drivers.iter().any(|&m| m != owner) || (belongs && drivers.is_empty() && !is_read) {
                return Err(format!("{gid} is coordinator {owner}'s, and driven by {drivers:?}"));
            }
            self.verdict.driven_by_one += drivers.len() as u64;
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        for initiated in &self.initiated {
            self.steps.check_end(self.shared.store.records(&initiated.gid))?;
            let end = self.shared.store.state(&initiated.gid);
            self.verdict.forced += u64::from(end.is_some_and(|end| end.forced().is_some()));
            match initiated.check_end(&self.shared.store, &self.participants)? {
                Status::Committed => self.verdict.committed += 1,
                _ => self.verdict.rolled_back += 1,
            }
        }
        Ok(())
    }
}
