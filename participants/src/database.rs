//! The database of a service: one connection that writes, a few that read.
//!
//! SQLite has one writer at a time. Queueing for the one connection is fair and cheap; queueing for SQLite's own lock
//! is neither.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr as _, SqlitePool};
use trine_sdk::barrier::SqliteBarrier;

use crate::config::Synchronous;
use crate::error::StartError;

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A call that waited this long for the writer is given up; the coordinator has given it up, too.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A migration: its number, its name, its statements.
pub(crate) type Step = (i64, &'static str, &'static str);

#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
    pub(crate) barrier: SqliteBarrier,
}

impl Database {
    pub(crate) async fn open(
        path: &Path,
        synchronous: Synchronous,
        steps: &[Step],
    ) -> Result<Self, StartError> {
        let failed = |reason: String| StartError::Database { path: path.to_owned(), reason };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
        }
        let database = connect(path, synchronous).await.map_err(|error| failed(error.to_string()))?;
        database.barrier.install().await.map_err(|error| failed(error.to_string()))?;
        let steps = steps.iter().map(|(number, name, sql)| {
            Migration::new(*number, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
        });
        let migrator = Migrator::with_migrations(steps.collect());
        migrator.run(&database.writer).await.map_err(|error| failed(error.to_string()))?;
        Ok(database)
    }

    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

async fn connect(path: &Path, synchronous: Synchronous) -> sqlx::Result<Database> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    let writing = options.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(
        match synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Off => SqliteSynchronous::Off,
        },
    );
    let writer = pool(1).connect_with(writing).await?;
    let reader = pool(READERS).connect_lazy_with(options.read_only(true));
    Ok(Database { barrier: SqliteBarrier::new(writer.clone()), writer, reader })
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}
