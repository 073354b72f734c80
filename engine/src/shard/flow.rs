//! From a message to a batch, from a batch to releases, and back from what failed.

use std::collections::BTreeMap;

use trine_protocol::{Gid, Timestamp};

use super::batch::{Arrived, Batch, BatchId};
use super::outbox::{Sealed, Withheld};
use super::reading::{ReadStage, Reading};
use super::resident::{Ownership, Resident, Waiter};
use super::{Found, LoadFailure, Message, Release, ReplyOn, Seq, Shard, Slot, Snapshot, Ticket, snapshot};
use crate::input::{Command, Input, Rejection};
use crate::transaction::{advance, decide};

/// Failed batches in a row that are read back at once: a lost connection is worth no pause.
const FAILURES_WITHOUT_PAUSE: u32 = 2;
/// Longest pause between two tries of a store that goes on failing.
const PAUSE_MS_MAX: u64 = 10_000;

impl Shard {
    /// The next durable write, if none is in flight and there is something to write (law L5).
    pub fn poll_batch(&mut self, now: Timestamp) -> Option<Batch> {
        let (id, records, gids) = self.outbox.seal()?;
        let mut rows = Vec::new();
        for gid in &gids {
            self.claim_what_is_sealed(gid);
            self.schedule(gid, now);
            self.slots.weigh(gid);
            rows.extend(self.index_row(gid));
        }
        Some(Batch { id, records, rows })
    }

    /// The batch is durable, except for gids somebody else has appended to (law L7).
    pub fn on_committed(&mut self, batch: BatchId, conflicts: &[Gid], now: Timestamp) {
        let Some(mut sealed) = self.outbox.take_sealed(batch) else { return };
        self.failures_in_a_row = 0;
        if !conflicts.is_empty() {
            let again = self.forget(&mut sealed, |gid| conflicts.contains(gid));
            self.reload(again);
        }
        for (gid, key) in self.outbox.flush(&sealed) {
            self.released(&gid, key);
        }
        for (gid, seq) in sealed.newest {
            self.flushed(&gid, seq, now);
        }
    }

    /// The batch failed, or nobody knows: forget everything built on it and read again (law L6). Returns the gids
    /// forgotten.
    ///
    /// A store that goes on failing is given pauses, and whoever waits for it an answer: that nothing is known.
    pub fn on_commit_failed(&mut self, batch: BatchId, now: Timestamp) -> Vec<Gid> {
        let Some(mut sealed) = self.outbox.take_sealed(batch) else { return Vec::new() };
        self.failures_in_a_row += 1;
        let again = self.forget(&mut sealed, |_| true);
        let forgotten = again.keys().cloned().collect();
        match self.failures_in_a_row.checked_sub(FAILURES_WITHOUT_PAUSE) {
            None | Some(0) => self.reload(again),
            Some(pauses) => {
                let pause_ms =
                    self.options.reload_delay_ms.saturating_mul(1 << (pauses - 1).min(10)).min(PAUSE_MS_MAX);
                for (gid, reading) in again {
                    self.read_later(&gid, reading, &Rejection::Unavailable, now.plus_millis(pause_ms));
                }
            }
        }
        forgotten
    }

    /// Answers the commands that wait for a read; keeps the rest until the read is tried again.
    fn read_later(&mut self, gid: &Gid, reading: Reading, rejection: &Rejection, retry_at: Timestamp) {
        let mut kept = Vec::new();
        for message in reading.messages.into_iter().chain(reading.stage.into_late()) {
            match message {
                Message::Command { ticket, .. } => self.reply_now(ticket, Err(rejection.clone())),
                Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => {
                    kept.push(message)
                }
            }
        }
        for waiter in reading.waiters {
            self.reply_now(waiter.ticket, Err(rejection.clone()));
        }
        if reading.must_come_back {
            self.outbox.set_timer(gid, &mut None, Some(retry_at));
            let (acknowledged_seq, time, stage) =
                (reading.acknowledged_seq, reading.time, ReadStage::Failed { retry_at });
            let again =
                Reading { messages: kept, acknowledged_seq, time, stage, ..Reading::that_must_come_back() };
            self.slots.put_reading(gid, again);
        }
    }

    /// What a [`Release::Load`] found: the state of the gid, its absence, or nothing.
    pub fn on_loaded(&mut self, gid: &Gid, found: Result<Option<Found>, LoadFailure>, now: Timestamp) {
        let Some(reading) = self.slots.take_reading(gid) else { return };
        match found {
            Ok(Some(found)) if reading.is_stale(&found) => self.load(gid, reading),
            Ok(Some(found)) => {
                assert_eq!(found.transaction.gid(), gid, "a journal was read for another gid");
                // Answers that wait count as under way until they are handled: their calls are not made again.
                let late = reading.stage.into_late();
                let answered = reading.messages.iter().chain(&late).filter_map(Message::answers);
                self.slots.add_left_earlier(gid, answered);
                self.settle_in(found, reading.waiters, reading.acknowledged_seq, reading.time, now);
                for message in reading.messages {
                    message.answers().into_iter().for_each(|key| self.slots.call_ended(gid, key));
                    self.decide_resident(message, now);
                }
                late.into_iter().for_each(|message| self.handle(message, now));
                self.answer_if_quiet(gid, now);
                self.leave_if_idle(gid, now);
            }
            Ok(None) => {
                // What they wait for was durable: it has settled since, and was deleted.
                for waiter in reading.waiters {
                    self.reply_now(waiter.ticket, Err(Rejection::NotFound));
                }
                reading.messages.into_iter().for_each(|message| self.receive_unknown(message, now));
                reading.stage.into_late().into_iter().for_each(|message| self.handle(message, now));
            }
            Err(failure) => self.load_failed(gid, reading, failure, now),
        }
    }

    fn load_failed(&mut self, gid: &Gid, mut reading: Reading, failure: LoadFailure, now: Timestamp) {
        let rejection = match failure {
            LoadFailure::Unavailable => Rejection::Unavailable,
            LoadFailure::Corrupt => Rejection::Corrupt,
        };
        // What was here before must come back; a journal nobody can read is left alone, loudly, by the lane.
        reading.must_come_back &= failure == LoadFailure::Unavailable;
        self.read_later(gid, reading, &rejection, now.plus_millis(self.options.reload_delay_ms));
    }

    /// Routes a message to its transaction, which is here, being read, about to be created, or to be read.
    pub(super) fn receive(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        match self.slots.get_mut(&gid) {
            Some(Slot::Reading(reading)) => return reading.push(message),
            Some(Slot::Resident(resident))
                if resident.is_owned() && !resident.is_outdated_for(&message, &self.options, now) =>
            {
                return self.decide_resident(message, now);
            }
            Some(Slot::Resident(_)) => return self.receive_after_reading(message),
            Some(Slot::Away(_)) | None => {}
        }
        match message {
            Message::Command { command: Command::Create(_), .. } => self.receive_unknown(message, now),
            Message::Command { .. } | Message::Quarantine { .. } => {
                self.load(&gid, Reading { messages: vec![message], ..Reading::default() });
            }
            // Nobody here knows the transaction (any more): whoever does owes the call again.
            Message::Answer { .. } | Message::NotSent { .. } => {}
        }
    }

    /// A message for a gid that has no journal as far as is known. A creation is appended without looking.
    fn receive_unknown(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        if self.slots.resident(&gid).is_some() {
            return self.decide_resident(message, now);
        }
        let Message::Command { ticket, command, .. } = &message else { return };
        let wall_now = self.times.wall.at(now);
        match decide(None, &Input::Command(command.clone()), wall_now) {
            Err(rejection) => self.reply_now(*ticket, Err(rejection)),
            Ok(events) => {
                let (created, records) = advance(None, &gid, events, wall_now);
                let Some(transaction) = created else { return };
                self.slots
                    .put_resident(&gid, Resident::new(transaction, true, self.times.wall.lead_ms(), now));
                self.outbox.append(records);
                self.answer_command(&gid, message, Ok(true));
            }
        }
    }

    /// Decides a message on the transaction in memory and takes the records in.
    fn decide_resident(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        let owned = self.slots.resident(&gid).is_some_and(Resident::is_owned);
        if !owned && message.answers().is_some() {
            // Whoever drives it owes the call as well, and hears for itself.
            return;
        }
        let input = match &message {
            Message::Command { command, .. } => Input::Command(command.clone()),
            Message::Answer { key, answer, .. } => Input::Answer(*key, answer.clone()),
            Message::Quarantine { detail, .. } => Input::Quarantine { detail: detail.clone() },
            Message::NotSent { key, retry_at, reason, .. } => {
                match self.put_off(&gid, *key, *retry_at, reason.as_deref(), now) {
                    Some(input) => input,
                    None => {
                        self.schedule(&gid, now);
                        return self.answer_if_quiet(&gid, now);
                    }
                }
            }
        };
        if let (Message::Command { command: Command::Replay { .. }, .. }, Some(resident)) =
            (&message, self.slots.resident_mut(&gid))
        {
            // The operator says now: what waits for room at its host asks again, too.
            resident.deferred.clear();
        }
        let moved = self.feed(&gid, &input, now);
        match message {
            Message::Command { .. } => self.answer_command(&gid, message, moved),
            // Kept until durable: it is decided again if the batch is lost.
            Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. }
                if moved == Ok(true) =>
            {
                let message = Some(self.arrived(message));
                self.withhold(&gid, None, message);
            }
            Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => {}
        }
        self.schedule(&gid, now);
        self.answer_if_quiet(&gid, now);
    }

    /// Decides one input; true when it moved the transaction.
    pub(super) fn feed(&mut self, gid: &Gid, input: &Input, now: Timestamp) -> Result<bool, Rejection> {
        let Some(resident) = self.slots.resident_mut(gid) else { return Ok(false) };
        let own_now = resident.own(now);
        let events = decide(Some(&resident.transaction), input, own_now)?;
        if events.is_empty() {
            return Ok(false);
        }
        let (next, records) = advance(Some(resident.transaction.clone()), gid, events, own_now);
        if let Some(next) = next {
            resident.transaction = next;
            resident.moved();
        }
        self.outbox.append(records);
        Ok(true)
    }

    /// Answers a command with what it was decided on, as soon as that is durable (law L4): also a rejection, also
    /// a repetition.
    fn answer_command(&mut self, gid: &Gid, message: Message, decided: Result<bool, Rejection>) {
        let Message::Command { ticket, reply_on, .. } = message else { return };
        let message = self.arrived(message);
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        let settled = resident.ends_a_wait(matches!(reply_on, ReplyOn::Quiet { .. }));
        let wait = match reply_on {
            ReplyOn::Durable => None,
            ReplyOn::Settled { until } => Some((until, false)),
            ReplyOn::Quiet { until } => Some((until, true)),
        };
        if let (Ok(_), Some((until, or_quiet)), false) = (&decided, wait, settled) {
            resident.waiters.push(Waiter { ticket, until, or_quiet, message });
            self.set_timer_at(gid, until);
            return;
        }
        let result = decided.map(|changed| Snapshot { changed, ..snapshot(&resident.transaction) });
        self.withhold(gid, Some(Release::Reply { ticket, result }), Some(message));
    }

    fn arrived(&mut self, message: Message) -> Arrived {
        self.next_message += 1;
        Arrived { order: self.next_message, message }
    }

    /// Keeps a release until the gid's newest record is durable; lets it go at once if that is so.
    pub(super) fn withhold(&mut self, gid: &Gid, release: Option<Release>, message: Option<Arrived>) {
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        let relies_on = resident.transaction.seq();
        let withheld = Withheld { gid: gid.clone(), relies_on, release, message };
        if let Some(key) = self.outbox.withhold(withheld, resident.durable_seq) {
            self.released(gid, key);
        }
    }

    pub(super) fn reply_now(&mut self, ticket: Ticket, result: Result<super::Snapshot, Rejection>) {
        self.outbox.reply(ticket, result);
    }

    /// Drops the memory of the sealed gids that match, with all that was built on it, and returns the messages to
    /// decide again, in the order they came.
    fn forget(&mut self, sealed: &mut Sealed, lost: impl Fn(&Gid) -> bool) -> BTreeMap<Gid, Reading> {
        let again = self.outbox.forget(sealed.newest.keys().filter(|gid| lost(gid)).cloned());
        sealed.newest.retain(|gid, _| !again.contains_key(gid));
        let mut forgotten = BTreeMap::new();
        for (gid, mut messages) in again {
            let mut reading = Reading::that_must_come_back();
            self.set_timer(&gid, None);
            if let Some(resident) = self.slots.take_resident(&gid) {
                messages.extend(resident.waiters.into_iter().map(|waiter| waiter.message));
                self.keep_released(&gid, resident.under_way);
                reading.acknowledged_seq = resident.acknowledged_seq;
                // A creation that is not durable may be a repetition: then what is read has a time of its own.
                reading.time.lead_ms = (resident.acknowledged_seq > 0).then_some(resident.lead_ms);
            }
            messages.sort_by_key(|arrived| arrived.order);
            reading.messages = messages.into_iter().map(|arrived| arrived.message).collect();
            forgotten.insert(gid, reading);
        }
        forgotten
    }

    fn reload(&mut self, again: BTreeMap<Gid, Reading>) {
        for (gid, reading) in again {
            self.load(&gid, reading);
        }
    }

    /// A gid's records up to `seq` are durable.
    fn flushed(&mut self, gid: &Gid, seq: Seq, now: Timestamp) {
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        (resident.durable_seq, resident.acknowledged_seq) = (seq, seq);
        if !resident.is_flushed() {
            return;
        }
        resident.fresh_at = now;
        let settled = resident.transaction.status().is_settled();
        if !settled && resident.ownership == Ownership::RereadAfterFlush {
            return self.read_again(gid);
        }
        if settled || resident.transaction.parked().is_some() {
            let result = snapshot(&resident.transaction);
            let told = |waiter: &mut Waiter| settled || !waiter.or_quiet;
            let told: Vec<_> = resident.waiters.extract_if(.., told).collect();
            for waiter in told {
                self.reply_now(waiter.ticket, Ok(result.clone()));
            }
        } else if let Some(refresh_at) = resident.refresh_at(&self.options) {
            self.set_timer_at(gid, refresh_at);
        }
        self.answer_if_quiet(gid, now);
        self.leave_if_idle(gid, now);
    }
}
