//! Rows of SQLite, and gids as a statement takes them.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use trine_protocol::Gid;

use crate::rows::Columns;

impl Columns for SqliteRow {
    type Error = sqlx::Error;

    fn text(&self, column: usize) -> Result<&str, sqlx::Error> {
        self.try_get(column)
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], sqlx::Error> {
        self.try_get(column)
    }

    fn int(&self, column: usize) -> Result<i64, sqlx::Error> {
        self.try_get(column)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn unreadable(detail: String) -> sqlx::Error {
        sqlx::Error::Decode(detail.into())
    }
}

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
