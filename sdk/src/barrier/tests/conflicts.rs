//! Calls that mean another transaction than the one on record: of another journal, or with another payload.

use trine_protocol::{JournalId, Op, PayloadDigest};

use super::ops::{Connection, PAIRS};
use super::service::{Error, Flavor, Service, TestDatabase as _, context, gid, is_fenced};
use crate::barrier::{BarrierError, LocalMessage};
use crate::{BranchContext, CheckAnswer, Conflict, Differs, Outcome};

fn journal(name: &str) -> JournalId {
    JournalId::parse(name).unwrap()
}

/// A call as a coordinator makes it.
fn from(journal_name: &str, payload: &str, op: Op, fence: u64) -> BranchContext {
    let mut context = context(op);
    context.fence = fence;
    context.journal = Some(journal(journal_name));
    context.payload_digest = Some(PayloadDigest::of(payload.as_bytes()));
    context
}

/// In what a refused call differs from the record.
#[track_caller]
fn conflict(result: Result<Outcome, Error>) -> Conflict {
    let error = result.expect_err("it was answered");
    match error.downcast::<BarrierError>().map(|error| *error) {
        Ok(BarrierError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

async fn run<F: Flavor>(service: &Service<F>, call: &BranchContext) -> Result<Outcome, Error> {
    service.call_as(call, Outcome::empty()).await
}

pub(super) async fn a_call_from_another_journal_has_no_effect_and_is_not_answered_from_the_record<
    F: Flavor,
>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        run(&service, &from("one", "1", forward, 3)).await.unwrap();
        for op in [forward, undo] {
            let conflict = conflict(run(&service, &from("two", "1", op, 9)).await);
            assert_eq!((conflict.op, conflict.differs), (op, Differs::Journal));
            assert_eq!((conflict.asked.as_str(), conflict.recorded.as_str()), ("two", "one"));
        }
        // Whose it is goes on as if nothing had come in between.
        run(&service, &from("one", "1", forward, 3)).await.unwrap();
        run(&service, &from("one", "1", undo, 4)).await.unwrap();
        assert_eq!(service.effects().await, [forward.as_str(), undo.as_str()]);
        // Now that it is over, too.
        conflict_of_the_forward(&service, forward).await;
    }
}

async fn conflict_of_the_forward<F: Flavor>(service: &Service<F>, forward: Op) {
    assert_eq!(conflict(run(service, &from("two", "1", forward, 1)).await).differs, Differs::Journal);
}

pub(super) async fn a_call_with_another_payload_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    run(&service, &from("one", "100", Op::Action, 1)).await.unwrap();
    for op in [Op::Action, Op::Compensate] {
        let conflict = conflict(run(&service, &from("one", "999", op, 2)).await);
        assert_eq!(conflict.differs, Differs::Payload);
        assert_eq!(conflict.recorded, PayloadDigest::of(b"100").as_str());
    }
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn an_undo_of_somebody_else_undoes_nothing_and_blocks_nothing<F: Flavor>() {
    let service = Service::<F>::new().await;
    // The try was refused, so there is a record without an effect; and then with one.
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    conflict(run(&service, &from("two", "1", Op::Cancel, 2)).await);
    run(&service, &from("one", "1", Op::Confirm, 3)).await.unwrap();
    assert_eq!(service.effects().await, ["try", "confirm"]);
}

pub(super) async fn a_foreign_call_raises_no_fence<F: Flavor>() {
    let service = Service::<F>::new().await;
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    conflict(run(&service, &from("two", "1", Op::Cancel, 900)).await);
    conflict(run(&service, &from("one", "2", Op::Cancel, 900)).await);
    run(&service, &from("one", "1", Op::Confirm, 2)).await.unwrap();
    assert!(is_fenced(&run(&service, &from("one", "1", Op::Deliver, 1)).await));
}

pub(super) async fn what_is_not_known_is_taken_and_kept_once_it_is<F: Flavor>() {
    let service = Service::<F>::new().await;
    // A coordinator of an earlier version; then one that says all; then the earlier one again.
    run(&service, &context(Op::Try)).await.unwrap();
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    let mut half = from("one", "1", Op::Try, 1);
    half.payload_digest = None;
    run(&service, &half).await.unwrap();
    run(&service, &context(Op::Try)).await.unwrap();
    conflict(run(&service, &from("two", "1", Op::Confirm, 2)).await);
    run(&service, &from("one", "1", Op::Confirm, 2)).await.unwrap();
    assert_eq!(service.effects().await, ["try", "confirm"]);
    // The payload becomes known after the journal.
    service.reset().await;
    run(&service, &half).await.unwrap();
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    assert_eq!(conflict(run(&service, &from("one", "2", Op::Try, 1)).await).differs, Differs::Payload);
}

pub(super) async fn a_failed_call_keeps_its_branch<F: Flavor>() {
    let service = Service::<F>::new().await;
    let failing = async |_: &mut Connection<F>| Err::<Outcome, Error>("disk full".into());
    service.barrier.execute(&from("one", "1", Op::Action, 5), failing).await.unwrap_err();
    conflict(run(&service, &from("two", "1", Op::Action, 9)).await);
    run(&service, &from("one", "1", Op::Action, 5)).await.unwrap();
    // A refusal is remembered for whose it is.
    service.reset().await;
    let refused = service.call_as(&from("one", "1", Op::Try, 1), Outcome::refused("short")).await.unwrap();
    assert_eq!(refused, Outcome::refused("short"));
    conflict(run(&service, &from("two", "1", Op::Try, 1)).await);
    conflict(run(&service, &from("two", "1", Op::Cancel, 1)).await);
}

pub(super) async fn of_concurrent_calls_from_two_journals_one_takes_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for _ in 0..5 {
        service.reset().await;
        let mut running = tokio::task::JoinSet::new();
        for name in ["one", "two", "one", "two"] {
            let barrier = service.barrier.clone();
            running.spawn(async move {
                let body = async move |connection: &mut Connection<F>| {
                    F::Db::effect(connection, name).await?;
                    Ok::<_, Error>(Outcome::empty())
                };
                (name, barrier.execute(&from(name, name, Op::Action, 1), body).await.is_ok())
            });
        }
        let mut answered = Vec::new();
        while let Some(ended) = running.join_next().await {
            answered.extend(ended.map(|(name, done)| done.then_some(name)).unwrap());
        }
        assert_eq!(answered.len(), 2, "{answered:?}");
        assert_eq!(service.effects().await, answered[..1]);
    }
}

pub(super) async fn the_joining_form_refuses_conflicts_too<F: Flavor>() {
    let service = Service::<F>::new().await;
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    let mut transaction = service.begin().await;
    F::Db::effect(&mut transaction, "mine").await.unwrap();
    let body = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "cancel").await?;
        Ok::<_, Error>(Outcome::empty())
    };
    let foreign = from("two", "1", Op::Cancel, 900);
    conflict(service.barrier.run(&mut transaction, &foreign, body).await);
    transaction.commit().await.unwrap();
    run(&service, &from("one", "1", Op::Confirm, 2)).await.unwrap();
    assert_eq!(service.effects().await, ["try", "mine", "confirm"]);
}

pub(super) async fn a_check_from_another_journal_is_not_answered_from_the_record<F: Flavor>() {
    let service = Service::<F>::new().await;
    let (gid, one, two) = (gid(), journal("one"), journal("two"));
    let of = |journal| LocalMessage { gid: &gid, journal: Some(journal) };
    let mut transaction = service.begin().await;
    service.barrier.record_local(&mut transaction, of(&one)).await.unwrap();
    transaction.commit().await.unwrap();
    let error = service.barrier.check(of(&two)).await.unwrap_err();
    assert!(matches!(error, BarrierError::Conflict(Conflict { differs: Differs::Journal, .. })), "{error:?}");
    let mut transaction = service.begin().await;
    let error = service.barrier.record_local(&mut transaction, of(&two)).await.unwrap_err();
    assert!(matches!(error, BarrierError::Conflict(_)), "{error:?}");
    drop(transaction);
    for asked in [of(&one), (&gid).into()] {
        assert_eq!(service.barrier.check(asked).await.unwrap(), CheckAnswer::Committed);
    }
}

pub(super) async fn a_barrier_installed_before_there_were_origins_gets_them<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.done(Op::Try).await;
    F::Db::forget_origins(&service.pool).await.unwrap();
    service.barrier.install().await.unwrap();
    // What is on record from before says nothing, so the first who does is taken at its word.
    run(&service, &from("one", "1", Op::Try, 1)).await.unwrap();
    conflict(run(&service, &from("two", "1", Op::Try, 1)).await);
    assert_eq!(service.effects().await, ["try"]);
}
