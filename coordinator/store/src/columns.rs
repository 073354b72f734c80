//! How numbers and times are written into tables.

use trine_protocol::Timestamp;

/// Databases have signed integers. No seq reaches the largest one, and no time does, because times end in the year 9999.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: Timestamp) -> i64 {
    integer(at.millis())
}

/// A limit on the number of rows.
pub(crate) fn limited(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
