//! A lane that stops: it makes no calls any more and waits for those under way, for a while.
//!
//! What comes back is recorded as ever. What is still out when the time is over is recorded as *unknown*: it may have run,
//! and whoever goes on calls with the next attempt, not with the same one again.

use std::time::Duration;

use tokio::sync::mpsc;
use trine_engine::{Answer, CallReport, Message, Outcome, Shard};
use trine_protocol::Timestamp;

use super::super::door::Admission;
use super::Lane;

/// Where a lane is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It takes nothing in, and waits for calls and reads under way.
    Draining {
        /// But not longer; in steady time.
        until: Timestamp,
    },
    /// Only what is being written is waited for.
    GivenUp,
}

impl Lane {
    pub(super) fn begin_stop(&mut self, commands: &mut mpsc::Receiver<Admission>) {
        commands.close();
        // What got through the door before it closed is served like the rest.
        while let Ok(admission) = commands.try_recv() {
            self.admit(admission);
        }
        let drain_ms = u64::try_from(self.parts.options.calls_drain.as_millis()).unwrap_or(u64::MAX);
        self.stopping = Some(Stopping::Draining { until: self.now().plus_millis(drain_ms) });
    }

    /// Nothing is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        let is_quiet = self.calls_out.is_empty() && self.loads_in_flight == 0;
        match self.stopping {
            None => false,
            Some(Stopping::Draining { .. }) => is_quiet && !self.append_in_flight,
            Some(Stopping::GivenUp) => !self.append_in_flight,
        }
    }

    /// Resolves when calls under way have had their time.
    pub(super) async fn drained(stopping: Option<Stopping>, now: Timestamp) {
        match stopping {
            Some(Stopping::Draining { until }) => {
                tokio::time::sleep(Duration::from_millis(until.millis_since(now))).await;
            }
            None | Some(Stopping::GivenUp) => std::future::pending().await,
        }
    }

    /// Records that nobody knows what became of the calls that are still out.
    pub(super) fn give_up(&mut self) {
        self.stopping = Some(Stopping::GivenUp);
        let out = std::mem::take(&mut self.calls_out);
        if out.is_empty() {
            return;
        }
        let (lane, calls) = (self.parts.index, out.len());
        tracing::warn!(lane, calls, "calls did not come back in time; recording them as unknown");
        for (gid, key) in out {
            let error = Some("the coordinator stopped before the call was answered".to_owned());
            let report = CallReport { error, ..CallReport::default() };
            let random_permille = fastrand::u32(0..=1_000);
            let answer = Answer { outcome: Outcome::Unknown, parks: None, report, random_permille };
            self.handle(Message::Answer { gid, key, answer });
        }
    }

    /// Whoever waits for an end is told where it stands as soon as that is durable: the connections it came by have no
    /// more time than the calls.
    pub(super) fn answer_who_waits(&mut self) {
        if self.stopping.is_some() && !self.tickets.is_empty() {
            self.guarded(None, Shard::handle_stop);
        }
    }
}
