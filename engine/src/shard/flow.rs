//! From a message to a batch, from a batch to releases, and back from what failed.

use std::collections::BTreeMap;

use trine_protocol::{Gid, Timestamp};

use super::batch::{Arrived, Batch, BatchId, Forming, Sealed, Withheld};
use super::ownership::Loading;
use super::{
    Found, LoadFailure, Message, Release, ReplyOn, Resident, Shard, Snapshot, Ticket, Waiter, snapshot,
};
use crate::input::{Command, Input, Rejection};
use crate::transaction::{advance, decide};

/// Failed batches in a row that are read back at once: a lost connection is worth no pause.
const FAILURES_WITHOUT_PAUSE: u32 = 2;
/// Longest pause between two tries of a store that goes on failing.
const PAUSE_MS_MAX: u64 = 10_000;

impl Shard {
    /// The next durable write, if none is in flight and there is something to write (law L5).
    pub fn poll_batch(&mut self, now: Timestamp) -> Option<Batch> {
        if self.sealed.is_some() || self.forming.records.is_empty() {
            return None;
        }
        let fresh = Forming::new(BatchId(self.next_batch));
        self.next_batch += 1;
        let forming = std::mem::replace(&mut self.forming, fresh);
        assert!(forming.id < self.forming.id, "batches are numbered in the order they are sealed");
        let gids: Vec<Gid> = forming.gids.iter().cloned().collect();
        self.sealed = Some(Sealed { id: forming.id, gids: forming.gids, withheld: forming.withheld });
        let mut rows = Vec::new();
        for gid in &gids {
            self.make_sure(gid);
            self.schedule(gid, now);
            self.weigh(gid);
            rows.extend(self.index_row(gid));
        }
        Some(Batch { id: forming.id, records: forming.records, rows })
    }

    /// The batch is durable, except for gids somebody else has appended to (law L7).
    pub fn on_committed(&mut self, batch: BatchId, conflicts: &[Gid], now: Timestamp) {
        let Some(mut sealed) = self.sealed.take_if(|sealed| sealed.id == batch) else { return };
        self.failures_in_a_row = 0;
        if !conflicts.is_empty() {
            let again = self.forget(&mut sealed, |gid| conflicts.contains(gid));
            self.reload(again);
        }
        for withheld in sealed.withheld {
            if let Some(Release::Call(call)) = &withheld.release {
                self.released(&withheld.gid, call.key);
            }
            self.releases.extend(withheld.release);
        }
        for gid in sealed.gids {
            self.flushed(&gid, batch, now);
        }
    }

    /// The batch failed, or nobody knows: forget everything built on it and read again (law L6). Returns the gids
    /// forgotten.
    ///
    /// A store that goes on failing is given pauses, and whoever waits for it an answer: that nothing is known.
    pub fn on_commit_failed(&mut self, batch: BatchId, now: Timestamp) -> Vec<Gid> {
        let Some(mut sealed) = self.sealed.take_if(|sealed| sealed.id == batch) else { return Vec::new() };
        self.failures_in_a_row += 1;
        let again = self.forget(&mut sealed, |_| true);
        let forgotten = again.keys().cloned().collect();
        match self.failures_in_a_row.checked_sub(FAILURES_WITHOUT_PAUSE) {
            None | Some(0) => self.reload(again),
            Some(pauses) => {
                let pause_ms =
                    self.options.reload_delay_ms.saturating_mul(1 << (pauses - 1).min(10)).min(PAUSE_MS_MAX);
                for (gid, loading) in again {
                    self.read_later(&gid, loading, &Rejection::Unavailable, now.plus_millis(pause_ms));
                }
            }
        }
        forgotten
    }

    /// Answers the commands that wait for a read; keeps the rest until the read is tried again.
    fn read_later(&mut self, gid: &Gid, loading: Loading, rejection: &Rejection, retry_at: Timestamp) {
        let mut kept = Vec::new();
        for message in loading.messages.into_iter().chain(loading.late) {
            match message {
                Message::Command { ticket, .. } => self.reply_now(ticket, Err(rejection.clone())),
                Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => {
                    kept.push(message)
                }
            }
        }
        for waiter in loading.waiters {
            self.reply_now(waiter.ticket, Err(rejection.clone()));
        }
        if loading.wanted {
            self.timers.insert((retry_at, gid.clone()));
            let (durable_seq, time, retry_at) = (loading.durable_seq, loading.time, Some(retry_at));
            let again = Loading { messages: kept, durable_seq, time, retry_at, ..Loading::wanted() };
            self.loading.insert(gid.clone(), again);
        }
    }

    /// What a [`Release::Load`] found: the state of the gid, its absence, or nothing.
    pub fn on_loaded(&mut self, gid: &Gid, found: Result<Option<Found>, LoadFailure>, now: Timestamp) {
        let Some(loading) = self.loading.remove(gid) else { return };
        match found {
            Ok(Some(found)) if loading.outdates(&found) => self.load(gid, loading),
            Ok(Some(found)) => {
                assert_eq!(found.transaction.gid(), gid, "a journal was read for another gid");
                // Answers that wait count as under way until they are handled: their calls are not made again.
                let answered = loading.messages.iter().chain(&loading.late).filter_map(Message::answers);
                self.orphans.entry(gid.clone()).or_default().extend(answered);
                self.settle_in(found, loading.waiters, loading.durable_seq, loading.time, now);
                for message in loading.messages {
                    message.answers().into_iter().for_each(|key| self.call_ended(gid, key));
                    self.decide_resident(message, now);
                }
                loading.late.into_iter().for_each(|message| self.handle(message, now));
                self.answer_if_quiet(gid, now);
                self.leave_if_idle(gid, now);
            }
            Ok(None) => {
                // What they wait for was durable: it has settled since, and was deleted.
                for waiter in loading.waiters {
                    self.reply_now(waiter.ticket, Err(Rejection::NotFound));
                }
                loading.messages.into_iter().for_each(|message| self.receive_unknown(message, now));
                loading.late.into_iter().for_each(|message| self.handle(message, now));
            }
            Err(failure) => self.load_failed(gid, loading, failure, now),
        }
    }

    fn load_failed(&mut self, gid: &Gid, mut loading: Loading, failure: LoadFailure, now: Timestamp) {
        let rejection = match failure {
            LoadFailure::Unavailable => Rejection::Unavailable,
            LoadFailure::Corrupt => Rejection::Corrupt,
        };
        // What was here before must come back; a journal nobody can read is left alone, loudly, by the lane.
        loading.wanted &= failure == LoadFailure::Unavailable;
        self.read_later(gid, loading, &rejection, now.plus_millis(self.options.reload_delay_ms));
    }

    /// Routes a message to its transaction, which is here, being read, about to be created, or to be read.
    pub(super) fn receive(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        if let Some(loading) = self.loading.get_mut(&gid) {
            let is_under_way = loading.is_under_way;
            return if is_under_way { &mut loading.late } else { &mut loading.messages }.push(message);
        }
        if let Some(resident) = self.residents.get(&gid) {
            return if resident.owned && !resident.is_outdated_for(&message, &self.options, now) {
                self.decide_resident(message, now)
            } else {
                self.receive_after_reading(message)
            };
        }
        match message {
            Message::Command { command: Command::Create(_), .. } => self.receive_unknown(message, now),
            Message::Command { .. } | Message::Quarantine { .. } => {
                self.load(&gid, Loading { messages: vec![message], ..Loading::default() });
            }
            // Nobody here knows the transaction (any more): whoever does owes the call again.
            Message::Answer { .. } | Message::NotSent { .. } => {}
        }
    }

    /// A message for a gid that has no journal as far as is known. A creation is appended without looking.
    fn receive_unknown(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        if self.residents.contains_key(&gid) {
            return self.decide_resident(message, now);
        }
        let Message::Command { ticket, command, .. } = &message else { return };
        let wall_now = self.times.wall.at(now);
        match decide(None, &Input::Command(command.clone()), wall_now) {
            Err(rejection) => self.reply_now(*ticket, Err(rejection)),
            Ok(events) => {
                let (created, records) = advance(None, &gid, events, wall_now);
                let Some(transaction) = created else { return };
                self.keep(&gid, Resident::new(transaction, true, self.times.wall.lead_ms(), now));
                self.take_records(&gid, records);
                self.answer_command(&gid, message, Ok(true));
            }
        }
    }

    /// Decides a message on the transaction in memory and takes the records in.
    fn decide_resident(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        let owned = self.residents.get(&gid).is_some_and(|resident| resident.owned);
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
            (&message, self.residents.get_mut(&gid))
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
                self.forming.withheld.push(Withheld { gid: gid.clone(), release: None, message });
            }
            Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => {}
        }
        self.schedule(&gid, now);
        self.answer_if_quiet(&gid, now);
    }

    /// Decides one input; true when it moved the transaction.
    pub(super) fn feed(&mut self, gid: &Gid, input: &Input, now: Timestamp) -> Result<bool, Rejection> {
        let Some(resident) = self.residents.get_mut(gid) else { return Ok(false) };
        let own_now = resident.own(now);
        let events = decide(Some(&resident.transaction), input, own_now)?;
        if events.is_empty() {
            return Ok(false);
        }
        let (next, records) = advance(Some(resident.transaction.clone()), gid, events, own_now);
        if let Some(next) = next {
            resident.transaction = next;
            // Whoever moves it drives it; if somebody else moved it meanwhile, the append conflicts.
            resident.owned = true;
        }
        self.take_records(gid, records);
        Ok(true)
    }

    fn take_records(&mut self, gid: &Gid, records: Vec<crate::event::Record>) {
        self.forming.records.extend(records);
        self.forming.gids.insert(gid.clone());
        if let Some(resident) = self.residents.get_mut(gid) {
            resident.unflushed = Some(self.forming.id);
        }
    }

    /// Answers a command with what it was decided on, as soon as that is durable (law L4): also a rejection, also
    /// a repetition.
    fn answer_command(&mut self, gid: &Gid, message: Message, decided: Result<bool, Rejection>) {
        let Message::Command { ticket, reply_on, .. } = message else { return };
        let message = self.arrived(message);
        let Some(resident) = self.residents.get_mut(gid) else { return };
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
        self.withhold(gid, Release::Reply { ticket, result }, Some(message));
    }

    fn arrived(&mut self, message: Message) -> Arrived {
        self.next_message += 1;
        Arrived { order: self.next_message, message }
    }

    /// Keeps a release until the newest records of its gid are durable; lets it go at once if they are.
    pub(super) fn withhold(&mut self, gid: &Gid, release: Release, message: Option<Arrived>) {
        let unflushed = self.residents.get(gid).and_then(|resident| resident.unflushed);
        let withheld = Withheld { gid: gid.clone(), release: Some(release), message };
        match (unflushed, &mut self.sealed) {
            (None, _) => {
                if let Some(Release::Call(call)) = &withheld.release {
                    self.released(gid, call.key);
                }
                self.releases.extend(withheld.release);
            }
            (Some(batch), Some(sealed)) if batch == sealed.id => sealed.withheld.push(withheld),
            (Some(batch), _) => {
                assert_eq!(batch, self.forming.id, "a resident waits for a batch that is gone");
                self.forming.withheld.push(withheld);
            }
        }
    }

    pub(super) fn reply_now(&mut self, ticket: Ticket, result: Result<super::Snapshot, Rejection>) {
        self.releases.push_back(Release::Reply { ticket, result });
    }

    /// Drops the memory of the sealed gids that match, with all that was built on it, and returns the messages to
    /// decide again, in the order they came.
    fn forget(&mut self, sealed: &mut Sealed, lost: impl Fn(&Gid) -> bool) -> BTreeMap<Gid, Loading> {
        let lost = sealed.gids.iter().filter(|gid| lost(gid));
        let mut again: BTreeMap<Gid, Vec<Arrived>> = lost.map(|gid| (gid.clone(), Vec::new())).collect();
        sealed.gids.retain(|gid| !again.contains_key(gid));
        self.forming.gids.retain(|gid| !again.contains_key(gid));
        self.forming.records.retain(|record| !again.contains_key(&record.gid));
        for withheld in [&mut sealed.withheld, &mut self.forming.withheld] {
            for kept in std::mem::take(withheld) {
                match again.get_mut(&kept.gid) {
                    Some(messages) => messages.extend(kept.message),
                    None => withheld.push(kept),
                }
            }
        }
        let mut forgotten = BTreeMap::new();
        for (gid, mut messages) in again {
            let mut loading = Loading::wanted();
            if let Some(resident) = self.let_go(&gid) {
                if let Some(timer) = resident.timer {
                    self.timers.remove(&(timer, gid.clone()));
                }
                messages.extend(resident.waiters.into_iter().map(|waiter| waiter.message));
                self.orphan(&gid, resident.under_way);
                loading.durable_seq = resident.durable_seq;
                // A creation that is not durable may be a repetition: then what is read has a time of its own.
                loading.time.lead_ms = (resident.durable_seq > 0).then_some(resident.lead_ms);
            }
            messages.sort_by_key(|arrived| arrived.order);
            loading.messages = messages.into_iter().map(|arrived| arrived.message).collect();
            forgotten.insert(gid, loading);
        }
        forgotten
    }

    fn reload(&mut self, again: BTreeMap<Gid, Loading>) {
        for (gid, loading) in again {
            self.load(&gid, loading);
        }
    }

    /// A gid's records of a batch are durable.
    fn flushed(&mut self, gid: &Gid, batch: BatchId, now: Timestamp) {
        let Some(resident) = self.residents.get_mut(gid) else { return };
        if resident.unflushed != Some(batch) {
            return;
        }
        resident.unflushed = None;
        resident.durable_seq = resident.transaction.seq();
        resident.fresh_at = now;
        let settled = resident.transaction.status().is_settled();
        if !settled && resident.unsure {
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
