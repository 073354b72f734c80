//! What a batch writes, in the order and the shape that PostgreSQL and MySQL need.

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::{Batch, IndexRow, Record};
use trine_protocol::Gid;

use crate::columns::integer;
use crate::group::Run;

/// What one database transaction is to write.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    pub(super) owner: &'a str,
    pub(super) records: Vec<&'a Record>,
    /// Sorted by gid, so that two writers lock rows in the same order and do not wait for each other in a circle.
    pub(super) rows: Vec<&'a IndexRow>,
    /// Row, key, value: of gids whose first record is in the batch.
    pub(super) labels: Vec<(&'a IndexRow, &'a str, &'a str)>,
    /// Records that must be in the journal already: for each gid, the one before its first record in the batch.
    pub(super) before: Vec<(&'a Gid, i64)>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        batch: &'a Batch,
        owner: &'a str,
        runs: &BTreeMap<&'a Gid, Run>,
        without: &BTreeSet<Gid>,
    ) -> Self {
        let records: Vec<&Record> =
            batch.records.iter().filter(|record| !without.contains(&record.gid)).collect();
        let mut rows: Vec<&IndexRow> = batch.rows.iter().filter(|row| !without.contains(&row.gid)).collect();
        rows.sort_by(|a, b| a.gid.cmp(&b.gid));
        let created: BTreeSet<&Gid> =
            records.iter().filter(|record| record.seq == 1).map(|record| &record.gid).collect();
        let labels = rows
            .iter()
            .filter(|row| created.contains(&row.gid))
            .flat_map(|row| row.spec.labels.iter().map(|(key, value)| (*row, key.as_str(), value.as_str())))
            .collect();
        let continued = runs.iter().filter(|(gid, run)| run.first() > 1 && !without.contains(**gid));
        let before = continued.map(|(gid, run)| (*gid, integer(run.first() - 1))).collect();
        Self { owner, records, rows, labels, before }
    }
}
