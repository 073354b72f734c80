//! What rows of a database server hold, as the words of the engine and of the protocol.

use trine_protocol::{Gid, Timestamp};

use super::client::{ClientError, Param, Row};
use crate::group;

pub(super) fn gids(rows: &[Row]) -> Result<Vec<Gid>, ClientError> {
    Ok(group::legible(rows.iter().map(|row| gid_of(row.text(0)?))))
}

pub(super) fn gid_of(text: &str) -> Result<Gid, ClientError> {
    Gid::parse(text).map_err(|error| ClientError::Unreadable(error.to_string()))
}

pub(super) fn word<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, ClientError> {
    parse(text).ok_or_else(|| ClientError::Unreadable(format!("{text:?} is not a word this version knows")))
}

pub(super) fn timestamp(row: &Row, column: usize) -> Result<Timestamp, ClientError> {
    row.int(column).map(|millis| Timestamp::from_millis(millis.cast_unsigned()))
}

pub(super) fn count(limit: usize) -> Param {
    Param::Int(i64::try_from(limit).unwrap_or(i64::MAX))
}
