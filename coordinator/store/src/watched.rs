//! Which time somebody watched pass, by the store's clock: retention counts no other.
//!
//! What a wrong clock calls old may have settled a moment ago, and deleting cannot be undone. So age is not the difference
//! between two readings of a clock: it is the time that coordinators saw go by. Every minute each of them notes the store's
//! time, and thereby extends the newest *span*, if the time since the last note is explained: by another's note not long
//! before, or by its own steady clock. Otherwise the clock leapt, or nobody ran, which nobody can tell apart afterwards:
//! a new span begins, and what lies between two spans counts for nothing. What settled 29 days before a leap of 40 days
//! is still 29 days old after it.
//!
//! Pure: the stores read and write the spans, and [`Watcher`] keeps what one process remembers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trine_protocol::Timestamp;

use trine_clock::Stopwatch;

/// How often a coordinator notes the time.
pub const WATCH_EVERY: Duration = Duration::from_secs(60);
/// Time between two notes that needs no explanation, unless a process that watched knows better: a restart, or a store that
/// did not answer for a while.
const GAP_MS_MAX: u64 = 5 * 60 * 1_000;
/// How far the store's clock and a process's steady clock may be apart over the time between two notes.
const DRIFT_MS_MAX: u64 = 60 * 1_000;
/// In a store that was never watched: records so recent show that its clock is still the one they were written by.
const RECENT_MS_MAX: u64 = 60 * 60 * 1_000;
/// Spans kept; what older ones would add is not counted.
pub(super) const SPANS_MAX: usize = 1_000;

/// Time that was watched, in milliseconds since 1970 by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// The clock of a store moved in a way that the passing of time does not explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// It leapt ahead while this process watched.
    Ahead {
        /// By so much.
        by_ms: u64,
    },
    /// It went back.
    Back {
        /// By so much.
        by_ms: u64,
    },
    /// No coordinator ran for so long, or it leapt ahead meanwhile: nobody can tell.
    Unwatched {
        /// For so long.
        for_ms: u64,
    },
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The store's time that is noted.
    pub(super) now: i64,
    /// What the clock has gone back over was not there: spans end here.
    pub(super) cut_to: Option<i64>,
    pub(super) note: Note,
    pub(super) leap: Option<Leap>,
}

/// How a moment is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// The span that began then goes on.
    Extend { from: i64 },
    /// A span begins.
    Begin { from: i64 },
}

/// What one process remembers of the store's clock.
#[derive(Debug, Default)]
pub(super) struct Watcher(Mutex<Option<(i64, Stopwatch)>>);

impl Watcher {
    /// Compares the store's time with what is known. `newest`: the newest span; `newest_record`: the time of the newest
    /// record, where there is no span yet.
    pub(super) fn plan(&self, now: i64, newest: Option<Span>, newest_record: Option<i64>) -> Plan {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.map(|(noted, since)| {
            let passed = i64::try_from(since.elapsed_ms()).unwrap_or(i64::MAX);
            Known { noted, expected: noted.saturating_add(passed) }
        });
        plan(now, newest, newest_record, known)
    }

    /// The plan was carried out.
    pub(super) fn noted(&self, plan: &Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((plan.now, Stopwatch::start()));
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// What this process noted last.
    noted: i64,
    /// What the clock should show now.
    expected: i64,
}

fn plan(now: i64, newest: Option<Span>, newest_record: Option<i64>, known: Option<Known>) -> Plan {
    let begin = |leap| Plan { now, cut_to: None, note: Note::Begin { from: now }, leap };
    let Some(newest) = newest else {
        let recent = newest_record.is_some_and(|at| now.abs_diff(at) <= RECENT_MS_MAX);
        return Plan { note: Note::Begin { from: if recent { 0 } else { now } }, ..begin(None) };
    };
    let gap_ms = now.abs_diff(newest.until);
    let extend = Plan { now, cut_to: None, note: Note::Extend { from: newest.from }, leap: None };
    let leapt = known.filter(|known| now.abs_diff(known.expected) > DRIFT_MS_MAX);
    let went_back = gap_ms > DRIFT_MS_MAX || leapt.is_some_and(|known| now < known.expected);
    if now < newest.until && went_back {
        let leap = Some(Leap::Back { by_ms: gap_ms });
        // What is left of the newest span ends here, and goes on from here.
        let note = if newest.from <= now { extend.note } else { Note::Begin { from: now } };
        return Plan { now, cut_to: Some(now), note, leap };
    }
    // A short leap makes nothing older either. A span that began after this process's last note is another coordinator's,
    // which has noticed the leap already.
    if let Some(known) = leapt.filter(|known| now > known.expected)
        && (gap_ms > GAP_MS_MAX || newest.from <= known.noted)
    {
        return begin(Some(Leap::Ahead { by_ms: now.abs_diff(known.expected) }));
    }
    match known {
        _ if gap_ms <= GAP_MS_MAX => extend,
        Some(known) if known.noted <= newest.until.saturating_add_unsigned(GAP_MS_MAX) => extend,
        Some(_) | None => begin(Some(Leap::Unwatched { for_ms: gap_ms })),
    }
}

/// Spans as they are read, in order. A span that cannot be read counts as not watched, which makes nothing
/// older. The log says so once, because spans are read every minute.
pub(super) fn legible<E: fmt::Display>(rows: impl Iterator<Item = Result<Span, E>>) -> Vec<Span> {
    static SAID: AtomicBool = AtomicBool::new(false);
    rows.filter_map(|row| {
        row.inspect_err(|error| {
            if !SAID.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "a row of table `watched` cannot be read and is passed over: what settled is kept for longer");
            }
        })
        .ok()
    })
    .collect()
}

/// What settled before this has been settled for `kept_ms` of watched time; none while nothing can have been. `spans`:
/// newest first.
pub(super) fn settled_before(spans: impl IntoIterator<Item = Span>, kept_ms: u64) -> Option<Timestamp> {
    let mut rest = i64::try_from(kept_ms).unwrap_or(i64::MAX);
    for Span { from, until } in spans {
        let watched = until.saturating_sub(from).max(0);
        if watched >= rest {
            return u64::try_from(until.saturating_sub(rest)).ok().map(Timestamp::from_millis);
        }
        rest -= watched;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * 1_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    const NOW: i64 = 1_000 * DAY;

    fn span(from: i64, until: i64) -> Span {
        Span { from, until }
    }

    fn seen(noted: i64, passed: i64) -> Option<Known> {
        Some(Known { noted, expected: noted + passed })
    }

    #[test]
    fn time_that_is_explained_is_counted() {
        let newest = span(0, NOW);
        let extended = |now| Plan { now, cut_to: None, note: Note::Extend { from: 0 }, leap: None };
        // The usual pace; a short restart; somebody else's note a moment ago, which this process did not see being made.
        assert_eq!(plan(NOW + MINUTE, Some(newest), None, seen(NOW, MINUTE)), extended(NOW + MINUTE));
        assert_eq!(plan(NOW + 4 * MINUTE, Some(newest), None, None), extended(NOW + 4 * MINUTE));
        assert_eq!(plan(NOW + MINUTE, Some(newest), None, seen(NOW - DAY, DAY)), extended(NOW + MINUTE));
        // The store was away for a day, and a steady clock was running here.
        assert_eq!(plan(NOW + DAY, Some(newest), None, seen(NOW, DAY)), extended(NOW + DAY));
    }

    #[test]
    fn time_that_nobody_saw_pass_is_not_counted() {
        let newest = Some(span(0, NOW));
        let begun =
            |at, leap| Plan { now: at, cut_to: None, note: Note::Begin { from: at }, leap: Some(leap) };
        let ahead = Leap::Ahead { by_ms: (40 * DAY - MINUTE).cast_unsigned() };
        assert_eq!(plan(NOW + 40 * DAY, newest, None, seen(NOW, MINUTE)), begun(NOW + 40 * DAY, ahead));
        let unwatched = Leap::Unwatched { for_ms: DAY.cast_unsigned() };
        assert_eq!(plan(NOW + DAY, newest, None, None), begun(NOW + DAY, unwatched));
        // This process's own note was cut off meanwhile: its clock alone does not bridge that.
        assert_eq!(
            plan(NOW + DAY, newest, None, seen(NOW + DAY - MINUTE, MINUTE)),
            begun(NOW + DAY, unwatched)
        );
    }

    #[test]
    fn a_short_leap_is_not_counted_either() {
        let begun = |at, leap| Plan { now: at, cut_to: None, note: Note::Begin { from: at }, leap };
        let minutes = |n: i64| (n * MINUTE).cast_unsigned();
        let (newest, leapt) = (span(0, NOW), NOW + 4 * MINUTE);
        let ahead = Some(Leap::Ahead { by_ms: minutes(3) });
        assert_eq!(plan(leapt, Some(newest), None, seen(NOW, MINUTE)), begun(leapt, ahead));
        // Another coordinator has begun a span after the leap: it goes on.
        let theirs = Some(span(leapt - MINUTE / 2, leapt - MINUTE / 2));
        let note = plan(leapt, theirs, None, seen(NOW, MINUTE));
        assert_eq!((note.note, note.leap), (Note::Extend { from: leapt - MINUTE / 2 }, None));
        // The other way: what settles now is not as old as the clock has gone back.
        let back = plan(NOW - 2 * MINUTE, Some(newest), None, seen(NOW, MINUTE));
        assert_eq!((back.cut_to, back.note), (Some(NOW - 2 * MINUTE), Note::Extend { from: 0 }));
        assert_eq!(back.leap, Some(Leap::Back { by_ms: minutes(2) }));
        assert_eq!(plan(NOW - 1, Some(newest), None, seen(NOW, MINUTE / 2)).cut_to, None, "no leap");
        assert_eq!(plan(NOW - 1, Some(newest), None, seen(NOW, 2 * MINUTE)).cut_to, Some(NOW - 1));
    }

    #[test]
    fn a_clock_that_goes_back_takes_what_it_had_counted_with_it() {
        let back = |by: i64| Some(Leap::Back { by_ms: by.cast_unsigned() });
        let cut = plan(NOW - DAY, Some(span(0, NOW)), None, seen(NOW, MINUTE));
        assert_eq!((cut.cut_to, cut.note, cut.leap), (Some(NOW - DAY), Note::Extend { from: 0 }, back(DAY)));
        let gone = plan(NOW - DAY, Some(span(NOW - MINUTE, NOW)), None, None);
        assert_eq!(gone.note, Note::Begin { from: NOW - DAY });
    }

    #[test]
    fn the_past_of_a_store_that_was_never_watched_counts_if_its_clock_is_the_one_its_records_know() {
        let from = |newest_record| plan(NOW, None, newest_record, None).note;
        assert_eq!(from(Some(NOW - 30 * MINUTE)), Note::Begin { from: 0 });
        assert_eq!(from(Some(NOW - DAY)), Note::Begin { from: NOW });
        assert_eq!(from(Some(NOW + DAY)), Note::Begin { from: NOW });
        assert_eq!(from(None), Note::Begin { from: NOW });
    }

    #[test]
    fn age_is_counted_in_watched_time_alone() {
        let before = |spans: &[Span], days: i64| {
            let found = settled_before(spans.iter().copied(), (days * DAY).cast_unsigned());
            found.map(|at| at.millis().cast_signed() / DAY)
        };
        let leapt = [span(1_040 * DAY, 1_041 * DAY), span(0, NOW)];
        assert_eq!(before(&leapt, 1), Some(1_040));
        assert_eq!(before(&leapt, 30), Some(971), "one day since the leap, and 29 before it");
        assert_eq!(before(&leapt, 1_001), Some(0));
        assert_eq!(before(&leapt, 1_002), None);
        assert_eq!(before(&[], 1), None);
    }
}
