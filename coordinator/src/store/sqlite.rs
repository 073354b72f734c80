//! The journal in one SQLite file: WAL, `synchronous=FULL`, one connection that writes and a few that only read.
//!
//! - `schema`: opening the file, its lock, migrations;
//! - `writer`: who may use the writing connection, and what happens to it after trouble;
//! - `append`: one batch, one database transaction;
//! - `statements`: the only SQL that is put together while running;
//! - `queries`, `tables`, `key_values`: everything else.
//!
//! One process at a time has the file, by a lock on `<file>.lock`: whatever is not settled in it belongs to nobody else,
//! and nobody else's heartbeat is waited for. All methods start their work in a task of its own.

mod append;
mod key_values;
mod queries;
mod retention;
mod schema;
mod statements;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;

use sqlx::SqlitePool;
use trine_engine::{Batch, Record};
use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, Timestamp};

use super::detach::detached;
use super::watched::Watcher;
use super::{
    AppendError, Appended, Beat, Census, Cursor, Filter, Journal, Journals, Leap, Maintenance, Membership,
    OpenError, Queries, Registrations, Registry, Standing, Store, StoreError, StoreFuture,
};
use schema::FileLock;
use writer::Writer;

pub(super) use schema::migrate;

/// Nobody else can have the file, and its clock is this process's own.
const ALIVE: Beat = Beat { standing: Standing::Alive, at: None };

/// A coordinator's journal in a SQLite file. Clones are the same coordinator.
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    owner: String,
    writer: Writer,
    watcher: Watcher,
    readers: SqlitePool,
    listers: SqlitePool,
    lock: FileLock,
}

impl Sqlite {
    /// Opens a file, which is created with its folder if it is missing, and brings its tables up to date.
    pub async fn open(path: &Path, owner: String) -> Result<Self, OpenError> {
        let schema::Opened { writer, readers, listers, lock } = schema::open(path).await?;
        Ok(Self(Arc::new(Inner {
            owner,
            writer: Writer::new(path, writer),
            watcher: Watcher::default(),
            readers,
            listers,
            lock,
        })))
    }

    /// Runs `work` in a task of its own.
    fn run<T, Work>(&self, work: impl FnOnce(Arc<Inner>) -> Work) -> StoreFuture<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let work = work(self.0.clone());
        detached(async move { work.await.map_err(|error| StoreError::Unavailable(error.to_string())) })
    }
}

impl Store for Sqlite {
    /// One: SQLite has one writer, and its batches grow with the load.
    fn lanes_max(&self) -> usize {
        1
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl Journal for Sqlite {
    fn append(&self, _lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError> {
        let inner = self.0.clone();
        detached(async move { append::append(&inner.writer, &inner.owner, &batch).await })
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        self.run(async move |inner| queries::load(&inner.readers, &inner.owner, gids).await)
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| {
            queries::unfinished(&inner.readers, &inner.owner, after, due_by, limit).await
        })
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| queries::due(&inner.readers, &inner.owner, due_by, limit).await)
    }
}

impl Queries for Sqlite {
    fn records(&self, gid: Gid, after_seq: u64) -> StoreFuture<Vec<Record>> {
        let inner = self.0.clone();
        detached(async move { queries::records(&inner.readers, gid, after_seq).await })
    }

    fn records_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<Vec<Record>> {
        let inner = self.0.clone();
        detached(async move { queries::records_page(&inner.readers, gid, after_seq, limit).await })
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        self.run(async move |inner| queries::list(&inner.listers, filter, cursor, limit).await)
    }

    fn census(&self) -> StoreFuture<Census> {
        self.run(async move |inner| queries::census(&inner.listers).await)
    }
}

impl Registry for Sqlite {
    fn register(&self, name: String, base_url: String, ttl_ms: u64) -> StoreFuture<Timestamp> {
        self.run(async move |inner| tables::register(&inner.writer, name, base_url, ttl_ms).await)
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.run(async move |inner| tables::deregister(&inner.writer, name, base_url).await)
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.run(async move |inner| queries::participants(&inner.readers).await)
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.run(async move |inner| tables::sweep_participants(&inner.writer, expired_ms).await)
    }
}

impl Membership for Sqlite {
    /// Nobody else can have the file, so nobody takes anything away.
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.run(async move |inner| tables::heartbeat(&inner.writer, &inner.owner).await.map(|()| ALIVE))
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| tables::adopt(&inner.writer, &inner.owner, limit).await)
    }

    /// Whoever opens the file next adopts everything in any case.
    fn leave(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.run(async move |inner| queries::coordinators(&inner.readers, &inner.owner).await)
    }

    /// Adopting has forgotten them.
    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

impl Maintenance for Sqlite {
    fn ping(&self) -> StoreFuture<()> {
        self.run(async move |inner| tables::ping(&inner.writer, &inner.owner).await)
    }

    fn watch(&self) -> StoreFuture<Option<Leap>> {
        self.run(async move |inner| retention::watch(&inner.writer, &inner.watcher).await)
    }

    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64> {
        self.run(async move |inner| retention::retire(&inner.writer, kept_ms, limit).await)
    }

    fn close(&self) -> StoreFuture<()> {
        self.run(async move |inner| {
            inner.readers.close().await;
            inner.listers.close().await;
            let closed = inner.writer.close().await;
            inner.lock.release();
            closed
        })
    }
}

#[cfg(test)]
mod tests;
