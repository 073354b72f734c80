//! Many transactions behind one journal writer. A shard knows what *durable* means and knows no store.
//!
//! Convention: `handle_*` for what comes in, `poll_*` for what must go out, `on_*` for completions. Spurious calls
//! are harmless. After any call, poll in this order: [`Shard::poll_release`] until `None`, [`Shard::poll_batch`],
//! [`Shard::poll_timeout`].
//!
//! The rules it keeps (laws L4 to L8):
//! - nothing is released before the record it relies on is durable (see `outbox`): no call, no reply, no rejection;
//! - one batch is in flight; the next is whatever arrived meanwhile;
//! - what a failed, doubtful or conflicting batch built is forgotten and read again, and the messages that led to
//!   it are decided again on what is found: a lost acknowledgement settles itself;
//! - at most one call per branch is under way, so a compensation does not overtake its own action from here;
//! - a new gid is appended without reading first: `(gid, 1)` conflicts if it exists;
//! - what another coordinator owns is answered for and not driven (see `ownership`).
//!
//! `slot` opens with the table of states: what each input does to a transaction, and what is released.
//!
//! `now` is steady time: it runs at an even pace, whatever is done to the wall clock. How far the wall clock is ahead of
//! it, [`Shard::handle_clock`] is told (see `wall`).

mod batch;
mod flow;
mod message;
mod outbox;
mod ownership;
mod reading;
mod resident;
mod schedule;
mod slot;
mod wall;

use std::collections::BTreeMap;
use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, Pattern, Target, Timestamp};

use crate::input::{CallKey, Rejection};
use crate::spec::Payload;
use crate::transaction::Transaction;
use message::snapshot;
use outbox::Outbox;
use slot::{Slot, Slots};
use wall::Times;

pub use batch::{Batch, BatchId, IndexRow};
pub use message::{Message, ReplyOn, Snapshot, Ticket};
pub use wall::Wall;

/// A record's place in its gid's journal, from 1; 0 stands before all of them.
type Seq = u64;

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// What the answer must match.
    pub key: CallKey,
    /// The branch's id; absent for a check.
    pub branch: Option<BranchId>,
    /// Where it goes.
    pub target: Target,
    /// Its body.
    pub payload: Payload,
    /// How long it may take.
    pub timeout_ms: u64,
    /// The journal seq that owed it: monotone within the gid.
    pub fence: u64,
    /// What the transaction's dialect has to remember; absent: the native one.
    pub terms: Option<Arc<str>>,
}

impl Call {
    /// The op asked for.
    pub fn op(&self) -> Op {
        self.key.op
    }
}

/// What leaves a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Answer somebody.
    Reply {
        /// Whom.
        ticket: Ticket,
        /// With what.
        result: Result<Snapshot, Rejection>,
    },
    /// Make a call; tell the shard what came back, exactly once.
    Call(Call),
    /// Read a gid's journal, and tell [`Shard::on_loaded`].
    Load(Gid),
}

/// A transaction as its journal says, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Folded from all its records.
    pub transaction: Transaction,
    /// The index says that this coordinator owns it: it is to drive it. Anybody may answer for it.
    pub owned: bool,
}

/// Why a gid's journal could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFailure {
    /// The store did not answer; try again later.
    Unavailable,
    /// The records do not make a history.
    Corrupt,
}

/// The knobs of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardOptions {
    /// A transaction that has nothing to do for longer than this leaves memory; the index says when it is due.
    pub evict_after_ms: u64,
    /// A batch of this many records is full: [`Shard::is_full`].
    pub batch_records_max: usize,
    /// How long after a failed read the next one is tried. Also how often the journal of a transaction that somebody
    /// else drives is read while somebody here waits for its end.
    pub reload_delay_ms: u64,
    /// Others may move what this shard drives: what is told of it was durable at most so long ago, and is read again
    /// if nothing was written meanwhile. None: nobody else writes to the store.
    pub refresh_after_ms: Option<u64>,
}

impl ShardOptions {
    /// What holds where nothing is set, in a store that nobody else writes to.
    pub const DEFAULT: Self = Self {
        evict_after_ms: 300_000,
        batch_records_max: 2_000,
        reload_delay_ms: 500,
        refresh_after_ms: None,
    };
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Shard {
    options: ShardOptions,
    slots: Slots,
    /// Calls that could not be sent, and since when. Kept while their transaction is read again, as often happens.
    unsent: BTreeMap<Gid, BTreeMap<CallKey, Timestamp>>,
    outbox: Outbox,
    times: Times,
    failures_in_a_row: u32,
    /// Counts messages as they are decided.
    next_message: u64,
    /// The transaction being worked on: who is to blame when that panics.
    touching: Option<Gid>,
    /// See [`Self::handle_trust`].
    distrusts_time: bool,
}

impl Shard {
    /// An empty shard.
    pub fn new(options: ShardOptions) -> Self {
        Self {
            options,
            slots: Slots::default(),
            unsent: BTreeMap::new(),
            outbox: Outbox::default(),
            times: Times::default(),
            failures_in_a_row: 0,
            next_message: 0,
            touching: None,
            distrusts_time: false,
        }
    }

    /// Takes something in. What it leads to comes out of the `poll_*` functions.
    pub fn handle(&mut self, message: Message, now: Timestamp) {
        let (Message::Answer { gid, key, .. } | Message::NotSent { gid, key, .. }) = &message else {
            return self.receive(message, now);
        };
        let gid = gid.clone();
        self.slots.call_ended(&gid, *key);
        self.receive(message, now);
        // An answer that moved nothing may have been all that kept the transaction in memory.
        self.leave_if_idle(&gid, now);
    }

    /// Lets time pass: retries, deadlines, starts, waiters and failed reads that are due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(gid) = self.outbox.take_due(now) {
            self.wake(&gid, now);
        }
    }

    /// Whether the time that is told can be believed. While it cannot, nothing is decided because of it: no deadline
    /// passes, nothing starts, nobody is checked on. Calls are made and repeated, and commands and answers are decided.
    /// When it can again, what became due meanwhile is decided at once.
    pub fn handle_trust(&mut self, trusted: bool, now: Timestamp) {
        if std::mem::replace(&mut self.distrusts_time, !trusted) != trusted {
            return;
        }
        for gid in self.slots.residents() {
            self.set_timer(&gid, None);
            self.wake(&gid, now);
        }
    }

    /// The wall clock was set, or is ahead of steady time from the start. What is in memory waits on as before.
    pub fn handle_clock(&mut self, wall: Wall) {
        self.times.set(wall);
    }

    /// Answers everybody who waits for an outcome with what is durable now: the shard is about to go away.
    pub fn handle_stop(&mut self) {
        for slot in self.slots.all_mut() {
            let resident = match slot {
                Slot::Resident(resident) if resident.is_flushed() => resident,
                Slot::Resident(_) | Slot::Reading(_) | Slot::Away(_) => continue,
            };
            let result = snapshot(&resident.transaction);
            for waiter in std::mem::take(&mut resident.waiters) {
                self.outbox.reply(waiter.ticket, Ok(result.clone()));
            }
        }
    }

    /// The next thing to let go of.
    pub fn poll_release(&mut self) -> Option<Release> {
        let release = self.outbox.releases.pop_front();
        if let Some(Release::Load(gid)) = &release
            && let Some(reading) = self.slots.reading_mut(gid)
        {
            reading.start();
        }
        release
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.outbox.next_timer()
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

    /// Nothing in memory.
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

    /// Whether a gid is in memory or being read.
    pub fn knows(&self, gid: &Gid) -> bool {
        self.slots.knows(gid)
    }
}
