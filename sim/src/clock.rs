//! A wall clock that is set while its coordinator runs.

use fastrand::Rng;
use trine_engine::Wall;
use trine_protocol::Timestamp;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// By how much clocks are set, both ways.
const JUMPS_MS: [i64; 4] = [2_000, 10 * MINUTE_MS, 60 * MINUTE_MS, 40 * DAY_MS];
/// When simulated time begins: no clock is ever set to before the beginning of time.
pub(crate) const START: Timestamp = Timestamp::from_millis(20_000 * DAY_MS.unsigned_abs());
/// Longest time in which everything must settle once faults have stopped: waits of at most a few minutes each.
pub(crate) const CALM_MS_MAX: u64 = DAY_MS.unsigned_abs();

/// One process's clocks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    /// Its steady time less that of the simulation.
    ahead_ms: i64,
    pub(crate) wall: Wall,
}

impl Clock {
    pub(crate) fn ahead_by(ahead_ms: i64) -> Self {
        Self { ahead_ms, wall: Wall::default() }
    }

    pub(crate) fn steady(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis().saturating_add_signed(self.ahead_ms))
    }

    /// The simulation's time when its steady time is `at`.
    pub(crate) fn reached(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.millis().saturating_add_signed(-self.ahead_ms))
    }

    /// The simulation's time when the wall clock, as it is now, shows `at`.
    pub(crate) fn shown(&self, at: Timestamp) -> Timestamp {
        self.reached(Timestamp::from_millis(at.millis().saturating_add_signed(-self.wall.lead_ms())))
    }

    pub(crate) fn set(&mut self, rng: &mut Rng, now: Timestamp) {
        let by_ms = JUMPS_MS[rng.usize(..JUMPS_MS.len())] * if rng.bool() { 1 } else { -1 };
        self.wall.set(self.wall.lead_ms() + by_ms, self.steady(now));
    }

    pub(crate) fn was_set(&self) -> bool {
        self.wall != Wall::default()
    }

    /// The clocks of the next process on the same machine: its steady time begins with what the wall clock shows.
    pub(crate) fn restarted(&self) -> Self {
        Self::ahead_by(self.ahead_ms + self.wall.lead_ms())
    }
}
