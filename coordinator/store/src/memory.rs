//! A store in memory, for tests: the same contracts, and faults on demand ([`Faults`]).
//!
//! Several coordinators share one by [`Memory::another`]. Events are kept as the codec's text, so what passes through
//! here has passed through the codec. Nothing survives the process. It is not meant for production and has no index:
//! lists walk every row.

mod faults;
mod key_values;
mod state;

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
use state::State;

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
    state: Mutex<State>,
    faults: Faults,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Memory {
    /// An empty store, and the coordinator `owner` in it.
    pub fn new(owner: &str) -> Self {
        let (state, faults) = (Mutex::default(), Faults::default());
        let shared = Arc::new(Shared { journal_id: journal_id::new(), state, faults });
        Self { owner: owner.into(), lanes_max: 1, shared, watcher: Arc::default(), walk: Arc::default() }
    }

    /// Lets this many lanes append side by side.
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

    /// The switches for what goes wrong; they work for every coordinator on this store.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Lets a coordinator's heartbeat lapse: from now on others may adopt what it owns, until it beats again.
    pub fn lapse(&self, owner: &str) {
        self.shared.state().lapse(owner);
    }

    /// Sets the store's clock so much ahead of this process's, or back.
    pub fn set_clock_ahead(&self, ms: i64) {
        self.shared.state().ahead_ms = ms;
    }

    /// Damages one record, to see what that leads to. Returns whether the record is there.
    pub fn damage(&self, gid: &Gid, seq: u64, damage: &Damage) -> bool {
        self.shared.state().damage(gid, seq, damage)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<T> {
        let Self { owner, shared, .. } = self.clone();
        detached(async move {
            shared.faults.before_read()?;
            read(&shared.state(), &owner)
        })
    }

    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut State, &str) -> T + Send + 'static,
    ) -> StoreFuture<T> {
        let Self { owner, shared, .. } = self.clone();
        detached(async move {
            shared.faults.before_write()?;
            Ok(write(&mut shared.state(), &owner))
        })
    }
}

impl Store for Memory {
    fn lanes_max(&self) -> usize {
        self.lanes_max
    }

    /// By tests: see [`Self::another`].
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
                None => Ok(shared.state().append(&batch, &owner)),
                Some(Fault::Failed) => Err(AppendError::Failed("a fault was asked for".to_owned())),
                Some(Fault::DoubtfulNotApplied) => {
                    Err(AppendError::Doubtful("a fault was asked for".to_owned()))
                }
                Some(Fault::DoubtfulApplied) => {
                    shared.state().append(&batch, &owner);
                    Err(AppendError::Doubtful("a fault was asked for".to_owned()))
                }
            }
        })
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        self.read(move |state, owner| Ok(state.load(owner, gids)))
    }

    fn warm(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove_probe(&self, _lane: usize, gid: Gid) -> StoreFuture<()> {
        self.write(move |state, _| state.remove_probe(&gid))
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |state, owner| Ok(state.unfinished(owner, after.as_ref(), due_by, limit)))
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |state, owner| Ok(state.due(owner, due_by, limit)))
    }
}

impl Queries for Memory {
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable> {
        self.read(move |state, _| Ok(Readable::after(after_seq, state.rows(&gid, after_seq))))
    }

    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage> {
        self.read(move |state, _| Ok(ReadablePage::after(after_seq, state.rows(&gid, after_seq), limit)))
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        self.read(move |state, _| Ok(state.list(&filter, cursor.as_ref(), limit)))
    }

    fn census(&self) -> StoreFuture<Census> {
        self.read(|state, _| Ok(state.census()))
    }
}

impl Registry for Memory {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        self.write(move |state, _| state.register(registrations))
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.read(move |state, _| Ok(state.is_registered(&name)))
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.write(move |state, _| state.deregister(&name, base_url.as_deref()))
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.read(|state, _| Ok(state.participants()))
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.write(move |state, _| state.sweep_participants(expired_ms))
    }
}

impl Membership for Memory {
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.write(|state, owner| state.beat(owner))
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.write(move |state, owner| state.adopt(owner, limit))
    }

    fn leave(&self) -> StoreFuture<()> {
        self.write(|state, owner| state.lapse(owner))
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.read(|state, _| Ok(state.coordinators()))
    }

    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        self.write(|state, _| state.sweep_coordinators())
    }
}

impl Maintenance for Memory {
    fn ping(&self) -> StoreFuture<()> {
        self.write(|_, _| ())
    }

    fn watch(&self) -> StoreFuture<Option<Leap>> {
        let watcher = Arc::clone(&self.watcher);
        self.write(move |state, _| state.watch(&watcher))
    }

    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64> {
        let walk = Arc::clone(&self.walk);
        self.write(move |state, _| state.retire(&walk, kept_ms, limit))
    }

    fn close(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests;
