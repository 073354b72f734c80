//! One durable write: its records, and the rows of the index that they change.

use std::sync::Arc;

use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::Message;
use crate::event::Record;
use crate::spec::Spec;
use crate::transaction::Transaction;

/// Later batches of a shard have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// What one durable write appends: all of it, or, for a gid whose `(gid, seq)` exists, none of that gid's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub id: BatchId,
    /// In the order they were decided; a gid's records are in `seq` order.
    pub records: Vec<Record>,
    /// Rows of the index that these records change. Every gid created in this batch has one.
    pub rows: Vec<IndexRow>,
}

/// What lists and recovery know of a transaction. It can be rebuilt from the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    pub gid: Gid,
    pub pattern: Pattern,
    pub status: Status,
    /// Why a person has to look at it.
    pub parked: Option<&'static str>,
    /// Its owner need not have it in memory before then. None: it has to be in memory.
    pub due_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub spec: Arc<Spec>,
    /// Hosts and participants of all its branches, sorted.
    pub hosts: Vec<String>,
}

/// A message with its number in the order of arrival. Messages that are decided again are decided in this order.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) order: u64,
    pub(super) message: Message,
}

/// What of a transaction its index row depends on. It depends on the records alone, so a transaction that is read back knows
/// what its row says without reading the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) status: Status,
    pub(super) parked: Option<&'static str>,
    pub(super) due_at: Option<Timestamp>,
    /// Each branch may bring hosts that the row lists.
    pub(super) branches: u32,
}

impl Indexed {
    pub(super) fn of(transaction: &Transaction, evict_after_ms: u64) -> Self {
        let agenda = transaction.agenda(transaction.updated_at);
        let wake_at = agenda.wake_at.unwrap_or(Timestamp::MAX);
        let evicted_at = transaction.updated_at.plus_millis(evict_after_ms);
        let waits_long =
            agenda.calls.is_empty() && wake_at > evicted_at && !transaction.status().is_settled();
        Self {
            status: transaction.status(),
            parked: transaction.parked(),
            due_at: waits_long.then_some(wake_at),
            branches: transaction.branches.len() as u32,
        }
    }
}

impl IndexRow {
    /// What the index says of a transaction whose long waits are spent out of memory if they are longer than this.
    pub fn of(transaction: &Transaction, evict_after_ms: u64) -> Self {
        let indexed = Indexed::of(transaction, evict_after_ms);
        let specs = transaction.branches.iter().map(|branch| &branch.spec);
        let targets = specs.flat_map(|spec| [&spec.forward, &spec.on_commit, &spec.on_rollback]).flatten();
        let mut hosts: Vec<String> = targets.map(|target| target.host().to_owned()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self {
            gid: transaction.gid.clone(),
            pattern: transaction.pattern(),
            status: indexed.status,
            parked: indexed.parked,
            due_at: indexed.due_at,
            created_at: transaction.created_at,
            updated_at: transaction.updated_at,
            spec: transaction.spec.clone(),
            hosts,
        }
    }
}
