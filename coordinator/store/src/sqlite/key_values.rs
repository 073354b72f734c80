//! Key-value entries. Each call is one statement, so a change is made whole or not at all.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use trine_protocol::Timestamp;

use super::Sqlite;
use crate::columns::{integer, limited, millis};
use crate::{Change, Entry, Key, KeyValues, Revision, StoreFuture, Value, rows, sql};

type Statement = Query<'static, sqlx::Sqlite, SqliteArguments>;

impl Sqlite {
    fn change(&self, statement: Statement) -> StoreFuture<Change> {
        self.run(async move |inner| {
            let rows = inner.writer.alone(statement).await?;
            Ok(if rows == 0 { Change::Lost } else { Change::Done })
        })
    }
}

/// A text with the category and the key bound.
fn at(text: &'static str, category: &Key, key: &Key) -> Statement {
    sqlx::query(text).bind(category.as_str().to_owned()).bind(key.as_str().to_owned())
}

impl KeyValues for Sqlite {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.run(async move |inner| {
            let row = at(sql::ENTRY, &category, &key).fetch_optional(&inner.readers).await?;
            row.as_ref().map(rows::entry).transpose()
        })
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.run(async move |inner| {
            // No key is empty.
            let after = after.as_ref().map_or("", Key::as_str);
            let query = sqlx::query(sql::ENTRIES).bind(category.as_str()).bind(after);
            let rows = query.bind(limited(limit)).fetch_all(&inner.readers).await?;
            rows.iter().map(rows::entry).collect()
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
        let text = if expected.is_some() { sql::CHANGE_ENTRY } else { sql::CREATE_ENTRY };
        let mut statement = at(text, &category, &key).bind(value.as_str().to_owned()).bind(millis(now));
        if let Some(Revision { version, created_at }) = expected {
            statement = statement.bind(integer(version)).bind(millis(created_at));
        }
        self.change(statement)
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        let expected = expected.unwrap_or(Revision::ANY);
        let statement = at(sql::DELETE_ENTRY, &category, &key).bind(integer(expected.version));
        self.change(statement.bind(millis(expected.created_at)))
    }
}
