//! What a shard has of each gid: one state at a time.
//!
//! ```text
//! state            input                    next state             what is released or written
//! Away             create                   Resident, Owned        its first record; a reply when that is durable
//! Away             another command          Reading, Queued        Load
//! Away             wanted, adopted          Reading, Queued        Load
//! Away             answer                   the same               nothing: the owner makes the call as well
//! Reading          message                  the same               nothing: it waits for this read, or for a second one
//! Reading          wanted, adopted, lapse   Reading, marked stale  nothing: a stale result is read again
//! Reading          poll of its Load         Reading, Started       the Load itself
//! Reading          found, and not stale     Resident               what waited is decided
//! Reading          found, but stale         Reading, Queued        Load
//! Reading          not found                Resident, or Away       a creation is appended, the rest is refused
//! Reading          failed, must come back   Reading, Failed        commands are refused; Load when the pause is over
//! Reading          failed, need not         Away                   commands are refused
//! Resident         wanted                   Owned: the same        nothing
//! Resident         adopted, lapse; flushed  Reading, Queued        Load
//! Resident         the same; not flushed    RereadAfterFlush       withheld calls are dropped
//! Owned            message                  Owned                  records, replies, calls
//! Owned            first call of a saga     Owned                  taken_over, if this memory has appended nothing yet and the saga
//!                                                                  is exposed ahead; the call when that is durable
//! Owned            command, old memory      Reading, Queued        Load, if the command would write nothing
//! Owned            a timer is due           Owned, Reading         records and calls; Load if only time made a call due
//! Foreign          answer, a timer is due   Foreign, Reading       answers are dropped; waiters are told, or Load
//! Foreign          command                  Reading, Queued        Load: an answer is not older than its question
//! Foreign          command, after that read Foreign or Owned       Owned if it moved: its records, and its row
//! RereadAfterFlush seal                     Owned                  its row is written: the write claims it
//! RereadAfterFlush flush                    Reading, Queued        Load, if it is not settled
//! Resident         lost, or a conflict      Reading, Queued        Load; what led to it is decided again
//! Resident         flushed, idle            Away                   nothing
//! ```
//! Resident stands for all three values of [`Ownership`]. Each input is a method of [`Slot`] that takes the state and returns the
//! next one. Here are the states with their data, and the way from an input to its state; what [`Reading`] and [`Resident`] do is
//! in files of these names.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::{Gid, Timestamp};

use super::batch::{Arrived, Indexed};
use super::memory::Memory;
use super::other_calls::OtherCalls;
use super::outbox::Outbox;
use super::{Context, Found, LoadFailure, Message, Seq, Ticket};
use crate::input::{CallKey, Command};
use crate::transaction::Transaction;

#[derive(Debug, Clone)]
pub(super) enum Slot {
    /// Not in memory; these calls left and have not come back. Without such calls it is the same as no slot at all.
    Away(BTreeSet<CallKey>),
    /// Its journal is being read.
    Reading(Box<Reading>),
    /// In memory.
    Resident(Box<Resident>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// Messages that are decided on the result, in this order.
    pub(super) messages: Vec<Message>,
    pub(super) stage: ReadStage,
    /// Commands that were accepted before this read. Their senders wait for the end.
    pub(super) waiters: Vec<Waiter>,
    /// The transaction must come into memory even without a message for it.
    pub(super) must_come_back: bool,
    /// The newest durable record when the transaction was last in memory. A journal that is shorter has lost acknowledged records.
    pub(super) acknowledged_seq: Seq,
    pub(super) time: KnownTime,
    /// Another coordinator may have adopted the transaction after this read began. Do not trust `owned = true`; read again.
    pub(super) owned_may_be_stale: bool,
    /// This coordinator may have adopted the transaction after this read began. Do not trust `owned = false`; read again.
    pub(super) foreign_may_be_stale: bool,
    /// Calls that left before this read, and have not come back.
    pub(super) left_earlier: BTreeSet<CallKey>,
    /// See [`OtherCalls::unsent`].
    pub(super) unsent: BTreeMap<CallKey, Timestamp>,
    /// The knowledge of the memory that this read replaces, and the newest record then, which was durable. The knowledge still
    /// holds if the read finds the same newest record and the same owner.
    pub(super) memory: Option<(Seq, Memory)>,
}

/// How far a read is.
#[derive(Debug, Clone, Default)]
pub(super) enum ReadStage {
    /// The store has not started to read. A message that arrives now is not newer than the result.
    #[default]
    Queued,
    /// The store has started reading. A command that arrives now may be newer than the result, so if another coordinator
    /// owns the transaction the command waits for a second read.
    Started { late: Vec<Message> },
    /// The read failed, and is repeated at this time.
    Failed { retry_at: Timestamp },
}

#[derive(Debug, Clone)]
pub(super) struct Resident {
    pub(super) transaction: Transaction,
    pub(super) ownership: Ownership,
    /// The newest of its records that is known to be durable.
    pub(super) durable_seq: Seq,
    /// As `durable_seq`, unless the journal has lost records. Then this is the number of records that it had, until the record of
    /// the loss is durable. If the write of that record fails, the next read notices the loss again.
    pub(super) acknowledged_seq: Seq,
    /// The newest of its records that is more than progress: the calls of a saga that is exposed ahead rely on it.
    pub(super) decided_seq: Seq,
    /// Knowledge that no record holds.
    pub(super) memory: Memory,
    /// The transaction's own time less steady time.
    pub(super) lead_ms: i64,
    /// When a read or a write last showed the newest durable record.
    pub(super) fresh_at: Timestamp,
    /// Calls that left, or are withheld until a record is durable.
    pub(super) under_way: BTreeMap<CallKey, CallStage>,
    /// None: there are no such calls.
    pub(super) other_calls: Option<Box<OtherCalls>>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) timer: Option<Timestamp>,
    /// Bytes of payloads and outputs, as of the last seal.
    pub(super) weight: usize,
    /// The content of its index row. The row is written only when this changes. None: the row names another coordinator, or is
    /// not known.
    pub(super) indexed: Option<Indexed>,
}

/// Who drives a transaction that is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Another coordinator. It is here while somebody waits for its end.
    Foreign,
    /// This shard.
    Owned,
    /// This shard, but another coordinator may have adopted it while its records are being written. It makes no calls,
    /// and is read again when they are durable.
    RereadAfterFlush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallStage {
    Withheld,
    Released,
}

/// A command whose sender waits for the transaction to settle.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) until: Timestamp,
    /// The wait ends also when the transaction has nothing to do for now.
    pub(super) or_quiet: bool,
    /// The command. It is decided again if the state on which it was decided is forgotten.
    pub(super) message: Arrived,
}

/// What is known of the time of a transaction that is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownTime {
    /// Its lead when it was last in memory here.
    pub(super) lead_ms: Option<i64>,
    /// Another coordinator wrote its records, by another clock.
    pub(super) is_adopted: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self::Away(BTreeSet::new())
    }
}

impl Slot {
    pub(super) fn handle(mut self, message: Message, cx: &mut Context<'_>) -> Self {
        let Some(key) = message.answers() else { return self.receive(message, cx) };
        // First: a call that counts as under way would keep the next call of its branch from leaving.
        self.call_ended(key);
        match self.receive(message, cx) {
            // An answer that moved nothing may have been all that kept the transaction in memory.
            Self::Resident(resident) => resident.leave_if_idle(cx),
            other @ (Self::Away(_) | Self::Reading(_)) => other,
        }
    }

    fn receive(self, message: Message, cx: &mut Context<'_>) -> Self {
        match (self, &message) {
            (Self::Away(left), Message::Command { command: Command::Create(_), .. }) => {
                Self::created(Resident::create(message, cx), left)
            }
            // Whether the transaction exists, and where it stands, only its journal knows.
            (Self::Away(left_earlier), Message::Command { .. } | Message::Quarantine { .. }) => {
                let reading = Reading { messages: vec![message], left_earlier, ..Reading::default() };
                Box::new(reading).ask(cx.gid, cx.outbox)
            }
            // The transaction is not in memory here. The coordinator that has it in memory owes the call again.
            (Self::Away(left), Message::Answer { .. } | Message::NotSent { .. }) => Self::Away(left),
            (Self::Reading(mut reading), _) => {
                reading.push(message);
                Self::Reading(reading)
            }
            (Self::Resident(resident), _) => resident.receive(message, cx),
        }
    }

    pub(super) fn created(resident: Option<Box<Resident>>, left_earlier: BTreeSet<CallKey>) -> Self {
        match resident {
            // Not `under_way`: these are calls of an earlier transaction with this gid, if the creation succeeds.
            Some(mut resident) => {
                if !left_earlier.is_empty() {
                    resident.other_calls_mut().left_earlier = left_earlier;
                }
                Self::Resident(resident)
            }
            None => Self::Away(left_earlier),
        }
    }

    pub(super) fn loaded(self, found: Result<Option<Found>, LoadFailure>, cx: &mut Context<'_>) -> Self {
        match (self, found) {
            (Self::Reading(reading), Ok(Some(found))) => reading.found(found, cx),
            (Self::Reading(reading), Ok(None)) => reading.not_found(cx),
            (Self::Reading(reading), Err(failure)) => reading.failed(failure, cx),
            // Nobody waits for a result that comes a second time.
            (other @ (Self::Away(_) | Self::Resident(_)), _) => other,
        }
    }

    /// The store starts to read.
    pub(super) fn load_left(mut self) -> Self {
        match &mut self {
            Self::Reading(reading) => reading.start(),
            // Nobody waits for the result.
            Self::Away(_) | Self::Resident(_) => {}
        }
        self
    }

    /// A timer is due: the transaction's own, a waiter's, or a read to repeat.
    pub(super) fn wake(self, cx: &mut Context<'_>) -> Self {
        match self {
            Self::Reading(reading) => reading.wake(cx),
            Self::Resident(resident) => resident.wake(cx),
            // What the timer was for has left memory.
            Self::Away(_) => self,
        }
    }

    /// Time can be believed again, or no longer.
    pub(super) fn trust_changed(self, cx: &mut Context<'_>) -> Self {
        match self {
            Self::Resident(mut resident) => {
                // `wake` takes its timer for one that has gone off. One that is still set would stay behind.
                resident.set_timer(None, cx.outbox);
                resident.wake(cx)
            }
            // A transaction that is read is decided by the time when it has been found.
            Self::Away(_) | Self::Reading(_) => self,
        }
    }

    /// This coordinator owns the transaction, as its index row says.
    pub(super) fn wanted(self, gid: &Gid, outbox: &mut Outbox) -> Self {
        match self {
            Self::Away(left_earlier) => {
                Box::new(Reading { left_earlier, ..Reading::that_must_come_back() }).ask(gid, outbox)
            }
            Self::Reading(mut reading) => {
                reading.must_come_back = true;
                // The read may have begun before this coordinator became the owner.
                reading.foreign_may_be_stale = true;
                Self::Reading(reading)
            }
            Self::Resident(resident) if resident.is_owned() => Self::Resident(resident),
            Self::Resident(resident) => resident.read_again(outbox),
        }
    }

    pub(super) fn adopted(self, gid: &Gid, outbox: &mut Outbox) -> Self {
        match self {
            Self::Away(left_earlier) => {
                let time = KnownTime { is_adopted: true, ..KnownTime::default() };
                Box::new(Reading { time, left_earlier, ..Reading::that_must_come_back() }).ask(gid, outbox)
            }
            Self::Reading(_) => self.wanted(gid, outbox),
            // Also if it is owned: the coordinator that lost it may have moved it.
            Self::Resident(resident) => resident.read_again(outbox),
        }
    }

    /// Another coordinator may have adopted the transaction.
    pub(super) fn lapsed(self, outbox: &mut Outbox) -> Self {
        match self {
            Self::Reading(mut reading) => {
                // The read may have begun before the other coordinator became the owner.
                reading.owned_may_be_stale = true;
                Self::Reading(reading)
            }
            Self::Resident(resident) => resident.read_again(outbox),
            // Nothing is known of it that could be outdated.
            Self::Away(_) => self,
        }
    }

    /// The shard is about to go away.
    pub(super) fn stopped(mut self, outbox: &mut Outbox) -> Self {
        match &mut self {
            Self::Resident(resident) if resident.is_flushed() => resident.tell(outbox, |_, _| true),
            // What could be told is not durable, or not known.
            Self::Resident(_) | Self::Reading(_) | Self::Away(_) => {}
        }
        self
    }

    /// The transaction whose records are being written.
    pub(super) fn being_written(self) -> Box<Resident> {
        match self {
            Self::Resident(resident) => resident,
            // It can neither leave nor be read again before the store has answered.
            Self::Away(_) | Self::Reading(_) => unreachable!("what is being written is in memory"),
        }
    }

    /// A call left before the shard began, and has not come back.
    pub(super) fn call_left(mut self, key: CallKey) -> Self {
        match &mut self {
            Self::Away(left) => left.insert(key),
            Self::Reading(reading) => reading.left_earlier.insert(key),
            Self::Resident(resident) => resident.other_calls_mut().left_earlier.insert(key),
        };
        self
    }

    fn call_ended(&mut self, key: CallKey) {
        match self {
            Self::Away(left) => left.remove(&key),
            Self::Reading(reading) => reading.left_earlier.remove(&key),
            Self::Resident(resident) => resident.call_ended(key),
        };
    }

    /// What it adds to the counts of [`Slots`].
    fn counts(&self) -> (usize, usize) {
        match self {
            Self::Away(_) => (0, 0),
            Self::Reading(_) => (1, 0),
            Self::Resident(resident) => (1, resident.weight),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    slots: BTreeMap<Gid, Slot>,
    /// Slots that are not `Away`.
    in_memory: usize,
    /// Payloads and outputs of all residents, as of their last seal.
    bytes: usize,
}

impl Slots {
    /// The only way to change a slot, so that the counts are right whatever the change is.
    pub(super) fn change(&mut self, gid: &Gid, change: impl FnOnce(Slot) -> Slot) {
        // Taken out, and put back only if there is something to keep: the map must not grow with every gid ever seen.
        let old = self.slots.remove(gid).unwrap_or_default();
        let (slots_before, bytes_before) = old.counts();
        // A panic in here loses the slot. The lane drops the whole shard then (law L11).
        let new = change(old);
        let (slots_after, bytes_after) = new.counts();
        self.in_memory = self.in_memory - slots_before + slots_after;
        self.bytes = self.bytes - bytes_before + bytes_after;
        match &new {
            Slot::Away(left) if left.is_empty() => {}
            Slot::Away(_) | Slot::Reading(_) | Slot::Resident(_) => drop(self.slots.insert(gid.clone(), new)),
        }
    }

    pub(super) fn resident(&self, gid: &Gid) -> Option<&Resident> {
        match self.slots.get(gid)? {
            Slot::Resident(resident) => Some(resident),
            Slot::Reading(_) | Slot::Away(_) => None,
        }
    }

    pub(super) fn gids(&self) -> Vec<Gid> {
        self.slots.keys().cloned().collect()
    }

    pub(super) fn knows(&self, gid: &Gid) -> bool {
        self.slots.get(gid).is_some_and(|slot| !matches!(slot, Slot::Away(_)))
    }

    pub(super) fn in_memory(&self) -> usize {
        self.in_memory
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
