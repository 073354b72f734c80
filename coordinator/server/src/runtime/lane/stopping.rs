//! The end of a lane. A stopping lane makes no new calls and waits for those under way, for a limited time.
//!
//! Answers that arrive in time are recorded as usual. A call that is still under way after that is recorded as *unknown*: it may
//! have run, and the next owner must use the next attempt number and not the same one again.
//!
//! The wait for the last append has a limit of its own, so a store that does not answer cannot hold up the stop for ever.

use std::time::Duration;

use tokio::sync::mpsc;
use trine_engine::{Answer, CallReport, Message, Outcome, Shard};
use trine_protocol::Timestamp;

use super::super::door::Arrival;
use super::Lane;

/// How long a lane waits for its last append after the time for calls is over. Supervisors kill a process that takes too long.
const RECORD_WITHIN: Duration = Duration::from_secs(3);
/// The same after a second SIGTERM.
pub(super) const RECORD_WITHIN_HURRIED: Duration = Duration::from_secs(2);

/// The phase of a lane that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It accepts no commands, and waits for calls, reads and appends under way.
    Draining {
        /// But not longer; in steady time.
        until: Timestamp,
    },
    /// It waits only for the append in flight.
    GivenUp {
        /// But not longer; in steady time.
        until: Timestamp,
    },
}

impl Stopping {
    /// Resolves at the end of the present phase.
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
    pub(super) fn begin_stop(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) {
        // Closed first: nobody can send a command after the last one is taken, so none is left unanswered.
        arrivals.close();
        // Commands that were accepted before the queue closed are still served.
        while let Ok(arrival) = arrivals.try_recv() {
            self.arrived(arrival);
        }
        // From here on answers are written at once: nothing else may come that they could be written with.
        self.guarded(None, Shard::handle_stop);
        let until = self.after(self.parts.options.calls_drain);
        self.stopping = Some(Stopping::Draining { until });
    }

    fn after(&mut self, wait: Duration) -> Timestamp {
        self.now().plus_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn has_given_up(&self) -> bool {
        matches!(self.stopping, Some(Stopping::GivenUp { .. }))
    }

    /// Whether the lane may end.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let is_quiet = self.calls_out.is_empty() && self.loads_in_flight == 0;
        match self.stopping {
            None => false,
            // Also the append: it may hold the answer of the last call.
            Some(Stopping::Draining { .. }) => is_quiet && self.append.is_none(),
            // Reads under way do not count: no call would be made on their results.
            Some(Stopping::GivenUp { until }) => self.append.is_none() || until <= now,
        }
    }

    /// The time of the present phase is over.
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

    /// Records the calls under way as unknown, and waits at most `record_within` for this append.
    pub(super) fn give_up(&mut self, record_within: Duration) {
        self.stopping = Some(Stopping::GivenUp { until: self.after(record_within) });
        // Emptied first: an answer that arrives after this is ignored, so each call has one outcome.
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
            // An ordinary answer for the shard: it counts the attempt, so the next one gets the next number.
            self.handle(Message::Answer { gid, key, answer });
        }
    }

    /// Answers clients that wait for an end with the present status, as soon as this is durable. Their connections are closed
    /// soon, so they cannot wait for the end.
    pub(super) fn answer_waiters_if_stopping(&mut self) {
        if self.stopping.is_some() && !self.tickets.is_empty() {
            self.guarded(None, Shard::handle_stop);
        }
    }
}
