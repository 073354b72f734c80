//! Which coordinator drives a transaction: the states of [`Ownership`], and the ways between them.
//!
//! A *foreign* transaction is in memory only while somebody waits for its end. This shard makes no calls for a foreign
//! transaction, lets no time move the transaction, and drops late answers to earlier calls. The journal is read again now and
//! then, and for every command, so that an answer is never older than its question. A command that moves a foreign transaction
//! makes this shard the owner: the index row is written with the records.
//!
//! Another coordinator may move an owned transaction as well, by a command that reached that coordinator. The next append of
//! this shard conflicts then. Where nothing is appended, the journal is read again when the knowledge is older than
//! `refresh_after_ms`.
//!
//! Nothing in this file is about safety (law L12): two shards that both believe to own a transaction meet in the journal (L7).

use std::collections::BTreeMap;

use trine_protocol::{Gid, Timestamp};

use super::reading::Reading;
use super::resident::{CallStage, Ownership, Resident};
use super::schedule::believable;
use super::wall::KnownTime;
use super::{Message, Shard, ShardOptions, Slot};
use crate::input::{CallKey, Input};
use crate::transaction::decide;

/// How old what is known of a transaction may be when one of its calls is repeated.
const CALLS_OLD_AFTER_MS: u64 = 1_000;

impl Resident {
    /// This shard drives it.
    pub(super) fn is_owned(&self) -> bool {
        match self.ownership {
            Ownership::Foreign => false,
            Ownership::Owned | Ownership::RereadAfterFlush => true,
        }
    }

    /// Whoever moves a transaction drives it. If another coordinator moved it meanwhile, the append conflicts.
    pub(super) fn moved(&mut self) {
        self.ownership = match self.ownership {
            Ownership::Foreign | Ownership::Owned => Ownership::Owned,
            // A new record does not tell whether another coordinator has adopted it.
            Ownership::RereadAfterFlush => Ownership::RereadAfterFlush,
        };
    }

    /// What is sealed from now on is written together with its row, and thereby is this coordinator's.
    fn claim_by_writing_row(&mut self) {
        match self.ownership {
            Ownership::Foreign | Ownership::Owned => {}
            Ownership::RereadAfterFlush => {
                self.ownership = Ownership::Owned;
                self.indexed = None;
            }
        }
    }

    /// When it is read again for those who wait for its end. What is being written tells by itself.
    pub(super) fn refresh_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        let waited_for = self.is_owned() && !self.waiters.is_empty();
        (waited_for && self.is_flushed()).then(|| self.outdated_at(options))?
    }

    /// Time alone has made calls due, of what others may have moved meanwhile: no append of this shard would find that
    /// out before they are made. A check is never made on old knowledge: whom it asks may be at work elsewhere.
    pub(super) fn calls_on_old_knowledge(
        &self,
        options: &ShardOptions,
        distrusts_time: bool,
        now: Timestamp,
    ) -> bool {
        if options.refresh_after_ms.is_none() || !self.is_owned() || !self.is_flushed() {
            return false;
        }
        let age_ms = now.millis_since(self.fresh_at);
        let due = believable(self.transaction.agenda(self.own(now)), distrusts_time).calls;
        let is_old = |key: &CallKey| age_ms > if key.branch.is_none() { 0 } else { CALLS_OLD_AFTER_MS };
        due.iter().any(|key| is_old(key) && !self.under_way.contains_key(key))
    }

    fn outdated_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        options.refresh_after_ms.map(|refresh_after_ms| self.fresh_at.plus_millis(refresh_after_ms))
    }

    /// A command that would be answered from memory alone, and with what may no longer be so. One that is written
    /// finds that out by itself.
    pub(super) fn is_outdated_for(&self, message: &Message, options: &ShardOptions, now: Timestamp) -> bool {
        let Message::Command { command, .. } = message else { return false };
        if !self.is_flushed() || self.outdated_at(options).is_none_or(|outdated_at| outdated_at > now) {
            return false;
        }
        let events = decide(Some(&self.transaction), &Input::Command(command.clone()), self.own(now));
        events.map_or(true, |events| events.is_empty())
    }
}

impl Shard {
    /// A transaction belongs in memory: it is read unless it is here or being read. There is one way to read, so a
    /// state that is read can never be older than one this shard has let go of.
    pub fn handle_wanted(&mut self, gid: &Gid) {
        match self.slots.get_mut(gid) {
            Some(Slot::Reading(reading)) => {
                reading.must_come_back = true;
                reading.foreign_may_be_stale = true;
            }
            Some(Slot::Resident(resident)) if resident.is_owned() => {}
            Some(Slot::Resident(_)) => self.read_again(gid),
            Some(Slot::Away(_)) | None => self.load(gid, Reading::that_must_come_back()),
        }
    }

    /// A transaction was taken over from somebody else: it is read even if it is here, for it may have moved there.
    pub fn handle_adopted(&mut self, gid: &Gid) {
        match self.slots.get_mut(gid) {
            Some(Slot::Resident(_)) => self.read_again(gid),
            Some(Slot::Reading(_)) => self.handle_wanted(gid),
            Some(Slot::Away(_)) | None => {
                let time = KnownTime { is_adopted: true, ..KnownTime::default() };
                self.load(gid, Reading { time, ..Reading::that_must_come_back() });
            }
        }
    }

    /// Others may have taken over what is here: everything is read again, and kept only if it is still owned.
    pub fn handle_lapse(&mut self) {
        for slot in self.slots.all_mut() {
            match slot {
                Slot::Reading(reading) => reading.owned_may_be_stale = true,
                Slot::Resident(_) | Slot::Away(_) => {}
            }
        }
        for gid in self.slots.residents() {
            self.read_again(&gid);
        }
    }

    /// Whether this shard has a transaction in memory and drives it: for tests and checkers.
    pub fn drives(&self, gid: &Gid) -> bool {
        self.slots.resident(gid).is_some_and(Resident::is_owned)
    }

    /// A message for a transaction that somebody else drives, or may have moved.
    pub(super) fn receive_after_reading(&mut self, message: Message) {
        if message.answers().is_some() {
            // Whoever drives it owes the call as well, and hears for itself.
            return;
        }
        let gid = message.gid().clone();
        self.read_again(&gid);
        if let Some(reading) = self.slots.reading_mut(&gid) {
            reading.messages.push(message);
        }
    }

    /// Asks for a gid's journal.
    pub(super) fn load(&mut self, gid: &Gid, reading: Reading) {
        let Reading { mut messages, stage, waiters, must_come_back, acknowledged_seq, time, .. } = reading;
        messages.extend(stage.into_late());
        let again =
            Reading { messages, waiters, must_come_back, acknowledged_seq, time, ..Reading::default() };
        self.slots.put_reading(gid, again);
        self.outbox.load(gid);
    }

    /// Reads a transaction again that may have changed behind this shard's back. Whoever waits for its end goes on
    /// waiting. What is being written is left alone until that is durable, or until the append finds out.
    pub(super) fn read_again(&mut self, gid: &Gid) {
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        if !resident.is_flushed() {
            resident.ownership = Ownership::RereadAfterFlush;
            resident.under_way.retain(|_, stage| *stage == CallStage::Released);
            self.outbox.drop_calls(gid);
            return;
        }
        self.set_timer(gid, None);
        let Some(mut resident) = self.slots.take_resident(gid) else { return };
        resident.waiters.sort_by_key(|waiter| waiter.message.order);
        let owned = resident.is_owned();
        self.keep_released(gid, resident.under_way);
        let Resident { waiters, acknowledged_seq, lead_ms, .. } = resident;
        let time = KnownTime { lead_ms: owned.then_some(lead_ms), is_adopted: !owned };
        self.load(gid, Reading { waiters, acknowledged_seq, time, ..Reading::that_must_come_back() });
    }

    /// See [`Resident::claim_by_writing_row`].
    pub(super) fn claim_what_is_sealed(&mut self, gid: &Gid) {
        if let Some(resident) = self.slots.resident_mut(gid) {
            resident.claim_by_writing_row();
        }
    }

    /// Remembers calls that left, of a transaction that is no longer here.
    pub(super) fn keep_released(&mut self, gid: &Gid, under_way: BTreeMap<CallKey, CallStage>) {
        let released = |(key, stage): (CallKey, CallStage)| (stage == CallStage::Released).then_some(key);
        self.slots.add_left_earlier(gid, under_way.into_iter().filter_map(released));
    }

    /// A call left before this memory began, and has not come back.
    pub fn handle_under_way(&mut self, gid: &Gid, key: CallKey) {
        self.slots.add_left_earlier(gid, [key]);
    }
}
