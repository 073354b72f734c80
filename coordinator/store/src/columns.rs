//! How numbers and times stand in the tables of every store.

use trine_protocol::Timestamp;

/// The databases' integers are signed. A seq never gets that far, and a time ends in the year 9999.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// As it stands in the tables.
pub(crate) fn millis(at: Timestamp) -> i64 {
    integer(at.millis())
}

/// How many rows a statement may answer.
pub(crate) fn limited(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
