//! The time that a lane gives to its shard, and whether the clock may decide.

use std::time::Duration;

use trine_protocol::Timestamp;

use super::Lane;
use crate::skew::Verdict;
use trine_clock as clock;

/// How often a lane compares its clock again while the clock is wrong.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Lane {
    /// Steady time now. First tells the shard whether the wall clock can be trusted, by comparing the clock with the store's. So a
    /// clock that was set a moment ago decides nothing.
    pub(super) fn now(&mut self) -> Timestamp {
        let now = self.parts.clock.steady();
        let trusts_time = self.parts.store_clock.judge(clock::now()) != Verdict::Wrong;
        // The shard is told only of a change. While time is not trusted, deadlines, starts and checks wait.
        if trusts_time != self.trusts_time {
            self.trusts_time = trusts_time;
            self.guarded(None, |shard| shard.handle_trust(trusts_time, now));
        }
        now
    }

    /// How long the lane may sleep if no message arrives.
    pub(super) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let wait = self.shard.poll_timeout().map(|at| Duration::from_millis(at.millis_since(now).max(1)));
        // Without trust the shard may have no timer at all, so the lane wakes itself to compare the clocks again.
        if self.trusts_time { wait } else { Some(wait.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN))) }
    }
}
