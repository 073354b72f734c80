//! A store that returns a wrong journal for one gid. This is the only way to make the shard panic from outside.

use std::sync::Arc;

use trine_engine::Batch;
use trine_protocol::v1::Coordinator;
use trine_protocol::{Gid, JournalId, Timestamp};

use trine_store::memory::Memory;
use trine_store::{
    AppendError, Appended, Beat, Census, Change, Cursor, Entry, Filter, Journal, Journals, Key, KeyValues,
    Leap, Loaded, Maintenance, Membership, Queries, Readable, ReadablePage, Registration, Registrations,
    Registry, Revision, Store, StoreFuture, Value,
};

/// A memory store that answers the read of one gid with the journal of another.
#[derive(Debug)]
pub(super) struct Treacherous {
    honest: Memory,
    gid: Gid,
}

impl Treacherous {
    pub(super) fn new(gid: &str) -> Self {
        Self { honest: Memory::new("one"), gid: Gid::parse(gid).unwrap() }
    }
}

impl Store for Treacherous {
    fn lanes_max(&self) -> usize {
        1
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn journal_id(&self) -> JournalId {
        self.honest.journal_id()
    }
}

impl Journal for Treacherous {
    fn append(&self, lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError> {
        self.honest.append(lane, batch)
    }

    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals> {
        let (bad, honest) = (self.gid.clone(), self.honest.clone());
        Box::pin(async move {
            let mut found = honest.load(gids.clone()).await?;
            if gids.contains(&bad) {
                let other = honest.load(vec![Gid::parse("good").unwrap()]).await?;
                found.extend(other.into_iter().map(|journal| Loaded { gid: bad.clone(), ..journal }));
            }
            Ok(found)
        })
    }

    fn warm(&self) -> StoreFuture<()> {
        self.honest.warm()
    }

    fn remove_probe(&self, lane: usize, gid: Gid) -> StoreFuture<()> {
        self.honest.remove_probe(lane, gid)
    }

    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.honest.unfinished(after, due_by, limit)
    }

    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.honest.due(due_by, limit)
    }
}

impl Queries for Treacherous {
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable> {
        self.honest.readable(gid, after_seq)
    }

    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage> {
        self.honest.readable_page(gid, after_seq, limit)
    }

    fn list(
        &self,
        filter: Filter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<trine_protocol::v1::Page> {
        self.honest.list(filter, cursor, limit)
    }

    fn census(&self) -> StoreFuture<Census> {
        self.honest.census()
    }
}

impl Registry for Treacherous {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        self.honest.register(registrations)
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.honest.is_registered(name)
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.honest.deregister(name, base_url)
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.honest.participants()
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.honest.sweep_participants(expired_ms)
    }
}

impl KeyValues for Treacherous {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.honest.entry(category, key)
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.honest.entries(category, after, limit)
    }

    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change> {
        self.honest.put(category, key, value, expected, now)
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        self.honest.delete(category, key, expected)
    }
}

impl Membership for Treacherous {
    fn heartbeat(&self) -> StoreFuture<Beat> {
        self.honest.heartbeat()
    }

    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>> {
        self.honest.adopt(limit)
    }

    fn leave(&self) -> StoreFuture<()> {
        self.honest.leave()
    }

    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>> {
        self.honest.coordinators()
    }

    fn sweep_coordinators(&self) -> StoreFuture<u64> {
        self.honest.sweep_coordinators()
    }
}

impl Maintenance for Treacherous {
    fn ping(&self) -> StoreFuture<()> {
        self.honest.ping()
    }

    fn watch(&self) -> StoreFuture<Option<Leap>> {
        self.honest.watch()
    }

    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64> {
        self.honest.retire(kept_ms, limit)
    }

    fn close(&self) -> StoreFuture<()> {
        self.honest.close()
    }
}
