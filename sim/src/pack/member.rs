//! One coordinator: a shard, what it has handed out, and whether it is running, paused or taken for gone.

use std::collections::{BTreeMap, VecDeque};

use trine_engine::{Batch, BatchId, Call, Found, Shard, ShardOptions, Ticket};
use trine_protocol::{Gid, Timestamp};

use crate::ask::Question;
use crate::clock::Clock;

/// Waits that are longer leave memory.
const EVICT_AFTER_MS: u64 = 10_000;

/// An append of a coordinator.
#[derive(Debug)]
pub(super) enum Append {
    /// The store has not seen it yet.
    Sent(Batch),
    /// It is durable, but for these; the coordinator has not heard yet.
    Landed(BatchId, Vec<Gid>),
}

/// What one initiator waits for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) index: usize,
    pub(super) question: Question,
    /// By the clock on the wall.
    pub(super) at: Timestamp,
    /// There was no such transaction when it was asked.
    pub(super) absent: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shard: Shard,
    /// Its clocks, which are ahead of the first one's.
    pub(super) clock: Clock,
    pub(super) asked: BTreeMap<Ticket, Asked>,
    pub(super) calls: Vec<Call>,
    pub(super) append: Option<Append>,
    /// Reads asked for.
    pub(super) reads: Vec<Gid>,
    /// Reads that the store has answered, and the coordinator has not heard.
    pub(super) read: Vec<(Gid, Option<Found>)>,
    /// What it has claimed and not yet brought into memory.
    pub(super) claimed: VecDeque<Gid>,
    pub(super) fences: BTreeMap<Gid, u64>,
    /// It handles nothing for so many steps.
    pub(super) paused: usize,
    /// It starts again after so many steps, with nothing in memory.
    pub(super) down: usize,
    /// The others take it for gone.
    pub(super) is_lapsed: bool,
    /// Its heartbeat has told it so; its shard does not know yet.
    pub(super) lapse_due: bool,
}

impl Member {
    pub(super) fn new(clock: Clock) -> Self {
        let (evict_after_ms, refresh_after_ms) = (EVICT_AFTER_MS, Some(2_000));
        Self {
            shard: Shard::new(ShardOptions { evict_after_ms, refresh_after_ms, ..ShardOptions::default() }),
            clock,
            asked: BTreeMap::new(),
            calls: Vec::new(),
            append: None,
            reads: Vec::new(),
            read: Vec::new(),
            claimed: VecDeque::new(),
            fences: BTreeMap::new(),
            paused: 0,
            down: 0,
            is_lapsed: false,
            lapse_due: false,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.paused == 0 && self.down == 0
    }

    pub(super) fn now(&self, now: Timestamp) -> Timestamp {
        self.clock.steady(now)
    }

    /// What its wall clock shows.
    pub(super) fn wall(&self, now: Timestamp) -> Timestamp {
        self.clock.wall.at(self.now(now))
    }

    /// Nothing is under way between it and the store, and nothing is left to bring into memory.
    pub(super) fn is_quiet(&self) -> bool {
        self.append.is_none()
            && self.reads.is_empty()
            && self.read.is_empty()
            && self.claimed.is_empty()
            && !self.lapse_due
    }
}
