//! The journal in one SQLite file: WAL, `synchronous=FULL`, one connection that writes and a few that only read.
//!
//! - `guard`, `owner`: make sure that one process at a time uses the file;
//! - `open`, `schema`: opening the file, migrations;
//! - `writer`: the connection that writes, and what happens to it after an error;
//! - `append`: one batch in one database transaction;
//! - `statements`: the only SQL that is put together at run time;
//! - `queries`, `listing`, `tables`, `retention`, `key_values`, `inspector`: everything else;
//! - `words`: SQLite's errors in words that say what to do.
//!
//! No other process uses the file, so this coordinator adopts every transaction in it without waiting for anybody's
//! heartbeat. All methods run their work in a task of its own, but for an append, which its caller drives (`detach::kept`).

mod append;
mod guard;
mod inspector;
mod key_values;
mod listing;
mod open;
mod owner;
mod queries;
mod retention;
mod rows;
mod schema;
mod statements;
mod tables;
mod words;
mod writer;

use std::path::Path;
use std::sync::Arc;

use sqlx::SqlitePool;
use trine_engine::Batch;
use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, JournalId, Timestamp};

use super::detach::{detached, kept};
use super::retention::Walk;
use super::watched::Watcher;
use super::{
    AppendError, Appended, Beat, Census, Cursor, Filter, Journal, Journals, Leap, Maintenance, Membership,
    OpenError, Queries, Readable, ReadablePage, Registration, Registrations, Registry, Store, StoreFuture,
};
use guard::Guard;
use owner::Owner;
use writer::Writer;

pub(super) use inspector::Inspector;
pub(super) use open::migrate;
pub use words::outlive_file_limit;

/// A coordinator's journal in a SQLite file. Clones are the same coordinator.
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal_id: JournalId,
    owner: Owner,
    writer: Writer,
    watcher: Watcher,
    walk: Walk,
    readers: SqlitePool,
    listers: SqlitePool,
    guard: Arc<Guard>,
}

impl Sqlite {
    /// Opens a file and brings its tables up to date. A missing file is created, with its folder.
    pub async fn open(path: &Path, owner: String) -> Result<Self, OpenError> {
        let owner = Owner::new(owner);
        let open::Opened { journal_id, writer, anchor, readers, listers, guard } =
            open::open(path, &owner).await?;
        Ok(Self(Arc::new(Inner {
            journal_id,
            owner,
            writer: Writer::new(path, writer, anchor, Arc::clone(&guard)),
            watcher: Watcher::default(),
            walk: Walk::default(),
            readers,
            listers,
            guard,
        })))
    }

    /// Runs `work` in a task of its own.
    fn run<T, Work>(&self, work: impl FnOnce(Arc<Inner>) -> Work) -> StoreFuture<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let work = work(self.0.clone());
        detached(async move { work.await.map_err(|error| words::store_error(&error)) })
    }
}

impl Store for Sqlite {
    /// One: SQLite has one writer. The batches of its lane grow with the load.
    fn lanes_max(&self) -> usize {
        1
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn journal_id(&self) -> JournalId {
        self.0.journal_id.clone()
    }
}

impl Journal for Sqlite {
    fn append(&self, _lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError> {
        let inner = self.0.clone();
        kept(async move { append::append(&inner.writer, &inner.owner, &batch).await })
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        self.run(async move |inner| queries::load(&inner.readers, &inner.owner.name, gids).await)
    }

    fn warm(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove_probe(&self, _lane: usize, gid: Gid) -> StoreFuture<()> {
        self.run(async move |inner| tables::remove_probe(&inner.writer, gid).await)
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| {
            queries::unfinished(&inner.readers, &inner.owner.name, after, due_by, limit).await
        })
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| queries::due(&inner.readers, &inner.owner.name, due_by, limit).await)
    }
}

impl Queries for Sqlite {
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable> {
        self.run(async move |inner| queries::readable(&inner.readers, gid, after_seq).await)
    }

    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage> {
        self.run(async move |inner| queries::readable_page(&inner.readers, gid, after_seq, limit).await)
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        self.run(async move |inner| listing::list(&inner.listers, filter, cursor, limit).await)
    }

    fn census(&self) -> StoreFuture<Census> {
        self.run(async move |inner| queries::census(&inner.listers).await)
    }
}

impl Registry for Sqlite {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        self.run(async move |inner| tables::register(&inner.writer, &registrations).await)
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.run(async move |inner| queries::is_registered(&inner.readers, name).await)
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
    /// No other process adopts while this one has the file. If the row of the owner names another process all the same, that
    /// process has taken the file (see `owner`), and this one must stop. The store's clock is this process's own.
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.run(async move |inner| {
            let answer = owner::heartbeat(&inner.writer, &inner.owner).await?;
            Ok(Beat { answer, at: None })
        })
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.run(async move |inner| tables::adopt(&inner.writer, &inner.owner, limit).await)
    }

    /// Does nothing: the next process that opens the file adopts everything in any case.
    fn leave(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.run(async move |inner| queries::coordinators(&inner.readers, &inner.owner.name).await)
    }

    /// Opening the file has forgotten all other coordinators. Only probes are swept.
    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        self.run(async move |inner| tables::sweep_probes(&inner.writer).await.map(|_| 0))
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
        self.run(async move |inner| {
            retention::retire(&inner.writer, &inner.readers, &inner.walk, kept_ms, limit).await
        })
    }

    fn close(&self) -> StoreFuture<()> {
        self.run(async move |inner| {
            inner.readers.close().await;
            inner.listers.close().await;
            let closed = inner.writer.close().await;
            inner.guard.release();
            closed
        })
    }
}

#[cfg(test)]
mod tests;
