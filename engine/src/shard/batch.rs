//! One durable write: its records, and the rows of the index that they change.

use std::sync::Arc;

use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::Message;
use crate::event::Record;
use crate::spec::Spec;

/// Names a batch within its shard; they grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// What one durable write appends: all of it, or, for a gid whose `(gid, seq)` exists, none of that gid's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name.
    pub id: BatchId,
    /// In the order they were decided; a gid's records are in `seq` order.
    pub records: Vec<Record>,
    /// Rows of the index that these records change. Every gid created in this batch has one.
    pub rows: Vec<IndexRow>,
}

/// What lists and recovery know of a transaction. Derived from its records; can be rebuilt from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// The transaction.
    pub gid: Gid,
    /// Its pattern.
    pub pattern: Pattern,
    /// Where it stands.
    pub status: Status,
    /// Why it needs a person.
    pub parked: Option<&'static str>,
    /// It may be out of memory until then; absent: whoever owns it keeps it in memory.
    pub due_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last event was recorded.
    pub updated_at: Timestamp,
    /// What was asked for: labels and hosts for filters. Hosts grow as branches register.
    pub spec: Arc<Spec>,
    /// Hosts and participants of all its branches, sorted.
    pub hosts: Vec<String>,
}

/// A message with its place among all that were decided: what is decided again is decided in that order, whether a
/// batch or the end of its transaction is what it waits for.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) order: u64,
    pub(super) message: Message,
}
