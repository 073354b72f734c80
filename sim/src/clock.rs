//! A wall clock that is set while its coordinator runs.

use fastrand::Rng;
use trine_engine::Wall;
use trine_protocol::Timestamp;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// The jumps of clocks, forward and back.
const JUMPS_MS: [i64; 4] = [2_000, 10 * MINUTE_MS, 60 * MINUTE_MS, 40 * DAY_MS];
/// The start of simulated time, late enough that no jump leads to a time before the epoch.
pub(crate) const START: Timestamp = Timestamp::from_millis(20_000 * DAY_MS.unsigned_abs());
/// Longest time in which everything must settle once faults have stopped: waits of at most a few minutes each.
pub(crate) const CALM_MS_MAX: u64 = DAY_MS.unsigned_abs();

/// One process's clocks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    /// The process's steady time minus the simulation's time.
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

    /// The simulation's time at which this process's steady time is `at`.
    pub(crate) fn reached(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.millis().saturating_add_signed(-self.ahead_ms))
    }

    /// The simulation's time at which the wall clock, with its present lead, shows `at`.
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

    /// The clocks of the next process on the same machine. Its steady time begins with the wall clock's present time.
    pub(crate) fn restarted(&self) -> Self {
        Self::ahead_by(self.ahead_ms + self.wall.lead_ms())
    }
}
