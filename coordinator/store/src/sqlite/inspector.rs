//! Reads a whole file, also while a coordinator has it; see [`crate::Inspect`].
//!
//! What is on a damaged page is reported, and the rest is read.

use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use tokio::sync::Mutex;

use super::{queries, schema, words};
use crate::columns::limited;
use crate::detach::detached;
use crate::group::{self, Unreadable};
use crate::inspect::{Inspected, merged, not_ours};
use crate::{Inspect, Names, OpenError, Readable, StoreError, StoreFuture, rows, sql};

/// How many findings of SQLite itself are shown.
const DATABASE_LINES_MAX: usize = 100;
/// SQLite's code: the disk has failed. Extended codes say in which operation.
const IO_ERROR: i32 = 10;

/// A connection that only reads.
#[derive(Debug, Clone)]
pub(crate) struct Inspector(Arc<Mutex<Beside>>);

#[derive(Debug)]
struct Beside {
    connection: SqliteConnection,
    /// The schema cannot be read as a whole. Then a table that is not found is damage, too.
    is_damaged: bool,
}

impl Inspector {
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        let store = path.display().to_string();
        let failed = |detail: String| OpenError::Failed { store: store.clone(), detail };
        let connected = schema::connect_beside(path).await;
        let mut connection = connected.map_err(|error| failed(words::of(&error)))?;
        let asked = sqlx::query("SELECT checksum FROM journal LIMIT 0").fetch_all(&mut connection).await;
        let is_damaged = match asked {
            Ok(_) => false,
            Err(error) if is_unreadable(&error) => true,
            Err(error) => return Err(failed(not_ours(&words::of(&error)))),
        };
        if is_damaged {
            let connected = schema::connect_to_damaged(path).await;
            connection = connected.map_err(|error| failed(words::of(&error)))?;
        }
        Ok(Self(Arc::new(Mutex::new(Beside { connection, is_damaged }))))
    }

    fn run<T, Work>(&self, work: impl FnOnce(Arc<Mutex<Beside>>) -> Work) -> StoreFuture<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let work = work(Arc::clone(&self.0));
        detached(async move { work.await.map_err(|error| StoreError::Unavailable(words::of(&error))) })
    }
}

impl Inspect for Inspector {
    fn names(&self, after: String, limit: usize) -> StoreFuture<Names> {
        self.run(async move |beside| {
            let mut beside = beside.lock().await;
            let (mut lists, mut unreadable) = (Vec::new(), Vec::new());
            for (table, text) in sql::NAMES {
                let query = sqlx::query(text).bind(after.clone()).bind(limited(limit));
                let (rows, why) = beside.readable(query).await?;
                // SQLite's own check finds names that are not text.
                lists.push(rows.iter().filter_map(|row| row.try_get(0).ok()).collect());
                unreadable.extend(why.map(|why| (table, why)));
            }
            Ok(Names { names: merged(lists, limit), unreadable })
        })
    }

    fn inspect(&self, name: String) -> StoreFuture<Inspected> {
        self.run(async move |beside| beside.lock().await.inspected(name).await)
    }

    fn database(&self) -> StoreFuture<Vec<String>> {
        self.run(async move |beside| {
            let (rows, why) = beside.lock().await.readable(sqlx::query("PRAGMA integrity_check")).await?;
            let lines = rows.iter().filter_map(|row| row.try_get(0).ok());
            let mut lines: Vec<String> = lines.filter(|line| line != "ok").take(DATABASE_LINES_MAX).collect();
            lines.extend(why.map(|why| format!("SQLite's own check could not be finished: {why}")));
            Ok(lines)
        })
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl Beside {
    /// The rows of a query up to the first that cannot be read, and why that cannot be read.
    async fn readable(&mut self, query: Query) -> Result<(Vec<SqliteRow>, Option<String>), sqlx::Error> {
        let (mut found, is_damaged) = (Vec::new(), self.is_damaged);
        let mut rows = query.fetch(&mut self.connection);
        loop {
            match rows.try_next().await {
                Ok(Some(row)) => found.push(row),
                Ok(None) => return Ok((found, None)),
                Err(error) if is_unreadable(&error) || is_damaged && error.as_database_error().is_some() => {
                    return Ok((found, Some(error.to_string())));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The records of a gid. If a page is damaged, they are read one by one.
    async fn records(&mut self, name: &str) -> Result<Vec<Result<SqliteRow, Unreadable>>, sqlx::Error> {
        let all = sqlx::query(sql::RECORDS).bind(name.to_owned()).bind(0_i64).bind(i64::MAX);
        let (rows, why) = self.readable(all).await?;
        let Some(why) = why else { return Ok(rows.into_iter().map(Ok).collect()) };
        let seqs = sqlx::query(queries::SEQS).bind(name.to_owned()).bind(0_i64).bind(i64::MAX);
        let (seqs, no_more) = self.readable(seqs).await?;
        let (mut found, mut next) = (Vec::new(), 1);
        for seq in seqs.iter().filter_map(|row| row.try_get::<i64, _>(0).ok()) {
            let one = sqlx::query(queries::ONE).bind(name.to_owned()).bind(seq);
            let (row, missing) = self.readable(one).await?;
            let unreadable = || {
                let detail = missing.unwrap_or_else(|| "its place leads nowhere".to_owned());
                Unreadable { seq: seq.cast_unsigned(), detail }
            };
            found.push(row.into_iter().next().ok_or_else(unreadable));
            next = seq.cast_unsigned().saturating_add(1);
        }
        if found.is_empty() || no_more.is_some() {
            let detail = format!("this one, and what follows, cannot be read: {}", no_more.unwrap_or(why));
            found.push(Err(Unreadable { seq: next, detail }));
        }
        Ok(found)
    }

    async fn inspected(&mut self, name: String) -> Result<Inspected, sqlx::Error> {
        let mut found = Inspected::default();
        let records = self.records(&name).await?;
        let unchecked = |row: &SqliteRow| matches!(row.try_get::<Option<i64>, _>(5), Ok(None));
        found.without_checksum = records.iter().flatten().filter(|row| unchecked(row)).count() as u64;
        found.journal = match trine_protocol::Gid::parse(&name) {
            Ok(gid) => {
                let records = records.into_iter();
                Readable::after(0, records.map(|row| row.and_then(|row| rows::record(&gid, &row))))
            }
            Err(error) => group::nameless(records.len(), &error),
        };
        let (row, why) = self.readable(sqlx::query(sql::INDEX_ROW).bind(name.clone())).await?;
        found.row = row.first().map(rows::index_columns);
        found.row_unreadable = why;
        let labels = sqlx::query("SELECT key, value FROM transaction_labels WHERE gid = ?");
        let (rows, why) = self.readable(labels.bind(name)).await?;
        found.labels_unreadable = why;
        for row in &rows {
            match (row.try_get(0), row.try_get(1)) {
                (Ok(key), Ok(value)) => drop(found.labels.insert(key, value)),
                (Err(error), _) | (_, Err(error)) => found.labels_unreadable = Some(error.to_string()),
            }
        }
        Ok(found)
    }
}

/// Whether a page makes no sense, or the disk does not return it.
fn is_unreadable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    words::is_damage(error) || code.is_some_and(|code| code & 0xff == IO_ERROR)
}
