//! The only place in the coordinator that reads a clock.
//!
//! A process has two clocks. The wall clock is the one that people and other machines read, and it may be set. Steady time runs
//! at an even pace and cannot be set. [`Clock`] joins them: waits are counted in steady time, and records carry wall time. When
//! the wall clock is set, [`Clock::look`] notices, and followers of the clock are told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trine_engine::Wall;
use trine_protocol::Timestamp;

/// If the wall clock differs from the expected time by more than this, it has been set.
const JUMP_MS_MIN: u64 = 1_000;
/// How often the two clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Wall time now, without a [`Clock`]. Safety never rests on it (law L12), and its effects become events (law L10).
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The source of wall time: the system, or a test.
type Source = dyn Fn() -> Timestamp + Send + Sync;

/// The clock of a process. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<Source>,
    started: tokio::time::Instant,
    /// Wall time at the start. Steady time begins with this value.
    first: Timestamp,
    wall: watch::Sender<Wall>,
    /// Held during a comparison, so that a jump is noticed only once.
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

    /// Steady time of the system, with another source of wall time, for tests.
    pub fn reading(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let (first, source) = (source(), Box::new(source));
        let inner = Inner {
            source,
            // Tokio's timers use the same clock, so no wait ends too early.
            started: tokio::time::Instant::now(),
            first,
            wall: watch::Sender::new(Wall::default()),
            looking: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Steady time. It begins with wall time at the start and runs at an even pace, even if the wall clock is set.
    pub fn steady(&self) -> Timestamp {
        let elapsed = self.inner.started.elapsed().as_millis();
        self.inner.first.plus_millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Wall time: steady time and the lead that the last comparison found.
    pub fn now(&self) -> Timestamp {
        self.inner.wall.borrow().at(self.steady())
    }

    /// The leads of the wall clock over steady time, and a notification when the lead changes.
    pub fn follow(&self) -> watch::Receiver<Wall> {
        self.inner.wall.subscribe()
    }

    /// Compares the wall clock with steady time. If the wall clock was set, returns by how many milliseconds.
    pub fn look(&self) -> Option<i64> {
        let _one = self.inner.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let by_ms = self.deviation()?;
        let steady = self.steady();
        self.inner.wall.send_modify(|wall| wall.set(wall.lead_ms().saturating_add(by_ms), steady));
        Some(by_ms)
    }

    /// The difference between the wall clock and the expected time, if it is a jump.
    fn deviation(&self) -> Option<i64> {
        // The expected time is read before and after. If the process is held up between two readings, the true value lies in
        // between, and no jump is seen.
        let (before, shown, after) = (self.now(), (self.inner.source)(), self.now());
        let too_low = before.millis_since(shown);
        let too_high = shown.millis_since(after);
        let by_ms = too_low.max(too_high);
        let signed = i64::try_from(by_ms).unwrap_or(i64::MAX);
        (by_ms > JUMP_MS_MIN).then_some(if too_high > 0 { signed } else { -signed })
    }

    /// Compares the clocks every second until `stop`. After a suspension of the machine the wall clock looks as if it was set
    /// forward, because steady time stood still.
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

/// Measures durations, independent of the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    /// Milliseconds since the start.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
