//! Reports durable records to metrics, to the log, and to followers of a transaction. Changes nothing.

use trine_engine::{Batch, Event};
use trine_protocol::{BranchId, Gid};

use super::parts::Parts;

/// Reports a batch that is durable, except for the gids that conflicted and were left out.
pub(super) fn durable(parts: &Parts, batch: &Batch, conflicts: &[Gid]) {
    for row in batch.rows.iter().filter(|row| row.status.is_settled() && !conflicts.contains(&row.gid)) {
        let took_ms = row.updated_at.millis_since(row.created_at);
        parts.metrics.transaction_settled(row.pattern, row.status, took_ms as f64 / 1_000.0);
        tracing::debug!(gid = %row.gid, status = %row.status, took_ms, "settled");
    }
    for record in batch.records.iter().filter(|record| !conflicts.contains(&record.gid)) {
        match &record.event {
            Event::Created { spec, .. } => parts.metrics.transaction_created(spec.pattern),
            Event::OpParked { branch, op, cause } => {
                parts.metrics.op_parked(*op, *cause);
                let (branch, cause) = (branch.as_ref().map(BranchId::as_str), cause.as_str());
                tracing::warn!(gid = %record.gid, branch, %op, cause, "parked: needs a person")
            }
            Event::Quarantined { detail } => {
                tracing::error!(gid = %record.gid, detail, "quarantined: needs a person")
            }
            Event::Forced { reason, by, .. } => {
                tracing::warn!(gid = %record.gid, reason, by = by.as_deref(), "settled by hand");
            }
            Event::RollbackBegun { cause, .. } => {
                tracing::debug!(gid = %record.gid, cause = cause.kind(), "rolling back");
            }
            _ => {}
        }
    }
    parts.hub.notify(batch.records.iter().map(|record| &record.gid));
}
