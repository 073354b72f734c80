//! The orders in which prepare, commit and rollback of a branch can come, one after the other.

use serde_json::json;
use trine_protocol::Op;

use super::service::{Error, Service, TestDatabase, is_refused};
use crate::barrier::{BarrierError, Clean as _, KEEP_MIN};
use crate::{BranchContext, Outcome};

pub(super) async fn prepared_work_shows_once_it_is_committed<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert_eq!(service.prepare(Outcome::Done(json!(7))).await.unwrap(), Outcome::Done(json!(7)));
    assert_eq!(service.seen().await, (0, 1));
    // The answer was lost.
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (0, 1));
    for _ in 0..3 {
        assert_eq!(service.commit().await.unwrap(), Outcome::empty());
        assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
        assert_eq!(service.seen().await, (1, 1));
    }
    assert!(matches!(service.rollback().await, Err(BarrierError::AlreadyPermanent { .. })));
}

pub(super) async fn what_is_rolled_back_never_shows<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    service.prepare(Outcome::empty()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(service.rollback().await.unwrap(), Outcome::empty());
        assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
        assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    }
    assert_eq!(service.seen().await, (0, 1));
}

pub(super) async fn a_rollback_that_comes_first_blocks_the_late_prepare<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert_eq!(service.rollback().await.unwrap(), Outcome::empty());
    assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
    assert_eq!(service.seen().await, (0, 0));
}

pub(super) async fn a_call_of_somebody_else_has_no_effect<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let from = |journal: &str, payload: &str, op| {
        let mut context = service.context(op, 0);
        context.journal = Some(journal.parse().unwrap());
        context.payload_digest = Some(crate::PayloadDigest::of(payload.as_bytes()));
        context
    };
    let is_conflict = |answer: Result<Outcome, Error>| match answer {
        Err(error) => matches!(error.downcast_ref(), Some(BarrierError::Conflict(_))),
        Ok(_) => false,
    };
    // A call that does not say is taken; the first that does is kept.
    service.prepare(Outcome::empty()).await.unwrap();
    service.prepare_as(&from("one", "1", Op::Prepare), Outcome::empty()).await.unwrap();
    for (journal, payload) in [("two", "1"), ("one", "2")] {
        let prepare = from(journal, payload, Op::Prepare);
        assert!(is_conflict(service.prepare_as(&prepare, Outcome::empty()).await));
        assert!(is_conflict(
            service.xa.commit(&from(journal, payload, Op::Commit)).await.map_err(Error::from)
        ));
        let rollback = service.xa.rollback(&from(journal, payload, Op::Rollback)).await;
        assert!(is_conflict(rollback.map_err(Error::from)));
    }
    assert_eq!(service.seen().await, (0, 1));
    service.xa.commit(&from("one", "1", Op::Commit)).await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
}

pub(super) async fn a_commit_of_nothing_is_an_error<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    service.prepare(Outcome::Ongoing(None)).await.unwrap();
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
}

pub(super) async fn votes_are_remembered<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    for answer in [Outcome::refused("short"), Outcome::DoneReadOnly] {
        let mut context = service.context(Op::Prepare, 0);
        context.branch = if is_refused(&answer) { "a" } else { "b" }.parse().unwrap();
        assert_eq!(service.prepare_as(&context, answer.clone()).await.unwrap(), answer);
        assert_eq!(service.prepare_as(&context, Outcome::empty()).await.unwrap(), answer);
        context.op = Op::Rollback;
        assert_eq!(service.xa.rollback(&context).await.unwrap(), Outcome::empty());
        context.op = Op::Commit;
        assert_eq!(service.xa.commit(&context).await.is_err(), is_refused(&answer));
    }
    assert_eq!(service.seen().await.1, 2);
}

pub(super) async fn an_error_and_ongoing_leave_nothing_and_run_again<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let failing = async |connection: &mut D::Connection| {
        D::effect(connection).await?;
        Err::<Outcome, Error>("disk full".into())
    };
    let error = service.xa.prepare(&service.context(Op::Prepare, 0), failing).await.unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    service.prepare(Outcome::Ongoing(None)).await.unwrap();
    let panicking = async |connection: &mut D::Connection| -> Result<Outcome, Error> {
        D::effect(connection).await?;
        std::panic::resume_unwind(Box::new("on purpose"));
    };
    service.xa.prepare(&service.context(Op::Prepare, 0), panicking).await.unwrap_err();
    // The session of the one that panicked may still be on its way out.
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    service.commit().await.unwrap();
    assert_eq!(service.seen().await.0, 1);
}

pub(super) async fn a_call_with_a_lower_fence_prepares_nothing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let prepare =
        async |fence| service.prepare_as(&service.context(Op::Prepare, fence), Outcome::Ongoing(None)).await;
    prepare(9).await.unwrap();
    let late = prepare(7).await.unwrap_err();
    assert!(matches!(late.downcast_ref(), Some(BarrierError::Fenced(_))), "{late}");
    let late = service.xa.rollback(&service.context(Op::Rollback, 8)).await;
    assert!(matches!(late, Err(BarrierError::Fenced(_))), "{late:?}");
    // The session before may still be giving up what it began; then the body does not run.
    while service.seen().await.1 < 2 {
        prepare(9).await.unwrap();
    }
    assert_eq!(service.seen().await, (0, 2));
}

pub(super) async fn the_longest_ids_are_taken<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let gid = format!("{}{}", service.gid, "x".repeat(128 - service.gid.len()));
    for branch in ["y".repeat(128), "y".repeat(127)] {
        let mut context = BranchContext::new(gid.parse().unwrap(), branch.parse().unwrap(), Op::Prepare);
        service.prepare_as(&context, Outcome::empty()).await.unwrap();
        context.op = Op::Commit;
        service.xa.commit(&context).await.unwrap();
    }
    assert_eq!(service.seen().await, (2, 2));
}

pub(super) async fn settled_records_are_cleaned_and_open_ones_kept<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let other = |op, branch: &str| {
        let mut other = service.context(op, 0);
        other.branch = branch.parse().unwrap();
        other
    };
    service.prepare_as(&other(Op::Prepare, "open"), Outcome::Ongoing(None)).await.unwrap();
    service.xa.rollback(&other(Op::Rollback, "settled")).await.unwrap();
    D::age(&service.pool).await.unwrap();
    assert!(matches!(service.xa.clean(KEEP_MIN / 2).await, Err(BarrierError::KeptTooShort { .. })));
    // What is prepared keeps its record locked; the cleaner does not wait for it.
    service.prepare(Outcome::empty()).await.unwrap();
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 0, "the clock may have leapt ahead");
    D::others(&service.pool).await.unwrap();
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 1);
    assert_eq!(D::records(&service.pool).await.unwrap(), 26);
    service.commit().await.unwrap();
    // Its age counts from the commit.
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 0);
}
