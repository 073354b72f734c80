//! What a transaction hands on: records for the next batch, releases, and when to look at it again.
//!
//! Law L4 stands here: [`Withheld`] holds the record that a release relies on, and [`Withheld::may_leave`] compares this record
//! with the durable ones. `relies_on` in `resident` chooses the record.
//!
//! Records of progress ask for no batch of their own: they are written with the next batch, or at `seal_by`. All other records
//! *press*: they are written as soon as no other batch is in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trine_protocol::{Gid, Timestamp};

use super::batch::{Arrived, BatchId};
use super::{Message, Release, Seq, Snapshot, Ticket};
use crate::event::Record;
use crate::input::{CallKey, Rejection};

#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    /// The records of the next batch, in the order they were decided.
    forming: Vec<Record>,
    /// The newest record of each gid in `forming`.
    newest: BTreeMap<Gid, Seq>,
    /// Gids whose records in `forming` are not to wait for others.
    pressing: BTreeSet<Gid>,
    /// When the records that do not press are written at the latest.
    seal_by: Option<Timestamp>,
    /// The shard is about to go away: all records press.
    is_stopping: bool,
    sealed: Option<Sealed>,
    /// In the order they were decided.
    withheld: Vec<Withheld>,
    pub(super) releases: VecDeque<Release>,
    timers: BTreeSet<(Timestamp, Gid)>,
    batches: u64,
    /// Counts messages as they are decided.
    arrived: u64,
}

/// The batch that is being written.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    id: BatchId,
    /// The newest record of each gid in the batch.
    pub(super) newest: BTreeMap<Gid, Seq>,
}

/// Something that waits for a record to be durable.
#[derive(Debug, Clone)]
pub(super) struct Withheld {
    gid: Gid,
    /// The record of the gid that must be durable first.
    relies_on: Seq,
    /// What leaves then.
    release: Option<Release>,
    /// What is decided again when the record is lost.
    message: Option<Arrived>,
}

impl Withheld {
    pub(super) fn new(gid: &Gid, relies_on: Seq, release: Option<Release>, message: Option<Arrived>) -> Self {
        Self { gid: gid.clone(), relies_on, release, message }
    }

    /// Law L4: nothing leaves before the record it relies on is durable.
    fn may_leave(&self, durable_seq: Seq) -> bool {
        self.relies_on <= durable_seq
    }

    /// What leaves when the records of its gid up to `durable_seq` are durable.
    fn released(self, durable_seq: Seq) -> Option<Release> {
        let mut release = self.release;
        if let Some(Release::Call(call)) = &mut release {
            // Not the seq that owes the call. A coordinator may decide a compensation on an older journal than the one that the
            // newest call at the participant came from. With the seq of that older journal the participant would refuse it.
            call.fence = durable_seq;
        }
        release
    }

    fn call(&self) -> Option<CallKey> {
        match &self.release {
            Some(Release::Call(call)) => Some(call.key),
            Some(Release::Reply { .. } | Release::Load(_)) | None => None,
        }
    }
}

impl Outbox {
    /// Takes in records of one gid, oldest first. `seal_by` says when they are written at the latest; None: they press.
    pub(super) fn append(&mut self, records: Vec<Record>, seal_by: Option<Timestamp>) {
        let Some(last) = records.last() else { return };
        // The last one is enough: the records of a gid are durable in order.
        self.newest.insert(last.gid.clone(), last.seq);
        match seal_by.filter(|_| !self.is_stopping) {
            Some(seal_by) => {
                self.seal_by = Some(self.seal_by.map_or(seal_by, |earlier| earlier.min(seal_by)));
            }
            None => drop(self.pressing.insert(last.gid.clone())),
        }
        self.forming.extend(records);
    }

    /// The shard is about to go away: nothing waits for other records any more.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.pressing.extend(self.newest.keys().cloned());
    }

    pub(super) fn forming_len(&self) -> usize {
        self.forming.len()
    }

    /// Records of this gid wait for the next batch.
    pub(super) fn is_forming(&self, gid: &Gid) -> bool {
        self.newest.contains_key(gid)
    }

    /// The records of this gid do not wait for others any more.
    pub(super) fn press(&mut self, gid: &Gid) {
        self.pressing.insert(gid.clone());
    }

    /// Records of this gid are forming, and a batch is about to take them in.
    pub(super) fn is_pressing(&self, gid: &Gid) -> bool {
        self.pressing.contains(gid)
    }

    /// When the batch that forms is written. None: nothing forms, or a batch is in flight.
    fn seal_at(&self, is_full: bool) -> Option<Timestamp> {
        if self.sealed.is_some() || self.forming.is_empty() {
            return None;
        }
        let presses = !self.pressing.is_empty() || is_full;
        self.seal_by.filter(|_| !presses).or(Some(Timestamp::default()))
    }

    /// Closes the batch that forms, if none is in flight and there is something to write (law L5).
    pub(super) fn seal(&mut self, is_full: bool, now: Timestamp) -> Option<(BatchId, Vec<Record>, Vec<Gid>)> {
        // One in flight: records of a gid reach the store in order, and what arrives meanwhile shares the next write.
        self.seal_at(is_full).filter(|seal_at| *seal_at <= now)?;
        (self.seal_by, self.pressing) = (None, BTreeSet::new());
        self.batches += 1;
        let id = BatchId(self.batches);
        let newest = std::mem::take(&mut self.newest);
        // Taken at once: what is decided while the batch is written belongs to the next one.
        let gids = newest.keys().cloned().collect();
        self.sealed = Some(Sealed { id, newest });
        Some((id, std::mem::take(&mut self.forming), gids))
    }

    /// The batch in flight, if this is the one: its write has ended.
    pub(super) fn take_sealed(&mut self, batch: BatchId) -> Option<Sealed> {
        // An outcome that comes twice, or late, must not end the write that is in flight now.
        self.sealed.take_if(|sealed| sealed.id == batch)
    }

    /// Gives a message its place among all that were decided.
    pub(super) fn arrived(&mut self, message: Message) -> Arrived {
        self.arrived += 1;
        Arrived { order: self.arrived, message }
    }

    /// Lets go of what may leave, and keeps the rest until its record is durable. True when it left.
    pub(super) fn withhold(&mut self, withheld: Withheld, durable_seq: Seq) -> bool {
        let leaves = withheld.may_leave(durable_seq);
        if leaves {
            self.releases.extend(withheld.released(durable_seq));
        } else {
            let in_flight = self.sealed.as_ref().and_then(|sealed| sealed.newest.get(&withheld.gid));
            if withheld.release.is_some() && in_flight.is_none_or(|seq| *seq < withheld.relies_on) {
                // Somebody waits for a record that forms.
                self.pressing.insert(withheld.gid.clone());
            }
            self.withheld.push(withheld);
        }
        leaves
    }

    /// The records of a batch are durable: lets go of what relied on them. Returns the calls that left.
    pub(super) fn flush(&mut self, sealed: &Sealed) -> BTreeMap<Gid, Vec<CallKey>> {
        // What relies on newer records stays: they are in the batch that forms now.
        let may_leave =
            |one: &mut Withheld| sealed.newest.get(&one.gid).is_some_and(|seq| one.may_leave(*seq));
        let mut calls: BTreeMap<Gid, Vec<CallKey>> = BTreeMap::new();
        for withheld in self.withheld.extract_if(.., may_leave) {
            if let Some(key) = withheld.call() {
                calls.entry(withheld.gid.clone()).or_default().push(key);
            }
            let durable_seq = sealed.newest[&withheld.gid];
            self.releases.extend(withheld.released(durable_seq));
        }
        calls
    }

    /// Drops everything that was decided for the gids of a batch that are lost and is not durable, also if it is not sealed
    /// yet: it was built on what is lost. Returns the messages to decide again.
    pub(super) fn forget(
        &mut self,
        sealed: &mut Sealed,
        lost: impl Fn(&Gid) -> bool,
    ) -> BTreeMap<Gid, Vec<Arrived>> {
        let lost = sealed.newest.extract_if(.., |gid, _| lost(gid));
        let mut again: BTreeMap<Gid, Vec<Arrived>> = lost.map(|(gid, _)| (gid, Vec::new())).collect();
        // Nearly every batch: without a conflict nothing that is withheld has to be walked over.
        if again.is_empty() {
            return again;
        }
        // Records that are forming were decided on the lost ones.
        self.newest.retain(|gid, _| !again.contains_key(gid));
        self.pressing.retain(|gid| !again.contains_key(gid));
        self.forming.retain(|record| !again.contains_key(&record.gid));
        for kept in std::mem::take(&mut self.withheld) {
            match again.get_mut(&kept.gid) {
                // The release is dropped, because what it tells was decided on lost records. A call has no message: the
                // next read finds that it is owed.
                Some(messages) => messages.extend(kept.message),
                None => self.withheld.push(kept),
            }
        }
        again
    }

    /// Calls of this gid that are withheld do not leave.
    pub(super) fn drop_calls(&mut self, gid: &Gid) {
        // Replies stay: they leave only if their records are appended, and then they are right.
        self.withheld.retain(|withheld| withheld.gid != *gid || withheld.call().is_none());
    }

    /// Answers at once: the answer relies on nothing that is not durable.
    pub(super) fn reply(&mut self, ticket: Ticket, result: Result<Snapshot, Rejection>) {
        self.releases.push_back(Release::Reply { ticket, result });
    }

    pub(super) fn load(&mut self, gid: &Gid) {
        self.releases.push_back(Release::Load(gid.clone()));
    }

    /// Replaces the timer of a gid. `timer` holds the old due time, and receives the new one.
    pub(super) fn set_timer(&mut self, gid: &Gid, timer: &mut Option<Timestamp>, at: Option<Timestamp>) {
        if *timer != at {
            if let Some(old) = std::mem::replace(timer, at) {
                self.timers.remove(&(old, gid.clone()));
            }
            self.timers.extend(at.map(|at| (at, gid.clone())));
        }
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// When something is due: a timer, or records that have waited for a batch.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.next_timer().into_iter().chain(self.seal_at(false)).min()
    }

    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Gid> {
        self.next_timer().filter(|due| *due <= now)?;
        self.timers.pop_first().map(|(_, gid)| gid)
    }
}
