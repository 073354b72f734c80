//! What a batch writes into a SQL database, without the gids that are left out.

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::{Batch, IndexRow, Record};
use trine_protocol::Gid;

use crate::columns::integer;
use crate::group::Run;

/// What one database transaction is to write.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    pub(crate) owner: &'a str,
    pub(crate) records: Vec<&'a Record>,
    /// Sorted by gid, so that two writers lock rows in the same order and do not wait for each other in a circle.
    pub(crate) rows: Vec<&'a IndexRow>,
    /// Row, key, value: of gids whose first record is in the batch.
    pub(crate) labels: Vec<(&'a IndexRow, &'a str, &'a str)>,
    /// Records that must be in the journal already: for each gid, the one before its first record in the batch. Set by
    /// [`Self::after`].
    pub(crate) before: Vec<(&'a Gid, i64)>,
}

impl<'a> Writing<'a> {
    /// Everything in the batch but for the gids in `without`.
    pub(crate) fn new(batch: &'a Batch, owner: &'a str, without: &BTreeSet<Gid>) -> Self {
        let records: Vec<&Record> =
            batch.records.iter().filter(|record| !without.contains(&record.gid)).collect();
        let mut rows: Vec<&IndexRow> = batch.rows.iter().filter(|row| !without.contains(&row.gid)).collect();
        rows.sort_by(|a, b| a.gid.cmp(&b.gid));
        let created: BTreeSet<&Gid> =
            records.iter().filter(|record| record.seq == 1).map(|record| &record.gid).collect();
        let labels = rows
            .iter()
            .filter(|row| !row.spec.labels.is_empty() && created.contains(&row.gid))
            .flat_map(|row| row.spec.labels.iter().map(|(key, value)| (*row, key, value)))
            .collect();
        Self { owner, records, rows, labels, before: Vec::new() }
    }

    /// With [`Self::before`], for a database that has no trigger to look for these records.
    pub(crate) fn after(mut self, runs: &BTreeMap<&'a Gid, Run>) -> Self {
        let written: BTreeSet<&Gid> = self.records.iter().map(|record| &record.gid).collect();
        let continued = runs.iter().filter(|(gid, run)| run.first() > 1 && written.contains(*gid));
        self.before = continued.map(|(gid, run)| (*gid, integer(run.first() - 1))).collect();
        self
    }
}
