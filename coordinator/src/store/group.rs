//! What every store does alike with records: a batch's runs per gid, and rows turned back into records.

use std::collections::BTreeMap;

use trine_engine::{Batch, Record};
use trine_protocol::{Gid, Timestamp};

use super::{StoreError, codec};

/// The records of one gid in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    first: u64,
    last: u64,
    unbroken: bool,
}

impl Run {
    /// The seq it begins with.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether it can follow any journal at all.
    pub(super) fn is_whole(&self) -> bool {
        self.unbroken && self.first > 0
    }

    /// Whether it may follow a journal that ends at `last`: neither over what is there nor behind a gap.
    pub(super) fn continues(&self, last: u64) -> bool {
        self.unbroken && last.checked_add(1) == Some(self.first)
    }
}

/// The runs of a batch.
pub(super) fn runs(batch: &Batch) -> BTreeMap<&Gid, Run> {
    let mut runs: BTreeMap<&Gid, Run> = BTreeMap::new();
    for Record { gid, seq, .. } in &batch.records {
        let run = runs.entry(gid).or_insert(Run { first: *seq, last: seq.wrapping_sub(1), unbroken: true });
        run.unbroken &= run.last.wrapping_add(1) == *seq;
        run.last = *seq;
    }
    runs
}

/// A row of the journal as a record.
pub(super) fn record(gid: &Gid, seq: u64, at: Timestamp, text: &str) -> Result<Record, StoreError> {
    match codec::decode(text) {
        Ok(event) => Ok(Record { gid: gid.clone(), seq, at, event }),
        Err(error) => Err(StoreError::Corrupt { gid: gid.clone(), detail: format!("seq {seq}: {error}") }),
    }
}
