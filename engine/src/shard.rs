//! Many transactions behind one journal writer. A shard knows what *durable* means and knows no store.
//!
//! Convention: `handle_*` for what comes in, `poll_*` for what must go out, `on_*` for completions. Spurious calls
//! are harmless. After any call, poll in this order: [`Shard::poll_release`] until `None`, [`Shard::poll_batch`],
//! [`Shard::poll_timeout`].
//!
//! [`Shard`] is the map of slots and the way from an input to its slot. `slot` opens with the table of states: what each
//! input does to a transaction, and what is released. `reading` and `resident` say how. `outbox` keeps law L4 (nothing is
//! released before the record it relies on is durable) and L5 (one batch is in flight), `ownership` says what is different
//! for a transaction of another coordinator.
//!
//! `now` is steady time: it runs at an even pace, whatever is done to the wall clock (see `wall`).

mod batch;
mod memory;
mod message;
mod other_calls;
mod outbox;
mod ownership;
mod reading;
mod resident;
mod schedule;
mod slot;
mod wall;

use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, Pattern, Target, Timestamp};

use crate::input::{CallKey, Rejection};
use crate::spec::Payload;
use crate::transaction::Transaction;
use message::snapshot;
use outbox::{Outbox, Sealed};
use slot::{Slot, Slots};
use wall::Times;

pub use batch::{Batch, BatchId, IndexRow};
pub use message::{Message, ReplyOn, Snapshot, Ticket};
pub use wall::Wall;

/// A record's place in its gid's journal, from 1; 0 stands before all of them.
type Seq = u64;

/// A call to a participant, or to an initiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub gid: Gid,
    pub pattern: Pattern,
    /// The answer comes back with it.
    pub key: CallKey,
    /// None for a check.
    pub branch: Option<BranchId>,
    pub target: Target,
    pub payload: Payload,
    pub timeout_ms: u64,
    /// The newest record of the gid that was durable when the call left. Never smaller than the fence of an earlier call.
    pub fence: u64,
    /// What another dialect has to remember of the transaction. None: the native dialect.
    pub terms: Option<Arc<str>>,
}

impl Call {
    pub fn op(&self) -> Op {
        self.key.op
    }
}

/// What leaves a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    Reply {
        ticket: Ticket,
        result: Result<Snapshot, Rejection>,
    },
    /// Exactly one [`Message::Answer`] or [`Message::NotSent`] must follow.
    Call(Call),
    /// Read the gid's journal, and pass the result to [`Shard::on_loaded`].
    Load(Gid),
}

/// What a read of a journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub transaction: Transaction,
    /// The index row says that this coordinator owns the transaction. Only its owner drives a transaction; every coordinator
    /// may answer for it.
    pub owned: bool,
}

/// Why a gid's journal could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFailure {
    /// The store did not answer. It may answer later.
    Unavailable,
    /// The records are damaged, or a newer version wrote them. Reading them again does not help.
    Corrupt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardOptions {
    /// A transaction that has nothing to do for longer than this leaves memory. Its index row says when it is due.
    pub evict_after_ms: u64,
    /// A batch of this many records is full: [`Shard::is_full`].
    pub batch_records_max: usize,
    /// The pause after a read that failed. Also how often the journal of a foreign transaction is read while somebody waits
    /// for its end.
    pub reload_delay_ms: u64,
    /// A command is not answered from memory that is older than this: another coordinator may have moved the transaction
    /// meanwhile. None: no other coordinator writes to the store.
    pub refresh_after_ms: Option<u64>,
    /// How long an answer that decides nothing waits for other records to be written with.
    pub lazy_after_ms: u64,
}

impl ShardOptions {
    /// What holds where nothing is set, in a store that nobody else writes to.
    pub const DEFAULT: Self = Self {
        evict_after_ms: 300_000,
        batch_records_max: 2_000,
        reload_delay_ms: 500,
        refresh_after_ms: None,
        lazy_after_ms: 10,
    };
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Failed batches in a row that are read back at once.
const FAILURES_WITHOUT_PAUSE: u32 = 2;
/// Longest pause between two tries of a store that goes on failing.
const PAUSE_MS_MAX: u64 = 10_000;

#[derive(Debug, Clone)]
pub struct Shard {
    options: ShardOptions,
    slots: Slots,
    outbox: Outbox,
    times: Times,
    failures_in_a_row: u32,
    /// The transaction being worked on: who is to blame when that panics.
    touching: Option<Gid>,
    distrusts_time: bool,
}

/// What a slot needs beside its input. A context gives access to no other slot.
struct Context<'a> {
    gid: &'a Gid,
    now: Timestamp,
    options: &'a ShardOptions,
    distrusts_time: bool,
    times: &'a mut Times,
    outbox: &'a mut Outbox,
}

impl Shard {
    pub fn new(options: ShardOptions) -> Self {
        Self {
            options,
            slots: Slots::default(),
            outbox: Outbox::default(),
            times: Times::default(),
            failures_in_a_row: 0,
            touching: None,
            distrusts_time: false,
        }
    }

    fn change(&mut self, gid: &Gid, now: Timestamp, change: impl FnOnce(Slot, &mut Context<'_>) -> Slot) {
        self.touching = Some(gid.clone());
        let Self { options, slots, outbox, times, distrusts_time, .. } = self;
        let mut cx = Context { gid, now, options, distrusts_time: *distrusts_time, times, outbox };
        slots.change(gid, |slot| change(slot, &mut cx));
    }

    /// Takes a message in. Its records, replies and calls come out of the `poll_*` functions.
    pub fn handle(&mut self, message: Message, now: Timestamp) {
        let gid = message.gid().clone();
        self.change(&gid, now, |slot, cx| slot.handle(message, cx));
    }

    /// Lets time pass: retries, deadlines, starts, waiters and failed reads that are due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(gid) = self.outbox.take_due(now) {
            self.change(&gid, now, Slot::wake);
        }
    }

    /// Says whether the wall clock can be trusted. While the clock cannot be trusted, the shard decides nothing because of the
    /// time: no deadline passes, nothing starts, and no initiator is checked on. Calls are made and repeated, and commands and
    /// answers are decided. When the clock can be trusted again, everything that became due meanwhile is decided at once.
    pub fn handle_trust(&mut self, trusted: bool, now: Timestamp) {
        if std::mem::replace(&mut self.distrusts_time, !trusted) == trusted {
            for gid in self.slots.gids() {
                self.change(&gid, now, Slot::trust_changed);
            }
        }
    }

    /// The wall clock was set, or is ahead of steady time from the start. Transactions in memory wait on as before.
    pub fn handle_clock(&mut self, wall: Wall) {
        self.times.set(wall);
    }

    /// The process is about to stop. Senders who wait for an outcome are answered with the durable state of now.
    pub fn handle_stop(&mut self) {
        self.outbox.stop();
        for gid in self.slots.gids() {
            self.slots.change(&gid, |slot| slot.stopped(&mut self.outbox));
        }
    }

    /// This coordinator owns the transaction, so the transaction belongs in memory. It is read unless it is in memory or being
    /// read. All reads go the same way, so a read never returns a state that is older than one which this shard has dropped.
    pub fn handle_wanted(&mut self, gid: &Gid) {
        self.slots.change(gid, |slot| slot.wanted(gid, &mut self.outbox));
    }

    /// This coordinator adopted the transaction. The transaction is read even if it is in memory, because the former owner may
    /// have moved it.
    pub fn handle_adopted(&mut self, gid: &Gid) {
        self.slots.change(gid, |slot| slot.adopted(gid, &mut self.outbox));
    }

    /// Other coordinators may have adopted transactions of this one. Everything in memory is read again, and kept only if this
    /// coordinator still owns it.
    pub fn handle_lapse(&mut self) {
        for gid in self.slots.gids() {
            self.slots.change(&gid, |slot| slot.lapsed(&mut self.outbox));
        }
    }

    /// A call left before this memory began, and has not come back.
    pub fn handle_under_way(&mut self, gid: &Gid, key: CallKey) {
        self.slots.change(gid, |slot| slot.call_left(key));
    }

    /// What a [`Release::Load`] found: the state of the gid, its absence, or nothing.
    pub fn on_loaded(&mut self, gid: &Gid, found: Result<Option<Found>, LoadFailure>, now: Timestamp) {
        self.change(gid, now, |slot, cx| slot.loaded(found, cx));
    }

    /// The next reply, call or read that may leave.
    pub fn poll_release(&mut self) -> Option<Release> {
        let release = self.outbox.releases.pop_front();
        if let Some(Release::Load(gid)) = &release {
            self.slots.change(gid, Slot::load_left);
        }
        release
    }

    /// The next durable write, if none is in flight and there is something to write (law L5). Answers that decide nothing wait
    /// up to `lazy_after_ms` for other records.
    pub fn poll_batch(&mut self, now: Timestamp) -> Option<Batch> {
        let (id, records, gids) = self.outbox.seal(self.is_full(), now)?;
        let mut rows = Vec::new();
        for gid in &gids {
            self.change(gid, now, |slot, cx| {
                let mut resident = slot.being_written();
                rows.extend(resident.sealed(cx));
                Slot::Resident(resident)
            });
        }
        Some(Batch { id, records, rows })
    }

    /// The batch is durable, except for the gids to which another coordinator has appended (law L7).
    pub fn on_committed(&mut self, batch: BatchId, conflicts: &[Gid], now: Timestamp) {
        let Some(mut sealed) = self.outbox.take_sealed(batch) else { return };
        self.failures_in_a_row = 0;
        // Another coordinator's records stand where these should. They are read before the flush, which is for the others.
        for (gid, messages) in self.outbox.forget(&mut sealed, |gid| conflicts.contains(gid)) {
            self.change(&gid, now, |slot, cx| {
                slot.being_written().lost(messages, cx.outbox).ask(&gid, cx.outbox)
            });
        }
        self.flushed(sealed, now);
    }

    fn flushed(&mut self, sealed: Sealed, now: Timestamp) {
        let mut calls = self.outbox.flush(&sealed);
        for (gid, seq) in sealed.newest {
            let calls = calls.remove(&gid).unwrap_or_default();
            self.change(&gid, now, |slot, cx| slot.being_written().flushed(seq, &calls, cx));
        }
    }

    /// The batch failed, or its outcome is unknown. Everything built on the batch is forgotten and read again (law L6): the read
    /// shows whether the batch was written. Returns the gids that were forgotten.
    pub fn on_commit_failed(&mut self, batch: BatchId, now: Timestamp) -> Vec<Gid> {
        let Some(mut sealed) = self.outbox.take_sealed(batch) else { return Vec::new() };
        self.failures_in_a_row += 1;
        let pauses = self.failures_in_a_row.saturating_sub(FAILURES_WITHOUT_PAUSE);
        let again = self.outbox.forget(&mut sealed, |_| true);
        let forgotten = again.keys().cloned().collect();
        for (gid, messages) in again {
            self.change(&gid, now, |slot, cx| {
                let reading = slot.being_written().lost(messages, cx.outbox);
                if pauses == 0 {
                    // A lost connection is worth no pause.
                    return reading.ask(&gid, cx.outbox);
                }
                // The store goes on failing. The senders are told so, and do not wait until it recovers.
                let pause_ms = cx.options.reload_delay_ms.saturating_mul(1 << (pauses - 1).min(10));
                let retry_at = now.plus_millis(pause_ms.min(PAUSE_MS_MAX));
                reading.pause(&Rejection::Unavailable, retry_at, cx)
            });
        }
        forgotten
    }

    /// Somebody is about to read the journal of this gid. What is decided is written at once: no record of the gid waits for
    /// others. Returns the newest record that is not durable yet.
    pub fn handle_reader(&mut self, gid: &Gid) -> Option<u64> {
        let seq = self.slots.resident(gid).filter(|resident| !resident.is_flushed())?.transaction.seq();
        if self.outbox.is_forming(gid) {
            self.outbox.press(gid);
        }
        Some(seq)
    }

    /// Whether the records of a gid up to this one are durable. Also true if they got lost, or are read again.
    pub fn has_written(&self, gid: &Gid, seq: u64) -> bool {
        self.slots.resident(gid).is_none_or(|resident| seq <= resident.durable_seq)
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_batch`] has something to do, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.outbox.next_due()
    }

    /// Enough has arrived for one batch: take nothing more in until a batch is durable.
    pub fn is_full(&self) -> bool {
        self.outbox.forming_len() >= self.options.batch_records_max
    }

    /// Transactions in memory, and those being read.
    pub fn len(&self) -> usize {
        self.slots.in_memory()
    }

    /// Payloads and outputs in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The transaction that was worked on last: the one to blame when a call into the shard panicked.
    pub fn touching(&self) -> Option<&Gid> {
        self.touching.as_ref()
    }

    /// A transaction in memory, durable or not: for tests and checkers, never for answers.
    pub fn resident(&self, gid: &Gid) -> Option<&Transaction> {
        self.slots.resident(gid).map(|resident| &resident.transaction)
    }

    /// What a transaction in memory takes for the time, and the wall clock for one that is not: for tests and checkers.
    pub fn time_of(&self, gid: &Gid, now: Timestamp) -> Timestamp {
        self.slots.resident(gid).map_or_else(|| self.times.wall.at(now), |resident| resident.own(now))
    }

    /// Whether this shard has a transaction in memory and drives it: for tests and checkers.
    pub fn drives(&self, gid: &Gid) -> bool {
        self.slots.resident(gid).is_some_and(slot::Resident::is_owned)
    }

    /// Whether a gid is in memory or being read.
    pub fn knows(&self, gid: &Gid) -> bool {
        self.slots.knows(gid)
    }
}
