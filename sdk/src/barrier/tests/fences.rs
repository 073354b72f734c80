//! Calls of coordinators that no longer own the transaction, and calls that meet in the database.

use serde_json::json;
use trine_protocol::Op;

use super::ops::{Connection, PAIRS, start_waiting};
use super::service::{Error, Flavor, Service, TestDatabase as _, context, is_fenced, is_refused};
use crate::barrier::BarrierError;
use crate::{Fenced, Outcome};

pub(super) async fn a_call_with_a_lower_fence_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    // The new owner asks, and the service cannot say now.
    for answer in [Outcome::Ongoing(None), Outcome::refused("a defect")] {
        service.reset().await;
        let mut newer = context(Op::Confirm);
        newer.fence = 9;
        service.fenced(Op::Try, 7).await.unwrap();
        service.call_as(&newer, answer).await.unwrap();
        let late = service.fenced(Op::Confirm, 8).await;
        assert!(is_fenced(&late), "{late:?}");
        assert_eq!(service.effects().await, ["try"]);
        // The fence that is the highest passes, again and again.
        for _ in 0..2 {
            assert_eq!(service.fenced(Op::Confirm, 9).await.unwrap(), Outcome::empty());
        }
        assert_eq!(service.effects().await, ["try", "confirm"]);
    }
}

pub(super) async fn a_fenced_call_says_which_fence_was_seen<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.fenced(Op::Compensate, 9).await.unwrap();
    service.fenced(Op::Action, 9).await.unwrap();
    let error = service.fenced(Op::Deliver, 7).await.unwrap_err();
    let Some(BarrierError::Fenced(Fenced { fence, highest, op, .. })) = error.downcast_ref() else {
        panic!("{error}");
    };
    assert_eq!((*fence, *highest, *op), (7, 9, Op::Deliver));
}

pub(super) async fn a_failed_call_raises_the_fence_all_the_same<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut newer = context(Op::Action);
    newer.fence = 9;
    let failing = async |_: &mut Connection<F>| Err::<Outcome, Error>("disk full".into());
    service.barrier.execute(&newer, failing).await.unwrap_err();
    assert!(is_fenced(&service.fenced(Op::Action, 8).await));
    assert_eq!(service.effects().await, [""; 0]);
    service.fenced(Op::Action, 10).await.unwrap();
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn what_is_on_record_is_answered_whatever_the_fence<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.fenced(Op::Action, 7).await.unwrap();
    service.fenced(Op::Compensate, 9).await.unwrap();
    assert_eq!(service.fenced(Op::Action, 7).await.unwrap(), Outcome::empty());
    assert_eq!(service.fenced(Op::Compensate, 8).await.unwrap(), Outcome::empty());
    assert_eq!(service.effects().await, ["action", "compensate"]);
}

pub(super) async fn a_late_forward_op_of_a_zombie_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        service.fenced(undo, 9).await.unwrap();
        assert!(is_refused(&service.fenced(forward, 7).await.unwrap()));
        assert_eq!(service.effects().await, [""; 0]);
    }
}

pub(super) async fn an_initiator_without_a_fence_tries_before_the_coordinator_calls<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.fenced(Op::Try, 0).await.unwrap();
    service.fenced(Op::Try, 0).await.unwrap();
    service.fenced(Op::Confirm, 4).await.unwrap();
    assert_eq!(service.fenced(Op::Try, 0).await.unwrap(), Outcome::empty());
    assert_eq!(service.effects().await, ["try", "confirm"]);
}

pub(super) async fn fences_of_other_branches_do_not_matter<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut other = context(Op::Action);
    other.branch = "other".parse().unwrap();
    other.fence = 100;
    service.call_as(&other, Outcome::empty()).await.unwrap();
    service.fenced(Op::Action, 1).await.unwrap();
    assert_eq!(service.effects().await, ["action", "action"]);
}

pub(super) async fn of_concurrent_ops_those_after_a_higher_fence_have_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for round in 0..10_u64 {
        service.reset().await;
        let calls = [(Op::Confirm, 5), (Op::Commit, 4), (Op::Deliver, 3), (Op::Action, 6)];
        service.fenced(Op::Try, 1).await.unwrap();
        service.fenced(Op::Prepare, 1).await.unwrap();
        let mut ran = Vec::new();
        let mut running = tokio::task::JoinSet::new();
        for (op, fence) in calls {
            let (barrier, mut context) = (service.barrier.clone(), context(op));
            context.fence = fence + round;
            running.spawn(async move {
                let body = async move |connection: &mut Connection<F>| {
                    F::Db::effect(connection, &fence.to_string()).await?;
                    Ok::<_, Error>(Outcome::empty())
                };
                barrier.execute(&context, body).await.map(|_| ())
            });
        }
        while let Some(ended) = running.join_next().await {
            ran.push(ended.unwrap().is_ok());
        }
        // Effects are in the order in which the branch's row was taken: fences never fall.
        let effects: Vec<u64> =
            service.effects().await[2..].iter().map(|fence| fence.parse().unwrap()).collect();
        assert!(effects.is_sorted(), "{effects:?}");
        assert_eq!(effects.last(), Some(&6), "the highest always passes");
    }
}

pub(super) async fn a_lower_fence_that_waited_for_a_higher_one_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    let (call, go_on) = start_waiting(&service, Op::Action).await;
    let mut newer = context(Op::Deliver);
    newer.fence = 9;
    // Both wait for the action, which carries no fence; who comes first afterwards is up to the database.
    let (newer, older) = (service.call_as(&newer, Outcome::empty()), service.fenced(Op::Prepare, 7));
    let release = async {
        service.until_someone_waits().await;
        go_on.send(()).unwrap();
    };
    let (newer, older, ()) = tokio::join!(newer, older, release);
    call.await.unwrap().unwrap();
    newer.unwrap();
    let expected: &[&str] =
        if is_fenced(&older) { &["action", "deliver"] } else { &["action", "prepare", "deliver"] };
    assert_eq!(service.effects().await, expected);
}

pub(super) async fn a_joined_call_sees_what_it_waited_for<F: Flavor>() {
    let service = Service::<F>::new().await;
    let (call, go_on) = start_waiting(&service, Op::Try).await;
    let reading = F::BEGIN != "BEGIN IMMEDIATE";
    let joining = async {
        if !reading {
            return service.join(Op::Try, Outcome::empty()).await;
        }
        let mut transaction = service.begin().await;
        // A snapshot from before the first call has committed, where the level has snapshots.
        assert_eq!(F::Db::count(&mut transaction).await.unwrap(), 0);
        let body = async |connection: &mut Connection<F>| {
            F::Db::effect(connection, "twice").await?;
            Ok::<_, Error>(Outcome::empty())
        };
        let answer = service.barrier.run(&mut transaction, &context(Op::Try), body).await?;
        transaction.commit().await?;
        Ok(answer)
    };
    let release = async {
        if reading {
            service.until_someone_waits().await;
        }
        go_on.send(()).unwrap();
    };
    let (joined, ()) = tokio::join!(joining, release);
    call.await.unwrap().unwrap();
    assert_eq!(joined.unwrap(), Outcome::Done(json!("first")));
    assert_eq!(service.effects().await, ["try"]);
}

pub(super) async fn a_body_that_swallows_an_error_is_not_taken_for_done_unless_it_is<F: Flavor>() {
    let service = Service::<F>::new().await;
    let swallowing = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "action").await?;
        let _ = F::Db::fail(connection).await;
        Ok::<_, Error>(Outcome::empty())
    };
    // PostgreSQL has given the transaction up; the others go on.
    let answered = service.barrier.execute(&context(Op::Action), swallowing).await.is_ok();
    assert_eq!(service.effects().await.len(), usize::from(answered));
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn a_body_whose_transaction_the_database_gave_up_is_not_taken_for_done<F: Flavor>() {
    let service = Service::<F>::new().await;
    let given_up = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "action").await?;
        F::Db::give_up(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    service.barrier.execute(&context(Op::Action), given_up).await.unwrap_err();
    assert_eq!(service.effects().await, [""; 0]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn a_reason_with_a_nul_is_remembered<F: Flavor>() {
    let service = Service::<F>::new().await;
    let refused = service.call(Op::Try, Outcome::refused("a\0b \u{1f980}")).await.unwrap();
    assert_eq!(refused, Outcome::refused("a\u{fffd}b \u{1f980}"));
    assert_eq!(service.done(Op::Try).await, refused);
}
