//! What may be deleted: what is settled by its journal. An index row is derived from that, and its word is not enough for
//! what cannot be undone.
//!
//! Stores walk over the rows that call their transactions settled, oldest first, some at a time; the journals of each
//! chunk are read and folded. What is settled by its journal is deleted, if the row still says the same. A row whose journal is
//! not settled is put right; where the journal cannot be read nothing is touched. Both are walked past.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use trine_engine::{IndexRow, Transaction};
use trine_protocol::Gid;

use super::{Journals, Loaded};

/// Journals read at once: each may hold some megabytes.
pub(super) const READ_AT_ONCE: usize = 20;

/// An index row that calls its transaction settled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// As it stands there. A row that is written anew has another one, or none.
    pub(super) settled_at: i64,
    /// As it stands there.
    pub(super) gid: String,
}

impl Candidate {
    /// Before every other one.
    fn first() -> Self {
        Self { settled_at: i64::MIN, gid: String::new() }
    }
}

/// What the journals of some candidates say.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Settled: these may go.
    pub(super) settled: Vec<Candidate>,
    /// Not settled, and what their index rows should say.
    pub(super) unfinished: Vec<(Candidate, IndexRow)>,
    /// There is no journal, or it cannot be read.
    pub(super) damaged: u64,
}

impl Judged {
    /// Judges candidates by their journals, as read.
    pub(super) fn add(&mut self, candidates: &[Candidate], journals: Journals) {
        let mut journals: BTreeMap<String, Loaded> =
            journals.into_iter().map(|loaded| (loaded.gid.as_str().to_owned(), loaded)).collect();
        for candidate in candidates {
            match journals.remove(&candidate.gid).and_then(|loaded| folded(&loaded)) {
                Some(transaction) if transaction.status().is_settled() => {
                    self.settled.push(candidate.clone());
                }
                // Due as early as a row may say: how long waits are spent outside memory is not known here.
                Some(transaction) => {
                    self.unfinished.push((candidate.clone(), IndexRow::of(&transaction, 0)));
                }
                None => self.damaged += 1,
            }
        }
    }

    /// So many index rows were put right.
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

/// What a journal comes to, if it can be read.
fn folded(loaded: &Loaded) -> Option<Transaction> {
    let records = loaded.records.as_ref().ok()?;
    std::panic::catch_unwind(|| Transaction::fold(records)).ok()?.ok()?
}

/// Names that can be those of transactions.
pub(super) fn gids(candidates: &[Candidate]) -> Vec<Gid> {
    candidates.iter().filter_map(|candidate| Gid::parse(&candidate.gid).ok()).collect()
}

/// How far a walk over the candidates has come. It begins anew when it has reached the end.
#[derive(Debug)]
pub(super) struct Walk(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    after: Candidate,
    left: u64,
    /// What was left behind when that was last told.
    told: u64,
}

impl Default for Walk {
    fn default() -> Self {
        Self(Mutex::new(Progress { after: Candidate::first(), left: 0, told: 0 }))
    }
}

impl Walk {
    /// The candidate after which it goes on.
    pub(super) fn after(&self) -> Candidate {
        self.progress().after.clone()
    }

    /// Everything up to this one was deleted, put right, or left behind because it is damaged.
    pub(super) fn went_on(&self, last: Candidate, damaged: u64) {
        let mut progress = self.progress();
        progress.after = last;
        progress.left += damaged;
    }

    /// There are no more. Tells what was left behind, once.
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
