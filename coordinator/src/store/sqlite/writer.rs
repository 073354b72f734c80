//! The one connection that writes. A session has it to itself, and gives it back only when all is known to be well;
//! otherwise it is closed, which rolls back whatever it had begun, and the next session opens a new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Connection, SqliteConnection};
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
    pub(super) fn new(path: &Path, connection: SqliteConnection, guard: Arc<Guard>) -> Self {
        Self {
            path: path.to_owned(),
            guard,
            slot: Mutex::new(Slot::Idle(connection)),
            in_trouble: AtomicBool::new(false),
        }
    }

    /// Waits for the connection. There is none while the file has lost its name: what would be written there is lost.
    pub(super) async fn session(&self) -> Result<Session<'_>, sqlx::Error> {
        let mut slot = self.slot.lock().await;
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

    /// Whether the last write did not succeed.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.in_trouble.load(Ordering::SeqCst)
    }

    /// Waits for what is under way, copies the write-ahead log into the database and closes the connection.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        let mut slot = self.slot.lock().await;
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
