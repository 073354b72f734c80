//! Calls, timers and memory: what a resident is owed, when it is looked at again, when it may leave.

use std::collections::BTreeSet;

use trine_protocol::{Gid, Op, Timestamp};

use super::batch::indexed;
use super::reading::ReadStage;
use super::resident::{CallStage, Ownership, Resident, Waiter};
use super::wall::KnownTime;
use super::{Call, Found, IndexRow, Release, Seq, Shard, Slot, snapshot};
use crate::input::{CallKey, Input};
use crate::transaction::{Agenda, Transaction};

impl Shard {
    /// Puts a loaded transaction into memory, with the calls that were already under way for it, and with whoever
    /// waits for its end.
    ///
    /// A journal that is shorter than it was has lost what was acknowledged, in a failover to a server that had not got
    /// it, perhaps. Going on would be silent, and participants may have done what nobody remembers: a person has to look.
    pub(super) fn settle_in(
        &mut self,
        found: Found,
        waiters: Vec<Waiter>,
        acknowledged_seq: Seq,
        time: KnownTime,
        now: Timestamp,
    ) {
        let gid = found.transaction.gid().clone();
        self.touching = Some(gid.clone());
        let lead_ms = self.times.lead_of(&found, time, now);
        let mut resident = Resident::new(found.transaction, found.owned, lead_ms, now);
        let seq = resident.transaction.seq();
        resident.durable_seq = seq;
        resident.acknowledged_seq = seq.max(acknowledged_seq);
        // Whoever moves what is somebody else's writes its row, and by that becomes its owner.
        resident.indexed = found.owned.then(|| indexed(&resident.transaction, self.options.evict_after_ms));
        let left = self.slots.take_left_earlier(&gid);
        resident.under_way.extend(left.into_iter().map(|key| (key, CallStage::Released)));
        let result = snapshot(&resident.transaction);
        for waiter in waiters {
            if waiter.until <= now || resident.ends_a_wait(waiter.or_quiet) {
                self.reply_now(waiter.ticket, Ok(result.clone()));
            } else {
                resident.waiters.push(waiter);
            }
        }
        self.slots.put_resident(&gid, resident);
        if seq < acknowledged_seq {
            let detail = format!(
                "its journal had {acknowledged_seq} records and has only {seq}: the database lost some"
            );
            // Refused when it is settled: then there is nothing to keep from happening.
            let _ = self.feed(&gid, &Input::Quarantine { detail }, now);
        }
        self.tick(&gid, now);
        self.schedule(&gid, now);
    }

    /// What time causes is decided by whoever drives the transaction.
    fn tick(&mut self, gid: &Gid, now: Timestamp) {
        if self.distrusts_time {
            return;
        }
        if self.slots.resident(gid).is_some_and(Resident::is_owned)
            && self.feed(gid, &Input::Tick, now).is_err()
        {
            unreachable!("time is never refused");
        }
    }

    /// Releases (or withholds) the calls that are owed and not under way, and sets the timer. Does nothing while
    /// the newest records are still forming: sealing them schedules again, and so does the second read.
    pub(super) fn schedule(&mut self, gid: &Gid, now: Timestamp) {
        self.touching = Some(gid.clone());
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        if self.outbox.is_forming(gid) || resident.ownership == Ownership::RereadAfterFlush {
            return;
        }
        self.forget_sent(gid);
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        if !resident.is_owned() {
            let watch_at = now.plus_millis(self.options.reload_delay_ms);
            let waited_for = resident.waiters.iter().map(|waiter| waiter.until).min();
            return self.set_timer(gid, waited_for.map(|until| until.min(watch_at)));
        }
        let agenda = believable(resident.transaction.agenda(resident.own(now)), self.distrusts_time);
        if !resident.deferred.is_empty() {
            let owed: BTreeSet<CallKey> = agenda.calls.iter().copied().collect();
            resident.deferred.retain(|key, until| *until > now && owed.contains(key));
        }
        let mut wake_at = agenda.wake_at.map(|own| resident.steady(own));
        if self.distrusts_time {
            // What time would decide stays due: it is not looked at again and again meanwhile.
            let later = now.plus_millis(self.options.reload_delay_ms);
            wake_at = wake_at.map(|wake_at| wake_at.max(later));
        }
        wake_at = wake_at.into_iter().chain(resident.deferred.values().copied()).min();
        wake_at = wake_at.into_iter().chain(resident.waiters.iter().map(|waiter| waiter.until)).min();
        wake_at = wake_at.into_iter().chain(resident.refresh_at(&self.options)).min();
        let mut calls = Vec::new();
        for key in agenda.calls {
            // One call per branch: an op waits until the one before it has come back (every call has a timeout).
            let lowest = CallKey { branch: key.branch, op: Op::ALL[0], attempt: 0 };
            let next = resident.under_way.range(lowest..).next();
            let busy = next.is_some_and(|(other, _)| other.branch == key.branch);
            if !busy && !resident.deferred.contains_key(&key) {
                resident.under_way.insert(key, CallStage::Withheld);
                calls.extend(call(&resident.transaction, key));
            }
        }
        self.set_timer(gid, wake_at);
        for call in calls {
            self.withhold(gid, Some(Release::Call(call)), None);
        }
    }

    /// A call was not made: it is offered again then. The input this is, where it says something of whom it goes to.
    pub(super) fn put_off(
        &mut self,
        gid: &Gid,
        key: CallKey,
        retry_at: Timestamp,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Option<Input> {
        self.slots.resident_mut(gid)?.deferred.insert(key, retry_at);
        // Giving up for want of somebody to call goes by the time, like a deadline: not by a clock that may be wrong.
        let Some(reason) = reason.filter(|_| !self.distrusts_time) else {
            // Nobody tried: what was not sent before this may go out after it.
            self.unsent.remove(gid);
            return None;
        };
        let since = *self.unsent.entry(gid.clone()).or_default().entry(key).or_insert(now);
        Some(Input::NotSent { key, tried_ms: now.millis_since(since), reason: reason.to_owned() })
    }

    /// Forgets since when calls could not be sent that are no longer owed.
    fn forget_sent(&mut self, gid: &Gid) {
        let Some(unsent) = self.unsent.get_mut(gid) else { return };
        let owed = self.slots.resident(gid).filter(|resident| resident.is_owned());
        let owed: BTreeSet<CallKey> = owed
            .map(|one| one.transaction.owed().into_iter().map(|owed| owed.key).collect())
            .unwrap_or_default();
        unsent.retain(|key, _| owed.contains(key));
        if unsent.is_empty() {
            self.unsent.remove(gid);
        }
    }

    /// Answers those who wait only as long as there is something to wait for now.
    pub(super) fn answer_if_quiet(&mut self, gid: &Gid, now: Timestamp) {
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        if !resident.waiters.iter().any(|waiter| waiter.or_quiet) || !resident.is_quiet(now) {
            return;
        }
        let result = snapshot(&resident.transaction);
        let answered: Vec<_> = resident.waiters.extract_if(.., |waiter| waiter.or_quiet).collect();
        for waiter in answered {
            self.reply_now(waiter.ticket, Ok(result.clone()));
        }
    }

    /// A call left: from now on it is answered, whatever becomes of the memory of its transaction.
    pub(super) fn released(&mut self, gid: &Gid, key: CallKey) {
        if let Some(stage) =
            self.slots.resident_mut(gid).and_then(|resident| resident.under_way.get_mut(&key))
        {
            *stage = CallStage::Released;
        }
    }

    /// A timer is due: the transaction's own, a waiter's, or a read to repeat.
    pub(super) fn wake(&mut self, gid: &Gid, now: Timestamp) {
        self.touching = Some(gid.clone());
        let resident = match self.slots.get_mut(gid) {
            Some(Slot::Resident(resident)) => resident,
            Some(Slot::Reading(reading)) => {
                match reading.stage {
                    ReadStage::Failed { retry_at } if retry_at <= now => {
                        reading.stage = ReadStage::Queued;
                        self.outbox.load(gid);
                    }
                    ReadStage::Failed { .. } | ReadStage::Queued | ReadStage::Started { .. } => {}
                }
                return;
            }
            Some(Slot::Away(_)) | None => return,
        };
        resident.timer = None;
        if resident.refresh_at(&self.options).is_some_and(|refresh_at| refresh_at <= now) {
            // Also before a wait that is over is answered.
            return self.read_again(gid);
        }
        if resident.calls_on_old_knowledge(&self.options, self.distrusts_time, now) {
            return self.read_again(gid);
        }
        let result = snapshot(&resident.transaction);
        let late: Vec<_> = resident.waiters.extract_if(.., |waiter| waiter.until <= now).collect();
        for waiter in late {
            let release = Release::Reply { ticket: waiter.ticket, result: Ok(result.clone()) };
            self.withhold(gid, Some(release), Some(waiter.message));
        }
        if self
            .slots
            .resident(gid)
            .is_some_and(|resident| !resident.is_owned() && !resident.waiters.is_empty())
        {
            return self.read_again(gid);
        }
        self.tick(gid, now);
        self.schedule(gid, now);
        self.leave_if_idle(gid, now);
    }

    /// Makes sure the transaction is woken not later than `at`.
    pub(super) fn set_timer_at(&mut self, gid: &Gid, at: Timestamp) {
        let timer = self.slots.resident(gid).and_then(|resident| resident.timer);
        if timer.is_none_or(|timer| at < timer) {
            self.set_timer(gid, Some(at));
        }
    }

    pub(super) fn set_timer(&mut self, gid: &Gid, at: Option<Timestamp>) {
        let Some(resident) = self.slots.resident_mut(gid) else { return };
        self.outbox.set_timer(gid, &mut resident.timer, at);
    }

    /// Drops a settled transaction, or one that waits for long and whose index row says until when.
    pub(super) fn leave_if_idle(&mut self, gid: &Gid, now: Timestamp) {
        let Some(resident) = self.slots.resident(gid) else { return };
        if !resident.is_flushed() || !resident.waiters.is_empty() {
            return;
        }
        let settled = resident.transaction.status().is_settled();
        let waits_long = resident.may_leave(now, self.options.evict_after_ms)
            && (resident.keeps_wall_time(&self.times.wall) || resident.waits_for_a_person());
        if settled || !resident.is_owned() || waits_long {
            if !settled && resident.is_owned() {
                self.times.left(gid, now);
            }
            self.set_timer(gid, None);
            self.unsent.remove(gid);
            // What is under way must be known if the transaction comes back before it has ended.
            if let Some(left) = self.slots.take_resident(gid)
                && !settled
            {
                self.keep_released(gid, left.under_way);
            }
        }
    }

    /// The row a gid's newest records make, if it differs from the one that is written.
    pub(super) fn index_row(&mut self, gid: &Gid) -> Option<IndexRow> {
        let resident = self.slots.resident_mut(gid)?;
        let transaction = &resident.transaction;
        let indexed = indexed(transaction, self.options.evict_after_ms);
        if resident.indexed.replace(indexed) == Some(indexed) {
            return None;
        }
        Some(IndexRow::of(transaction, self.options.evict_after_ms))
    }
}

/// What is owed, without what nothing but a time that cannot be believed has made due: whom a check asks may be at work.
pub(super) fn believable(mut agenda: Agenda, distrusts_time: bool) -> Agenda {
    if distrusts_time {
        agenda.calls.retain(|key| key.op != Op::Check);
    }
    agenda
}

/// The call a key stands for; none when its op has no target here.
fn call(transaction: &Transaction, key: CallKey) -> Option<Call> {
    let pattern = transaction.pattern();
    let base = |target: &trine_protocol::Target| Call {
        gid: transaction.gid.clone(),
        pattern,
        key,
        branch: None,
        target: target.clone(),
        payload: transaction.spec.check_payload.clone(),
        timeout_ms: transaction.spec.check_call.timeout_ms,
        fence: transaction.seq,
        terms: transaction.spec.terms.clone(),
    };
    let Some(position) = key.branch else { return transaction.spec.check.as_ref().map(base) };
    let spec = &transaction.branches.get(position as usize)?.spec;
    let call = base(spec.target(pattern, key.op)?);
    Some(Call {
        branch: Some(spec.id.clone()),
        payload: spec.payload.clone(),
        timeout_ms: transaction.policy(position as usize, key.op).timeout_ms,
        ..call
    })
}
