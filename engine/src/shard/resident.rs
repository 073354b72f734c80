//! A transaction in memory: how a message becomes records, what is answered, and when the transaction leaves.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::Timestamp;

use super::batch::{Arrived, IndexRow, Indexed};
use super::memory::Memory;
use super::outbox::{Outbox, Withheld};
use super::slot::{CallStage, KnownTime, Ownership, Reading, Resident, Slot, Waiter};
use super::{Context, Found, Message, Release, ReplyOn, Seq, Snapshot, Ticket, snapshot};
use crate::input::{CallKey, Command, Input, Rejection};
use crate::transaction::{Transaction, advance, decide};

/// A parked transaction has no end to wait for, but calls of other branches may be under way.
fn ends_a_wait(transaction: &Transaction, or_quiet: bool) -> bool {
    transaction.status().is_settled() || (!or_quiet && transaction.parked().is_some())
}

impl Resident {
    fn new(transaction: Transaction, ownership: Ownership, lead_ms: i64, now: Timestamp) -> Self {
        Self {
            weight: transaction.bytes(),
            transaction,
            ownership,
            durable_seq: 0,
            acknowledged_seq: 0,
            decided_seq: 0,
            memory: Memory::default(),
            lead_ms,
            fresh_at: now,
            under_way: BTreeMap::new(),
            other_calls: None,
            waiters: Vec::new(),
            timer: None,
            indexed: None,
        }
    }

    /// Decides a message for a gid that has no journal, as far as is known. A creation is appended without looking: if the
    /// gid is taken, the append conflicts.
    pub(super) fn create(message: Message, cx: &mut Context<'_>) -> Option<Box<Self>> {
        let (ticket, reply_on, command) = match &message {
            Message::Command { ticket, reply_on, command, .. } => (*ticket, *reply_on, command.clone()),
            // The transaction has settled and was deleted: nothing is left to move.
            Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => return None,
        };
        // Wall time: there is no transaction yet that could have a time of its own.
        let wall_now = cx.times.wall.at(cx.now);
        let events = match decide(None, &Input::Command(command), wall_now) {
            Ok(events) => events,
            Err(rejection) => {
                // It relies on nothing that could get lost: there is no record.
                cx.outbox.reply(ticket, Err(rejection));
                return None;
            }
        };
        let (created, records) = advance(None, cx.gid, events, wall_now);
        let lead_ms = cx.times.wall.lead_ms();
        let mut resident = Box::new(Self::new(created?, Ownership::Owned, lead_ms, cx.now));
        resident.memory = Memory::of_creation(&resident.transaction);
        resident.decided_seq = resident.transaction.seq();
        cx.outbox.append(records, None);
        // No call yet: it becomes due when the record is sealed, and leaves when the record is durable.
        resident.answer(ticket, reply_on, message, Ok(true), cx.outbox);
        Some(resident)
    }

    /// Takes over a transaction that was read.
    pub(super) fn read(found: Found, reading: Reading, cx: &mut Context<'_>) -> Box<Self> {
        let lead_ms = cx.times.lead_of(&found, reading.time, cx.now);
        let ownership = if found.owned { Ownership::Owned } else { Ownership::Foreign };
        // None for a foreign one: a write that moves it writes its row as well, and so makes it this coordinator's.
        let indexed = found.owned.then(|| Indexed::of(&found.transaction, cx.options.evict_after_ms));
        let seq = found.transaction.seq();
        let memory = reading.memory.filter(|(known_seq, _)| found.owned && *known_seq == seq);
        let left = reading.left_earlier.into_iter().map(|key| (key, CallStage::Released));
        let mut resident = Box::new(Self {
            durable_seq: seq,
            acknowledged_seq: seq.max(reading.acknowledged_seq),
            decided_seq: seq,
            memory: memory.map_or_else(Memory::default, |(_, memory)| memory),
            under_way: left.collect(),
            waiters: reading.waiters,
            indexed,
            ..Self::new(found.transaction, ownership, lead_ms, cx.now)
        });
        if !reading.unsent.is_empty() {
            resident.other_calls_mut().unsent = reading.unsent;
        }
        let now = cx.now;
        // Before time decides anything: what was read is durable, and what follows from it is not.
        resident.tell(cx.outbox, |waiter, transaction| {
            waiter.until <= now || ends_a_wait(transaction, waiter.or_quiet)
        });
        if seq < reading.acknowledged_seq {
            // Perhaps a failover to a server that had not got the newest records. Participants may have acted on records
            // that nobody remembers, so going on would be wrong without anybody noticing: a person has to look.
            let had = reading.acknowledged_seq;
            let detail = format!("its journal had {had} records and has only {seq}: the database lost some");
            // Refused when it is settled: then there is nothing to keep from happening.
            let _ = resident.feed(&Input::Quarantine { detail }, cx);
        }
        resident.tick(cx);
        resident.schedule(cx);
        resident
    }

    /// All its records are durable.
    pub(super) fn is_flushed(&self) -> bool {
        self.transaction.seq() <= self.durable_seq
    }

    /// Decides a message on the transaction and takes the records in.
    pub(super) fn decide(&mut self, message: Message, cx: &mut Context<'_>) {
        if !self.is_owned() && message.answers().is_some() {
            // The coordinator that drives it owes the call as well, and gets an answer of its own.
            return;
        }
        self.take_in(message, cx);
        self.tell_if_certain(cx.outbox);
        self.schedule(cx);
        self.answer_if_quiet(cx);
    }

    fn take_in(&mut self, message: Message, cx: &mut Context<'_>) {
        let (input, reply) = match &message {
            Message::Command { ticket, command, reply_on, .. } => {
                if let Command::Replay { .. } = command {
                    // The operator says now: what waits for room at its host asks again, too.
                    if let Some(other) = &mut self.other_calls {
                        other.deferred.clear();
                    }
                }
                (Input::Command(command.clone()), Some((*ticket, *reply_on)))
            }
            Message::Answer { key, answer, .. } => (Input::Answer(*key, answer.clone()), None),
            Message::Quarantine { detail, .. } => (Input::Quarantine { detail: detail.clone() }, None),
            Message::NotSent { key, retry_at, reason, .. } => {
                match self.put_off(*key, *retry_at, reason.as_deref(), cx) {
                    Some(input) => (input, None),
                    // This coordinator held the call back: nothing is known that could be decided.
                    None => return,
                }
            }
        };
        let moved = self.feed(&input, cx);
        match reply {
            Some((ticket, reply_on)) => self.answer(ticket, reply_on, message, moved, cx.outbox),
            None if moved == Ok(true) => {
                // Kept until durable: it is decided again if the batch is lost.
                let message = cx.outbox.arrived(message);
                self.withhold(None, Some(message), cx.outbox);
            }
            // It changed nothing, for example a late answer: there is nothing to lose.
            None => {}
        }
    }

    /// Decides one input; true when it moved the transaction.
    pub(super) fn feed(&mut self, input: &Input, cx: &mut Context<'_>) -> Result<bool, Rejection> {
        let own_now = self.own(cx.now);
        let events = decide(Some(&self.transaction), input, own_now)?;
        if events.is_empty() {
            return Ok(false);
        }
        // Read before the records count as written: the first record of a new driver never waits for other records.
        let is_new_driver = self.must_take_over();
        let mut records = Vec::new();
        // In place: a panic in here loses the whole shard (law L11), so nobody sees a state that is half changed.
        self.transaction.advance(events, own_now, self.memory.owed.as_ref(), &mut records);
        self.become_owner();
        let is_lazy = !is_new_driver && self.transaction.is_progress(&records);
        self.memory.wrote(&self.transaction);
        if is_lazy {
            cx.outbox.append(records, Some(cx.now.plus_millis(cx.options.lazy_after_ms)));
        } else {
            self.decided_seq = self.transaction.seq();
            cx.outbox.append(records, None);
        }
        Ok(true)
    }

    /// Answers a command, or lets its sender wait for the end. A rejection and a repetition wait as well for what they were
    /// decided on: if that is lost, they may be wrong.
    fn answer(
        &mut self,
        ticket: Ticket,
        reply_on: ReplyOn,
        message: Message,
        decided: Result<bool, Rejection>,
        outbox: &mut Outbox,
    ) {
        let message = outbox.arrived(message);
        let wait = match reply_on {
            ReplyOn::Durable => None,
            ReplyOn::Settled { until } => Some((until, false)),
            ReplyOn::Quiet { until } => Some((until, true)),
        };
        match (decided, wait) {
            (Ok(_), Some((until, or_quiet))) if !ends_a_wait(&self.transaction, or_quiet) => {
                self.waiters.push(Waiter { ticket, until, or_quiet, message });
                self.set_timer_at(until, outbox);
            }
            (decided, _) => {
                let result = decided.map(|changed| Snapshot { changed, ..snapshot(&self.transaction) });
                self.withhold(Some(Release::Reply { ticket, result }), Some(message), outbox);
            }
        }
    }

    /// Lets a release go as soon as what it relies on is durable. True when that is now.
    pub(super) fn withhold(
        &self,
        release: Option<Release>,
        message: Option<Arrived>,
        outbox: &mut Outbox,
    ) -> bool {
        let relies_on = self.relies_on(release.as_ref());
        let withheld = Withheld::new(self.transaction.gid(), relies_on, release, message);
        outbox.withhold(withheld, self.durable_seq)
    }

    /// The record that must be durable before this leaves (law L4).
    fn relies_on(&self, release: Option<&Release>) -> Seq {
        match release {
            // The call relies on the record that exposed all branches, and on every decision since. Answers that decided nothing
            // may get lost: the call is made again then, and its effect is undone on rollback.
            Some(Release::Call(_)) if self.transaction.is_exposed_ahead() => self.decided_seq,
            // The release was decided in the state that the newest record led to, so it relies on all records so far.
            Some(Release::Call(_) | Release::Reply { .. } | Release::Load(_)) | None => {
                self.transaction.seq()
            }
        }
    }

    /// Its records are in a batch that is sealed. Returns its row of the index, if these records change it.
    pub(super) fn sealed(&mut self, cx: &mut Context<'_>) -> Option<IndexRow> {
        // First: it may clear `indexed`, so that the comparison below finds a change and the row is written.
        self.claim_by_writing_row();
        // Not before: what is owed may still change while the records are forming.
        self.schedule(cx);
        self.weight = self.transaction.bytes();
        let evict_after_ms = cx.options.evict_after_ms;
        let indexed = Some(Indexed::of(&self.transaction, evict_after_ms));
        let old = std::mem::replace(&mut self.indexed, indexed);
        (old != indexed).then(|| IndexRow::of(&self.transaction, evict_after_ms))
    }

    /// Its records up to `seq` are durable, and these calls left with them.
    pub(super) fn flushed(mut self: Box<Self>, seq: Seq, calls: &[CallKey], cx: &mut Context<'_>) -> Slot {
        (self.durable_seq, self.acknowledged_seq) = (seq, seq);
        for key in calls {
            // Not there if an answer to an earlier call with this key came meanwhile.
            self.under_way.entry(*key).and_modify(|stage| *stage = CallStage::Released);
        }
        // The decision may have become durable.
        self.tell_if_certain(cx.outbox);
        if !self.is_flushed() {
            // Newer records are forming. Their batch settles the rest.
            return Slot::Resident(self);
        }
        // The append would have conflicted if another coordinator had moved the transaction before.
        self.fresh_at = cx.now;
        let settled = self.transaction.status().is_settled();
        // A settled transaction owes no call, so two coordinators cannot make one twice.
        if !settled && self.ownership == Ownership::RereadAfterFlush {
            return self.read_again(cx.outbox);
        }
        if settled || self.transaction.parked().is_some() {
            self.tell(cx.outbox, |waiter, transaction| ends_a_wait(transaction, waiter.or_quiet));
        } else if let Some(refresh_at) = self.refresh_at(cx.options) {
            self.set_timer_at(refresh_at, cx.outbox);
        }
        self.answer_if_quiet(cx);
        self.leave_if_idle(cx)
    }

    /// Its records that were being written are lost, or another coordinator has written in their place. The messages behind
    /// them are decided again in the order of arrival, on the state that is read.
    pub(super) fn lost(self: Box<Self>, mut messages: Vec<Arrived>, outbox: &mut Outbox) -> Box<Reading> {
        // A creation that is not durable may be a repetition: then what is read has a time of its own.
        let lead_ms = (self.acknowledged_seq > 0).then_some(self.lead_ms);
        let mut reading = self.forget(KnownTime { lead_ms, is_adopted: false }, outbox);
        // The commands of waiters may have led to the lost records as well: they are decided again, and wait again.
        messages.extend(reading.waiters.drain(..).map(|waiter| waiter.message));
        messages.sort_by_key(|arrived| arrived.order);
        reading.messages = messages.into_iter().map(|arrived| arrived.message).collect();
        reading
    }

    /// Drops what is in memory, except for what a second read has to know.
    pub(super) fn forget(mut self: Box<Self>, time: KnownTime, outbox: &mut Outbox) -> Box<Reading> {
        self.set_timer(None, outbox);
        Box::new(Reading {
            // Withheld calls never left. They are owed again after the read.
            left_earlier: self.calls_out(),
            waiters: self.waiters,
            acknowledged_seq: self.acknowledged_seq,
            unsent: self.other_calls.map_or_else(BTreeMap::new, |other| other.unsent),
            time,
            ..Reading::that_must_come_back()
        })
    }

    /// Calls that left and have not come back.
    fn calls_out(&self) -> BTreeSet<CallKey> {
        let released = |(key, stage): (&CallKey, &CallStage)| (*stage == CallStage::Released).then_some(*key);
        let left_earlier = self.other_calls().left_earlier.iter().copied();
        left_earlier.chain(self.under_way.iter().filter_map(released)).collect()
    }

    /// True if the call was under way. It may be one of this transaction, or of an earlier one with this gid.
    pub(super) fn call_ended(&mut self, key: CallKey) -> bool {
        let left_earlier = self.other_calls.as_mut().is_some_and(|other| other.left_earlier.remove(&key));
        left_earlier | self.under_way.remove(&key).is_some()
    }

    /// Answers waiters at once, with what is durable.
    pub(super) fn tell(&mut self, outbox: &mut Outbox, is_told: impl Fn(&Waiter, &Transaction) -> bool) {
        let transaction = &self.transaction;
        for waiter in self.waiters.extract_if(.., |waiter| is_told(waiter, transaction)) {
            outbox.reply(waiter.ticket, Ok(snapshot(transaction)));
        }
    }

    /// Tells waiters the end as soon as no crash can change it.
    fn tell_if_certain(&mut self, outbox: &mut Outbox) {
        if !self.waiters.is_empty() && self.transaction.end_is_certain(self.durable_seq) {
            self.tell(outbox, |_, _| true);
        }
    }

    /// Answers those who wait only as long as there is something to wait for now.
    pub(super) fn answer_if_quiet(&mut self, cx: &mut Context<'_>) {
        if self.waiters.iter().any(|waiter| waiter.or_quiet) && self.is_quiet(cx.now) {
            self.tell(cx.outbox, |waiter, _| waiter.or_quiet);
        }
    }

    /// What is durable has nothing under way and nothing due. What is under way elsewhere is due in its journal as well.
    fn is_quiet(&self, now: Timestamp) -> bool {
        if !self.is_flushed() || !self.under_way.is_empty() {
            return false;
        }
        // What is due waits for room at its host, or came due meanwhile and goes out when time passes here, too.
        let own_now = self.own(now);
        let agenda = self.transaction.agenda(own_now);
        agenda.calls.is_empty() && agenda.wake_at.is_none_or(|wake_at| wake_at > own_now)
    }

    /// Drops a settled transaction, one that another coordinator drives, or one that waits for long and whose index row says
    /// until when.
    pub(super) fn leave_if_idle(mut self: Box<Self>, cx: &mut Context<'_>) -> Slot {
        if !self.is_flushed() || !self.waiters.is_empty() {
            // A read would not find records that are being written, and the append after it would conflict with them.
            return Slot::Resident(self);
        }
        if self.transaction.status().is_settled() {
            self.set_timer(None, cx.outbox);
            // A settled transaction owes no call, so nobody has to know which of them are under way.
            return Slot::Away(self.other_calls.map_or_else(BTreeSet::new, |other| other.left_earlier));
        }
        if self.is_owned() {
            if !self.waits_long(cx) {
                return Slot::Resident(self);
            }
            cx.times.left(cx.gid, self.transaction.updated_at());
        }
        self.set_timer(None, cx.outbox);
        // It may come back before these calls do: they are not made a second time then.
        Slot::Away(self.calls_out())
    }

    /// Nothing is under way, and the index row says when to come back.
    fn waits_long(&self, cx: &Context<'_>) -> bool {
        let Some(due_at) = self.indexed.and_then(|indexed| indexed.due_at) else { return false };
        // Time alone never moves it: it waits for a person.
        let never = due_at == Timestamp::MAX;
        // The row says nothing of answers and of room at a host: both may come long before it is due.
        due_at > self.own(cx.now).plus_millis(cx.options.evict_after_ms)
            && self.under_way.is_empty()
            && self.other_calls().deferred.is_empty()
            && (never || self.keeps_wall_time(&cx.times.wall))
    }
}
