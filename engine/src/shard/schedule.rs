//! Calls and timers: what a transaction is owed, and when it is looked at again.

use std::collections::BTreeSet;

use trine_protocol::{Op, Target, Timestamp};

use super::outbox::Outbox;
use super::slot::{CallStage, Ownership, Resident, Slot};
use super::{Call, Context, Release, snapshot};
use crate::input::{CallKey, Input};
use crate::transaction::{Agenda, Transaction};

impl Resident {
    /// What time causes is decided by the coordinator that drives the transaction.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        if cx.distrusts_time || !self.is_owned() {
            return;
        }
        assert!(self.feed(&Input::Tick, cx).is_ok(), "time is never refused");
    }

    /// Calls would rely on records that no batch holds yet.
    fn is_forming(&self, outbox: &Outbox) -> bool {
        !self.transaction.is_exposed_ahead() && outbox.is_forming(self.transaction.gid())
    }

    pub(super) fn agenda(&self, cx: &Context<'_>) -> Agenda {
        let mut agenda = self.transaction.agenda(self.own(cx.now));
        if cx.distrusts_time {
            // Nothing but the time makes a check due, and the initiator that it asks may be at work.
            agenda.calls.retain(|key| key.op != Op::Check);
        }
        agenda
    }

    /// Releases (or withholds) the calls that are owed and not under way, and sets the timer.
    pub(super) fn schedule(&mut self, cx: &mut Context<'_>) {
        if cx.outbox.is_pressing(cx.gid) || self.ownership == Ownership::RereadAfterFlush {
            // Sealing its records schedules again, and so does the second read.
            return;
        }
        if !self.other_calls().unsent.is_empty() {
            let owed = if self.is_owned() { self.transaction.owed() } else { Vec::new() };
            let owed: BTreeSet<CallKey> = owed.into_iter().map(|owed| owed.key).collect();
            self.other_calls_mut().unsent.retain(|key, _| owed.contains(key));
        }
        let (now, options) = (cx.now, cx.options);
        let waited_for = self.waiters.iter().map(|waiter| waiter.until).min();
        if !self.is_owned() {
            // Nobody tells this shard that the owner has moved it: the journal is looked at now and then.
            let watch_at = now.plus_millis(options.reload_delay_ms);
            return self.set_timer(waited_for.map(|until| until.min(watch_at)), cx.outbox);
        }
        let agenda = self.agenda(cx);
        if !agenda.calls.is_empty() && self.must_take_over() {
            // Sealing the record schedules again.
            return self.take_over(cx);
        }
        if !self.other_calls().deferred.is_empty() {
            let owed: BTreeSet<CallKey> = agenda.calls.iter().copied().collect();
            self.other_calls_mut().deferred.retain(|key, until| *until > now && owed.contains(key));
        }
        let mut wake_at = agenda.wake_at.map(|own| self.steady(own));
        if cx.distrusts_time {
            // What time would decide stays due: it is not looked at again and again meanwhile.
            let later = now.plus_millis(options.reload_delay_ms);
            wake_at = wake_at.map(|wake_at| wake_at.max(later));
        }
        let others =
            [waited_for, self.refresh_at(options), self.other_calls().deferred.values().copied().min()];
        self.set_timer(others.into_iter().flatten().chain(wake_at).min(), cx.outbox);
        for key in agenda.calls {
            // One call per branch: an op waits until the one before it has come back (every call has a timeout). So a
            // compensation does not overtake its own action.
            // Keys sort by branch first: this finds the first call of the branch that is under way.
            let lowest = CallKey { branch: key.branch, op: Op::ALL[0], attempt: 0 };
            let next = self.under_way.range(lowest..).next();
            let busy = next.is_some_and(|(other, _)| other.branch == key.branch);
            if !busy && !self.other_calls().deferred.contains_key(&key) {
                if self.is_forming(cx.outbox) {
                    // What is owed may still change before the records are sealed, and sealing schedules again.
                    return cx.outbox.press(cx.gid);
                }
                // Before it is withheld: from here on the branch is busy, also while the record is being written.
                self.under_way.insert(key, CallStage::Withheld);
                if let Some(call) = call(&self.transaction, key)
                    && self.withhold(Some(Release::Call(call)), None, cx.outbox)
                {
                    self.under_way.insert(key, CallStage::Released);
                }
            }
        }
    }

    /// Defers a call that was not made until `retry_at`. Returns the input for the transaction, or None if this coordinator held
    /// the call back.
    pub(super) fn put_off(
        &mut self,
        key: CallKey,
        retry_at: Timestamp,
        reason: Option<&str>,
        cx: &Context<'_>,
    ) -> Option<Input> {
        let calls = self.other_calls_mut();
        calls.deferred.insert(key, retry_at);
        // Giving up for want of somebody to call goes by the time, like a deadline: not by a clock that may be wrong.
        let Some(reason) = reason.filter(|_| !cx.distrusts_time) else {
            // Nobody tried: what was not sent before this may go out after it.
            calls.unsent.clear();
            return None;
        };
        let since = *calls.unsent.entry(key).or_insert(cx.now);
        Some(Input::NotSent { key, tried_ms: cx.now.millis_since(since), reason: reason.to_owned() })
    }

    /// A timer is due: the transaction's own, or a waiter's.
    pub(super) fn wake(mut self: Box<Self>, cx: &mut Context<'_>) -> Slot {
        let now = cx.now;
        self.timer = None;
        let outdated = self.refresh_at(cx.options).is_some_and(|refresh_at| refresh_at <= now);
        if outdated || self.calls_on_old_knowledge(cx) {
            // Also before a wait that is over is answered: the answer would be old.
            return self.read_again(cx.outbox);
        }
        let late: Vec<_> = self.waiters.extract_if(.., |waiter| waiter.until <= now).collect();
        for waiter in late {
            // Withheld, not told at once: what is in memory may not be durable yet.
            let result = Ok(snapshot(&self.transaction));
            let release = Release::Reply { ticket: waiter.ticket, result };
            self.withhold(Some(release), Some(waiter.message), cx.outbox);
        }
        // Its owner moves it without telling this shard.
        if !self.is_owned() && !self.waiters.is_empty() {
            return self.read_again(cx.outbox);
        }
        self.tick(cx);
        self.schedule(cx);
        self.leave_if_idle(cx)
    }

    /// Makes sure the transaction is woken not later than `at`.
    pub(super) fn set_timer_at(&mut self, at: Timestamp, outbox: &mut Outbox) {
        if self.timer.is_none_or(|timer| at < timer) {
            self.set_timer(Some(at), outbox);
        }
    }

    pub(super) fn set_timer(&mut self, at: Option<Timestamp>, outbox: &mut Outbox) {
        outbox.set_timer(self.transaction.gid(), &mut self.timer, at);
    }
}

/// The call a key stands for; none when its op has no target here.
fn call(transaction: &Transaction, key: CallKey) -> Option<Call> {
    let pattern = transaction.pattern();
    let base = |target: &Target| Call {
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
