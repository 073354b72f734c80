//! A journal in memory whose append is compare-and-append on `(gid, seq)`.

use std::collections::BTreeMap;

use trine_engine::{Corrupt, Record, Transaction};
use trine_protocol::Gid;

/// What is durable.
#[derive(Debug, Default)]
pub struct Store {
    journals: BTreeMap<Gid, Vec<Record>>,
    states: BTreeMap<Gid, Transaction>,
    /// Every state that was durable at the end of an append, by seq.
    history: BTreeMap<Gid, BTreeMap<u64, Transaction>>,
}

impl Store {
    /// Appends all records of a gid or none of them. Returns the gids that conflicted.
    pub fn append(&mut self, records: &[Record]) -> Result<Vec<Gid>, String> {
        let mut by_gid: BTreeMap<&Gid, Vec<&Record>> = BTreeMap::new();
        records.iter().for_each(|record| by_gid.entry(&record.gid).or_default().push(record));
        let mut conflicts = Vec::new();
        for (gid, records) in by_gid {
            let journal = self.journals.entry(gid.clone()).or_default();
            let next = journal.len() as u64 + 1;
            if records[0].seq < next {
                conflicts.push(gid.clone());
                continue;
            }
            for record in records {
                let state = Transaction::apply(self.states.remove(gid), record);
                self.states.insert(gid.clone(), state.map_err(|corrupt: Corrupt| corrupt.to_string())?);
                journal.push(record.clone());
            }
            let state = &self.states[gid];
            self.history.entry(gid.clone()).or_default().insert(state.seq(), state.clone());
        }
        Ok(conflicts)
    }

    /// Folds the journal of a gid, as a coordinator does when it loads the transaction.
    pub fn load(&self, gid: &Gid) -> Option<Transaction> {
        self.journals.get(gid).and_then(|records| Transaction::fold(records).ok().flatten())
    }

    /// The records of a gid.
    pub fn records(&self, gid: &Gid) -> &[Record] {
        self.journals.get(gid).map_or(&[], Vec::as_slice)
    }

    /// The state with this seq, if it was durable at the end of an append.
    pub fn state_at(&self, gid: &Gid, seq: u64) -> Option<&Transaction> {
        self.history.get(gid)?.get(&seq)
    }

    /// The durable state.
    pub fn state(&self, gid: &Gid) -> Option<&Transaction> {
        self.states.get(gid)
    }

    /// Every durable transaction.
    pub fn states(&self) -> impl Iterator<Item = &Transaction> {
        self.states.values()
    }
}
