//! Entries. Each call is one statement: it is done whole or not at all, and answers what was true at one moment.

use sqlx::Row;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use trine_protocol::Timestamp;

use super::Sqlite;
use super::rows::timestamp;
use crate::columns::{integer, millis};
use crate::{Change, Entry, Key, KeyValues, Revision, StoreFuture, Value};

const ENTRY: &str = "SELECT name, value, version, created_at, updated_at FROM key_values \
     WHERE category = ? AND name = ?";

pub(super) const ENTRIES: &str = "SELECT name, value, version, created_at, updated_at FROM key_values \
     WHERE category = ? AND name > ? ORDER BY name LIMIT ?";

const CREATE: &str = "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
     VALUES (?1, ?2, ?3, 1, ?4, ?4) ON CONFLICT DO NOTHING";

const CHANGE: &str = "UPDATE key_values SET value = ?3, version = version + 1, updated_at = ?4 \
     WHERE category = ?1 AND name = ?2 AND version = ?5 AND created_at = ?6";

const DELETE: &str = "DELETE FROM key_values WHERE category = ?1 AND name = ?2 \
     AND (?3 IS NULL OR (version = ?3 AND created_at = ?4))";

type Statement = Query<'static, sqlx::Sqlite, SqliteArguments>;

impl Sqlite {
    fn change(&self, statement: Statement) -> StoreFuture<Change> {
        self.run(async move |inner| {
            let rows = inner.writer.alone(statement).await?;
            Ok(if rows == 0 { Change::Lost } else { Change::Done })
        })
    }
}

/// A text, and the category and the key bound to it.
fn at(text: &'static str, category: &Key, key: &Key) -> Statement {
    sqlx::query(text).bind(category.as_str().to_owned()).bind(key.as_str().to_owned())
}

fn read(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let version: i64 = row.try_get(2)?;
    Ok(Entry {
        key: row.try_get(0)?,
        value: row.try_get(1)?,
        revision: Revision { version: version.cast_unsigned(), created_at: timestamp(row, 3)? },
        updated_at: timestamp(row, 4)?,
    })
}

impl KeyValues for Sqlite {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.run(async move |inner| {
            let row = at(ENTRY, &category, &key).fetch_optional(&inner.readers).await?;
            row.as_ref().map(read).transpose()
        })
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.run(async move |inner| {
            // No key is empty.
            let after = after.as_ref().map_or("", Key::as_str);
            let query = sqlx::query(ENTRIES).bind(category.as_str()).bind(after);
            let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(&inner.readers).await?;
            rows.iter().map(read).collect()
        })
    }

    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change> {
        let text = if expected.is_some() { CHANGE } else { CREATE };
        let mut statement = at(text, &category, &key).bind(value.as_str().to_owned()).bind(millis(now));
        if let Some(Revision { version, created_at }) = expected {
            statement = statement.bind(integer(version)).bind(millis(created_at));
        }
        self.change(statement)
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        let statement = at(DELETE, &category, &key);
        let statement = statement.bind(expected.map(|expected| integer(expected.version)));
        self.change(statement.bind(expected.map(|expected| millis(expected.created_at))))
    }
}
