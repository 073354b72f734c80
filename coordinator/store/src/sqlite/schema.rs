//! Connections to a file and their settings, and the migrations of its tables.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::words;
use crate::OpenError;
use crate::migrations::{self, Migrations};

/// Earlier versions can lose a write when two connections reset the write-ahead log at once.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a statement waits for a lock of another process, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is copied into the database when it has this many pages: 16 MiB, a few seconds of full load. With the
/// default, a quarter of that, the same pages are copied more often.
const CHECKPOINT_PAGES: u32 = 4_000;
/// The size that the file of the write-ahead log is cut to when the log starts over.
const LOG_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Prepared statements that a connection keeps. The text of a batch depends on how many rows it has. Few texts are in use
/// at a time, and a large one takes some tens of kilobytes.
const STATEMENTS_MAX: usize = 256;

/// Every migration, oldest first: number, name, text.
const MIGRATIONS: Migrations = &[
    (1, "journal", include_str!("../../../../migrations/coordinator/sqlite/0001_journal.sql")),
    (2, "coordinators", include_str!("../../../../migrations/coordinator/sqlite/0002_coordinators.sql")),
    (3, "key_values", include_str!("../../../../migrations/coordinator/sqlite/0003_key_values.sql")),
    (4, "checksums", include_str!("../../../../migrations/coordinator/sqlite/0004_checksums.sql")),
    (5, "journal_id", include_str!("../../../../migrations/coordinator/sqlite/0005_journal_id.sql")),
    (6, "watched", include_str!("../../../../migrations/coordinator/sqlite/0006_watched.sql")),
    (7, "guarded", include_str!("../../../../migrations/coordinator/sqlite/0007_guarded.sql")),
];

/// A connection that may write.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path).connect().await
}

/// A connection that only reads, also while another process has the file.
pub(super) async fn connect_beside(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    beside(path).connect().await
}

/// The same, for a damaged file. SQLite refuses a truncated file as a whole unless it is told to take what is there.
pub(super) async fn connect_to_damaged(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    beside(path).pragma("writable_schema", "ON").connect().await
}

fn beside(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
    options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
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

pub(super) async fn run_migrations(path: &Path, connection: &mut SqliteConnection) -> Result<u64, OpenError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failed(path, words::of(&error)))?;
    check_version(&version).map_err(|detail| failed(path, detail))?;
    check_tables(connection).await.map_err(|detail| failed(path, detail))?;
    let migrator = migrations::migrator(MIGRATIONS);
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

/// Refuses a file with the tables of another application.
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

pub(super) fn failed(path: &Path, detail: impl ToString) -> OpenError {
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
