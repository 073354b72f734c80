//! The wall clock against steady time, and what a transaction takes for the time.
//!
//! A shard is told *steady* time, which runs at an even pace whatever is done to the wall clock. Waits, timers and
//! pauses are counted in it. Records and index rows carry wall time, because people and other coordinators read them.
//! Every transaction has a time of its own: steady time and its *lead*. The lead of a new transaction is the wall
//! clock's. When the wall clock is set, leads stay: what waits in memory waits on at the same pace.

use std::collections::BTreeSet;

use trine_protocol::{Gid, Timestamp};

use super::Found;
use super::slot::{KnownTime, Resident};

/// How often a wall clock may be set before the oldest times are forgotten.
const ERAS_MAX: usize = 8;
/// Leads that differ by no more count as the same.
const TOLERANCE_MS: u64 = 1_000;
/// Transactions remembered in [`Times::left`].
const LEFT_MAX: usize = 100_000;

/// What the wall clock has shown since the process started, measured in its steady time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    /// Oldest first.
    earlier: Vec<Era>,
    current: Era,
}

/// A time in which the wall clock was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Era {
    /// In steady time.
    from: Timestamp,
    /// Wall time less steady time.
    lead_ms: i64,
}

impl Default for Wall {
    /// Wall time is steady time.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Wall {
    /// A wall clock that has not been set yet, and is ahead of steady time by so much.
    pub fn new(lead_ms: i64) -> Self {
        Self { earlier: Vec::new(), current: Era { from: Timestamp::default(), lead_ms } }
    }

    /// The wall clock was set: at `steady` it is ahead of steady time by `lead_ms`.
    pub fn set(&mut self, lead_ms: i64, steady: Timestamp) {
        self.earlier.push(std::mem::replace(&mut self.current, Era { from: steady, lead_ms }));
        if self.earlier.len() >= ERAS_MAX {
            self.earlier.remove(0);
            self.earlier[0].from = Timestamp::default();
        }
    }

    /// Wall time less steady time.
    pub fn lead_ms(&self) -> i64 {
        self.current.lead_ms
    }

    /// What the wall clock shows at `steady`.
    pub fn at(&self, steady: Timestamp) -> Timestamp {
        shifted(steady, self.lead_ms())
    }

    /// The lead at the time when this process wrote a record and the wall clock showed `written`. If the clock was set back
    /// and showed that time twice, the later time is meant, or the earlier one when `before_it_was_set`.
    fn lead_of(&self, written: Timestamp, steady: Timestamp, before_it_was_set: bool) -> i64 {
        let is_current = self.at(self.current.from) <= written && written <= self.at(steady);
        let mut end = self.current.from;
        for era in self.earlier.iter().rev().filter(|_| before_it_was_set || !is_current) {
            if shifted(era.from, era.lead_ms) <= written && written <= shifted(end, era.lead_ms) {
                return era.lead_ms;
            }
            end = era.from;
        }
        self.lead_ms()
    }

    /// The wall clock showed this time before it was set back.
    fn has_shown_before(&self, shown: Timestamp) -> bool {
        let ends = self.earlier.iter().skip(1).chain([&self.current]).map(|era| era.from);
        self.earlier.iter().zip(ends).any(|(era, end)| shifted(end, era.lead_ms) >= shown)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    pub(super) wall: Wall,
    /// Transactions that left memory, and whose newest record carries a time that the wall clock has shown twice. The record
    /// was written at the second time.
    left: BTreeSet<Gid>,
}

impl Times {
    pub(super) fn set(&mut self, wall: Wall) {
        self.left.clear();
        self.wall = wall;
    }

    pub(super) fn left(&mut self, gid: &Gid, newest_record: Timestamp) {
        if self.wall.has_shown_before(newest_record) && self.left.len() < LEFT_MAX {
            self.left.insert(gid.clone());
        }
    }

    /// The lead of a transaction that was read.
    pub(super) fn lead_of(&self, found: &Found, known: KnownTime, steady: Timestamp) -> i64 {
        let newest = found.transaction.updated_at();
        let lead_ms = match known.lead_ms {
            Some(lead_ms) => lead_ms,
            None if !found.owned || known.is_adopted => self.wall.lead_ms(),
            None => self.wall.lead_of(newest, steady, !self.left.contains(found.transaction.gid())),
        };
        // The newest record may lie in the future: the clock was set back meanwhile, or another coordinator's is ahead. The
        // transaction's own time begins at that record then, so that waits have the length that was asked for.
        lead_ms.max(difference(newest, steady))
    }
}

impl Resident {
    /// The transaction's own time: what its next record is dated. A record is never dated before the one that it follows, not
    /// even if a caller passes an earlier `now` than before: waits are counted from the dates of records.
    pub(super) fn own(&self, steady: Timestamp) -> Timestamp {
        shifted(steady, self.lead_ms).max(self.transaction.updated_at())
    }

    /// The steady time at which the transaction's own time is `own`.
    pub(super) fn steady(&self, own: Timestamp) -> Timestamp {
        shifted(own, self.lead_ms.saturating_neg())
    }

    /// Its own time is the wall clock's. Only then its index row, which holds wall time, says rightly when it is due.
    pub(super) fn keeps_wall_time(&self, wall: &Wall) -> bool {
        self.lead_ms.abs_diff(wall.lead_ms()) <= TOLERANCE_MS
    }
}

fn shifted(at: Timestamp, by_ms: i64) -> Timestamp {
    // MAX means never.
    if at == Timestamp::MAX { at } else { Timestamp::from_millis(at.millis().saturating_add_signed(by_ms)) }
}

fn difference(later: Timestamp, earlier: Timestamp) -> i64 {
    let (later, earlier) = (later.millis().cast_signed(), earlier.millis().cast_signed());
    later.saturating_sub(earlier)
}
