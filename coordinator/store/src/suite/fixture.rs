//! Transactions for the suite: what a batch is made of, without an engine that decides it.

use std::collections::BTreeMap;
use std::sync::Arc;

use trine_engine::{
    Batch, BatchId, BranchSpec, CallReport, Digest, Draft, Event, ForceTo, IndexRow, Outcome, Payload,
    Record, SharedPolicy,
};
use trine_protocol::v1::Page;
use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Target, Timestamp};

use crate::{Appended, Filter, Store, StoreError};

pub(crate) fn gid(text: &str) -> Gid {
    Gid::parse(text).unwrap()
}

pub(crate) fn gids(texts: &[&str]) -> Vec<Gid> {
    texts.iter().map(|text| gid(text)).collect()
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

/// A transaction's draft row and records; the methods say what differs from a running saga with one branch.
#[derive(Debug, Clone)]
pub(crate) struct Tx {
    pub(crate) row: IndexRow,
    payload: Payload,
    labels: Vec<(&'static str, &'static str)>,
}

impl Tx {
    pub(crate) fn new(text: &str) -> Self {
        let mut tx = Self {
            row: IndexRow {
                gid: gid(text),
                pattern: Pattern::Saga,
                status: Status::Running,
                parked: None,
                due_at: None,
                created_at: at(0),
                updated_at: at(0),
                spec: Arc::new(Draft { open: true, ..Draft::new(Pattern::Tcc) }.build().unwrap()),
                hosts: vec!["inventory".to_owned()],
            },
            payload: Payload::from("{\"sku\":\"A-1\"}"),
            labels: Vec::new(),
        };
        tx.row.spec = tx.spec();
        tx
    }

    fn spec(&self) -> Arc<trine_engine::Spec> {
        let target = |text: &str| Some(Target::parse(text).unwrap());
        let pattern = self.row.pattern;
        let mut draft = Draft::new(pattern);
        let labels = self.labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        draft.labels = labels.collect::<BTreeMap<_, _>>().into();
        let branch = BranchSpec {
            id: BranchId::parse("stock").unwrap(),
            forward: target("inventory:/reserve"),
            on_commit: Op::on_commit(pattern).and(target("inventory:/confirm")),
            on_rollback: Op::on_rollback(pattern).and(target("inventory:/release")),
            payload: self.payload.clone(),
            after: Box::default(),
            call: SharedPolicy::default(),
            digest: Digest([7; 32]),
        };
        draft.branches = vec![Arc::new(branch)];
        Arc::new(draft.build().unwrap())
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.row.spec = self.spec();
        self
    }

    pub(crate) fn created_at(self, millis: u64) -> Self {
        self.with(|tx| (tx.row.created_at, tx.row.updated_at) = (at(millis), at(millis)))
    }

    pub(crate) fn pattern(self, pattern: Pattern) -> Self {
        self.with(|tx| tx.row.pattern = pattern)
    }

    pub(crate) fn status(self, status: Status, millis: u64) -> Self {
        self.with(|tx| (tx.row.status, tx.row.updated_at) = (status, at(millis)))
    }

    pub(crate) fn parked(self) -> Self {
        self.with(|tx| tx.row.parked = Some("exhausted"))
    }

    pub(crate) fn due_at(self, millis: u64) -> Self {
        self.with(|tx| tx.row.due_at = Some(at(millis)))
    }

    pub(crate) fn hosts(self, hosts: &[&str]) -> Self {
        self.with(|tx| tx.row.hosts = hosts.iter().map(|host| (*host).to_owned()).collect())
    }

    pub(crate) fn label(self, key: &'static str, value: &'static str) -> Self {
        self.with(|tx| tx.labels.push((key, value)))
    }

    pub(crate) fn payload(self, payload: &[u8]) -> Self {
        self.with(|tx| tx.payload = Payload::from(payload))
    }

    /// The record of a seq: creation first, then the end if it is settled, then answers.
    pub(crate) fn record(&self, seq: u64) -> Record {
        let end = match self.row.status {
            Status::Committed => Some(ForceTo::Committed),
            Status::RolledBack => Some(ForceTo::RolledBack),
            _ => None,
        };
        let event = match (seq, end) {
            (1, _) => {
                let spec = self.row.spec.clone();
                Event::Created { spec, start_at: None, deadline_at: None, check_at: None }
            }
            (2, Some(to)) => Event::Forced { to, reason: "a test".to_owned(), by: None },
            _ => Event::CallAnswered {
                branch: Some(BranchId::parse("stock").unwrap()),
                op: Op::Action,
                attempt: u32::try_from(seq).unwrap(),
                outcome: Outcome::Unknown,
                retry_at: Some(at(seq)),
                report: CallReport::default(),
            },
        };
        Record { gid: self.row.gid.clone(), seq, at: at(seq), event }
    }

    pub(crate) fn records(&self, seqs: impl IntoIterator<Item = u64>) -> Vec<Record> {
        seqs.into_iter().map(|seq| self.record(seq)).collect()
    }

    /// A batch of this transaction alone.
    pub(crate) fn batch(&self, seqs: impl IntoIterator<Item = u64>) -> Arc<Batch> {
        batch([(self, seqs.into_iter().collect::<Vec<_>>())])
    }
}

/// A batch of the given seqs of several transactions, with a row for each.
pub(crate) fn batch<'a>(parts: impl IntoIterator<Item = (&'a Tx, Vec<u64>)>) -> Arc<Batch> {
    let mut batch = Batch { id: BatchId(1), records: Vec::new(), rows: Vec::new() };
    for (tx, seqs) in parts {
        batch.records.extend(tx.records(seqs));
        batch.rows.push(tx.row.clone());
    }
    Arc::new(batch)
}

/// Appends the first record of each transaction.
pub(crate) async fn create(store: &dyn Store, txs: &[&Tx]) {
    let batch = batch(txs.iter().map(|tx| (*tx, vec![1])));
    assert_eq!(store.append(0, batch).await, Ok(Appended::default()));
}

/// Appends the first two records of each transaction: with the second, those settle that are to be settled.
pub(crate) async fn settle(store: &dyn Store, txs: &[&Tx]) {
    append(store, batch(txs.iter().map(|tx| (*tx, vec![1, 2])))).await;
}

/// Appends without a conflict.
pub(crate) async fn append(store: &dyn Store, batch: Arc<Batch>) {
    assert_eq!(store.append(0, batch).await, Ok(Appended::default()));
}

/// The records of journals, without the owners.
pub(crate) async fn load(store: &dyn Store, gids: Vec<Gid>) -> Vec<(Gid, Result<Vec<Record>, StoreError>)> {
    let journals = store.load(gids).await.unwrap();
    journals.into_iter().map(|journal| (journal.gid, journal.records)).collect()
}

/// The seqs a gid has.
pub(crate) async fn seqs(store: &dyn Store, text: &str) -> Vec<u64> {
    store.records(gid(text), 0).await.unwrap().iter().map(|record| record.seq).collect()
}

/// The gids of a page.
pub(crate) fn names(page: &Page) -> Vec<&str> {
    page.transactions.iter().map(|row| row.gid.as_str()).collect()
}

/// The gids a filter finds, newest first.
pub(crate) async fn find(store: &dyn Store, filter: Filter) -> Vec<String> {
    let page = store.list(filter, None, 1_000).await.unwrap();
    assert_eq!(page.next_cursor, None);
    names(&page).into_iter().map(str::to_owned).collect()
}
