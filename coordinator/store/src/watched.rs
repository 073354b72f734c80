//! Watched time: the time of the store's clock that coordinators saw pass. Retention counts no other time.
//!
//! By a wrong clock, a transaction that settled a moment ago looks old, and deleting cannot be undone. So the age of a
//! transaction is not the difference between two readings of a clock, but the watched time in between.
//!
//! Each coordinator notes the store's time every minute. The note extends the newest *span* if the time since the note
//! before is explained: another coordinator made a note not long ago, or this process's steady clock shows that the time
//! has really passed. Otherwise the clock leapt, or no coordinator ran, and nobody can tell which. Then a new span begins,
//! and the time between the spans does not count. A transaction that settled 29 days before a leap of 40 days is 29 days
//! old after it.
//!
//! The code here decides. The stores read and write the spans, and [`Watcher`] has what one process remembers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trine_protocol::Timestamp;

use trine_clock::Stopwatch;

/// How often a coordinator notes the time.
pub const WATCH_EVERY: Duration = Duration::from_secs(60);
/// So much time between two notes needs no explanation: coordinators restart, and a store may not answer for a while. (A
/// process that watched all the time may know that the clock leapt.)
const GAP_MS_MAX: u64 = 5 * 60 * 1_000;
/// How much the store's clock and a process's steady clock may differ over the time between two notes.
const DRIFT_MS_MAX: u64 = 60 * 1_000;
/// For a store that was never watched: if its newest record is so recent, its clock has not leapt since that record.
const RECENT_MS_MAX: u64 = 60 * 60 * 1_000;
/// How many spans are kept. The time of older ones does not count.
pub(super) const SPANS_MAX: usize = 1_000;

/// A stretch of watched time, in milliseconds since 1970 by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// The store's clock has moved in a way that the passing of time does not explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// The clock leapt ahead while this process watched.
    Ahead { by_ms: u64 },
    /// The clock went back.
    Back { by_ms: u64 },
    /// No coordinator ran for so long, or the clock leapt ahead: nobody can tell which.
    Unwatched { for_ms: u64 },
}

/// What a note changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The store's time.
    pub(super) now: i64,
    /// The clock went back to this time: spans end here, so that no time counts twice.
    pub(super) cut_to: Option<i64>,
    pub(super) note: Note,
    pub(super) leap: Option<Leap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// The span that began at this time goes on.
    Extend { from: i64 },
    /// A new span begins.
    Begin { from: i64 },
}

/// What one process remembers of the store's clock: its last note, and the steady time since then.
#[derive(Debug, Default)]
pub(super) struct Watcher(Mutex<Option<(i64, Stopwatch)>>);

impl Watcher {
    /// Compares the store's time `now` with the newest span, and with what this process remembers. `newest_record` is the
    /// time of the newest record; it matters only while there is no span.
    pub(super) fn plan(&self, now: i64, newest: Option<Span>, newest_record: Option<i64>) -> Plan {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.map(|(noted, since)| {
            let passed = i64::try_from(since.elapsed_ms()).unwrap_or(i64::MAX);
            Known { noted, expected: noted.saturating_add(passed) }
        });
        plan(now, newest, newest_record, known)
    }

    /// The plan was written to the store.
    pub(super) fn noted(&self, plan: &Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((plan.now, Stopwatch::start()));
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The last note of this process.
    noted: i64,
    /// What the store's clock should show now.
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
        // The newest span is cut here. If something is left of it, it goes on from here.
        let note = if newest.from <= now { extend.note } else { Note::Begin { from: now } };
        return Plan { now, cut_to: Some(now), note, leap };
    }
    // A leap is not counted either if it is shorter than a gap that needs no explanation. But if the newest span began
    // after the last note of this process, another coordinator has noticed the leap and begun that span.
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

/// Transactions that settled before this time have been settled for `kept_ms` of watched time. None if less time than that
/// was watched. `spans`: newest first.
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
        // The usual pace; a short restart; a note of another coordinator a moment ago.
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
