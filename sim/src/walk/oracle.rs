//! What initiators were told is true for ever; what was called was owed.

use trine_engine::{Call, Rejection, Snapshot, Ticket};
use trine_protocol::{Pattern, Status};

use super::Walk;

/// What an initiator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Create,
    /// Tell me the end.
    Wait,
    Commit,
    Abort,
    /// Set going what is parked.
    Replay,
}

/// What one initiator was told. No answer is no promise.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    accepted: bool,
    end: Option<Status>,
}

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
        result: Result<Snapshot, Rejection>,
    ) -> Result<(), String> {
        let (index, ask) = self.asked.remove(&ticket).ok_or("a reply for nobody, or twice")?;
        let initiated = &mut self.initiated[index];
        let (gid, message) = (&initiated.gid, initiated.spec.pattern == Pattern::Message);
        let durable = self.store.state(gid).map(|state| state.status());
        let oracle = &mut initiated.oracle;
        let end = match (ask, &result) {
            (_, Ok(snapshot)) => {
                oracle.accepted = true;
                if snapshot.status.is_settled() && durable != Some(snapshot.status) {
                    return Err(format!("{gid}: {} was told, {durable:?} is durable", snapshot.status));
                }
                match ask {
                    Ask::Create | Ask::Wait | Ask::Replay => {
                        snapshot.status.is_settled().then_some(snapshot.status)
                    }
                    Ask::Commit => Some(Status::Committed),
                    Ask::Abort => Some(Status::RolledBack),
                }
            }
            (Ask::Commit, Err(Rejection::IllegalState { status, .. })) => match status {
                Status::RollingBack | Status::RolledBack => Some(Status::RolledBack),
                // It was declared.
                Status::Open | Status::Running | Status::Committing | Status::Committed => None,
            },
            (Ask::Abort, Err(Rejection::IllegalState { status, .. })) => {
                (message || *status != Status::Running).then_some(Status::Committed)
            }
            (Ask::Commit | Ask::Abort, Err(Rejection::NotFound)) if durable.is_none() => None,
            (_, Err(Rejection::Unavailable)) => None,
            (_, Err(rejection)) => return Err(format!("{gid}: {ask:?} was answered with: {rejection}")),
        };
        if durable.is_none() && result.is_ok() {
            return Err(format!("{gid}: {ask:?} was acknowledged and nothing is durable"));
        }
        match (oracle.end, end) {
            (Some(before), Some(now)) if before != now => {
                Err(format!("{gid}: {before} was told, then {now}"))
            }
            (before, now) => {
                oracle.end = before.or(now);
                Ok(())
            }
        }
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        for initiated in &self.initiated {
            let gid = &initiated.gid;
            let Some(end) = self.store.load(gid) else {
                return Err(format!(
                    "{gid} was {} and is gone",
                    if initiated.oracle.accepted { "accepted" } else { "asked for" }
                ));
            };
            self.participants.check(&end)?;
            if initiated.oracle.end.is_some_and(|told| told != end.status()) {
                return Err(format!("{gid}: {:?} was told, {} it is", initiated.oracle.end, end.status()));
            }
            match end.status() {
                Status::Committed => self.verdict.committed += 1,
                Status::RolledBack => self.verdict.rolled_back += 1,
                other @ (Status::Open | Status::Running | Status::Committing | Status::RollingBack) => {
                    return Err(format!("{gid} is {other} in the end"));
                }
            }
        }
        Ok(())
    }
}
