//! Calls and their answers: laws L8 and L9, deferral, fences.

use super::*;

#[test]
fn late_and_repeated_answers_change_nothing() {
    let mut bench = Bench::running(saga());
    let first = bench.answer("unknown");
    bench.commit();
    bench.wait(200);
    for _ in 0..2 {
        bench.answer_to(&first, "refused");
        assert!(bench.batch.is_none());
    }
    assert_eq!(bench.under_way(), ["g/a.action#2"], "and they do not end the call that is under way");
    let second = bench.answer("done");
    bench.commit();
    bench.answer_to(&second, "refused");
    assert!(bench.batch.is_none());
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
}

#[test]
fn a_call_carries_the_payload_and_the_timeout_of_its_branch_and_a_check_its_own() {
    let policy = |timeout_ms| CallPolicy { timeout_ms, ..CallPolicy::default() }.into();
    let mut draft =
        Draft { check_payload: "check".into(), check_call: policy(1), ..open(Pattern::Message, "a") };
    let branch = Arc::make_mut(&mut draft.branches[0]);
    (branch.payload, branch.call) = ("a".into(), policy(2));
    let mut bench = Bench::running(draft);
    bench.wait(10_000);
    bench.send(2, "g", Command::Commit);
    bench.commit();
    let carried = bench.calls.iter().map(|call| (call.payload.as_bytes(), call.timeout_ms));
    assert_eq!(carried.collect::<Vec<_>>(), [(&b"check"[..], 1), (&b"a"[..], 2)]);
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::running(saga());
    let key = CallKey { branch: Some(9), op: Op::Action, attempt: 1 };
    bench.handle(Message::Answer { gid: g("g"), key, answer: answer(&["done"]) });
    bench.handle(Message::Answer { gid: g("nobody"), key, answer: answer(&["done"]) });
    bench.handle(Message::NotSent { gid: g("nobody"), key, retry_at: bench.now, reason: None });
    assert!(bench.batch.is_none() && bench.loads.is_empty());
}

#[test]
fn a_branch_that_has_been_owed_is_compensated_whatever_it_answered() {
    for outcome in ["refused", "unknown"] {
        let mut bench = Bench::running(declared(Pattern::Saga, "a"));
        bench.answer(outcome);
        bench.send(2, "g", abort());
        while bench.batch.is_some() {
            bench.commit();
        }
        assert_eq!(bench.under_way(), ["g/a.compensate#1"], "after {outcome}");
    }
}

#[test]
fn one_call_of_a_branch_is_under_way_so_that_no_compensation_overtakes_its_action() {
    let mut bench = Bench::running(saga());
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
    bench.answer("unknown");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
}

#[test]
fn a_call_that_found_no_room_is_offered_again_and_nothing_is_recorded() {
    let mut bench = Bench::running(saga());
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(50);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at, reason: None });
    assert!(bench.batch.is_none() && bench.calls.is_empty());
    assert_eq!(bench.shard.poll_timeout(), Some(retry_at));
    bench.wait(49);
    assert!(bench.calls.is_empty());
    bench.wait(1);
    assert_eq!(bench.calls, [call]);
}

#[test]
fn a_deferred_call_is_not_offered_when_it_is_no_longer_owed() {
    let mut bench = Bench::running(saga());
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(50);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at, reason: None });
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
    bench.wait(50);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_call_that_is_decided_against_before_it_is_written_is_not_made() {
    let mut bench = Bench::running(saga());
    bench.send(2, "h", create(open(Pattern::Tcc, "")));
    bench.answer("done");
    bench.send(3, "g", abort());
    bench.commit();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.compensate#1"], "b was owed, and is not called to go forward");
}

#[test]
fn fences_never_go_back() {
    let mut bench = Bench::running(saga());
    let mut fences = Vec::new();
    for words in ["unknown", "done", "refused", "done", "done"] {
        if bench.calls.is_empty() {
            bench.wait(200);
        }
        fences.push(bench.answer(words).fence);
        bench.commit();
    }
    assert_eq!(fences, [1, 2, 3, 5, 6]);
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
}

#[test]
fn a_timeout_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::running(saga());
    bench.wait(0);
    bench.wait(10_000);
    assert!(bench.batch.is_none() && bench.loads.is_empty());
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_call_that_left_before_this_memory_began_is_not_made_again() {
    let mut bench = Bench::running(saga());
    let call = bench.calls.remove(0);
    bench.shard = Shard::new(ShardOptions::default());
    bench.shard.handle_under_way(&call.gid, call.key);
    bench.shard.handle_wanted(&call.gid);
    bench.pump();
    bench.load();
    assert!(bench.is_quiet(), "attempt 1 is under way");
    bench.answer_to(&call, "done");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
}
