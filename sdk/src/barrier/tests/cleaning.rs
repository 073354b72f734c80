//! What the cleaner deletes, and what it leaves.

use std::time::Duration;

use trine_protocol::Op;

use super::ops::start_waiting;
use super::service::{Flavor, Service, TestDatabase as _, context, gid};
use crate::barrier::{BarrierError, Cleaner, KEEP_MIN};
use crate::{BranchContext, Outcome};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn branch(name: &str, op: Op) -> BranchContext {
    BranchContext::new(gid(), name.parse().unwrap(), op)
}

pub(super) async fn old_branches_go_whole_and_young_ones_stay<F: Flavor>() {
    let service = Service::<F>::new().await;
    for op in [Op::Action, Op::Compensate] {
        let mut old = branch("old", op);
        old.journal = Some("one".parse().unwrap());
        service.call_as(&old, Outcome::empty()).await.unwrap();
        service.call_as(&branch("used", op), Outcome::empty()).await.unwrap();
    }
    service.commit_locally().await.unwrap();
    F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
    // Asked for again: young again, all of its rows.
    service.call_as(&branch("used", Op::Action), Outcome::empty()).await.unwrap();
    assert_eq!(service.barrier.clean(3 * KEEP_MIN).await.unwrap(), 0);
    assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 2);
    assert_eq!(F::Db::branches(&service.pool).await.unwrap(), ["used"]);
    assert_eq!(F::Db::op_rows(&service.pool).await.unwrap().len(), 2);
    assert_eq!(F::Db::origins(&service.pool).await.unwrap(), 0);
    let before = service.effects().await.len();
    for op in [Op::Action, Op::Compensate] {
        service.call_as(&branch("used", op), Outcome::empty()).await.unwrap();
    }
    assert_eq!(service.effects().await.len(), before);
}

pub(super) async fn a_clock_that_leaps_makes_no_branch_old<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.done(Op::Compensate).await;
    F::Db::leap(&service.pool, 1_000 * DAY_MS).await.unwrap();
    assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 0);
    service.done(Op::Action).await;
    assert!(service.effects().await.is_empty(), "an action that was undone before it arrived took effect");
    // Time that passes after the leap counts.
    F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
    assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 1);
}

pub(super) async fn a_reservation_nobody_has_decided_is_kept_whatever_its_age<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, end) in [(Op::Try, Op::Confirm), (Op::Prepare, Op::Rollback)] {
        service.reset().await;
        service.done(forward).await;
        F::Db::age(&service.pool, 1_000 * DAY_MS).await.unwrap();
        assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 0);
        service.done(end).await;
        assert_eq!(service.effects().await, [forward.as_str(), end.as_str()]);
        F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
        assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 1);
        assert!(F::Db::op_rows(&service.pool).await.unwrap().is_empty());
    }
}

pub(super) async fn more_than_a_chunk_is_cleaned_in_chunks<F: Flavor>() {
    let service = Service::<F>::new().await;
    for number in 0..205 {
        let call = branch(&format!("b{number}"), Op::Compensate);
        service.call_as(&call, Outcome::empty()).await.unwrap();
    }
    F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
    assert_eq!(service.barrier.clean(KEEP_MIN).await.unwrap(), 205);
    assert!(F::Db::branches(&service.pool).await.unwrap().is_empty());
}

pub(super) async fn a_branch_in_use_is_not_cleaned_under_its_call<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.done(Op::Compensate).await;
    F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
    let (call, go_on) = start_waiting(&service, Op::Deliver).await;
    let cleaning = service.barrier.clean(KEEP_MIN);
    // On SQLite the cleaner waits for the writer; elsewhere it passes the branch by.
    let release = async { go_on.send(()).unwrap() };
    let (cleaned, ()) = tokio::join!(cleaning, release);
    assert_eq!(cleaned.unwrap(), 0);
    call.await.unwrap().unwrap();
    assert_eq!(F::Db::op_rows(&service.pool).await.unwrap().len(), 3);
}

pub(super) async fn too_short_a_time_is_refused<F: Flavor>() {
    let service = Service::<F>::new().await;
    let asked = KEEP_MIN - Duration::from_millis(1);
    let refused = service.barrier.clean(asked).await;
    assert!(matches!(refused, Err(BarrierError::KeptTooShort { .. })), "{refused:?}");
    assert!(Cleaner::new(service.barrier.clone()).keep(asked).is_err());
}

pub(super) async fn the_cleaner_cleans_in_the_background<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.done(Op::Compensate).await;
    F::Db::age(&service.pool, 2 * DAY_MS).await.unwrap();
    let cleaner = Cleaner::new(service.barrier.clone()).keep(KEEP_MIN).unwrap().start();
    while !F::Db::branches(&service.pool).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(cleaner);
    // What comes after is new: that is why rows are kept long enough.
    assert_eq!(service.done(Op::Action).await, Outcome::empty());
    assert_eq!(service.effects().await, [context(Op::Action).op.as_str()]);
}
