//! The store that the coordinators share: journals, and the index with the owners.

use std::collections::BTreeMap;

use trine_engine::{Batch, Found};
use trine_protocol::{Gid, Timestamp};

use crate::store::Store;

/// The index row of a transaction.
#[derive(Debug, Clone, Copy)]
struct Row {
    owner: usize,
    due_at: Option<Timestamp>,
}

/// The result of an append.
#[derive(Debug, Default)]
pub(super) struct Appended {
    pub(super) conflicts: Vec<Gid>,
    /// Gids whose row named another owner, and that owner.
    pub(super) taken: Vec<(Gid, usize)>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) store: Store,
    index: BTreeMap<Gid, Row>,
    appends: u64,
}

impl Shared {
    /// Appends a batch, and makes `owner` the owner of its rows.
    pub(super) fn append(&mut self, owner: usize, batch: &Batch) -> Result<Appended, String> {
        self.appends += 1;
        let conflicts = self.store.append(&batch.records)?;
        let written = |gid: &Gid| !conflicts.contains(gid);
        let mut taken = Vec::new();
        for row in batch.rows.iter().filter(|row| written(&row.gid)) {
            let earlier = self.index.insert(row.gid.clone(), Row { owner, due_at: row.due_at });
            let former = earlier.map(|earlier| earlier.owner).filter(|former| *former != owner);
            taken.extend(former.map(|former| (row.gid.clone(), former)));
        }
        Ok(Appended { conflicts, taken })
    }

    pub(super) fn appends(&self) -> u64 {
        self.appends
    }

    pub(super) fn read(&self, reader: usize, gid: &Gid) -> Option<Found> {
        let owned = self.owner(gid) == Some(reader);
        self.store.load(gid).map(|transaction| Found { transaction, owned })
    }

    pub(super) fn owner(&self, gid: &Gid) -> Option<usize> {
        self.index.get(gid).map(|row| row.owner)
    }

    /// Unsettled transactions with their owners.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = (&Gid, usize)> {
        let rows = self.index.iter().filter(|(gid, _)| !self.is_settled(gid));
        rows.map(|(gid, row)| (gid, row.owner))
    }

    /// The unfinished transactions of a coordinator that are due.
    pub(super) fn unfinished(&self, owner: usize, now: Timestamp) -> Vec<Gid> {
        let belongs =
            |gid: &Gid| self.index.get(gid).is_some_and(|row| row.due_at.is_none_or(|due_at| due_at <= now));
        let owned = self.unsettled().filter(|(gid, of)| *of == owner && belongs(gid));
        owned.map(|(gid, _)| gid.clone()).collect()
    }

    /// The next due time, after `now`, among the rows of a coordinator.
    pub(super) fn next_due(&self, owner: usize, now: Timestamp) -> Option<Timestamp> {
        let owned = self.unsettled().filter(|(_, of)| *of == owner);
        let due = owned.filter_map(|(gid, _)| self.index.get(gid)?.due_at);
        due.filter(|at| now < *at && *at < Timestamp::MAX).min()
    }

    /// Adopts up to `limit` unsettled transactions of owners that are gone. Returns each with its former owner.
    pub(super) fn adopt(
        &mut self,
        adopter: usize,
        gone: impl Fn(usize) -> bool,
        limit: usize,
    ) -> Vec<(Gid, usize)> {
        let theirs = self.unsettled().filter(|(_, owner)| *owner != adopter && gone(*owner));
        let claimed: Vec<(Gid, usize)> =
            theirs.take(limit).map(|(gid, owner)| (gid.clone(), owner)).collect();
        for (gid, _) in &claimed {
            if let Some(row) = self.index.get_mut(gid) {
                row.owner = adopter;
            }
        }
        claimed
    }

    fn is_settled(&self, gid: &Gid) -> bool {
        self.store.state(gid).is_some_and(|state| state.status().is_settled())
    }
}
