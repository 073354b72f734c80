//! The time that a lane gives to its shard, and whether the clock may decide.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use trine_protocol::Timestamp;

use super::Lane;
use crate::skew::Verdict;
use trine_clock as clock;

/// How often a lane compares its clock again while the clock is wrong.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The timer of a lane.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Resolves after `wait`, or earlier. None: never.
    pub(super) async fn rings(&mut self, wait: Option<Duration>) {
        let Some(wait) = wait else { return std::future::pending().await };
        let at = Instant::now() + wait;
        // Every message may change when the shard must act next, mostly to a later time. To ring once for nothing costs less than
        // to move the timer with every message. Waits are whole milliseconds, so a smaller difference is none.
        if self.0.is_elapsed() || at + Duration::from_millis(1) < self.0.deadline() {
            self.0.as_mut().reset(at);
        }
        self.0.as_mut().await;
    }
}

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
        // After a loss of memory an append of the old memory may be under way, of which the shard does not know. Until the
        // append ends, the shard's next batch is due and cannot begin.
        let is_held_up = self.refill && self.append.is_some();
        let wait = if is_held_up { wait.map(|wait| wait.max(LOOK_AGAIN)) } else { wait };
        // Without trust the shard may have no timer at all, so the lane wakes itself to compare the clocks again.
        if self.trusts_time { wait } else { Some(wait.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN))) }
    }
}
