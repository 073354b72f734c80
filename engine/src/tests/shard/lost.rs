//! Batches that fail, are doubtful or conflict, and stores that do not answer: laws L6 and L7.

use super::*;
use crate::spec::Exposure;

#[test]
fn a_rejection_that_was_decided_on_a_lost_batch_is_decided_again() {
    let mut bench = Bench::running(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") });
    bench.send(2, "g", abort());
    bench.send(3, "g", Command::Commit);
    bench.fail(false);
    bench.elsewhere("g", Command::Commit);
    bench.load();
    let told = bench.told();
    assert!(matches!(told[0], (2, Err(Rejection::IllegalState { status: Status::Committing, .. }))));
    assert_eq!(told[1], (3, Ok(Status::Committing)));
}

#[test]
fn a_creation_whose_acknowledgement_was_lost_succeeds_once() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    assert_eq!(bench.fail(true), [g("g")]);
    assert!(bench.shard.resident(&g("g")).is_none() && bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!((bench.store.records(&g("g")).len(), bench.batch.is_none()), (1, true));
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_creation_that_was_lost_is_made_again_and_answered_then() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.fail(false);
    bench.load();
    assert!(bench.replies.is_empty() && bench.calls.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn messages_of_a_lost_batch_are_decided_again_in_the_order_they_came() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(open(Pattern::Tcc, "")), FAR);
    bench.send(2, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "a"))));
    bench.tell(3, "g", Command::Commit, FAR);
    bench.send(4, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "b"))));
    bench.fail(false);
    bench.load();
    while bench.batch.is_some() {
        bench.commit();
    }
    assert_eq!(bench.told()[0], (2, Ok(Status::Open)), "the creation came first");
    assert!(matches!(bench.told()[1], (4, Err(Rejection::IllegalState { .. }))), "the decision came before");
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.told()[2..], [(1, Ok(Status::Committed)), (3, Ok(Status::Committed))]);
}

#[test]
fn what_was_built_on_a_lost_batch_is_forgotten_with_it_and_others_are_kept() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "h", create(saga()));
    assert_eq!(bench.fail(false), [g("g")]);
    assert!(bench.shard.resident(&g("h")).is_some(), "h was not built on the lost batch");
    let batch = bench.batch.as_ref().unwrap();
    assert!(batch.records.iter().all(|record| record.gid == g("h")), "{:?}", batch.records);
    bench.load();
    bench.commit();
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::Running)), (2, Ok(Status::RollingBack))]);
}

#[test]
fn an_answer_of_a_lost_batch_is_not_asked_for_again() {
    for written in [true, false] {
        let mut bench = Bench::running(saga());
        bench.answer("done");
        bench.fail(written);
        bench.load();
        if !written {
            bench.commit();
        }
        assert_eq!(bench.under_way(), ["g/b.action#1"]);
        assert_eq!(bench.store.records(&g("g")).len(), 2);
    }
}

#[test]
fn a_call_under_way_survives_that_its_transaction_is_forgotten() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    let b = bench.calls.remove(1);
    bench.answer("unknown");
    bench.fail(false);
    bench.load();
    bench.commit();
    assert!(bench.calls.is_empty(), "b is still under way: {:?}", bench.under_way());
    bench.answer_to(&b, "done");
    bench.commit();
    assert!(bench.store.state(&g("g")).unwrap().branches()[1].forward.is_done());
}

#[test]
fn an_answer_that_comes_while_its_transaction_is_read_is_decided_then_and_not_asked_for_again() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    let b = bench.calls.remove(1);
    bench.answer("unknown");
    bench.fail(false);
    bench.answer_to(&b, "done");
    bench.load();
    while bench.batch.is_some() {
        bench.commit();
    }
    assert!(bench.store.state(&g("g")).unwrap().branches()[1].forward.is_done());
    assert!(bench.calls.is_empty(), "{:?}", bench.under_way());
}

#[test]
fn a_waiter_survives_a_lost_batch() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(declared(Pattern::Saga, "a")), FAR);
    bench.fail(false);
    bench.load();
    bench.commit();
    bench.answer("done");
    bench.fail(true);
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Committed))]);
}

#[test]
fn a_conflict_of_one_gid_leaves_the_others_released() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "h", create(saga()));
    bench.commit();
    bench.elsewhere("g", Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None });
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::Running))]);
    assert_eq!(bench.under_way(), ["h/a.action#1"]);
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    let told = bench.told();
    assert!(matches!(told[1], (2, Err(Rejection::IllegalState { status: Status::Committed, .. }))));
}

#[test]
fn a_creation_of_a_gid_that_exists_is_compared_with_what_is_there() {
    for (draft, expected) in
        [(saga(), Ok(Status::Running)), (Draft { digest: OTHER, ..saga() }, Err(Rejection::GidConflict))]
    {
        let mut bench = Bench::new();
        bench.elsewhere("g", create(saga()));
        bench.send(1, "g", create(draft));
        assert!(bench.loads.is_empty(), "a creation is appended without reading first");
        bench.commit();
        assert!(bench.replies.is_empty() && bench.calls.is_empty());
        bench.load();
        assert_eq!(bench.told(), [(1, expected)]);
        assert_eq!(bench.store.records(&g("g")).len(), 1);
    }
}

#[test]
fn a_store_that_does_not_answer_is_told_to_who_waits_and_asked_again_for_what_was_in_memory() {
    let mut bench = Bench::running(saga());
    bench.answer("done");
    bench.send(2, "g", abort());
    bench.fail(false);
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(2, Err(Rejection::Unavailable))]);
    assert!(bench.shard.knows(&g("g")) && bench.loads.is_empty());
    bench.wait(500);
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"], "the answer was kept");
}

#[test]
fn a_store_that_does_not_answer_for_what_was_not_in_memory_is_not_asked_again() {
    let mut bench = Bench::new();
    bench.send(1, "g", abort());
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(1, Err(Rejection::Unavailable))]);
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_journal_that_cannot_be_read_is_left_alone() {
    let mut bench = Bench::running(saga());
    bench.send(2, "g", abort());
    bench.fail(false);
    bench.load_fails(LoadFailure::Corrupt);
    assert_eq!(bench.told(), [(2, Err(Rejection::Corrupt))]);
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_store_that_goes_on_failing_is_given_longer_and_longer_pauses_until_it_has_written_once() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    let mut pauses = Vec::new();
    for _ in 0..9 {
        bench.fail(false);
        let failed_at = bench.now;
        if bench.loads.is_empty() {
            bench.now = bench.shard.poll_timeout().expect("the read is tried again");
            bench.wait(0);
        }
        pauses.push(bench.now.millis_since(failed_at));
        bench.load();
    }
    assert_eq!(pauses, [0, 0, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    bench.send(2, "g", abort());
    bench.fail(false);
    assert_eq!(bench.told(), [(2, Err(Rejection::Unavailable))], "nobody waits that long for an answer");
    bench.wait(10_000);
    bench.load();
    bench.commit();
    bench.send(3, "g", abort());
    bench.fail(false);
    assert_eq!(bench.loads, [g("g")], "the first failure after a success is read back at once");
}

/// The rollback of a lost batch may not be decided again, and may land late all the same: then it leaves out the branches that
/// are called from here on, unless a record of the new memory stands in its way.
#[test]
fn what_was_known_of_the_calls_is_lost_with_an_append_although_it_was_not_written() {
    let mut bench = Bench::running(Draft { exposure: Exposure::Ahead, ..declared(Pattern::Saga, "a b<a") });
    bench.answer("done");
    bench.wait(10);
    bench.fail(false);
    bench.load();
    let names = |bench: &Bench| -> Vec<_> {
        bench.batch.iter().flat_map(|batch| &batch.records).map(|record| record.event.name()).collect()
    };
    assert_eq!(names(&bench), ["taken_over", "call_answered"]);
    bench.commit();
    bench.send(2, "g", abort());
    let begun = bench.batch.as_ref().and_then(|batch| batch.records.first()).map(|record| &record.event);
    assert!(matches!(begun, Some(Event::RollbackBegun { owed: None, .. })), "{begun:?}");
}
