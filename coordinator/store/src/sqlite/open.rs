//! Opens a file: takes the guard, applies migrations, writes the owner's row, and opens the connections that a store keeps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use trine_protocol::JournalId;

use super::guard::{Guard, TakeError};
use super::owner::{self, Owner};
use super::{schema, words};
use crate::OpenError;

/// Connections that read journals and small tables side by side.
const READERS_MAX: u32 = 3;
/// Connections for lists and counts. A list that takes long makes other lists wait, and nothing else.
const LISTERS_MAX: u32 = 1;
/// Pages that a connection that reads keeps, in KiB: a quarter of SQLite's default. SQLite forgets these pages whenever another
/// connection has written, so on a busy coordinator they serve one statement.
const READER_CACHE_KIB: u32 = 512;
/// How long a read waits for a connection.
const READER_WAIT_MAX: Duration = Duration::from_secs(5);

/// A file that is open and up to date.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) journal_id: JournalId,
    pub(super) writer: SqliteConnection,
    pub(super) anchor: SqliteConnection,
    pub(super) readers: SqlitePool,
    pub(super) listers: SqlitePool,
    pub(super) guard: Arc<Guard>,
}

/// See [`super::Sqlite::open`].
pub(super) async fn open(path: &Path, owner: &Owner) -> Result<Opened, OpenError> {
    let guard = Arc::new(take(path).await?);
    let mut writer = schema::connect(path).await.map_err(|error| schema::failed(path, words::of(&error)))?;
    schema::run_migrations(path, &mut writer).await?;
    owner::join(&mut writer, owner).await.map_err(|error| schema::failed(path, words::of(&error)))?;
    let journal_id =
        journal_id(&mut writer).await.map_err(|error| schema::failed(path, words::of(&error)))?;
    let anchor = anchor(path, &guard).await.map_err(|error| schema::failed(path, words::of(&error)))?;
    let (readers, listers) = (readers(path, READERS_MAX, &guard), readers(path, LISTERS_MAX, &guard));
    Ok(Opened { journal_id, writer, anchor, readers, listers, guard })
}

/// A connection that keeps the write-ahead log open (see `writer`). It opens the log only by reading.
async fn anchor(path: &Path, guard: &Guard) -> Result<SqliteConnection, sqlx::Error> {
    let mut anchor = schema::connect(path).await?;
    sqlx::query("SELECT id FROM coordinators").fetch_all(&mut anchor).await?;
    guard.watch_log().map_err(sqlx::Error::Io)?;
    Ok(anchor)
}

/// The id of the journal in this file. It is made if the file is new.
async fn journal_id(writer: &mut SqliteConnection) -> Result<JournalId, sqlx::Error> {
    sqlx::query(
        "INSERT INTO journal_id (one, id, made_at) VALUES (1, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER)) \
         ON CONFLICT (one) DO NOTHING",
    )
    .bind(crate::journal_id::new().as_str())
    .execute(&mut *writer)
    .await?;
    let kept: String = sqlx::query_scalar(crate::sql::JOURNAL_ID).fetch_one(writer).await?;
    JournalId::parse(&kept).map_err(|error| sqlx::Error::Decode(format!("journal_id.id {error}").into()))
}

fn readers(path: &Path, connections_max: u32, guard: &Arc<Guard>) -> SqlitePool {
    let guard = Arc::clone(guard);
    let options = schema::options(path).read_only(true).create_if_missing(false);
    // A negative number means KiB, a positive one pages.
    let options = options.pragma("cache_size", format!("-{READER_CACHE_KIB}"));
    SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(connections_max)
        .acquire_timeout(READER_WAIT_MAX)
        .test_before_acquire(false)
        // Another file may have the same name by now.
        .after_connect(move |_, _| {
            let found = guard.check();
            Box::pin(async move { found.map_err(sqlx::Error::Io) })
        })
        .connect_lazy_with(options)
}

/// See [`crate::migrate`].
pub(crate) async fn migrate(path: &Path) -> Result<u64, OpenError> {
    let guard = take(path).await?;
    let mut connection =
        schema::connect(path).await.map_err(|error| schema::failed(path, words::of(&error)))?;
    let applied = schema::run_migrations(path, &mut connection).await;
    connection.close().await.map_err(|error| schema::failed(path, words::of(&error)))?;
    guard.release();
    applied
}

async fn take(path: &Path) -> Result<Guard, OpenError> {
    match Guard::take(path) {
        Ok(guard) => Ok(guard),
        Err(TakeError::Unusable(detail)) => Err(schema::failed(path, detail)),
        Err(TakeError::Held) => {
            let holder = owner::holder(path).await.map(|holder| format!(" ({holder})"));
            Err(OpenError::InUse { file: path.display().to_string(), holder: holder.unwrap_or_default() })
        }
    }
}
