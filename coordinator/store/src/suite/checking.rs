//! A whole store is read and everything that is damaged is found, beside the coordinator that uses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use trine_engine::{Batch, BatchId, IndexRow, Record, Transaction};

use super::fixture::{Tx, append};
use crate::check::{FindingKind, check};
use crate::{Options, PROBE_PREFIX, inspect, open};

/// Each is damaged in its way; the last one is not.
const DAMAGE: [(&str, &str, FindingKind); 8] = [
    ("gap", "UPDATE journal SET seq = 3, checksum = NULL WHERE gid = 'gap'", FindingKind::Record),
    ("labels", "DELETE FROM transaction_labels WHERE gid = 'labels'", FindingKind::Labels),
    ("late", "UPDATE transactions SET due_at = 9000000000000 WHERE gid = 'late'", FindingKind::Index),
    ("lost", "DELETE FROM journal WHERE gid = 'lost'", FindingKind::Orphan),
    ("no-row", "DELETE FROM transactions WHERE gid = 'no-row'", FindingKind::Index),
    (
        "record",
        "UPDATE journal SET event = REPLACE(event, 'reserve', 'release') WHERE gid = 'record'",
        FindingKind::Record,
    ),
    (
        "status",
        "UPDATE transactions SET status = 'committed', settled_at = 5 WHERE gid = 'status'",
        FindingKind::Index,
    ),
    ("twice", "UPDATE transactions SET owner = 'another' WHERE gid = 'twice'", FindingKind::History),
];

pub(crate) async fn everything_that_is_damaged_is_found(
    options: &Options,
    execute: impl AsyncFn(&'static str),
) {
    let store = open(options).await.unwrap();
    for name in DAMAGE.iter().map(|(name, ..)| *name).chain(["good"]) {
        let tx = Tx::new(name).label("k", "v");
        let mut records: Vec<Record> = tx.records([1]);
        let row = IndexRow::of(&Transaction::fold(&records).unwrap().unwrap(), 300_000);
        if name == "twice" {
            // A history with two beginnings.
            records.push(Record { seq: 2, ..records[0].clone() });
        }
        append(&*store, Arc::new(Batch { id: BatchId(1), records, rows: vec![row] })).await;
    }
    // A coordinator that was cut off while it proved that it can write leaves this.
    let records = Tx::new(&format!("{PROBE_PREFIX}left")).records([1]);
    append(&*store, Arc::new(Batch { id: BatchId(1), records, rows: Vec::new() })).await;
    let inspector = inspect(options).await.unwrap();
    let sound = check(&*inspector, |_| {}).await.unwrap();
    let found: Vec<&str> = sound.findings.iter().filter_map(|finding| finding.gid.as_deref()).collect();
    assert_eq!(found, ["twice"]);
    for (_, sql, _) in DAMAGE {
        execute(sql).await;
    }
    let report = check(&*inspector, |_| {}).await.unwrap();
    let found: BTreeMap<&str, FindingKind> = report
        .findings
        .iter()
        .map(|finding| (finding.gid.as_deref().unwrap_or_default(), finding.kind))
        .collect();
    assert_eq!(found, DAMAGE.iter().map(|(name, _, kind)| (*name, *kind)).collect());
    assert_eq!((report.transactions, report.records_without_checksum, report.findings_total), (10, 1, 8));
    store.close().await.unwrap();
}
