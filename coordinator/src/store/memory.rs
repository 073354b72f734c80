//! A store in memory, for tests: the same contracts, and faults on demand ([`Faults`]).
//!
//! Several coordinators share one by [`Memory::another`]. Events are kept as the codec's text, so what passes through
//! here has passed through the codec. Nothing survives the process. It is not meant for production and has no index:
//! lists walk every row.

mod faults;
mod key_values;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use trine_engine::{Batch, Record};
use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, Timestamp};

use super::detach::detached;
use super::watched::Watcher;
use super::{
    AppendError, Appended, Beat, Census, Cursor, Filter, Journal, Journals, Leap, Maintenance, Membership,
    Queries, Registrations, Registry, Store, StoreError, StoreFuture,
};
use state::State;

pub use faults::{Fault, Faults, Gate};

/// One coordinator's handle to a store in memory. Clones are the same coordinator.
#[derive(Debug, Clone)]
pub struct Memory {
    owner: Arc<str>,
    lanes_max: usize,
    shared: Arc<Shared>,
    watcher: Arc<Watcher>,
}

#[derive(Debug, Default)]
struct Shared {
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
        Self { owner: owner.into(), lanes_max: 1, shared: Arc::default(), watcher: Arc::default() }
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
        Self { owner: owner.into(), watcher: Arc::default(), ..self.clone() }
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

    /// Replaces the text of one record, to see what a damaged journal leads to. Returns whether the record is there.
    pub fn overwrite(&self, gid: &Gid, seq: u64, text: &str) -> bool {
        self.shared.state().overwrite(gid, seq, text)
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

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |state, owner| Ok(state.unfinished(owner, after.as_ref(), due_by, limit)))
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.read(move |state, owner| Ok(state.due(owner, due_by, limit)))
    }
}

impl Queries for Memory {
    fn records(&self, gid: Gid, after_seq: u64) -> StoreFuture<Vec<Record>> {
        self.read(move |state, _| state.records(&gid, after_seq))
    }

    fn records_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<Vec<Record>> {
        self.read(move |state, _| {
            let mut records = state.records(&gid, after_seq)?;
            records.truncate(limit);
            Ok(records)
        })
    }

    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page> {
        self.read(move |state, _| Ok(state.list(&filter, cursor.as_ref(), limit)))
    }

    fn census(&self) -> StoreFuture<Census> {
        self.read(|state, _| Ok(state.census()))
    }
}

impl Registry for Memory {
    fn register(&self, name: String, base_url: String, ttl_ms: u64) -> StoreFuture<Timestamp> {
        self.write(move |state, _| state.register(name, base_url, ttl_ms))
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
        self.write(move |state, _| state.retire(kept_ms, limit))
    }

    fn close(&self) -> StoreFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests;
