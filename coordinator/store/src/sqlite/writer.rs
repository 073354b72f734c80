//! The one connection that writes. A session has it to itself, and gives it back only when all is known to be well;
//! otherwise it is closed, which rolls back whatever it had begun, and the next session opens a new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::guard::Guard;
use super::schema;
use super::words;

/// The writing connection and the queue of those who want it, first come, first served.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    guard: Arc<Guard>,
    slot: Mutex<Slot>,
    /// Open as long as the store is: SQLite removes the write-ahead log with the last connection, so it stays when the
    /// writing one is closed after trouble. It saves what the log holds when somebody else removes the log.
    anchor: Mutex<Option<SqliteConnection>>,
    /// The last write did not succeed.
    in_trouble: AtomicBool,
}

#[derive(Debug)]
enum Slot {
    Idle(SqliteConnection),
    /// In a session, or lost in one.
    Away,
    Closed,
}

impl Writer {
    pub(super) fn new(
        path: &Path,
        connection: SqliteConnection,
        anchor: SqliteConnection,
        guard: Arc<Guard>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            guard,
            slot: Mutex::new(Slot::Idle(connection)),
            anchor: Mutex::new(Some(anchor)),
            in_trouble: AtomicBool::new(false),
        }
    }

    /// Waits for the connection. There is none while the file has lost its name: what would be written there is lost.
    pub(super) async fn session(&self) -> Result<Session<'_>, sqlx::Error> {
        let mut slot = self.slot.lock().await;
        if !matches!(*slot, Slot::Closed) && self.guard.check().is_err() {
            self.save_log().await;
        }
        if !matches!(*slot, Slot::Closed)
            && let Err(error) = self.guard.check()
        {
            self.in_trouble.store(true, Ordering::SeqCst);
            return Err(sqlx::Error::Io(error));
        }
        let idle = match std::mem::replace(&mut *slot, Slot::Away) {
            Slot::Idle(connection) => Ok(connection),
            Slot::Away => schema::connect(&self.path).await,
            Slot::Closed => {
                *slot = Slot::Closed;
                Err(sqlx::Error::PoolClosed)
            }
        };
        let connection = idle.inspect_err(|_| self.in_trouble.store(true, Ordering::SeqCst))?;
        Ok(Session { connection, slot, in_trouble: &self.in_trouble })
    }

    /// One statement that is its own database transaction; returns the rows it changed.
    pub(super) async fn alone(
        &self,
        statement: Query<'static, Sqlite, SqliteArguments>,
    ) -> Result<u64, sqlx::Error> {
        let mut session = self.session().await?;
        let result = statement.execute(&mut session.connection).await.map(|done| done.rows_affected());
        session.end(result)
    }

    /// Copies what was acknowledged into the database when the write-ahead log has lost its name: whoever has the log open
    /// has it still.
    async fn save_log(&self) {
        let mut anchor = self.anchor.lock().await;
        let Some(anchor) = anchor.as_mut().filter(|_| self.guard.may_save_log()) else { return };
        // Whether somebody was in the way, pages in the log, pages copied.
        let saved =
            sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(FULL)").fetch_one(anchor).await;
        match saved {
            Ok((0, pages, copied)) if pages == copied && copied >= 0 => {
                self.guard.log_was_saved();
                tracing::error!(
                    "the write-ahead log was taken away from under this coordinator; what it held is in the database now, and \
                     nothing is written any more: stop this coordinator and start it again"
                );
            }
            other => tracing::error!(
                ?other,
                "what a lost write-ahead log holds could not be copied into the database yet"
            ),
        }
    }

    /// Whether the last write did not succeed.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.in_trouble.load(Ordering::SeqCst)
    }

    /// Waits for what is under way, copies the write-ahead log into the database and closes the connection.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        let mut slot = self.slot.lock().await;
        if let Some(anchor) = self.anchor.lock().await.take() {
            anchor.close().await?;
        }
        let Slot::Idle(mut connection) = std::mem::replace(&mut *slot, Slot::Closed) else { return Ok(()) };
        // Only housekeeping: what was committed is durable with or without it.
        let checkpointed = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        connection.close().await.and(checkpointed.map(drop))
    }
}

/// The writing connection, for one piece of work. Dropped without [`Session::end`], it is closed.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) connection: SqliteConnection,
    slot: MutexGuard<'a, Slot>,
    in_trouble: &'a AtomicBool,
}

impl Session<'_> {
    /// Gives the connection back. Call it when no database transaction is open on it.
    pub(super) fn end<T>(mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.in_trouble.store(result.is_err(), Ordering::SeqCst);
        if result.is_ok() {
            words::written();
        }
        *self.slot = Slot::Idle(self.connection);
        result
    }

    /// Closes the connection: what it had begun is rolled back.
    pub(super) fn abandon(self) {
        self.in_trouble.store(true, Ordering::SeqCst);
    }
}
