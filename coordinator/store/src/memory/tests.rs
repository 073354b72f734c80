//! The suite over a store in memory, and its faults.

use std::sync::Arc;

use trine_engine::{Batch, BatchId};
use trine_protocol::{Gid, Timestamp};

use super::{Damage, Fault, Memory};
use crate::suite::{Rewrite, Subject, conformance, shared_conformance};
use crate::{AppendError, Appended, Journal, Maintenance, Store, StoreError};

struct Shared(Memory);

fn fresh() -> Shared {
    Shared(Memory::new("nobody").with_lanes_max(4))
}

impl Subject for Shared {
    async fn open(&self, owner: &str) -> Arc<dyn Store> {
        Arc::new(self.0.another(owner))
    }

    async fn damage(&self, gid: &Gid, seq: u64, damage: Damage) {
        assert!(self.0.damage(gid, seq, &damage));
    }

    async fn rewrite(&self, what: Rewrite<'_>) {
        self.0.shared.tables().rewrite(&what);
    }

    async fn lapse(&self, owner: &str) {
        self.0.lapse(owner);
    }
}

mod conforms {
    use super::*;
    conformance!(super::fresh);
    shared_conformance!(super::fresh);
}

fn batch(seq: u64) -> Arc<Batch> {
    let gid = Gid::parse("tx").unwrap();
    let event = trine_engine::Event::Started;
    let record = trine_engine::Record { gid, seq, at: Timestamp::from_millis(seq), event };
    Arc::new(Batch { id: BatchId(seq), records: vec![record], rows: Vec::new() })
}

async fn length(store: &Memory) -> usize {
    store.load(vec![Gid::parse("tx").unwrap()]).await.unwrap().len()
}

#[tokio::test]
async fn each_fault_meets_one_append() {
    let store = Memory::new("a");
    store.faults().push(Fault::Failed);
    store.faults().push(Fault::DoubtfulNotApplied);
    store.faults().push(None);
    store.faults().push(Fault::DoubtfulApplied);
    assert!(matches!(store.append(0, batch(1)).await, Err(AppendError::Failed(_))));
    assert!(matches!(store.append(0, batch(1)).await, Err(AppendError::Doubtful(_))));
    assert_eq!(length(&store).await, 0);
    assert_eq!(store.append(0, batch(1)).await, Ok(Appended::default()));
    assert!(matches!(store.append(0, batch(2)).await, Err(AppendError::Doubtful(_))));
    let again = store.append(0, batch(2)).await.unwrap();
    assert_eq!(again.conflicts, [Gid::parse("tx").unwrap()]);
    assert_eq!(store.append(0, batch(3)).await, Ok(Appended::default()));
}

#[tokio::test]
async fn a_gate_holds_appends_until_it_is_opened() {
    let store = Memory::new("a");
    let gate = store.faults().hold_appends();
    let append = store.append(0, batch(1));
    gate.arrived(1).await;
    assert_eq!(length(&store).await, 0);
    gate.open();
    assert_eq!(append.await, Ok(Appended::default()));
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
}

#[tokio::test]
async fn a_dropped_append_waits_at_the_gate_all_the_same() {
    let store = Memory::new("a");
    let gate = store.faults().hold_appends();
    drop(store.append(0, batch(1)));
    gate.arrived(1).await;
    gate.open();
    // Appends pass in the order they came.
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
}

#[tokio::test]
async fn what_is_down_does_not_answer_until_it_is_up() {
    let store = Memory::new("a");
    store.faults().set_reads_down(true);
    assert!(matches!(store.load(Vec::new()).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.append(0, batch(1)).await, Ok(Appended::default()));
    store.faults().set_reads_down(false);
    store.faults().set_writes_down(true);
    assert_eq!(length(&store).await, 1);
    assert!(matches!(store.append(0, batch(2)).await, Err(AppendError::Failed(_))));
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    store.faults().set_writes_down(false);
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
}
