//! Reading a whole file beside whoever has it: see [`crate::store::Inspect`].

use std::path::Path;
use std::sync::Arc;

use sqlx::{Row as _, SqliteConnection};
use tokio::sync::Mutex;

use super::{queries, schema, words};
use crate::store::detach::detached;
use crate::store::group;
use crate::store::inspect::{IndexColumns, Inspected, merged, not_ours};
use crate::store::{Inspect, OpenError, Readable, StoreError, StoreFuture};

/// Where names stand. Binds: the name before, how many.
const NAMES: [&str; 3] = [
    "SELECT DISTINCT gid FROM journal WHERE gid > ? ORDER BY gid LIMIT ?",
    "SELECT gid FROM transactions WHERE gid > ? ORDER BY gid LIMIT ?",
    "SELECT DISTINCT gid FROM transaction_labels WHERE gid > ? ORDER BY gid LIMIT ?",
];

/// Findings of SQLite itself that are shown.
const DATABASE_LINES_MAX: usize = 100;

/// A connection that only reads.
#[derive(Debug, Clone)]
pub(in crate::store) struct Inspector(Arc<Mutex<SqliteConnection>>);

impl Inspector {
    pub(in crate::store) async fn open(path: &Path) -> Result<Self, OpenError> {
        let store = path.display().to_string();
        let failed = |detail: String| OpenError::Failed { store: store.clone(), detail };
        let connected = schema::connect_beside(path).await;
        let mut connection = connected.map_err(|error| failed(words::of(&error)))?;
        let asked = sqlx::query("SELECT checksum FROM journal LIMIT 0").fetch_all(&mut connection).await;
        asked.map_err(|error| failed(not_ours(&words::of(&error))))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn run<T, Work>(&self, work: impl FnOnce(Arc<Mutex<SqliteConnection>>) -> Work) -> StoreFuture<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let work = work(Arc::clone(&self.0));
        detached(async move { work.await.map_err(|error| StoreError::Unavailable(words::of(&error))) })
    }
}

impl Inspect for Inspector {
    fn names(&self, after: String, limit: usize) -> StoreFuture<Vec<String>> {
        self.run(async move |connection| {
            let mut connection = connection.lock().await;
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut lists = Vec::new();
            for text in NAMES {
                let rows =
                    sqlx::query(text).bind(after.clone()).bind(most).fetch_all(&mut *connection).await?;
                // What is no text is found by SQLite's own check.
                lists.push(rows.iter().filter_map(|row| row.try_get(0).ok()).collect());
            }
            Ok(merged(lists, limit))
        })
    }

    fn inspect(&self, name: String) -> StoreFuture<Inspected> {
        self.run(async move |connection| inspected(&mut *connection.lock().await, name).await)
    }

    fn database(&self) -> StoreFuture<Vec<String>> {
        self.run(async move |connection| {
            let mut connection = connection.lock().await;
            let rows = sqlx::query("PRAGMA integrity_check").fetch_all(&mut *connection).await?;
            let lines: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").take(DATABASE_LINES_MAX).collect())
        })
    }
}

async fn inspected(connection: &mut SqliteConnection, name: String) -> Result<Inspected, sqlx::Error> {
    let mut found = Inspected::default();
    let rows = sqlx::query("SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = ? ORDER BY seq")
        .bind(name.clone())
        .fetch_all(&mut *connection)
        .await?;
    found.without_checksum =
        rows.iter().filter(|row| matches!(row.try_get::<Option<i64>, _>(5), Ok(None))).count() as u64;
    found.journal = match trine_protocol::Gid::parse(&name) {
        Ok(gid) => Readable::after(0, rows.iter().map(|row| queries::record(&gid, row))),
        Err(error) => group::nameless(rows.len(), &error),
    };
    let row = sqlx::query(
        "SELECT pattern, status, parked, owner, due_at, created_at, settled_at, hosts FROM transactions WHERE gid = ?",
    );
    let row = row.bind(name.clone()).fetch_optional(&mut *connection).await?;
    found.row = row.map(|row| columns(&row)).transpose()?;
    let labels = sqlx::query("SELECT key, value FROM transaction_labels WHERE gid = ?");
    for row in labels.bind(name).fetch_all(&mut *connection).await? {
        found.labels.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(found)
}

fn columns(row: &sqlx::sqlite::SqliteRow) -> Result<IndexColumns, sqlx::Error> {
    let columns = || {
        Ok(IndexColumns {
            pattern: row.try_get(0)?,
            status: row.try_get(1)?,
            parked: row.try_get(2)?,
            owner: row.try_get(3)?,
            due_at: row.try_get(4)?,
            created_at: row.try_get(5)?,
            settled_at: row.try_get(6)?,
            hosts: row.try_get(7)?,
        })
    };
    // A value of another kind is as wrong as any other: it differs from what the journal says.
    columns().or_else(|_: sqlx::Error| Ok(IndexColumns::default()))
}
