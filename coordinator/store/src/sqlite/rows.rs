//! What rows of SQLite hold, as the words of the engine and of the protocol, and gids as a statement takes them.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use trine_protocol::{Gid, Timestamp};

use crate::group;

/// Gids as a JSON array: one bound parameter, however many they are. Their grammar leaves nothing to escape.
pub(super) fn json<'a>(gids: impl Iterator<Item = &'a Gid>) -> String {
    let mut text = String::from("[");
    for gid in gids {
        text.push_str(if text.len() == 1 { "\"" } else { ",\"" });
        text.push_str(gid.as_str());
        text.push('"');
    }
    text.push(']');
    text
}

/// What rows of gids name.
pub(super) fn gids(rows: &[SqliteRow]) -> Vec<Gid> {
    group::legible(rows.iter().map(|row| gid_of(row.try_get(0)?)))
}

pub(super) fn gid_of(text: &str) -> Result<Gid, sqlx::Error> {
    Gid::parse(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(super) fn word<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    parse(text)
        .ok_or_else(|| sqlx::Error::Decode(format!("{text:?} is not a word this version knows").into()))
}

pub(super) fn timestamp(row: &SqliteRow, column: usize) -> Result<Timestamp, sqlx::Error> {
    let millis: i64 = row.try_get(column)?;
    Ok(Timestamp::from_millis(millis.cast_unsigned()))
}
