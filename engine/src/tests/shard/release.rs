//! When replies, rejections and calls leave: laws L4 and L5.

use super::*;

#[test]
fn neither_reply_nor_call_leaves_before_the_creation_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    assert!(bench.replies.is_empty() && bench.calls.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_repetition_is_answered_when_what_it_repeats_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.send(2, "g", create(saga()));
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running)), (2, Ok(Status::Running))]);
}

#[test]
fn a_rejection_leaves_when_what_it_was_decided_on_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.send(2, "g", create(Draft { digest: OTHER, ..saga() }));
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running)), (2, Err(Rejection::GidConflict))]);
}

#[test]
fn a_rejection_on_a_forming_batch_waits_for_that_batch_and_not_for_the_one_in_flight() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a"));
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "g", Command::Commit);
    bench.commit();
    assert!(bench.replies.is_empty(), "the abort is only being written now");
    bench.commit();
    let told = bench.told();
    assert_eq!(told[0], (2, Ok(Status::RollingBack)));
    assert!(matches!(told[1], (3, Err(Rejection::IllegalState { status: Status::RollingBack, .. }))));
}

#[test]
fn a_rejected_command_changes_nothing() {
    let mut bench = Bench::running(saga());
    let before = bench.shard.resident(&g("g")).cloned();
    bench.send(2, "g", Command::Commit);
    bench.send(3, "g", Command::Replay { branch: Some(BranchId::parse("z").unwrap()) });
    bench.send(4, "g", Command::Register(Arc::new(branch(Pattern::Saga, "c"))));
    assert!(bench.replies.iter().all(|(_, result)| result.is_err()));
    assert_eq!((bench.replies.len(), bench.batch.is_none()), (3, true));
    assert_eq!(bench.shard.resident(&g("g")).cloned(), before);
}

#[test]
fn one_batch_is_in_flight_and_the_next_is_what_arrived_meanwhile() {
    let mut bench = Bench::new();
    for (ticket, gid) in [(1, "g1"), (2, "g2"), (3, "g3")] {
        bench.send(ticket, gid, create(saga()));
    }
    assert_eq!(bench.batch.as_ref().unwrap().records.len(), 1, "the first goes at once");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!(bench.batch.as_ref().unwrap().records.len(), 2, "the others share one write");
    bench.commit();
    assert_eq!(bench.replies.len(), 3);
    assert!(bench.batch.is_none());
}

#[test]
fn a_completion_of_another_batch_changes_nothing() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    let other = crate::shard::BatchId(99);
    bench.shard.on_committed(other, &[], bench.now);
    assert!(bench.shard.on_commit_failed(other, bench.now).is_empty());
    bench.pump();
    assert!(bench.replies.is_empty() && bench.loads.is_empty());
    let first = bench.batch.as_ref().unwrap().id;
    bench.commit();
    assert_eq!(bench.replies.len(), 1);
    bench.send(2, "h", create(saga()));
    bench.shard.on_committed(first, &[], bench.now);
    bench.pump();
    assert_eq!(bench.replies.len(), 1, "the batch of h has another name");
}

#[test]
fn a_call_that_one_record_of_a_batch_owes_and_a_later_one_does_not_is_not_made() {
    let one_by_one = Draft { finish_order: FinishOrder::FirstToLast, ..declared(Pattern::Tcc, "a b") };
    let mut bench = Bench::running(one_by_one);
    bench.answer("done");
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.confirm#1"]);
    bench.send(2, "h", create(saga()));
    bench.answer("done");
    let by_hand = Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None };
    bench.send(3, "g", by_hand);
    bench.commit();
    bench.commit();
    assert_eq!(bench.status("g"), Some(Status::Committed));
    assert_eq!(bench.under_way(), ["h/a.action#1"], "the confirm of b is not owed any more");
}

#[test]
fn a_waiter_is_told_the_end_or_at_its_time_what_is_durable_then() {
    let mut bench = Bench::new();
    bench.tell(
        1,
        "g",
        create(declared(Pattern::Saga, "a")),
        ReplyOn::Settled { until: Timestamp::from_millis(500) },
    );
    bench.tell(2, "g", create(declared(Pattern::Saga, "a")), FAR);
    bench.commit();
    bench.wait(499);
    assert!(bench.replies.is_empty());
    bench.wait(1);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    bench.answer("done");
    assert_eq!(bench.replies.len(), 1, "the end is not durable yet");
    bench.commit();
    assert_eq!(bench.told()[1..], [(2, Ok(Status::Committed))]);
}

#[test]
fn a_waiter_whose_time_is_over_waits_for_what_it_would_be_told_to_be_durable() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.tell(
        2,
        "g",
        create(declared(Pattern::Saga, "a")),
        ReplyOn::Settled { until: Timestamp::from_millis(500) },
    );
    bench.send(3, "g", abort());
    bench.wait(500);
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::RollingBack)), (2, Ok(Status::RollingBack))]);
}

#[test]
fn a_reason_and_its_consequence_are_in_one_batch() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.answer("refused");
    let batch = bench.batch.as_ref().unwrap();
    let names: Vec<_> = batch.records.iter().map(|record| record.event.name()).collect();
    assert_eq!(names, ["call_answered", "rollback_begun"]);
    assert!(matches!(batch.records[1].event, Event::RollbackBegun { .. }));
}
