//! The one connection that writes.
//!
//! A [`Session`] has the connection to itself, and gives it back only when the connection is in a known state. Otherwise the
//! connection is closed, which rolls back what was begun on it, and the next session opens a new one.

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

/// The connection that writes, and the queue of the sessions that wait for it: first come, first served.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    guard: Arc<Guard>,
    slot: Mutex<Slot>,
    /// Open as long as the store is. SQLite removes the write-ahead log when the last connection is closed; because of this
    /// connection the log stays when the writing one is closed after an error. If another process removes the log, this
    /// connection still has it open and copies it into the database.
    anchor: Mutex<Option<SqliteConnection>>,
    /// The last write has failed.
    in_trouble: AtomicBool,
}

#[derive(Debug)]
enum Slot {
    Idle(SqliteConnection),
    /// In a session, or closed by the last one.
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

    /// Waits for the connection. Fails while the file has lost its name, because what is written to such a file is lost.
    pub(super) async fn session(&self) -> Result<Session<'_>, sqlx::Error> {
        let mut slot = self.slot.lock().await;
        // Before each session: a log that is lost now can still be copied, and nothing is written after that.
        if !matches!(*slot, Slot::Closed) && self.guard.check().is_err() {
            self.save_log().await;
        }
        if !matches!(*slot, Slot::Closed)
            && let Err(error) = self.guard.check()
        {
            self.in_trouble.store(true, Ordering::SeqCst);
            return Err(sqlx::Error::Io(error));
        }
        // Away until `end`: a session that is dropped leaves no connection behind, and the next one opens another.
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

    /// Runs one statement as a database transaction of its own. Returns how many rows it changed.
    pub(super) async fn alone(
        &self,
        statement: Query<'static, Sqlite, SqliteArguments>,
    ) -> Result<u64, sqlx::Error> {
        let mut session = self.session().await?;
        let result = statement.execute(&mut session.connection).await.map(|done| done.rows_affected());
        // Kept after an error as well: a statement by itself leaves no database transaction open.
        session.end(result)
    }

    /// If the write-ahead log has lost its name, copies what it holds into the database: the anchor still has the log open.
    async fn save_log(&self) {
        // The writing connection may be away after an error. The anchor has had the log open all the time.
        let mut anchor = self.anchor.lock().await;
        let Some(anchor) = anchor.as_mut().filter(|_| self.guard.may_save_log()) else { return };
        // The pragma answers: whether another connection was in the way, pages in the log, pages copied.
        let saved =
            sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(FULL)").fetch_one(anchor).await;
        match saved {
            // If another connection was in the way, a part is copied and the rest is still in the lost log alone.
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

    /// Whether the last write has failed.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.in_trouble.load(Ordering::SeqCst)
    }

    /// Waits for the session under way, copies the write-ahead log into the database and closes the connection.
    pub(super) async fn close(&self) -> Result<(), sqlx::Error> {
        let mut slot = self.slot.lock().await;
        // Before the writing connection, which as the last one removes the log.
        if let Some(anchor) = self.anchor.lock().await.take() {
            anchor.close().await?;
        }
        let Slot::Idle(mut connection) = std::mem::replace(&mut *slot, Slot::Closed) else { return Ok(()) };
        // Housekeeping: commits are durable in the log as well.
        let checkpointed = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        connection.close().await.and(checkpointed.map(drop))
    }
}

/// The connection that writes, for one piece of work. If this is dropped without [`Session::end`], the connection is closed.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) connection: SqliteConnection,
    slot: MutexGuard<'a, Slot>,
    in_trouble: &'a AtomicBool,
}

impl Session<'_> {
    /// Gives the connection back. Call this only when no database transaction is open on it.
    pub(super) fn end<T>(mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.in_trouble.store(result.is_err(), Ordering::SeqCst);
        if result.is_ok() {
            words::written();
        }
        *self.slot = Slot::Idle(self.connection);
        result
    }

    /// Closes the connection, which rolls back what was begun on it.
    pub(super) fn abandon(self) {
        // The slot stays `Away`, so that the next session opens another connection.
        self.in_trouble.store(true, Ordering::SeqCst);
    }
}
