//! Every order in which the ops of a branch can reach the barrier.

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use trine_protocol::{BranchId, Gid, Op};

use super::service::{Error, Flavor, Service, TestDatabase as _, context, gid, is_refused};
use crate::barrier::BarrierError;
use crate::{BranchContext, CheckAnswer, Outcome};

pub(super) type Connection<F> = <<F as Flavor>::Db as sqlx::Database>::Connection;

pub(super) const PAIRS: [(Op, Op); 3] =
    [(Op::Action, Op::Compensate), (Op::Try, Op::Cancel), (Op::Prepare, Op::Rollback)];

pub(super) async fn a_duplicate_gets_the_first_answer_and_no_second_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    let first = service.call(Op::Action, Outcome::Done(json!({"id": 7}))).await.unwrap();
    let second = service.call(Op::Action, Outcome::Done(json!({"id": 8}))).await.unwrap();
    assert_eq!((&first, &second), (&Outcome::Done(json!({"id": 7})), &first));
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn every_op_takes_effect_once<F: Flavor>() {
    let service = Service::<F>::new().await;
    for op in [Op::Try, Op::Confirm, Op::Prepare, Op::Commit, Op::Action, Op::Compensate, Op::Deliver] {
        for _ in 0..3 {
            assert_eq!(service.done(op).await, Outcome::empty(), "{op}");
        }
    }
    let expected = ["try", "confirm", "prepare", "commit", "action", "compensate", "deliver"];
    assert_eq!(service.effects().await, expected);
}

pub(super) async fn concurrent_duplicates_have_one_effect_and_one_answer<F: Flavor>() {
    let service = Service::<F>::new().await;
    let calls: Vec<_> = (0..16)
        .map(|number: i32| {
            let barrier = service.barrier.clone();
            tokio::spawn(async move {
                let body = async move |connection: &mut Connection<F>| {
                    F::Db::effect(connection, "try").await?;
                    Ok::<_, Error>(Outcome::Done(json!(number)))
                };
                barrier.execute(&context(Op::Try), body).await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(service.effects().await, ["try"]);
}

pub(super) async fn branches_and_transactions_do_not_meet<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (gid, branch) in [("a", "b"), ("a", "c"), ("A", "b"), ("a:b", "b"), ("a.b", "b")] {
        let context = BranchContext::new(Gid::parse(gid).unwrap(), BranchId::parse(branch).unwrap(), Op::Try);
        let body = async move |connection: &mut Connection<F>| {
            F::Db::effect(connection, "try").await?;
            Ok::<_, Error>(Outcome::empty())
        };
        service.barrier.execute(&context, body).await.unwrap();
    }
    assert_eq!(service.effects().await.len(), 5);
}

pub(super) async fn an_undo_of_what_never_ran_is_done_without_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (_, undo) in PAIRS {
        service.reset().await;
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert_eq!(service.effects().await, [""; 0], "{undo}");
    }
}

pub(super) async fn late_try_after_cancel_is_refused<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        service.done(undo).await;
        assert!(is_refused(&service.done(forward).await), "{forward}");
        assert_eq!(service.effects().await, [""; 0]);
    }
}

pub(super) async fn late_duplicate_of_a_try_that_was_cancelled_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        service.done(forward).await;
        service.done(undo).await;
        service.done(forward).await;
        service.done(undo).await;
        assert_eq!(service.effects().await, [forward.as_str(), undo.as_str()]);
    }
}

pub(super) async fn a_refusal_leaves_no_effect_and_is_repeated<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, _) in PAIRS {
        service.reset().await;
        let refused = service.call(forward, Outcome::refused("short")).await.unwrap();
        assert_eq!(refused, Outcome::refused("short"));
        // Stock may have come in meanwhile; the answer that was given stands.
        assert_eq!(service.done(forward).await, Outcome::refused("short"));
        assert_eq!(service.effects().await, [""; 0]);
    }
}

pub(super) async fn refused_then_undone_then_a_duplicate_that_would_succeed_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        service.call(forward, Outcome::refused("short")).await.unwrap();
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert!(is_refused(&service.done(forward).await));
        assert_eq!(service.effects().await, [""; 0], "{undo}");
    }
}

pub(super) async fn refused_but_forgotten_then_undone_then_a_duplicate_has_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut transaction = service.begin().await;
    let body = async |_: &mut Connection<F>| Ok::<_, Error>(Outcome::refused("short"));
    service.barrier.run(&mut transaction, &context(Op::Action), body).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(service.done(Op::Compensate).await, Outcome::empty());
    assert!(is_refused(&service.done(Op::Action).await));
    assert_eq!(service.effects().await, [""; 0]);
}

pub(super) async fn an_error_rolls_back_and_a_repetition_runs_again<F: Flavor>() {
    let service = Service::<F>::new().await;
    let failing = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "action").await?;
        Err::<Outcome, Error>("disk full".into())
    };
    let error = service.barrier.execute(&context(Op::Action), failing).await.unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    assert_eq!(service.effects().await, [""; 0]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn ongoing_leaves_nothing_behind_and_runs_again<F: Flavor>() {
    let service = Service::<F>::new().await;
    for _ in 0..2 {
        assert_eq!(service.call(Op::Action, Outcome::Ongoing(None)).await.unwrap(), Outcome::Ongoing(None));
    }
    assert_eq!(service.effects().await, [""; 0]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn a_refusal_that_is_not_allowed_is_not_remembered<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.done(Op::Try).await;
    assert!(is_refused(&service.call(Op::Confirm, Outcome::refused("no")).await.unwrap()));
    assert_eq!(service.done(Op::Confirm).await, Outcome::empty());
    assert_eq!(service.effects().await, ["try", "confirm"]);
}

pub(super) async fn a_panic_rolls_back_and_a_repetition_runs_again<F: Flavor>() {
    let service = Service::<F>::new().await;
    let panicking = async |connection: &mut Connection<F>| -> Result<Outcome, Error> {
        F::Db::effect(connection, "action").await?;
        std::panic::resume_unwind(Box::new("on purpose"));
    };
    let error = service.barrier.execute(&context(Op::Action), panicking).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(BarrierError::Interrupted)), "{error}");
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

/// Starts an action that waits, inside its database transaction, for the returned sender.
pub(super) async fn start_waiting<F: Flavor>(
    service: &Service<F>,
    op: Op,
) -> (tokio::task::JoinHandle<Result<Outcome, Error>>, watch::Sender<()>) {
    let (started, mut has_started) = mpsc::channel(1);
    let (go_on, mut may_go_on) = watch::channel(());
    let barrier = service.barrier.clone();
    let call = tokio::spawn(async move {
        let body = async move |connection: &mut Connection<F>| {
            F::Db::effect(connection, op.as_str()).await?;
            started.send(()).await?;
            may_go_on.changed().await?;
            Ok::<_, Error>(Outcome::Done(json!("first")))
        };
        barrier.execute(&context(op), body).await
    });
    has_started.recv().await.unwrap();
    (call, go_on)
}

pub(super) async fn a_caller_that_goes_away_leaves_nothing_half_done<F: Flavor>() {
    let service = Service::<F>::new().await;
    let (call, go_on) = start_waiting(&service, Op::Action).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    // Waits for the first one's database transaction, as a retry of the coordinator would.
    assert_eq!(service.done(Op::Action).await, Outcome::Done(json!("first")));
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn an_undo_during_a_forward_op_waits_and_undoes_it<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        let (call, go_on) = start_waiting(&service, forward).await;
        let undoing = service.done(undo);
        let release = async { go_on.send(()).unwrap() };
        let (undone, ()) = tokio::join!(undoing, release);
        assert_eq!(undone, Outcome::empty());
        call.await.unwrap().unwrap();
        assert_eq!(service.effects().await, [forward.as_str(), undo.as_str()]);
    }
}

pub(super) async fn confirm_needs_an_effect_to_make_permanent<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, undo, confirm) in
        [(Op::Try, Op::Cancel, Op::Confirm), (Op::Prepare, Op::Rollback, Op::Commit)]
    {
        service.reset().await;
        let never_ran = service.call(confirm, Outcome::empty()).await.unwrap_err();
        assert!(matches!(never_ran.downcast_ref(), Some(BarrierError::NothingToConfirm { .. })));
        service.done(forward).await;
        service.done(undo).await;
        let undone = service.call(confirm, Outcome::empty()).await.unwrap_err();
        assert!(matches!(undone.downcast_ref(), Some(BarrierError::NothingToConfirm { .. })));
        assert_eq!(service.effects().await, [forward.as_str(), undo.as_str()]);
    }
}

pub(super) async fn what_is_permanent_is_not_undone<F: Flavor>() {
    let service = Service::<F>::new().await;
    for (forward, confirm, undo) in
        [(Op::Try, Op::Confirm, Op::Cancel), (Op::Prepare, Op::Commit, Op::Rollback)]
    {
        service.reset().await;
        service.done(forward).await;
        service.done(confirm).await;
        let error = service.call(undo, Outcome::empty()).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(BarrierError::AlreadyPermanent { .. })));
        assert_eq!(service.effects().await, [forward.as_str(), confirm.as_str()]);
    }
}

pub(super) async fn a_read_only_vote_is_repeated_and_has_nothing_to_commit_or_undo<F: Flavor>() {
    let service = Service::<F>::new().await;
    for end in [Op::Commit, Op::Rollback] {
        service.reset().await;
        for _ in 0..2 {
            assert_eq!(
                service.call(Op::Prepare, Outcome::DoneReadOnly).await.unwrap(),
                Outcome::DoneReadOnly
            );
        }
        assert_eq!(service.done(end).await, Outcome::empty());
        assert_eq!(service.effects().await, ["prepare"], "{end}");
    }
}

pub(super) async fn the_joining_form_follows_the_same_rules<F: Flavor>() {
    let service = Service::<F>::new().await;
    let output = Outcome::Done(json!(1));
    assert_eq!(service.join(Op::Try, output.clone()).await.unwrap(), output);
    assert_eq!(service.call(Op::Try, Outcome::empty()).await.unwrap(), output);
    assert_eq!(service.join(Op::Cancel, Outcome::empty()).await.unwrap(), Outcome::empty());
    assert_eq!(service.join(Op::Rollback, Outcome::empty()).await.unwrap(), Outcome::empty());
    assert!(is_refused(&service.join(Op::Prepare, Outcome::empty()).await.unwrap()));
    assert_eq!(service.join(Op::Action, Outcome::refused("no")).await.unwrap(), Outcome::refused("no"));
    assert_eq!(service.join(Op::Action, Outcome::empty()).await.unwrap(), Outcome::refused("no"));
    assert_eq!(service.effects().await, ["try", "cancel"]);
}

pub(super) async fn a_failed_body_that_is_committed_all_the_same_leaves_no_effect<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut transaction = service.begin().await;
    let failing = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "action").await?;
        Err::<Outcome, Error>("failed".into())
    };
    service.barrier.run(&mut transaction, &context(Op::Action), failing).await.unwrap_err();
    F::Db::effect(&mut transaction, "mine").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(service.effects().await, ["mine"]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["mine", "action"]);
}

pub(super) async fn an_effect_of_the_callers_transaction_falls_with_it<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut transaction = service.begin().await;
    let body = async |connection: &mut Connection<F>| {
        F::Db::effect(connection, "action").await?;
        Ok::<_, Error>(Outcome::empty())
    };
    service.barrier.run(&mut transaction, &context(Op::Action), body).await.unwrap();
    drop(transaction);
    assert_eq!(service.effects().await, [""; 0]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}

pub(super) async fn the_fence_of_the_call_is_kept<F: Flavor>() {
    let service = Service::<F>::new().await;
    let mut context = context(Op::Action);
    context.fence = 41;
    let body = async |_: &mut Connection<F>| Ok::<_, Error>(Outcome::Done(Value::Null));
    service.barrier.execute(&context, body).await.unwrap();
    let (fence, at) = F::Db::op_rows(&service.pool).await.unwrap()[0];
    assert_eq!(fence, 41);
    assert!(at > 1_700_000_000_000, "{at} are not milliseconds since 1970");
}

pub(super) async fn a_check_after_the_local_commit_says_committed<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.commit_locally().await.unwrap();
    for _ in 0..2 {
        assert_eq!(service.barrier.check(&gid()).await.unwrap(), CheckAnswer::Committed);
    }
}

pub(super) async fn a_check_that_says_no_makes_a_later_local_commit_fail<F: Flavor>() {
    let service = Service::<F>::new().await;
    for _ in 0..2 {
        assert_eq!(service.barrier.check(&gid()).await.unwrap(), CheckAnswer::NotCommitted);
        assert!(matches!(service.commit_locally().await, Err(BarrierError::AlreadyAnswered(_))));
    }
    assert_eq!(service.effects().await, [""; 0]);
}

pub(super) async fn a_local_transaction_commits_once_per_gid<F: Flavor>() {
    let service = Service::<F>::new().await;
    service.commit_locally().await.unwrap();
    assert!(matches!(service.commit_locally().await, Err(BarrierError::AlreadyRecorded(_))));
    assert_eq!(service.effects().await, ["local"]);
}

pub(super) async fn a_check_during_the_local_transaction_waits_for_its_end<F: Flavor>() {
    let service = Service::<F>::new().await;
    for commits in [true, false] {
        service.reset().await;
        let mut transaction = service.begin().await;
        service.barrier.record_local(&mut transaction, &gid()).await.unwrap();
        let id = gid();
        let finish = async move {
            if commits { transaction.commit().await.unwrap() } else { transaction.rollback().await.unwrap() }
        };
        let (answer, ()) = tokio::join!(service.barrier.check(&id), finish);
        let expected = if commits { CheckAnswer::Committed } else { CheckAnswer::NotCommitted };
        assert_eq!(answer.unwrap(), expected);
    }
}
