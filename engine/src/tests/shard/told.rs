//! Ends that are certain, and told before their records are durable; and successes that wait to be written with other records.

use super::*;

#[test]
fn a_success_of_a_tcc_waits_for_company_and_an_unknown_answer_does_not() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a b"));
    bench.answer("done");
    assert!(bench.batch.is_none());
    bench.answer("unknown");
    assert_eq!(bench.writing(), ["call_answered", "call_answered"]);
}

#[test]
fn the_end_of_a_tcc_is_told_when_its_decision_is_durable_and_every_confirm_is_done() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a b"));
    bench.tell(2, "g", create(declared(Pattern::Tcc, "a b")), FAR);
    bench.answer("done");
    bench.answer("done");
    assert!(bench.calls.is_empty() && bench.replies.is_empty(), "the decision is being written");
    bench.commit();
    bench.answer("done");
    assert!(bench.replies.is_empty());
    bench.answer("done");
    assert_eq!(bench.told(), [(2, Ok(Status::Committed))]);
    assert_eq!(bench.status("g"), Some(Status::Committing));
    bench.fail(false);
    bench.load();
    bench.settle();
    assert_eq!(bench.status("g"), Some(Status::Committed), "a lost record only repeats the confirms");
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn an_end_is_not_told_before_its_decision_is_durable() {
    let mut bench = Bench::running(declared(Pattern::TwoPhase, "a"));
    bench.tell(2, "g", create(declared(Pattern::TwoPhase, "a")), FAR);
    bench.answer("read_only");
    assert_eq!(bench.writing(), ["call_answered", "commit_decided", "committed"]);
    assert!(bench.replies.is_empty(), "nothing is asked in phase two, and the decision may get lost");
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Committed))]);
}

#[test]
fn an_end_that_an_operator_forces_is_told_when_it_is_durable() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a"));
    bench.tell(2, "g", create(declared(Pattern::Tcc, "a")), FAR);
    bench.answer("done");
    bench.commit();
    bench.send(3, "g", Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None });
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::Committed)), (2, Ok(Status::Committed))]);
}

#[test]
fn who_was_told_an_end_finds_it_in_the_journal() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a b"));
    let gid = g("g");
    assert_eq!(bench.shard.handle_reader(&gid), None, "all is written");
    bench.answer("done");
    assert!(bench.batch.is_none(), "the answer waits for company");
    let seq = bench.shard.handle_reader(&gid).expect("an answer that is not durable");
    bench.pump();
    assert_eq!(bench.writing(), ["call_answered"]);
    assert!(!bench.shard.has_written(&gid, seq));
    bench.commit();
    assert!(bench.shard.has_written(&gid, seq));
}
