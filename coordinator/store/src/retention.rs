//! Which transactions retention may delete: those whose journal says that they are settled. The index row is derived from
//! the journal and may be wrong, and deleting cannot be undone.
//!
//! A store walks over the index rows that call their transactions settled, oldest first, some at a time, and reads their
//! journals:
//!
//! | The journal | What the store does |
//! |---|---|
//! | is settled | deletes everything of the transaction, if the index row still says the same |
//! | is not settled | corrects the index row, and the transaction goes on |
//! | is missing, or cannot be read | leaves everything as it is, and walks on |

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use trine_engine::{IndexRow, Transaction};
use trine_protocol::Gid;

use super::{Journals, Loaded};

/// How many journals are read at once. Each may have some megabytes.
pub(super) const READ_AT_ONCE: usize = 20;

/// An index row that calls its transaction settled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// If the row is written again, it has another time here, or none.
    pub(super) settled_at: i64,
    /// May be damaged, so it need not be a gid.
    pub(super) gid: String,
}

impl Candidate {
    /// Comes before all candidates.
    fn first() -> Self {
        Self { settled_at: i64::MIN, gid: String::new() }
    }
}

/// What the journals of some candidates say.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// May be deleted.
    pub(super) settled: Vec<Candidate>,
    /// Not settled, and what their index rows should say.
    pub(super) unfinished: Vec<(Candidate, IndexRow)>,
    /// How many have no journal, or one that cannot be read.
    pub(super) damaged: u64,
}

impl Judged {
    /// Judges candidates by their journals.
    pub(super) fn add(&mut self, candidates: &[Candidate], journals: Journals) {
        let mut journals: BTreeMap<String, Loaded> =
            journals.into_iter().map(|loaded| (loaded.gid.as_str().to_owned(), loaded)).collect();
        for candidate in candidates {
            match journals.remove(&candidate.gid).and_then(|loaded| folded(&loaded)) {
                Some(transaction) if transaction.status().is_settled() => {
                    self.settled.push(candidate.clone());
                }
                // The row is due as early as possible, because it is not known here how long a wait must be for a
                // transaction to leave memory.
                Some(transaction) => {
                    self.unfinished.push((candidate.clone(), IndexRow::of(&transaction, 0)));
                }
                None => self.damaged += 1,
            }
        }
    }

    /// Logs that so many index rows were corrected.
    pub(super) fn put_right(&self, rows: u64) {
        if let Some((first, _)) = self.unfinished.first().filter(|_| rows > 0) {
            tracing::error!(
                rows,
                gid = first.gid,
                "index rows called transactions settled whose journals are not (this is one of them): nothing of them was \
                 deleted, the rows were put right by the journals, and the transactions go on"
            );
        }
    }
}

/// The transaction that the journal results in, if the journal can be read.
fn folded(loaded: &Loaded) -> Option<Transaction> {
    let records = loaded.records.as_ref().ok()?;
    std::panic::catch_unwind(|| Transaction::fold(records)).ok()?.ok()?
}

/// The gids of those candidates that have one.
pub(super) fn gids(candidates: &[Candidate]) -> Vec<Gid> {
    candidates.iter().filter_map(|candidate| Gid::parse(&candidate.gid).ok()).collect()
}

/// How far the walk over the candidates has come. At the end it begins again.
#[derive(Debug)]
pub(super) struct Walk(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    after: Candidate,
    /// How many damaged ones were left behind on this walk.
    left: u64,
    /// How many were left behind when that was last logged.
    told: u64,
}

impl Default for Walk {
    fn default() -> Self {
        Self(Mutex::new(Progress { after: Candidate::first(), left: 0, told: 0 }))
    }
}

impl Walk {
    /// The walk goes on after this candidate.
    pub(super) fn after(&self) -> Candidate {
        self.progress().after.clone()
    }

    /// All candidates up to `last` have been dealt with; `damaged` of them were left behind.
    pub(super) fn went_on(&self, last: Candidate, damaged: u64) {
        let mut progress = self.progress();
        progress.after = last;
        progress.left += damaged;
    }

    /// There are no more candidates. Logs how many were left behind, if the number has changed.
    pub(super) fn ended(&self) {
        let mut progress = self.progress();
        if progress.left > 0 && progress.left != progress.told {
            tracing::error!(
                left = progress.left,
                "transactions past their retention were not deleted: their index rows call them settled, and their journals \
                 are missing or cannot be read; `trine check` tells more, docs/errors/TX0021.md what to do"
            );
        }
        *progress = Progress { after: Candidate::first(), left: 0, told: progress.left };
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
