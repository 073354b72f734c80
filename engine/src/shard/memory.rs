//! What a memory of a transaction knows beside the records (law L13), and which records may wait.
//!
//! The calls of a saga that is exposed ahead leave before the answers of earlier steps are durable. So the journal does not show
//! what a former driver has called: everything that is exposed may have run. Two rules follow.
//!
//! - Only a memory that reaches back unbroken to the transaction's own creation knows which branches were owed. The record that
//!   begins a rollback then names these branches, and the other branches are not undone. After a failed or doubtful append, a conflict, a panic,
//!   an eviction, an adoption or a restart nobody knows these branches, and everything exposed is undone.
//! - A memory that does not reach back appends a record before its first call. The next append of a former driver conflicts then
//!   (law L7), its rollback included.
//!
//! This knowledge belongs to the memory and never to the fold of the records: a journal that holds a creation alone does not
//! know which calls have left since.

use std::collections::BTreeSet;

use trine_protocol::{Pattern, Status};

use super::Context;
use super::slot::Resident;
use crate::event::{Event, Outcome, Record};
use crate::input::Input;
use crate::transaction::Transaction;

#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The positions of all branches whose forward op was ever owed, called or not: a call that is withheld when a rollback is
    /// decided still leaves. None: this memory does not reach back to the creation, or the transaction is not exposed ahead.
    pub(super) owed: Option<BTreeSet<u32>>,
    /// A record of this memory stands in the journal, or is on its way there.
    has_written: bool,
}

impl Memory {
    pub(super) fn of_creation(transaction: &Transaction) -> Self {
        let owed = transaction.is_exposed_ahead().then(BTreeSet::new);
        let mut memory = Self { owed, has_written: false };
        memory.wrote(transaction);
        memory
    }

    /// Notes that this memory has written records, and the branches that are owed in the state they led to.
    pub(super) fn wrote(&mut self, transaction: &Transaction) {
        self.has_written = true;
        if let Some(owed) = self.owed.as_mut().filter(|_| transaction.status() == Status::Running) {
            owed.extend(transaction.owed().iter().filter_map(|owed| owed.key.branch));
        }
    }
}

impl Resident {
    /// Another driver may have made calls that the journal does not show, and nothing of this memory stands in the journal yet.
    /// Once a saga is rolled back everything that may have run is undone, whoever drives it.
    pub(super) fn must_take_over(&self) -> bool {
        let transaction = &self.transaction;
        transaction.is_exposed_ahead() && transaction.status() == Status::Running && !self.memory.has_written
    }

    pub(super) fn take_over(&mut self, cx: &mut Context<'_>) {
        assert!(self.feed(&Input::TakeOver, cx).is_ok(), "a takeover is never refused");
    }
}

impl Transaction {
    /// Whether the records that led to this state are progress and no more: nothing is decided and nothing parked, so they may
    /// wait for other records to be written with.
    pub(super) fn is_progress(&self, records: &[Record]) -> bool {
        let is_progress = |record: &Record| matches!(&record.event, Event::CallAnswered { outcome, .. } if self.may_lose(outcome));
        records.iter().all(is_progress)
    }

    /// Whether a crash may lose this answer: nobody was promised that the answer counts.
    fn may_lose(&self, outcome: &Outcome) -> bool {
        match self.pattern() {
            // Exposed exactly: the next call waits for the record, and the numbers of attempts survive a crash.
            Pattern::Saga => self.is_exposed_ahead(),
            // No call waits for the record of a success. The numbers of attempts survive a crash.
            Pattern::Tcc | Pattern::TwoPhase => {
                self.spec().terms.is_none() && matches!(outcome, Outcome::Done { .. })
            }
            Pattern::Message | Pattern::Workflow => false,
        }
    }
}
