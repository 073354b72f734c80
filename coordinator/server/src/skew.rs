//! The difference between this machine's clock and the store's. Coordinators that share a store have its clock in common. A
//! coordinator whose own clock differs too far must not decide that a deadline has passed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trine_protocol::Timestamp;

use trine_clock::Stopwatch;

/// A difference above this is logged.
pub const NOTABLE_MS: u64 = 1_000;
/// Above this difference the machine's clock decides nothing.
pub const BEARABLE_MS: u64 = 30_000;
const DAY_S: u64 = 24 * 60 * 60;

/// The store's clock as last read, carried on in steady time.
#[derive(Debug, Default)]
pub struct StoreClock(Mutex<Option<Reading>>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The store's time at some moment between our question and its answer.
    at: Timestamp,
    asked: Stopwatch,
    /// Half the time that the answer took: the error of the reading.
    give_or_take_ms: u64,
}

/// The result of comparing this machine's clock with the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The difference does not matter.
    Together,
    /// The clocks differ, but the machine's clock may still decide.
    Apart,
    /// The machine's clock must not decide anything.
    Wrong,
}

impl StoreClock {
    /// Notes a reading: the store answered `at` to a question that was sent at `asked`.
    pub fn heard(&self, at: Timestamp, asked: Stopwatch) {
        let give_or_take_ms = asked.elapsed_ms() / 2;
        *self.lock() = Some(Reading { at, asked, give_or_take_ms });
    }

    /// The store's time now; none if it was never read.
    pub fn now(&self) -> Option<Timestamp> {
        let reading = (*self.lock())?;
        let passed = reading.asked.elapsed_ms().saturating_sub(reading.give_or_take_ms);
        Some(reading.at.plus_millis(passed))
    }

    /// The least amount by which a clock that shows `now` is ahead of the store's; negative if it is behind.
    pub fn skew_ms(&self, now: Timestamp) -> i64 {
        let (Some(store_now), Some(reading)) = (self.now(), *self.lock()) else { return 0 };
        let apart = |later: Timestamp, earlier: Timestamp| {
            let certain = later.millis_since(earlier).saturating_sub(reading.give_or_take_ms);
            i64::try_from(certain).unwrap_or(i64::MAX)
        };
        apart(now, store_now) - apart(store_now, now)
    }

    /// Judges a clock that shows `now`.
    pub fn judge(&self, now: Timestamp) -> Verdict {
        let apart_ms = self.skew_ms(now).unsigned_abs();
        if apart_ms > BEARABLE_MS {
            Verdict::Wrong
        } else if apart_ms > NOTABLE_MS {
            Verdict::Apart
        } else {
            Verdict::Together
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The difference as text: `2h 3m ahead of`, `40 days behind`.
pub fn in_words(skew_ms: i64) -> String {
    let seconds = skew_ms.unsigned_abs() / 1_000;
    let span = match seconds / DAY_S {
        0 | 1 => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
        days => format!("{days} days"),
    };
    format!("{span} {}", if skew_ms < 0 { "behind" } else { "ahead of" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis)
    }

    #[test]
    fn a_clock_is_compared_with_the_stores_as_it_goes_on() {
        let clock = StoreClock::default();
        assert_eq!((clock.now(), clock.skew_ms(at(0)), clock.judge(at(0))), (None, 0, Verdict::Together));
        clock.heard(at(0), Stopwatch::start());
        for (now, expected) in [
            (at(500), Verdict::Together),
            (at(20_000), Verdict::Apart),
            (at(40 * 86_400_000), Verdict::Wrong),
            (Timestamp::from_millis(0), Verdict::Wrong),
        ] {
            assert_eq!(clock.judge(now), expected, "{now:?}");
        }
        assert!(clock.skew_ms(at(86_400_000)) > 86_000_000);
        assert!(clock.skew_ms(Timestamp::from_millis(0)) < -999_000_000);
    }

    /// An answer that took long is no proof of a difference: it may have been given at any moment of it.
    #[test]
    fn the_time_of_the_answer_does_not_count_as_a_difference_of_clocks() {
        let clock = StoreClock::default();
        let asked = Stopwatch::start();
        clock.heard(at(0), asked);
        clock.lock().as_mut().unwrap().give_or_take_ms = 60_000;
        assert_eq!(clock.skew_ms(at(50_000)), 0);
        assert!(clock.skew_ms(at(120_000)) > 30_000);
    }

    #[test]
    fn a_difference_is_told_in_words() {
        assert_eq!(in_words(40 * 86_400_000 + 999), "40 days ahead of");
        assert_eq!(in_words(-5_000), "5s behind");
    }
}
