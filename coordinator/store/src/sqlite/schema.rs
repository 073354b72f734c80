//! Opening a file: the version of SQLite, migrations, connections. Who may open it is in `guard` and `owner`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection, SqlitePool};
use trine_protocol::JournalId;

use super::guard::{Guard, Refused};
use super::owner::{self, Owner};
use super::words;
use crate::OpenError;

/// SQLite before 3.51.3 can lose a write when two connections reset the write-ahead log at once.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a statement waits for somebody else's lock, such as a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is copied into the database when it has this many pages: 16 MiB, a few seconds of full load. The
/// default, a quarter of it, makes each copy write the same pages again.
const CHECKPOINT_PAGES: u32 = 4_000;
/// What is kept of the write-ahead log when it starts over.
const LOG_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Connections that read journals and small tables side by side.
const READERS_MAX: u32 = 3;
/// Connections that walk the index for lists and counts: a list that takes long keeps other lists waiting, nothing else.
const LISTERS_MAX: u32 = 1;
/// How long a read waits for one of them.
const READER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection. A batch's text depends on its sizes; those in use at a time are few, and each
/// large one takes some tens of kilobytes.
const STATEMENTS_MAX: usize = 256;

/// Every migration, oldest first: number, name, text.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "journal", include_str!("../../../../migrations/coordinator/sqlite/0001_journal.sql")),
    (2, "coordinators", include_str!("../../../../migrations/coordinator/sqlite/0002_coordinators.sql")),
    (3, "key_values", include_str!("../../../../migrations/coordinator/sqlite/0003_key_values.sql")),
    (4, "checksums", include_str!("../../../../migrations/coordinator/sqlite/0004_checksums.sql")),
    (5, "journal_id", include_str!("../../../../migrations/coordinator/sqlite/0005_journal_id.sql")),
    (6, "watched", include_str!("../../../../migrations/coordinator/sqlite/0006_watched.sql")),
];

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
    let mut writer = connect(path).await.map_err(|error| failed(path, words::of(&error)))?;
    run_migrations(path, &mut writer).await?;
    owner::join(&mut writer, owner).await.map_err(|error| failed(path, words::of(&error)))?;
    let journal_id = journal_id(&mut writer).await.map_err(|error| failed(path, words::of(&error)))?;
    let anchor = anchor(path, &guard).await.map_err(|error| failed(path, words::of(&error)))?;
    let (readers, listers) = (readers(path, READERS_MAX, &guard), readers(path, LISTERS_MAX, &guard));
    Ok(Opened { journal_id, writer, anchor, readers, listers, guard })
}

/// A connection that keeps the write-ahead log where it is: it has looked into it.
async fn anchor(path: &Path, guard: &Guard) -> Result<SqliteConnection, sqlx::Error> {
    let mut anchor = connect(path).await?;
    sqlx::query("SELECT id FROM coordinators").fetch_all(&mut anchor).await?;
    guard.watch_log().map_err(sqlx::Error::Io)?;
    Ok(anchor)
}

/// Which journal the file holds; made if it is a new one. Nobody else has the file open.
async fn journal_id(writer: &mut SqliteConnection) -> Result<JournalId, sqlx::Error> {
    sqlx::query(
        "INSERT INTO journal_id (one, id, made_at) VALUES (1, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER)) \
         ON CONFLICT (one) DO NOTHING",
    )
    .bind(crate::journal_id::new().as_str())
    .execute(&mut *writer)
    .await?;
    let kept: String = sqlx::query_scalar("SELECT id FROM journal_id").fetch_one(writer).await?;
    JournalId::parse(&kept).map_err(|error| sqlx::Error::Decode(format!("journal_id.id {error}").into()))
}

fn readers(path: &Path, connections_max: u32, guard: &Arc<Guard>) -> SqlitePool {
    let guard = Arc::clone(guard);
    SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(connections_max)
        .acquire_timeout(READER_WAIT_MAX)
        .test_before_acquire(false)
        // By the same name there may be another file by now.
        .after_connect(move |_, _| {
            let found = guard.check();
            Box::pin(async move { found.map_err(sqlx::Error::Io) })
        })
        .connect_lazy_with(options(path).read_only(true).create_if_missing(false))
}

/// See [`crate::migrate`].
pub(crate) async fn migrate(path: &Path) -> Result<u64, OpenError> {
    let guard = take(path).await?;
    let mut connection = connect(path).await.map_err(|error| failed(path, words::of(&error)))?;
    let applied = run_migrations(path, &mut connection).await;
    connection.close().await.map_err(|error| failed(path, words::of(&error)))?;
    guard.release();
    applied
}

async fn take(path: &Path) -> Result<Guard, OpenError> {
    match Guard::take(path) {
        Ok(guard) => Ok(guard),
        Err(Refused::Unusable(detail)) => Err(failed(path, detail)),
        Err(Refused::Held) => {
            let holder = owner::holder(path).await.map(|holder| format!(" ({holder})"));
            Err(OpenError::InUse { file: path.display().to_string(), holder: holder.unwrap_or_default() })
        }
    }
}

/// A connection that may write.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path).connect().await
}

/// A connection that only reads, beside whoever has the file.
pub(super) async fn connect_beside(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    beside(path).connect().await
}

/// The same, of a damaged file: SQLite refuses a truncated one as a whole unless it is told to take what is there.
pub(super) async fn connect_to_damaged(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    beside(path).pragma("writable_schema", "ON").connect().await
}

fn beside(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
    options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_MAX.to_string())
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging()
}

async fn run_migrations(path: &Path, connection: &mut SqliteConnection) -> Result<u64, OpenError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failed(path, words::of(&error)))?;
    check_version(&version).map_err(|detail| failed(path, detail))?;
    check_tables(connection).await.map_err(|detail| failed(path, detail))?;
    let migrations = MIGRATIONS.iter().map(|(number, name, text)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let before = applied(connection, &migrator).await.map_err(|error| failed(path, error))?;
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(migration) => {
            OpenError::Newer { store: path.display().to_string(), migration }
        }
        MigrateError::Execute(error) => failed(path, words::of(&error)),
        other => failed(path, other),
    })?;
    let after = applied(connection, &migrator).await.map_err(|error| failed(path, error))?;
    Ok(after.saturating_sub(before))
}

async fn applied(connection: &mut SqliteConnection, migrator: &Migrator) -> Result<u64, MigrateError> {
    connection.ensure_migrations_table(&migrator.table_name).await?;
    Ok(connection.list_applied_migrations(&migrator.table_name).await?.len() as u64)
}

/// Tables of something else are left alone, and no tables of ours are put between them.
async fn check_tables(connection: &mut SqliteConnection) -> Result<(), String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name <> '_sqlx_migrations' ORDER BY name",
    )
    .fetch_all(connection)
    .await
    .map_err(|error| words::of(&error))?;
    let ours =
        tables.iter().any(|name| name == "journal") && tables.iter().any(|name| name == "transactions");
    match tables.first() {
        Some(table) if !ours => Err(format!(
            "it is the database of another application (it has a table {table:?}); give Trine a file of its own"
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_version(version: &str) -> Result<(), String> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let (major, minor, patch) = VERSION_MIN;
    if (part(), part(), part()) < VERSION_MIN {
        return Err(format!(
            "SQLite {version} may damage the file; at least {major}.{minor}.{patch} is needed"
        ));
    }
    Ok(())
}

fn failed(path: &Path, detail: impl ToString) -> OpenError {
    OpenError::Failed { store: path.display().to_string(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlite_that_may_damage_the_file_is_refused() {
        for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert_eq!(check_version(good), Ok(()));
        }
        for bad in ["3.51.2", "3.40.1", "2.99.99", "", "x"] {
            assert!(check_version(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
