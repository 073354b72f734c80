//! What an adoption or a missed heartbeat puts in doubt is read again before it is acted upon.

use super::*;

#[test]
fn a_lapse_drops_what_others_own_and_keeps_what_is_ours_with_its_calls_and_waiters() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.tell(2, "h", create(declared(Pattern::Saga, "a")), FAR);
    bench.commit();
    bench.replies.clear();
    bench.adopted_from();
    bench.lapse();
    bench.load();
    assert!(!bench.shard.knows(&g("g")) && bench.shard.knows(&g("h")));
    assert_eq!(bench.under_way(), ["g/a.action#1", "h/a.action#1"], "none is made again");
    bench.answer("done");
    assert!(bench.batch.is_none());
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Committed))]);
}

#[test]
fn a_lapse_while_a_batch_is_in_flight_reads_again_when_it_is_durable_and_makes_no_call_before() {
    for adopted in [true, false] {
        let mut bench = Bench::running(saga());
        bench.answer("done");
        assert!(bench.batch.as_ref().unwrap().rows.is_empty(), "so the index does not say whose it is");
        bench.send(1, "g", create(saga()));
        if adopted {
            bench.adopted_from();
        }
        bench.lapse();
        bench.commit();
        assert!(bench.calls.is_empty(), "others may be making it");
        assert_eq!(bench.told(), [(1, Ok(Status::Running))], "what is durable is told");
        bench.load();
        if adopted {
            assert!(bench.is_quiet() && bench.shard.is_empty());
        } else {
            assert_eq!(bench.under_way(), ["g/b.action#1"]);
        }
    }
}

#[test]
fn what_is_sealed_after_a_lapse_is_written_with_its_row_and_thereby_ours() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b c"));
    bench.answer("unknown");
    bench.answer("unknown");
    bench.adopted_from();
    bench.lapse();
    bench.commit();
    assert_eq!(bench.batch.as_ref().unwrap().rows.len(), 1);
    bench.commit();
    assert!(bench.foreign.is_empty() && bench.loads.is_empty());
    bench.wait(500);
    assert_eq!(bench.under_way(), ["g/c.action#1", "g/a.action#2", "g/b.action#2"]);
}

#[test]
fn a_read_that_began_before_a_lapse_is_not_believed_that_the_transaction_is_ours() {
    let mut bench = Bench::running(saga());
    bench.answer("done");
    bench.fail(true);
    let before = bench.read(&g("g"));
    bench.loads.clear();
    bench.adopted_from();
    bench.lapse();
    bench.shard.on_loaded(&g("g"), Ok(before), bench.now);
    bench.pump();
    assert_eq!((bench.calls.len(), bench.loads.len()), (0, 1));
    bench.load();
    assert!(bench.is_quiet() && bench.shard.is_empty());
}

#[test]
fn a_read_that_began_before_an_adoption_is_not_believed_that_the_transaction_is_foreign() {
    let mut bench = Bench::foreign(saga());
    bench.send(1, "g", Command::Replay { branch: None });
    let before = bench.read(&g("g"));
    bench.loads.clear();
    bench.adopt();
    bench.shard.on_loaded(&g("g"), Ok(before), bench.now);
    bench.pump();
    assert!(bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn what_is_adopted_while_a_command_reads_it_is_read_until_the_store_answers() {
    let mut bench = Bench::foreign(saga());
    bench.send(1, "g", Command::Replay { branch: None });
    bench.adopt();
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(1, Err(Rejection::Unavailable))]);
    bench.wait(500);
    bench.load();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn what_is_here_as_foreign_is_driven_once_it_is_adopted() {
    for wanted in [true, false] {
        let mut bench = Bench::foreign(saga());
        bench.tell(1, "g", create(saga()), FAR);
        bench.commit();
        bench.load();
        if wanted {
            bench.foreign.clear();
            bench.shard.handle_wanted(&g("g"));
            bench.pump();
        } else {
            bench.adopt();
        }
        bench.load();
        assert_eq!(bench.under_way(), ["g/a.action#1"]);
    }
}

#[test]
fn what_is_adopted_back_has_moved_meanwhile() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") }));
    bench.commit();
    bench.taken(Command::Commit);
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/a.confirm#1"]);
}

#[test]
fn a_call_under_way_is_not_made_again_when_its_transaction_left_and_came_back() {
    let mut bench = Bench::running(saga());
    bench.adopted_from();
    bench.lapse();
    bench.load();
    bench.send(1, "g", Command::Replay { branch: None });
    bench.load_fails(LoadFailure::Unavailable);
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/a.action#1"], "it is still under way");
    bench.answer("unknown");
    bench.commit();
    bench.wait(200);
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
}

#[test]
fn of_two_calls_under_way_when_their_transaction_left_the_one_that_has_ended_is_made_again() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    bench.adopted_from();
    bench.lapse();
    bench.load();
    bench.answer("done");
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/b.action#1", "g/a.action#1"], "b is not called twice");
}

#[test]
fn a_call_that_ends_while_its_transaction_is_taken_for_a_new_one_has_ended() {
    let mut bench = Bench::running(saga());
    bench.done_elsewhere();
    bench.adopted_from();
    bench.lapse();
    bench.load();
    bench.send(1, "g", create(saga()));
    bench.answer("unknown");
    bench.commit();
    bench.load();
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.status("g"), Some(Status::Committed));

    let mut bench = Bench::running(saga());
    bench.adopted_from();
    bench.lapse();
    bench.load();
    bench.send(1, "g", create(saga()));
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(50);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at, reason: None });
    bench.commit();
    bench.load();
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/a.action#1"], "the branch is free");
}

#[test]
fn a_read_that_is_older_than_a_command_does_not_answer_it() {
    for foreign in [true, false] {
        let mut bench = if foreign { Bench::foreign(open(Pattern::Tcc, "")) } else { Bench::new() };
        bench.send(1, "g", Command::Replay { branch: None });
        let before = bench.read(&g("g"));
        bench.loads.clear();
        if !foreign {
            bench.taken(create(open(Pattern::Tcc, "")));
        }
        bench.taken(Command::Commit);
        bench.send(2, "g", Command::Replay { branch: None });
        bench.shard.on_loaded(&g("g"), Ok(before), bench.now);
        bench.pump();
        assert_eq!(bench.told().len(), 1);
        bench.load();
        let told = bench.told();
        assert!(matches!(told[1], (2, Err(Rejection::IllegalState { status: Status::Committed, .. }))));
        assert!(bench.is_quiet() && bench.shard.is_empty());
    }
}

/// Whatever was lost may have been acted upon: it must not go on as if nothing had happened.
#[test]
fn a_journal_that_went_back_is_quarantined() {
    for (foreign, read_fails) in [(false, false), (true, false), (false, true)] {
        let mut bench = Bench::running(saga());
        bench.answer("unknown");
        bench.commit();
        bench.store.lose(&g("g"), 1);
        if foreign {
            bench.adopted_from();
        }
        bench.lapse();
        if read_fails {
            bench.load_fails(LoadFailure::Unavailable);
            bench.wait(500);
        }
        bench.load();
        bench.commit();
        let state = bench.store.load(&g("g")).unwrap();
        assert_eq!(state.parked(), Some("quarantined"));
        assert!(bench.is_quiet());
    }
    let mut bench = Bench::running(saga());
    bench.lapse();
    bench.load();
    assert!(bench.batch.is_none(), "a journal that is as long as it was is no reason");
}
