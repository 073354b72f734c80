//! A lane that stops: it makes no calls any more and waits for those under way, for a while.
//!
//! What comes back is recorded as ever. What is still out when the time is over is recorded as *unknown*: it may have run,
//! and whoever goes on calls with the next attempt, not with the same one again.
//!
//! A store that does not answer holds no lane up for ever: the wait for the last append has a bound of its own.

use std::time::Duration;

use tokio::sync::mpsc;
use trine_engine::{Answer, CallReport, Message, Outcome, Shard};
use trine_protocol::Timestamp;

use super::super::door::Admission;
use super::Lane;

/// How long a lane waits for its last append, after the time for calls is over. Who stops a process kills it after a while.
const RECORD_WITHIN: Duration = Duration::from_secs(3);
/// The same for somebody who asked twice.
pub(super) const RECORD_WITHIN_HURRIED: Duration = Duration::from_secs(2);

/// Where a lane is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It takes nothing in, and waits for calls and reads under way.
    Draining {
        /// But not longer; in steady time.
        until: Timestamp,
    },
    /// Only what is being written is waited for.
    GivenUp {
        /// But not longer; in steady time.
        until: Timestamp,
    },
}

impl Stopping {
    /// Resolves when the time for this is over.
    pub(super) async fn over(stopping: Option<Self>, now: Timestamp) {
        match stopping {
            Some(Self::Draining { until } | Self::GivenUp { until }) => {
                tokio::time::sleep(Duration::from_millis(until.millis_since(now))).await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Lane {
    pub(super) fn begin_stop(&mut self, commands: &mut mpsc::Receiver<Admission>) {
        commands.close();
        // What got through the door before it closed is served like the rest.
        while let Ok(admission) = commands.try_recv() {
            self.admit(admission);
        }
        let until = self.after(self.parts.options.calls_drain);
        self.stopping = Some(Stopping::Draining { until });
    }

    fn after(&mut self, wait: Duration) -> Timestamp {
        self.now().plus_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn has_given_up(&self) -> bool {
        matches!(self.stopping, Some(Stopping::GivenUp { .. }))
    }

    /// Nothing is left to wait for.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let is_quiet = self.calls_out.is_empty() && self.loads_in_flight == 0;
        match self.stopping {
            None => false,
            Some(Stopping::Draining { .. }) => is_quiet && !self.append_in_flight,
            Some(Stopping::GivenUp { until }) => !self.append_in_flight || until <= now,
        }
    }

    /// Calls, or the last append, have had their time.
    pub(super) fn wait_no_longer(&mut self) {
        match self.stopping {
            Some(Stopping::Draining { .. }) => self.give_up(RECORD_WITHIN),
            Some(Stopping::GivenUp { .. }) => tracing::error!(
                lane = self.parts.index,
                "the store did not take the last records in time; leaving without them: calls that were under way may be \
                 made again under the same attempt numbers"
            ),
            None => {}
        }
    }

    /// Records that nobody knows what became of the calls that are still out, and gives that so much time.
    pub(super) fn give_up(&mut self, record_within: Duration) {
        self.stopping = Some(Stopping::GivenUp { until: self.after(record_within) });
        let out = std::mem::take(&mut self.calls_out);
        if out.is_empty() {
            return;
        }
        let (lane, calls) = (self.parts.index, out.len());
        tracing::warn!(lane, calls, "calls are still under way; recording them as unknown");
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
