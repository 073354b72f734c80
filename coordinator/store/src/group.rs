//! What all stores do in the same way with records: the runs of a batch, records that are written, and records that are
//! read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use trine_engine::{Batch, Record};
use trine_protocol::{Gid, Timestamp};

use super::{StoreError, checksum, codec};

/// The seqs of one gid in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    first: u64,
    last: u64,
    unbroken: bool,
}

impl Run {
    /// The seq that it begins with.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether there is a journal that it can follow.
    pub(super) fn is_whole(&self) -> bool {
        self.unbroken && self.first > 0
    }

    /// Whether it follows a journal that ends at `last`, without overlap and without a gap.
    pub(super) fn continues(&self, last: u64) -> bool {
        self.unbroken && last.checked_add(1) == Some(self.first)
    }
}

/// The runs of a batch, by gid.
pub(super) fn runs(batch: &Batch) -> BTreeMap<&Gid, Run> {
    let mut runs: BTreeMap<&Gid, Run> = BTreeMap::new();
    for Record { gid, seq, .. } in &batch.records {
        let run = runs.entry(gid).or_insert(Run { first: *seq, last: seq.wrapping_sub(1), unbroken: true });
        run.unbroken &= run.last.wrapping_add(1) == *seq;
        run.last = *seq;
    }
    runs
}

/// The gids whose journal does not end where the batch goes on. `last`: the last seq of a journal, 0 without one.
pub(super) fn conflicts(runs: &BTreeMap<&Gid, Run>, last: impl Fn(&Gid) -> u64) -> BTreeSet<Gid> {
    let conflicts = runs.iter().filter(|(gid, run)| !run.continues(last(gid)));
    conflicts.map(|(gid, _)| (*gid).clone()).collect()
}

/// The columns of a record that must be computed.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) event: String,
    pub(super) checksum: i64,
}

pub(super) fn written(record: &Record) -> Written {
    let event = codec::encode(&record.event);
    let checksum = checksum::of(&record.gid, record.seq, record.at, event.as_bytes());
    Written { event, checksum }
}

/// A row of the journal, before it was checked and decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) event: &'a [u8],
    /// None if the record was written before there were checksums.
    pub(super) checksum: Option<i64>,
}

/// Records of a gid, as far as they can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readable {
    /// In the order of their seqs.
    pub records: Vec<Record>,
    /// Damaged records, and gaps between records, in the order of their seqs.
    pub damaged: Vec<Unreadable>,
}

/// A record that is damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub seq: u64,
    /// What is wrong.
    pub detail: String,
}

impl Readable {
    /// From the rows that follow the record with the seq `after`, in order.
    pub(super) fn after(after: u64, rows: impl IntoIterator<Item = Result<Record, Unreadable>>) -> Self {
        let (mut readable, mut last) = (Self::default(), after);
        for row in rows {
            let seq = row.as_ref().map_or_else(|damaged| damaged.seq, |record| record.seq);
            if last.checked_add(1).is_none_or(|next| seq > next) {
                let detail = format!("missing, with all that follow up to {seq}");
                readable.damaged.push(Unreadable { seq: last.saturating_add(1), detail });
            }
            last = seq;
            match row {
                Ok(record) => readable.records.push(record),
                Err(damaged) => readable.damaged.push(damaged),
            }
        }
        readable
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.damaged.is_empty()
    }

    /// All records, or the first thing that is wrong.
    pub fn whole(self, gid: &Gid) -> Result<Vec<Record>, StoreError> {
        self.damaged.into_iter().next().map_or(Ok(self.records), |damaged| Err(unreadable(gid, &damaged)))
    }
}

/// A page of a gid's records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadablePage {
    pub found: Readable,
    /// The next page begins after this seq. None on the last page.
    pub next_after_seq: Option<u64>,
}

impl ReadablePage {
    /// From the rows that follow the record with the seq `after`, in order. The page shows `limit` of them; one row more
    /// says that there is a next page.
    pub(super) fn after(
        after: u64,
        rows: impl IntoIterator<Item = Result<Record, Unreadable>>,
        limit: usize,
    ) -> Self {
        let mut rows = rows.into_iter();
        let page: Vec<_> = rows.by_ref().take(limit).collect();
        let last =
            page.iter().map(|row| row.as_ref().map_or_else(|damaged| damaged.seq, |record| record.seq)).max();
        // A row whose seq cannot be read counts as seq 0. The next page must begin after this one, so a page of such rows
        // alone is the last.
        let next_after_seq = last.filter(|last| *last > after && rows.next().is_some());
        Self { found: Readable::after(after, page), next_after_seq }
    }
}

/// Checks and decodes a row of the journal.
pub(super) fn record(gid: &Gid, stored: Stored<'_>) -> Result<Record, Unreadable> {
    let (seq, at) = (stored.seq.cast_unsigned(), Timestamp::from_millis(stored.at.cast_unsigned()));
    let damaged = |detail: String| Unreadable { seq, detail };
    if stored.checksum.is_some_and(|checksum| checksum != checksum::of(gid, seq, at, stored.event)) {
        return Err(damaged("not what was written: its checksum is another one".to_owned()));
    }
    let text = std::str::from_utf8(stored.event).map_err(|_| damaged("the event is no text".to_owned()))?;
    let event = codec::decode(text).map_err(|error| damaged(error.to_string()))?;
    Ok(Record { gid: gid.clone(), seq, at, event })
}

/// The index rows that can be read. A row that cannot be read is skipped, so that the others are found: what happens to a
/// transaction is decided by its journal, and `trine check` reports the row. The first such row of a process is logged as an
/// error, all others for debugging, because some of these reads are made each second.
pub(super) fn legible<T, E: std::fmt::Display>(rows: impl Iterator<Item = Result<T, E>>) -> Vec<T> {
    static SAID: AtomicBool = AtomicBool::new(false);
    rows.filter_map(|row| {
        row.inspect_err(|error| {
            if SAID.swap(true, Ordering::Relaxed) {
                tracing::debug!(%error, "an index row cannot be read");
            } else {
                tracing::error!(%error, "an index row cannot be read and is passed over; `trine check` names those there are");
            }
        })
        .ok()
    })
    .collect()
}

/// What is found under a name that is not a gid: records that belong to no transaction.
pub(super) fn nameless(rows: usize, error: &dyn std::fmt::Display) -> Readable {
    let detail = format!("{rows} records under a name that is no gid: {error}");
    let damaged = if rows > 0 { vec![Unreadable { seq: 0, detail }] } else { Vec::new() };
    Readable { damaged, ..Readable::default() }
}

/// The error for a gid whose journal cannot be read. Reading again does not help.
pub(super) fn unreadable(gid: &Gid, damaged: &Unreadable) -> StoreError {
    let Unreadable { seq, detail } = damaged;
    StoreError::Corrupt { gid: gid.clone(), detail: format!("seq {seq}: {detail}") }
}

#[cfg(test)]
mod tests {
    use trine_engine::Event;

    use super::*;

    fn row(seq: u64) -> Result<Record, Unreadable> {
        let gid = Gid::parse("g").unwrap();
        Ok(Record { gid, seq, at: Timestamp::from_millis(seq), event: Event::Started })
    }

    fn damaged(after: u64, rows: Vec<Result<Record, Unreadable>>) -> Vec<u64> {
        Readable::after(after, rows).damaged.iter().map(|damaged| damaged.seq).collect()
    }

    #[test]
    fn what_is_missing_between_records_is_named() {
        assert_eq!(damaged(0, vec![row(1), row(2), row(3)]), Vec::<u64>::new());
        assert_eq!(damaged(7, vec![row(8)]), Vec::<u64>::new());
        assert_eq!(damaged(u64::MAX, vec![]), Vec::<u64>::new());
        assert_eq!(damaged(0, vec![row(2), row(3), row(6)]), [1, 4]);
        let bad = Err(Unreadable { seq: 2, detail: "damaged".to_owned() });
        assert_eq!(damaged(0, vec![row(1), bad, row(3)]), [2]);
    }

    #[test]
    fn a_page_ends_with_its_last_row_damaged_or_not() {
        let bad = |seq| Err(Unreadable { seq, detail: "damaged".to_owned() });
        let page = |after, rows: Vec<_>| {
            let page = ReadablePage::after(after, rows, 2);
            let seqs: Vec<_> = page.found.records.iter().map(|record| record.seq).collect();
            let damaged: Vec<_> = page.found.damaged.iter().map(|damaged| damaged.seq).collect();
            (seqs, damaged, page.next_after_seq)
        };
        assert_eq!(page(0, vec![row(1), row(2)]), (vec![1, 2], vec![], None));
        assert_eq!(page(0, vec![row(1), bad(2), row(3)]), (vec![1], vec![2], Some(2)));
        assert_eq!(page(2, vec![row(4), row(5), row(6)]), (vec![4, 5], vec![3], Some(5)));
        assert_eq!(page(5, vec![bad(0), bad(0), bad(0)]).2, None);
    }
}
