//! How old a record is.
//!
//! A clock that leaps ahead by months would make every record old at once. A record that is deleted too early lets a late
//! duplicate take effect again. So the age of a record is not the difference between two readings of the clock. The age is
//! counted along the calls that came after the record: these calls show that the clock went through that time. A long silence
//! does not count, because nobody can tell a leap of the clock from a time without calls.

use std::ops::ControlFlow;

/// A silence that is longer than this never counts.
const SILENCE_MS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// A silence counts only if it is at most this part of the time that records are kept. So if one leap of the clock is taken for
/// a silence, records become only a little older.
const SILENCE_PART: i64 = 8;

/// Looks for the time before which records have been unused for long enough. Goes back from now, span by span.
#[derive(Debug)]
pub(crate) struct Lookback {
    /// The longest silence that counts.
    silence_ms: i64,
    /// The time that is still to be counted.
    rest_ms: i64,
    /// All calls from this time on are counted.
    at: i64,
}

impl Lookback {
    /// Starts at `now` by the database's clock, and looks for records that were unused for `keep_ms`.
    pub(crate) fn new(now: i64, keep_ms: i64) -> Self {
        let silence_ms = (keep_ms / SILENCE_PART).min(SILENCE_MS_MAX);
        Self { silence_ms, rest_ms: keep_ms, at: now }
    }

    /// The span to ask for: its beginning (inclusive) and its end (exclusive).
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.at.saturating_sub(self.silence_ms), self.at)
    }

    /// Takes the answer: the first use of a record within the span, and the last use before the span. Breaks with the time
    /// before which records are old enough, or with `None` if no record is old enough.
    pub(crate) fn hear(&mut self, (within, before): (Option<i64>, Option<i64>)) -> ControlFlow<Option<i64>> {
        match (within, before) {
            (Some(first), _) => {
                let counted = self.at.saturating_sub(first);
                if counted >= self.rest_ms {
                    return ControlFlow::Break(Some(self.at - self.rest_ms));
                }
                self.rest_ms -= counted;
                self.at = first;
                ControlFlow::Continue(())
            }
            (None, Some(before)) => {
                self.at = before;
                ControlFlow::Continue(())
            }
            (None, None) => ControlFlow::Break(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1_000;
    const DAY: i64 = 24 * HOUR;

    fn old_before(now: i64, keep_ms: i64, used: &[i64]) -> Option<i64> {
        let mut lookback = Lookback::new(now, keep_ms);
        loop {
            let (from, until) = lookback.span();
            let first = used.iter().copied().filter(|at| (from..until).contains(at)).min();
            let before = used.iter().copied().filter(|at| *at < from).max();
            if let ControlFlow::Break(found) = lookback.hear((first, before)) {
                return found;
            }
        }
    }

    /// A call every hour of these days.
    fn hourly(days: std::ops::Range<i64>) -> impl Iterator<Item = i64> {
        (days.start * 24..days.end * 24).map(|hour| hour * HOUR)
    }

    #[test]
    fn where_calls_come_every_day_age_is_what_the_clock_says() {
        let used: Vec<i64> = hourly(0..100).collect();
        assert_eq!(old_before(100 * DAY, 60 * DAY, &used), Some(40 * DAY));
        assert_eq!(old_before(100 * DAY, 101 * DAY, &used), None);
    }

    #[test]
    fn a_leap_of_the_clock_makes_nothing_old() {
        let used: Vec<i64> = hourly(0..50).chain(hourly(90..91)).collect();
        // Forty days ahead, and a day since: 49 days and an hour of the time before it are still to be counted.
        assert_eq!(old_before(91 * DAY, 50 * DAY, &used), Some(DAY - HOUR));
        assert_eq!(old_before(91 * DAY, 60 * DAY, &used), None);
        assert_eq!(old_before(900 * DAY, DAY, &hourly(0..1).collect::<Vec<_>>()), None);
        // Half a day ahead is much where records are kept for a day.
        let half: Vec<i64> = hourly(0..1).map(|at| at + DAY / 2).chain([2 * DAY]).collect();
        assert_eq!(old_before(2 * DAY + HOUR, DAY, &half), Some(DAY / 2));
    }

    #[test]
    fn what_was_used_in_the_future_counts_for_nothing() {
        let used: Vec<i64> = hourly(0..10).chain(hourly(40..80)).collect();
        assert_eq!(old_before(10 * DAY, 5 * DAY, &used), Some(5 * DAY));
    }

    #[test]
    fn nothing_used_is_nothing_old() {
        assert_eq!(old_before(10 * DAY, DAY, &[]), None);
    }
}
