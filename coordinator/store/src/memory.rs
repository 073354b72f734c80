//! A store in memory, for tests. It keeps the same promises as the others, and makes faults on demand ([`Faults`]).
//!
//! Several coordinators can share one store; see [`Memory::another`]. Events are kept as the codec's text, so that tests
//! pass through the codec. Nothing survives the process, and lists walk over all rows: this store is not for production.

mod faults;
mod key_values;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard};

use trine_engine::Batch;
use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, JournalId, Timestamp};

use super::detach::detached;
use super::retention::Walk;
use super::watched::Watcher;
use super::{
    AppendError, Appended, Beat, Census, Cursor, Filter, Journal, Journals, Leap, Maintenance, Membership,
    Queries, Readable, ReadablePage, Registration, Registrations, Registry, Store, StoreError, StoreFuture,
    journal_id,
};
use tables::Tables;

pub use faults::{Damage, Fault, Faults, Gate};

/// One coordinator's handle to a store in memory. Clones are the same coordinator.
#[derive(Debug, Clone)]
pub struct Memory {
    owner: Arc<str>,
    lanes_max: usize,
    shared: Arc<Shared>,
    watcher: Arc<Watcher>,
    walk: Arc<Walk>,
}

#[derive(Debug)]
struct Shared {
    journal_id: JournalId,
    tables: Mutex<Tables>,
    faults: Faults,
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Memory {
    /// An empty store, and the coordinator `owner` in it.
    pub fn new(owner: &str) -> Self {
        let (tables, faults) = (Mutex::default(), Faults::default());
        let shared = Arc::new(Shared { journal_id: journal_id::new(), tables, faults });
        Self { owner: owner.into(), lanes_max: 1, shared, watcher: Arc::default(), walk: Arc::default() }
    }

    /// With this many lanes that append side by side.
    #[must_use]
    pub fn with_lanes_max(mut self, lanes_max: usize) -> Self {
        self.lanes_max = lanes_max.max(1);
        self
    }

    /// Another coordinator on the same store.
    #[must_use]
    pub fn another(&self, owner: &str) -> Self {
        Self { owner: owner.into(), watcher: Arc::default(), walk: Arc::default(), ..self.clone() }
    }

    /// The switches for faults. They work for every coordinator on this store.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Makes a coordinator count as gone: until its next heartbeat others may adopt its transactions.
    pub fn lapse(&self, owner: &str) {
        self.shared.tables().lapse(owner);
    }

    /// Sets the store's clock ahead of this process's, or behind it.
    pub fn set_clock_ahead(&self, ms: i64) {
        self.shared.tables().ahead_ms = ms;
    }

    /// Damages one record. Returns whether the record is there.
    pub fn damage(&self, gid: &Gid, seq: u64, damage: &Damage) -> bool {
        self.shared.tables().damage(gid, seq, damage)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<T> {
        let Self { owner, shared, .. } = self.clone();
        detached(async move {
            shared.faults.before_read()?;
            read(&shared.tables(), &owner)
        })
    }

    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Tables, &str) -> T + Send + 'static,
    ) -> StoreFuture<T> {
        let Self { owner, shared, .. } = self.clone();
        detached(async move {
            shared.faults.before_write()?;
            Ok(write(&mut shared.tables(), &owner))
        })
    }
}

impl Store for Memory {
    fn lanes_max(&self) -> usize {
        self.lanes_max
    }

    /// By [`Self::another`].
    fn is_shared(&self) -> bool {
        true
    }

    fn journal_id(&self) -> JournalId {
        self.shared.journal_id.clone()
    }
}

impl Journal for Memory {
    fn append(&self, _lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError> {
        let Self { owner, shared, .. } = self.clone();
        detached(async move {
            match shared.faults.before_append().await {
                None => Ok(shared.tables().append(&batch, &owner)),
                Some(Fault::Failed) => Err(AppendError::Failed("a fault was asked for".to_owned())),
                Some(Fault::DoubtfulNotApplied) => {
                    Err(AppendError::Doubtful("a fault was asked for".to_owned()))
                }
                Some(Fault::DoubtfulApplied) => {
                    shared.tables().append(&batch, &owner);
                    Err(AppendError::Doubtful("a fault was asked for".to_owned()))
                }
            }
        })
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        self.read(move |tables, owner| Ok(tables.load(owner, gids)))
    }

    fn warm(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove_probe(&self, _lane: usize, gid: Gid) -> StoreFuture<()> {
        self.write(move |tables, _| tables.remove_probe(&gid))
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |tables, owner| Ok(tables.unfinished(owner, after.as_ref(), due_by, limit)))
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |tables, owner| Ok(tables.due(owner, due_by, limit)))
    }
}

impl Queries for Memory {
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable> {
        self.read(move |tables, _| Ok(Readable::after(after_seq, tables.rows(&gid, after_seq))))
    }

    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage> {
        self.read(move |tables, _| Ok(ReadablePage::after(after_seq, tables.rows(&gid, after_seq), limit)))
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        self.read(move |tables, _| Ok(tables.list(&filter, cursor.as_ref(), limit)))
    }

    fn census(&self) -> StoreFuture<Census> {
        self.read(|tables, _| Ok(tables.census()))
    }
}

impl Registry for Memory {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        self.write(move |tables, _| tables.register(registrations))
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.read(move |tables, _| Ok(tables.is_registered(&name)))
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.write(move |tables, _| tables.deregister(&name, base_url.as_deref()))
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.read(|tables, _| Ok(tables.participants()))
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.write(move |tables, _| tables.sweep_participants(expired_ms))
    }
}

impl Membership for Memory {
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.write(|tables, owner| tables.beat(owner))
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.write(move |tables, owner| tables.adopt(owner, limit))
    }

    fn leave(&self) -> StoreFuture<()> {
        self.write(|tables, owner| tables.lapse(owner))
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.read(|tables, _| Ok(tables.coordinators()))
    }

    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        self.write(|tables, _| tables.sweep_coordinators())
    }
}

impl Maintenance for Memory {
    fn ping(&self) -> StoreFuture<()> {
        self.write(|_, _| ())
    }

    fn watch(&self) -> StoreFuture<Option<Leap>> {
        let watcher = Arc::clone(&self.watcher);
        self.write(move |tables, _| tables.watch(&watcher))
    }

    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64> {
        let walk = Arc::clone(&self.walk);
        self.write(move |tables, _| tables.retire(&walk, kept_ms, limit))
    }

    fn close(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests;
