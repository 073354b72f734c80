//! The database of a service (SQLite, PostgreSQL or MySQL): a pool that writes, and a pool that reads.
//!
//! SQLite has one writer at a time. So the writing pool has one connection: waiting for a connection is fair and cheap, and
//! waiting for SQLite's lock is not. On PostgreSQL and MySQL one pool does both.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, MySql, Pool, Postgres, SqlSafeStr as _, Sqlite};
use trine_sdk::barrier::{Barrier, BarrierDatabase, Cleaner, CleanerHandle};

use crate::config::Synchronous;

const READERS: u32 = 4;
const SERVER_CONNECTIONS: u32 = 16;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for a connection. After this time the coordinator has given up the call, too.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A migration: its number, its name, its statements.
pub(crate) type Step = (i64, &'static str, &'static str);

/// Why a database cannot be opened.
pub(crate) type OpenError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Database<D: BarrierDatabase> {
    pub(crate) writer: Pool<D>,
    pub(crate) reader: Pool<D>,
    pub(crate) barrier: Barrier<D>,
}

impl<D: BarrierDatabase> Clone for Database<D> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), reader: self.reader.clone(), barrier: self.barrier.clone() }
    }
}

impl Database<Sqlite> {
    pub(crate) async fn sqlite(
        path: &Path,
        synchronous: Synchronous,
        steps: &[Step],
    ) -> Result<Self, OpenError> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
        let writing =
            options.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(
                match synchronous {
                    Synchronous::Full => SqliteSynchronous::Full,
                    Synchronous::Normal => SqliteSynchronous::Normal,
                    Synchronous::Off => SqliteSynchronous::Off,
                },
            );
        let forever =
            |pool: PoolOptions<Sqlite>| pool.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        let writer = forever(pool(1)).connect_with(writing).await?;
        let reader = forever(pool(READERS)).connect_lazy_with(options.read_only(true));
        let database = Self { barrier: Barrier::new(writer.clone()), writer, reader };
        database.barrier.install().await?;
        migrator(steps).run(&database.writer).await?;
        Ok(database)
    }
}

macro_rules! server {
    ($database:ty, $open:ident) => {
        impl Database<$database> {
            pub(crate) async fn $open(url: &str, steps: &[Step]) -> Result<Self, OpenError> {
                // A pool would try again for as long as an op may wait; a service that cannot start says so at once.
                <$database as sqlx::Database>::Connection::connect(url).await?.close().await?;
                let writer: Pool<$database> = pool(SERVER_CONNECTIONS).connect(url).await?;
                let barrier = Barrier::new(writer.clone());
                let database = Self { barrier, reader: writer.clone(), writer };
                database.barrier.install().await?;
                migrator(steps).run(&database.writer).await?;
                Ok(database)
            }
        }
    };
}
server!(Postgres, postgres);
server!(MySql, mysql);

fn pool<D: sqlx::Database>(connections: u32) -> PoolOptions<D> {
    PoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT)
}

fn migrator(steps: &[Step]) -> Migrator {
    let steps = steps.iter().map(|(number, name, sql)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A database of any of the three kinds.
pub(crate) trait AnyDatabase: std::fmt::Debug + Send + Sync {
    /// Succeeds if the database answers.
    fn ping(&self) -> Running<'_, sqlx::Result<()>>;
    fn close(&self) -> Running<'_, ()>;
    /// Starts deleting the rows that the barrier no longer needs.
    fn start_cleaner(&self) -> CleanerHandle;
}

impl<D: BarrierDatabase> AnyDatabase for Database<D> {
    fn ping(&self) -> Running<'_, sqlx::Result<()>> {
        Box::pin(async { self.reader.acquire().await?.ping().await })
    }

    fn close(&self) -> Running<'_, ()> {
        Box::pin(async {
            self.reader.close().await;
            self.writer.close().await;
        })
    }

    fn start_cleaner(&self) -> CleanerHandle {
        Cleaner::new(self.barrier.clone()).start()
    }
}
