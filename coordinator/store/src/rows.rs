//! Rows of SQL databases, read as records, index rows and the other types that the store answers with.
//!
//! Each database implements [`Columns`] for its rows; everything after that is the same for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use trine_engine::Record;
use trine_protocol::v1::{Participant, ParticipantInstance};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use crate::group::{self, Run, Stored, Unreadable};
use crate::retention::Candidate;
use crate::watched::{self, Span};
use crate::{Census, Entry, IndexColumns, Journals, Loaded, Registrations, Revision};

/// A row, by the position of its columns. Reading a column as another type than it has is an error.
pub(crate) trait Columns {
    type Error: Display;

    fn text(&self, column: usize) -> Result<&str, Self::Error>;
    fn maybe_text(&self, column: usize) -> Result<Option<&str>, Self::Error>;
    /// A text that may be damaged, so that it need not be UTF-8.
    fn bytes(&self, column: usize) -> Result<&[u8], Self::Error>;
    fn int(&self, column: usize) -> Result<i64, Self::Error>;
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Self::Error>;

    /// The error for a value that has the right type and makes no sense.
    fn unreadable(detail: String) -> Self::Error;
}

pub(crate) fn gid<R: Columns>(row: &R, column: usize) -> Result<Gid, R::Error> {
    Gid::parse(row.text(column)?).map_err(|error| R::unreadable(error.to_string()))
}

pub(crate) fn word<R: Columns, T>(
    row: &R,
    column: usize,
    parse: fn(&str) -> Option<T>,
) -> Result<T, R::Error> {
    let text = row.text(column)?;
    parse(text).ok_or_else(|| R::unreadable(format!("{text:?} is not a word this version knows")))
}

pub(crate) fn timestamp<R: Columns>(row: &R, column: usize) -> Result<Timestamp, R::Error> {
    row.int(column).map(|millis| Timestamp::from_millis(millis.cast_unsigned()))
}

/// The gids that rows of one column name.
pub(crate) fn gids<R: Columns>(rows: &[R]) -> Vec<Gid> {
    group::legible(rows.iter().map(|row| gid(row, 0)))
}

/// One record, by the columns of [`crate::sql::RECORDS`].
pub(crate) fn record<R: Columns>(gid: &Gid, row: &R) -> Result<Record, Unreadable> {
    let stored = || {
        let (seq, at, event) = (row.int(1)?, row.int(2)?, row.bytes(3)?);
        Ok(Stored { seq, at, event, checksum: row.maybe_int(5)? })
    };
    // A value of the wrong type is damage, like a checksum that does not match.
    let stored = stored().map_err(|error: R::Error| Unreadable {
        seq: row.int(1).map_or(0, i64::cast_unsigned),
        detail: error.to_string(),
    })?;
    group::record(gid, stored)
}

/// The journals of `gids` in the order of `gids`, by rows of [`crate::sql::RECORDS`] that are in the order of their seqs.
pub(crate) fn journals<R: Columns>(gids: &[Gid], rows: &[R]) -> Result<Journals, R::Error> {
    let mut found: BTreeMap<&str, Loaded> = BTreeMap::new();
    for row in rows {
        let loaded = match found.entry(row.text(0)?) {
            std::collections::btree_map::Entry::Occupied(earlier) => earlier.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(Loaded { gid: gid(row, 0)?, owned: row.int(4)? == 1, records: Ok(Vec::new()) })
            }
        };
        if let Ok(records) = &mut loaded.records {
            match record(&loaded.gid, row) {
                Ok(record) => records.push(record),
                Err(damaged) => loaded.records = Err(group::unreadable(&loaded.gid, &damaged)),
            }
        }
    }
    Ok(gids.iter().filter_map(|gid| found.remove(gid.as_str())).collect())
}

/// The gids whose journal does not end where the batch goes on. Columns: gid, last seq.
pub(crate) fn conflicts<R: Columns>(
    runs: &BTreeMap<&Gid, Run>,
    ends: &[R],
) -> Result<BTreeSet<Gid>, R::Error> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for row in ends {
        last.insert(row.text(0)?, row.maybe_int(1)?.map_or(0, i64::cast_unsigned));
    }
    Ok(group::conflicts(runs, |gid| last.get(gid.as_str()).copied().unwrap_or(0)))
}

/// Columns: pattern, status, how many rows, how many of them are parked, when the oldest was created.
pub(crate) fn census<R: Columns>(rows: &[R]) -> Census {
    let mut census = Census::default();
    let counted = |row: &R| {
        let (pattern, status) = (word(row, 0, Pattern::parse)?, word(row, 1, Status::parse)?);
        Ok::<_, R::Error>((pattern, status, row.int(2)?, row.int(3)?, timestamp(row, 4)?))
    };
    for (pattern, status, count, parked, oldest) in group::legible(rows.iter().map(counted)) {
        census.unfinished.push((pattern, status, count.cast_unsigned()));
        census.parked += parked.cast_unsigned();
        census.oldest_unfinished = Some(census.oldest_unfinished.map_or(oldest, |other| other.min(oldest)));
    }
    census.unfinished.sort_unstable();
    census
}

/// Columns: name, base URL, when it was registered, when it expires, and until when it is guarded. An older coordinator renews
/// only when it expires, and does not know whether the instance is still guarded. So the two must be the same.
pub(crate) fn registrations<R: Columns>(now: Timestamp, rows: &[R]) -> Result<Registrations, R::Error> {
    let mut names: BTreeMap<String, Vec<ParticipantInstance>> = BTreeMap::new();
    for row in rows {
        let expires_at = timestamp(row, 3)?;
        names.entry(row.text(0)?.to_owned()).or_default().push(ParticipantInstance {
            base_url: row.text(1)?.to_owned(),
            registered_at: timestamp(row, 2)?,
            expires_at,
            alive: expires_at > now,
            guarded: timestamp(row, 4)? == expires_at,
        });
    }
    let participants = names.into_iter().map(|(name, instances)| Participant { name, instances }).collect();
    Ok(Registrations { at: now, participants })
}

/// Columns: name, value, version, when it was made, when it was changed.
pub(crate) fn entry<R: Columns>(row: &R) -> Result<Entry, R::Error> {
    Ok(Entry {
        key: row.text(0)?.to_owned(),
        value: row.text(1)?.to_owned(),
        revision: Revision { version: row.int(2)?.cast_unsigned(), created_at: timestamp(row, 3)? },
        updated_at: timestamp(row, 4)?,
    })
}

/// The columns of [`crate::sql::INDEX_ROW`]. Where one has another type, all are taken for empty: they then differ from what
/// the journal says, and `trine check` reports that.
pub(crate) fn index_columns<R: Columns>(row: &R) -> IndexColumns {
    let columns = || {
        Ok::<_, R::Error>(IndexColumns {
            pattern: row.text(0)?.to_owned(),
            status: row.text(1)?.to_owned(),
            parked: row.maybe_text(2)?.map(str::to_owned),
            owner: row.text(3)?.to_owned(),
            due_at: row.maybe_int(4)?,
            created_at: row.int(5)?,
            settled_at: row.maybe_int(6)?,
            hosts: row.text(7)?.to_owned(),
        })
    };
    columns().unwrap_or_default()
}

/// Columns: when it settled, gid.
pub(crate) fn candidates<R: Columns>(rows: &[R]) -> Vec<Candidate> {
    let candidate =
        |row: &R| Ok::<_, R::Error>(Candidate { settled_at: row.int(0)?, gid: row.text(1)?.to_owned() });
    group::legible(rows.iter().map(candidate))
}

/// The columns of [`crate::sql::SPANS`].
pub(crate) fn spans<R: Columns>(rows: &[R]) -> Vec<Span> {
    let span = |row: &R| Ok::<_, R::Error>(Span { from: row.int(0)?, until: row.int(1)? });
    watched::legible(rows.iter().map(span))
}
