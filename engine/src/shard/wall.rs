//! The wall clock against steady time, and what a transaction takes for the time.
//!
//! A shard is told *steady* time, which runs at an even pace whatever is done to the wall clock. Waits, timers and
//! pauses are counted in it. Records and index rows carry wall time, because people and other coordinators read them.
//! Every transaction has a time of its own: steady time and its *lead*. The lead of a new transaction is the wall
//! clock's. When the wall clock is set, leads stay: what waits in memory waits on at the same pace.

use std::collections::BTreeSet;

use trine_protocol::{Gid, Timestamp};

use super::Found;
use super::resident::Resident;

/// How often a wall clock may be set before the oldest times are forgotten.
const ERAS_MAX: usize = 8;
/// Leads that differ by no more count as the same.
const TOLERANCE_MS: u64 = 1_000;
/// Transactions remembered that left memory since the wall clock was set back.
const LEFT_MAX: usize = 100_000;

/// What the wall clock has shown since the process started, measured in its steady time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    /// Oldest first; the last one goes on. There is always one.
    eras: Vec<Era>,
}

/// The wall clock was not set while it lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Era {
    /// In steady time.
    from: Timestamp,
    /// Wall time less steady time.
    lead_ms: i64,
}

impl Era {
    const STEADY: Self = Self { from: Timestamp::from_millis(0), lead_ms: 0 };
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
        Self { eras: vec![Era { from: Timestamp::default(), lead_ms }] }
    }

    /// The wall clock was set: at `steady` it is ahead of steady time by `lead_ms`.
    pub fn set(&mut self, lead_ms: i64, steady: Timestamp) {
        self.eras.push(Era { from: steady, lead_ms });
        if self.eras.len() > ERAS_MAX {
            self.eras.remove(0);
            self.eras[0].from = Timestamp::default();
        }
    }

    /// Wall time less steady time, now.
    pub fn lead_ms(&self) -> i64 {
        self.eras.last().map_or(0, |era| era.lead_ms)
    }

    /// What the wall clock shows at `steady`.
    pub fn at(&self, steady: Timestamp) -> Timestamp {
        shifted(steady, self.lead_ms())
    }

    /// The lead of what this process wrote when the wall clock showed `written`. Times that were shown twice, because
    /// the clock was set back, are taken for the later showing, or for the earlier one when `before_it_was_set`.
    fn lead_of(&self, written: Timestamp, steady: Timestamp, before_it_was_set: bool) -> i64 {
        let (current, earlier) = self.eras.split_last().unwrap_or((&Era::STEADY, &[]));
        let is_current = shifted(current.from, current.lead_ms) <= written && written <= self.at(steady);
        let mut end = current.from;
        for era in earlier.iter().rev().filter(|_| before_it_was_set || !is_current) {
            if shifted(era.from, era.lead_ms) <= written && written <= shifted(end, era.lead_ms) {
                return era.lead_ms;
            }
            end = era.from;
        }
        current.lead_ms
    }

    /// The wall clock was set back, and what it shows it has shown before.
    fn repeats(&self, steady: Timestamp) -> bool {
        let ends = self.eras.iter().skip(1).map(|era| era.from);
        self.eras.iter().zip(ends).any(|(era, end)| shifted(end, era.lead_ms) >= self.at(steady))
    }
}

/// A transaction that is loaded: what is known of its time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownTime {
    /// Its lead when it was last here.
    pub(super) lead_ms: Option<i64>,
    /// Somebody else wrote its records, by another clock.
    pub(super) is_adopted: bool,
}

/// The wall clock as a shard knows it.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) wall: Wall,
    /// What left memory since the wall clock was set back, and while it shows times that it has shown before: the
    /// records of these are not older than that.
    left: BTreeSet<Gid>,
}

impl Times {
    pub(super) fn set(&mut self, wall: Wall) {
        self.left.clear();
        self.wall = wall;
    }

    pub(super) fn left(&mut self, gid: &Gid, steady: Timestamp) {
        if self.wall.repeats(steady) && self.left.len() < LEFT_MAX {
            self.left.insert(gid.clone());
        }
    }

    /// The lead of a transaction that was read. Its own time does not begin before its newest record: when that lies in
    /// the future (the clock was set back meanwhile, or another coordinator's is ahead), waits are counted from there.
    pub(super) fn lead_of(&self, found: &Found, known: KnownTime, steady: Timestamp) -> i64 {
        let newest = found.transaction.updated_at();
        let lead_ms = match known.lead_ms {
            Some(lead_ms) => lead_ms,
            None if !found.owned || known.is_adopted => self.wall.lead_ms(),
            None => self.wall.lead_of(newest, steady, !self.left.contains(found.transaction.gid())),
        };
        lead_ms.max(difference(newest, steady))
    }
}

impl Resident {
    /// The transaction's own time. It never runs backwards.
    pub(super) fn own(&self, steady: Timestamp) -> Timestamp {
        shifted(steady, self.lead_ms).max(self.transaction.updated_at())
    }

    /// When the transaction's own time is `own`.
    pub(super) fn steady(&self, own: Timestamp) -> Timestamp {
        shifted(own, self.lead_ms.saturating_neg())
    }

    /// Its index row says when it is due by the wall clock: that holds only as long as its own time is the wall's.
    pub(super) fn keeps_wall_time(&self, wall: &Wall) -> bool {
        self.lead_ms.abs_diff(wall.lead_ms()) <= TOLERANCE_MS
    }
}

/// The end of time stays there.
fn shifted(at: Timestamp, by_ms: i64) -> Timestamp {
    if at == Timestamp::MAX { at } else { Timestamp::from_millis(at.millis().saturating_add_signed(by_ms)) }
}

fn difference(later: Timestamp, earlier: Timestamp) -> i64 {
    let (later, earlier) = (later.millis().cast_signed(), earlier.millis().cast_signed());
    later.saturating_sub(earlier)
}
