//! The one place that reads the clock.
//!
//! A process has two: the wall clock, which people and other machines read and anybody may set, and steady time, which
//! nobody can. [`Clock`] joins them. Waits are counted in steady time; what is written down carries wall time. When the
//! wall clock is set, [`Clock::look`] notices, says so, and whoever follows the clock is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trine_engine::Wall;
use trine_protocol::Timestamp;

/// A wall clock that differs from what steady time leads to expect by more than this has been set.
const JUMP_MS_MIN: u64 = 1_000;
/// How often the two are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wall time now, for those who run for a moment only. What it causes becomes an event; nothing safe rests on it (laws
/// L10, L12).
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Shows wall time: the system's, or another in tests.
type Source = dyn Fn() -> Timestamp + Send + Sync;

/// The clock of a process. Cheap to clone; clones are one clock.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<Source>,
    started: tokio::time::Instant,
    /// What the wall clock showed when steady time began. Steady time begins with it.
    first: Timestamp,
    wall: watch::Sender<Wall>,
    /// One looks at a time.
    looking: Mutex<()>,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("wall", &*self.inner.wall.borrow()).finish_non_exhaustive()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self::reading(now)
    }

    /// The system's steady time, and a wall clock of one's own.
    pub fn reading(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let (first, source) = (source(), Box::new(source));
        let inner = Inner {
            source,
            // Tokio's timers go by the same time: nothing is woken too early.
            started: tokio::time::Instant::now(),
            first,
            wall: watch::Sender::new(Wall::default()),
            looking: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Steady time: it begins with the wall clock's and runs at an even pace, whatever is done to that.
    pub fn steady(&self) -> Timestamp {
        let elapsed = self.inner.started.elapsed().as_millis();
        self.inner.first.plus_millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Wall time, as of the last look.
    pub fn now(&self) -> Timestamp {
        self.inner.wall.borrow().at(self.steady())
    }

    /// What the wall clock has shown against steady time, and when that changes.
    pub fn follow(&self) -> watch::Receiver<Wall> {
        self.inner.wall.subscribe()
    }

    /// Compares the wall clock with steady time. Returns by how many milliseconds it was set, if it was.
    pub fn look(&self) -> Option<i64> {
        let _one = self.inner.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let by_ms = self.deviation()?;
        let steady = self.steady();
        self.inner.wall.send_modify(|wall| wall.set(wall.lead_ms().saturating_add(by_ms), steady));
        Some(by_ms)
    }

    /// How far the wall clock is from what is expected of it, if that is far.
    fn deviation(&self) -> Option<i64> {
        // Before and after: a process that is held up between two readings sees no difference that is none.
        let (before, shown, after) = (self.now(), (self.inner.source)(), self.now());
        let too_low = before.millis_since(shown);
        let too_high = shown.millis_since(after);
        let by_ms = too_low.max(too_high);
        let signed = i64::try_from(by_ms).unwrap_or(i64::MAX);
        (by_ms > JUMP_MS_MIN).then_some(if too_high > 0 { signed } else { -signed })
    }

    /// Looks at the clock every second until `stop`. A machine that was suspended is seen as a clock that was set forward:
    /// steady time stands still meanwhile.
    pub async fn watch_over(self, was_set: impl Fn(i64) + Send, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Some(by_ms) = self.look() {
                was_set(by_ms);
                tracing::warn!(
                    by_ms,
                    now = %self.now(),
                    "the wall clock was set, or the machine slept; waits go on at their pace, and what is due is read again"
                );
            }
        }
    }
}

/// Measures how long something takes, whatever the wall clock does meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        Self(std::time::Instant::now())
    }

    /// Since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    /// Since the start, in milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
