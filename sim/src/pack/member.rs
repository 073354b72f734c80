//! One coordinator: a shard, its work under way, and whether it is running, paused, down or lapsed.

use std::collections::{BTreeMap, VecDeque};

use trine_engine::{Batch, Call, Found, Shard, ShardOptions, Ticket};
use trine_protocol::{Gid, Timestamp};

use crate::ask::Question;
use crate::clock::Clock;
use crate::memories::Memories;

/// A transaction with a longer wait leaves memory.
const EVICT_AFTER_MS: u64 = 10_000;

/// The append of a coordinator.
#[derive(Debug)]
pub(super) enum Append {
    /// Not yet at the store.
    Sent(Batch),
    /// Durable, except for the gids that conflicted; not yet acknowledged.
    Landed(Batch, Vec<Gid>),
}

/// A request that a member has not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) index: usize,
    pub(super) question: Question,
    /// The wall clock's time.
    pub(super) at: Timestamp,
    /// The transaction did not exist when the request was sent.
    pub(super) absent: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) shard: Shard,
    pub(super) clock: Clock,
    pub(super) asked: BTreeMap<Ticket, Asked>,
    pub(super) calls: Vec<Call>,
    pub(super) append: Option<Append>,
    pub(super) reads: Vec<Gid>,
    /// Results of reads that have not arrived yet.
    pub(super) read: Vec<(Gid, Option<Found>)>,
    /// Adopted gids that are not in memory yet.
    pub(super) claimed: VecDeque<Gid>,
    pub(super) memories: Memories,
    /// Steps for which it is still paused.
    pub(super) paused: usize,
    /// Steps after which it starts again, with empty memory.
    pub(super) down: usize,
    /// The others believe that it is gone.
    pub(super) is_lapsed: bool,
    /// Its heartbeat has told it that it lapsed; its shard does not know yet.
    pub(super) lapse_due: bool,
}

pub(super) fn new_shard() -> Shard {
    let (evict_after_ms, refresh_after_ms) = (EVICT_AFTER_MS, Some(2_000));
    Shard::new(ShardOptions { evict_after_ms, refresh_after_ms, ..ShardOptions::default() })
}

impl Member {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            shard: new_shard(),
            clock,
            asked: BTreeMap::new(),
            calls: Vec::new(),
            append: None,
            reads: Vec::new(),
            read: Vec::new(),
            claimed: VecDeque::new(),
            memories: Memories::default(),
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

    /// The time on its wall clock.
    pub(super) fn wall(&self, now: Timestamp) -> Timestamp {
        self.clock.wall.at(self.now(now))
    }

    /// Whether nothing is under way between the member and the store, and nothing is left to load.
    pub(super) fn is_quiet(&self) -> bool {
        self.append.is_none()
            && self.reads.is_empty()
            && self.read.is_empty()
            && self.claimed.is_empty()
            && !self.lapse_due
    }
}
