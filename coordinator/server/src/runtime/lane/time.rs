//! The time a lane tells its shard, and whether it can be believed.

use std::time::Duration;

use trine_protocol::Timestamp;

use super::Lane;
use crate::skew::Verdict;
use trine_clock as clock;

/// How often a lane that does not believe its clock looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Lane {
    /// Now, in steady time: what is due is due by it. A shard is told what the time is worth before it is told the time: also a clock that was set a moment ago
    /// decides nothing before it was compared with the store's.
    pub(super) fn now(&mut self) -> Timestamp {
        let now = self.parts.clock.steady();
        let trusts_time = self.parts.store_clock.judge(clock::now()) != Verdict::Wrong;
        if trusts_time != self.trusts_time {
            self.trusts_time = trusts_time;
            self.guarded(None, |shard| shard.handle_trust(trusts_time, now));
        }
        now
    }

    /// How long there is nothing to do, if nothing comes in.
    pub(super) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let wait = self.shard.poll_timeout().map(|at| Duration::from_millis(at.millis_since(now).max(1)));
        if self.trusts_time { wait } else { Some(wait.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN))) }
    }
}
