//! What every store does alike with records: a batch's runs per gid, and rows turned back into records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use trine_engine::{Batch, Record};
use trine_protocol::{Gid, Timestamp};

use super::{StoreError, checksum, codec};

/// The records of one gid in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    first: u64,
    last: u64,
    unbroken: bool,
}

impl Run {
    /// The seq it begins with.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether it can follow any journal at all.
    pub(super) fn is_whole(&self) -> bool {
        self.unbroken && self.first > 0
    }

    /// Whether it may follow a journal that ends at `last`: neither over what is there nor behind a gap.
    pub(super) fn continues(&self, last: u64) -> bool {
        self.unbroken && last.checked_add(1) == Some(self.first)
    }
}

/// The runs of a batch.
pub(super) fn runs(batch: &Batch) -> BTreeMap<&Gid, Run> {
    let mut runs: BTreeMap<&Gid, Run> = BTreeMap::new();
    for Record { gid, seq, .. } in &batch.records {
        let run = runs.entry(gid).or_insert(Run { first: *seq, last: seq.wrapping_sub(1), unbroken: true });
        run.unbroken &= run.last.wrapping_add(1) == *seq;
        run.last = *seq;
    }
    runs
}

/// The parts of a record that take some work to write: the event's text, and the checksum of all.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) event: String,
    pub(super) checksum: i64,
}

/// A record as it is to stand in a database.
pub(super) fn written(record: &Record) -> Written {
    let event = codec::encode(&record.event);
    let checksum = checksum::of(&record.gid, record.seq, record.at, event.as_bytes());
    Written { event, checksum }
}

/// A row of the journal as it stands in a database, understood or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) event: &'a [u8],
    /// None: written before there were checksums.
    pub(super) checksum: Option<i64>,
}

/// Some of a gid's records, as far as they can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readable {
    /// Those that are what was written, in `seq` order.
    pub records: Vec<Record>,
    /// Those that are not, and those that are missing between others, in `seq` order.
    pub damaged: Vec<Unreadable>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place.
    pub seq: u64,
    /// What is wrong with it.
    pub detail: String,
}

impl Readable {
    /// From what follows the record with the seq `after`, in order.
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

    /// Whether there is anything at all.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.damaged.is_empty()
    }

    /// All of it, or what is wrong.
    pub fn whole(self, gid: &Gid) -> Result<Vec<Record>, StoreError> {
        self.damaged.into_iter().next().map_or(Ok(self.records), |damaged| Err(unreadable(gid, &damaged)))
    }
}

/// A page of a gid's records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadablePage {
    /// What stands on it, and what is damaged of it.
    pub found: Readable,
    /// After which record the next page begins, if there is one.
    pub next_after_seq: Option<u64>,
}

impl ReadablePage {
    /// The first `limit` of what follows the record with the seq `after`, in order. One row more says that there is a next page.
    pub(super) fn after(
        after: u64,
        rows: impl IntoIterator<Item = Result<Record, Unreadable>>,
        limit: usize,
    ) -> Self {
        let mut rows = rows.into_iter();
        let page: Vec<_> = rows.by_ref().take(limit).collect();
        let last =
            page.iter().map(|row| row.as_ref().map_or_else(|damaged| damaged.seq, |record| record.seq)).max();
        // A row whose seq cannot be read leads nowhere: each page begins behind the one before it.
        let next_after_seq = last.filter(|last| *last > after && rows.next().is_some());
        Self { found: Readable::after(after, page), next_after_seq }
    }
}

/// A row of the journal as a record, if it is what was written.
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

/// What can be read of some index rows. A row that cannot is passed over, so that the others are found: what is done about
/// a transaction is decided on its journal, and `trine check` names the row. Said once: some of these are asked for each
/// second.
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

/// Records under a name that is no gid: none of them is anybody's.
pub(super) fn nameless(rows: usize, error: &dyn std::fmt::Display) -> Readable {
    let detail = format!("{rows} records under a name that is no gid: {error}");
    let damaged = if rows > 0 { vec![Unreadable { seq: 0, detail }] } else { Vec::new() };
    Readable { damaged, ..Readable::default() }
}

/// The journal of a gid cannot be read, and will not be the next time.
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
