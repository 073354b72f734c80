//! Which coordinator drives a transaction: the states of [`Ownership`], and the ways between them.
//!
//! A *foreign* transaction is in memory only while somebody waits for its end. This shard makes no calls for it, lets no time
//! move it, and drops late answers to earlier calls. Its journal is read again now and then, and for every command, so that an
//! answer is never older than its question. A command that moves it makes this shard the owner.
//!
//! Another coordinator may move an owned transaction as well, by a command that arrived there. The next append of this shard
//! conflicts then. Where nothing is appended, the journal is read again when the knowledge is older than `refresh_after_ms`.
//!
//! Nothing in this file is about safety (law L12): two shards that both believe to own a transaction meet in the journal (L7).

use trine_protocol::Timestamp;

use super::outbox::Outbox;
use super::slot::{CallStage, KnownTime, Ownership, Resident, Slot};
use super::{Context, Message, ShardOptions};
use crate::input::{CallKey, Input};
use crate::transaction::decide;

/// How old what is known of a transaction may be when one of its calls is repeated.
const CALLS_OLD_AFTER_MS: u64 = 1_000;

impl Resident {
    pub(super) fn is_owned(&self) -> bool {
        match self.ownership {
            Ownership::Foreign => false,
            Ownership::Owned | Ownership::RereadAfterFlush => true,
        }
    }

    /// This coordinator moves the transaction, so it drives it from now on. If another coordinator moved it meanwhile, the
    /// append conflicts.
    pub(super) fn become_owner(&mut self) {
        self.ownership = match self.ownership {
            Ownership::Foreign | Ownership::Owned => Ownership::Owned,
            // A new record does not tell whether another coordinator has adopted it.
            Ownership::RereadAfterFlush => Ownership::RereadAfterFlush,
        };
    }

    /// The batch writes the row with the records. The row makes this coordinator the owner.
    pub(super) fn claim_by_writing_row(&mut self) {
        match self.ownership {
            // Foreign: its only records are those that were read, so it is never sealed.
            Ownership::Foreign | Ownership::Owned => {}
            Ownership::RereadAfterFlush => {
                self.ownership = Ownership::Owned;
                // The row may name the coordinator that adopted it: it is written even if it says nothing new.
                self.indexed = None;
                // The coordinator that adopted the transaction may have decided otherwise. No call leaves before this write has
                // succeeded: it conflicts if the other coordinator has written.
                self.decided_seq = self.transaction.seq();
            }
        }
    }

    /// Decides a message if what is in memory is enough for it, and reads the journal again first if not.
    pub(super) fn receive(mut self: Box<Self>, message: Message, cx: &mut Context<'_>) -> Slot {
        if self.is_owned() && !self.is_outdated_for(&message, cx) {
            self.decide(message, cx);
            return Slot::Resident(self);
        }
        if message.answers().is_some() {
            // The coordinator that drives it owes the call as well, and gets an answer of its own.
            return Slot::Resident(self);
        }
        // Read first: what is in memory may be older than the command, and its sender may know more already.
        match self.read_again(cx.outbox) {
            Slot::Reading(mut reading) => {
                reading.push(message);
                Slot::Reading(reading)
            }
            Slot::Away(_) | Slot::Resident(_) => unreachable!("what is foreign or outdated is flushed"),
        }
    }

    /// Reads a transaction again that may have changed behind this shard's back. Its waiters go on waiting.
    pub(super) fn read_again(mut self: Box<Self>, outbox: &mut Outbox) -> Slot {
        if !self.is_flushed() {
            // Records in flight cannot be taken back. Their append conflicts if another coordinator has moved the
            // transaction; otherwise it is read when they are durable. Until then no call may leave: the other coordinator
            // may be making the same one.
            self.ownership = Ownership::RereadAfterFlush;
            self.under_way.retain(|_, stage| *stage == CallStage::Released);
            outbox.drop_calls(self.transaction.gid());
            return Slot::Resident(self);
        }
        let gid = self.transaction.gid().clone();
        let owned = self.is_owned();
        // An owned transaction keeps its own time over the read, whatever the wall clock was set to.
        let time = KnownTime { lead_ms: owned.then_some(self.lead_ms), is_adopted: !owned };
        // All its records are durable. If the read finds no others and the same owner, nothing has happened meanwhile.
        let memory = (self.transaction.seq(), std::mem::take(&mut self.memory));
        let mut reading = self.forget(time, outbox);
        reading.memory = Some(memory);
        reading.waiters.sort_by_key(|waiter| waiter.message.order);
        reading.ask(&gid, outbox)
    }

    /// When it is read again for those who wait for its end. What is being written tells by itself.
    pub(super) fn refresh_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        let waited_for = self.is_owned() && !self.waiters.is_empty();
        (waited_for && self.is_flushed()).then(|| self.outdated_at(options))?
    }

    fn outdated_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        options.refresh_after_ms.map(|refresh_after_ms| self.fresh_at.plus_millis(refresh_after_ms))
    }

    /// Time alone has made calls due, and another coordinator may have moved the transaction meanwhile. No append of this
    /// shard would find that out before the calls are made.
    pub(super) fn calls_on_old_knowledge(&self, cx: &Context<'_>) -> bool {
        if cx.options.refresh_after_ms.is_none() || !self.is_owned() || !self.is_flushed() {
            return false;
        }
        let age_ms = cx.now.millis_since(self.fresh_at);
        // A check is never made on old knowledge: the initiator that it asks may be at work elsewhere.
        let is_old = |key: &CallKey| age_ms > if key.branch.is_none() { 0 } else { CALLS_OLD_AFTER_MS };
        self.agenda(cx).calls.iter().any(|key| is_old(key) && !self.under_way.contains_key(key))
    }

    /// A command that would be answered from memory alone, although another coordinator may have moved the transaction.
    fn is_outdated_for(&self, message: &Message, cx: &Context<'_>) -> bool {
        let Message::Command { command, .. } = message else { return false };
        let outdated_at = self.outdated_at(cx.options);
        if !self.is_flushed() || outdated_at.is_none_or(|outdated_at| outdated_at > cx.now) {
            return false;
        }
        let own_now = self.own(cx.now);
        let events = decide(Some(&self.transaction), &Input::Command(command.clone()), own_now);
        // A command with events is written, and the write finds out by itself.
        events.map_or(true, |events| events.is_empty())
    }
}
