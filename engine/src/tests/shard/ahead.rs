//! Sagas that are exposed ahead: what leaves before progress is durable, and what a memory knows beside its records (law L13).

use super::*;
use crate::spec::Exposure;

fn ahead(branches: &str) -> Draft {
    Draft { exposure: Exposure::Ahead, ..declared(Pattern::Saga, branches) }
}

impl Bench {
    /// The names of the events in the batch in flight.
    pub(super) fn writing(&self) -> Vec<&'static str> {
        self.batch.iter().flat_map(|batch| &batch.records).map(|record| record.event.name()).collect()
    }

    /// The branches that the newest durable record of `g` names as ever owed.
    fn owed(&self) -> Option<Vec<String>> {
        let newest = self.store.records(&g("g")).iter().rev().find_map(|record| {
            let Event::RollbackBegun { owed, .. } = &record.event else { return None };
            Some(owed.as_ref())
        });
        let owed = newest.expect("a rollback has begun")?;
        Some(owed.iter().map(|id| id.as_str().to_owned()).collect())
    }

    /// Answers everything that is called, and writes everything, until nothing is left to do.
    pub(super) fn settle(&mut self) {
        while !self.is_quiet() {
            if self.batch.is_some() {
                self.commit();
            } else if !self.loads.is_empty() {
                self.load();
            } else {
                self.answer("done");
            }
        }
    }
}

#[test]
fn a_step_leaves_before_the_answer_of_the_last_one_is_durable() {
    let mut bench = Bench::running(ahead("a b<a c<b"));
    bench.tell(2, "g", create(ahead("a b<a c<b")), FAR);
    bench.answer("done");
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
    bench.answer("done");
    assert_eq!((bench.under_way(), bench.batch.is_none()), (vec!["g/c.action#1".to_owned()], true));
    bench.answer("done");
    assert_eq!(bench.writing(), ["call_answered", "call_answered", "call_answered", "committed"]);
    assert!(bench.replies.is_empty(), "the end of a saga is told when it is durable");
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Committed))]);
}

#[test]
fn a_retry_leaves_before_the_answer_of_the_last_attempt_is_durable() {
    let mut bench = Bench::running(ahead("a"));
    bench.answer("unknown");
    bench.now = bench.now.plus_millis(500);
    bench.shard.handle_timeout(bench.now);
    while let Some(release) = bench.shard.poll_release() {
        assert!(matches!(release, Release::Call(call) if call.key.attempt == 2 && call.fence == 1));
    }
    assert!(bench.shard.poll_batch(bench.now).is_some(), "the first answer was not written before");
}

#[test]
fn an_answer_that_decides_nothing_is_written_alone_only_when_its_time_is_up() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.answer("done");
    assert_eq!(bench.shard.poll_timeout(), Some(Timestamp::from_millis(10)));
    bench.wait(9);
    assert!(bench.batch.is_none());
    bench.wait(1);
    assert_eq!(bench.writing(), ["call_answered"]);
    assert_eq!(bench.shard.poll_timeout(), None, "nothing is due while it is being written");
}

#[test]
fn an_answer_that_decides_nothing_rides_with_the_records_of_others() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.answer("done");
    bench.send(2, "h", create(saga()));
    assert_eq!(bench.writing(), ["call_answered", "created"]);
}

#[test]
fn what_is_replied_to_waits_for_nobody_else() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.answer("done");
    bench.send(2, "g", create(ahead("a b<a")));
    assert_eq!(bench.writing(), ["call_answered"], "the reply relies on it");
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
}

#[test]
fn a_full_batch_is_written_at_once_and_a_shard_that_stops_lets_nothing_wait() {
    let mut bench = Bench::new();
    bench.shard = Shard::new(ShardOptions { batch_records_max: 1, ..ShardOptions::default() });
    bench.send(1, "g", create(ahead("a b<a c<b")));
    bench.commit();
    bench.answer("done");
    assert_eq!(bench.writing(), ["call_answered"], "the batch is full");
    let mut bench = Bench::running(ahead("a b<a c<b"));
    bench.answer("done");
    bench.shard.handle_stop();
    bench.pump();
    assert_eq!(bench.writing(), ["call_answered"], "it had waited");
    bench.commit();
    bench.answer("done");
    assert_eq!(bench.writing(), ["call_answered"], "it came later");
}

#[test]
fn the_first_call_waits_until_the_record_that_exposes_all_branches_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { start_delay_ms: 50, ..ahead("a b<a") }));
    bench.commit();
    let exposed = |bench: &Bench| bench.store.state(&g("g")).unwrap().branches().iter().all(|b| b.exposed);
    assert!(!exposed(&bench), "before the start nobody can be called");
    bench.wait(50);
    assert!(bench.calls.is_empty());
    bench.commit();
    assert!(exposed(&bench));
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_rollback_undoes_only_what_was_ever_owed() {
    let mut bench = Bench::running(ahead("a b<a c<b"));
    bench.answer("done");
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.owed(), Some(vec!["a".to_owned(), "b".to_owned()]));
    bench.answer("done");
    assert_eq!(bench.under_way(), ["g/b.compensate#1"], "c was never called");
    bench.settle();
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
}

#[test]
fn a_call_that_is_withheld_or_deferred_when_the_rollback_is_decided_counts_as_owed() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(ahead("a b<a")));
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"], "withheld for the creation, it leaves with it");
    bench.commit();
    assert_eq!(bench.owed(), Some(vec!["a".to_owned()]));
    let mut bench = Bench::running(ahead("a b"));
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(1_000);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at, reason: None });
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.owed(), Some(vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_transaction_that_is_aborted_before_it_starts_undoes_nothing() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { start_delay_ms: 50, ..ahead("a b<a") }));
    bench.commit();
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
    assert!(bench.calls.is_empty());
}

#[test]
fn the_creator_takes_over_after_a_doubtful_append_and_undoes_everything() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(ahead("a b<a")));
    bench.fail(true);
    bench.load();
    assert_eq!(bench.writing(), ["taken_over"]);
    assert!(bench.calls.is_empty(), "the record stands before the first call");
    bench.commit();
    assert_eq!((bench.under_way(), bench.calls[0].fence), (vec!["g/a.action#1".to_owned()], 2));
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.owed(), None, "it does not reach back to the creation");
    assert_eq!(bench.under_way(), ["g/a.action#1", "g/b.compensate#1"], "b may have run");
    bench.settle();
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
}

#[test]
fn progress_that_is_lost_is_decided_again_and_nothing_leaves_on_it_before_the_takeover_is_durable() {
    for written in [true, false] {
        let mut bench = Bench::running(ahead("a b<a c<b"));
        bench.answer("done");
        bench.wait(10);
        bench.answer("done");
        assert_eq!(bench.under_way(), ["g/c.action#1"]);
        bench.fail(written);
        bench.load();
        bench.answer("unknown");
        assert!(bench.calls.is_empty(), "c is owed again, and nothing of this memory is durable yet");
        bench.settle();
        assert_eq!(bench.status("g"), Some(Status::Running), "c waits for its next attempt");
        bench.wait(500);
        bench.settle();
        assert_eq!(bench.status("g"), Some(Status::Committed));
    }
}

#[test]
fn the_first_record_of_a_new_driver_does_not_wait_for_company() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.answer("unknown");
    bench.wait(10);
    bench.fail(true);
    bench.load();
    bench.settle();
    bench.wait(500);
    assert_eq!(bench.writing(), ["taken_over"], "also when its first call is due later");
}

#[test]
fn an_answer_that_is_the_first_record_of_a_memory_does_not_wait_for_company() {
    let limited = calling(ahead("a b<a"), attempts(1, OnExhausted::Park));
    let mut bench = Bench::running(limited);
    let call = bench.calls.remove(0);
    // Another coordinator had it for a while, could not call `a`, and parked it.
    bench.now = bench.now.plus_millis(2_000_000);
    let input = Input::NotSent { key: call.key, tried_ms: 1_000_000, reason: "nobody there".into() };
    bench.happens_elsewhere("g", &input);
    bench.lapse();
    bench.load();
    assert!(bench.is_quiet(), "parked");
    bench.answer_to(&call, "done");
    assert_eq!((bench.writing(), bench.calls.len()), (vec!["call_answered"], 0));
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
}

#[test]
fn an_adopter_takes_over_before_its_first_call_and_the_former_driver_meets_the_record() {
    let mut bench = Bench::foreign(ahead("a b<a"));
    bench.adopt();
    bench.load();
    assert_eq!((bench.writing(), bench.calls.len()), (vec!["taken_over"], 0));
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
    // The former driver decides on a memory that reaches back to the creation.
    let creation = bench.store.records(&g("g"))[0].clone();
    let state = Transaction::fold([&creation]).unwrap();
    let input = Input::Command(abort());
    let events = decide(state.as_ref(), &input, bench.now).unwrap();
    let (_, narrowed) = advance(state, &g("g"), events, bench.now);
    assert_eq!(bench.store.append(&narrowed), [g("g")], "its append conflicts");
}

#[test]
fn nobody_takes_over_what_rolls_back_and_a_command_serves_as_well() {
    let mut bench = Bench::foreign(ahead("a b<a"));
    bench.elsewhere("g", abort());
    bench.adopt();
    bench.load();
    assert_eq!((bench.under_way(), bench.batch.is_none()), (vec!["g/b.compensate#1".to_owned()], true));
    let mut bench = Bench::foreign(ahead("a b<a"));
    bench.send(1, "g", abort());
    bench.load();
    assert_eq!(bench.writing(), ["rollback_begun"], "any record serves");
    bench.commit();
    assert_eq!(bench.owed(), None);
}

#[test]
fn a_read_that_finds_nothing_new_and_the_same_owner_loses_nothing() {
    let mut bench = Bench::running(ahead("a b<a c<b"));
    bench.answer("done");
    bench.wait(10);
    bench.commit();
    bench.lapse();
    bench.load();
    assert!(bench.batch.is_none(), "it need not take over from itself");
    bench.answer("done");
    assert_eq!(bench.under_way(), ["g/c.action#1"], "and goes on ahead of its records");
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.owed(), Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
}

#[test]
fn after_a_lapse_no_call_leaves_before_a_write_has_shown_that_nobody_else_decided() {
    let mut bench = Bench::running(ahead("a b<a c<b"));
    bench.answer("done");
    let call = bench.calls.remove(0);
    bench.lapse();
    bench.elsewhere("g", abort());
    bench.answer_to(&call, "done");
    bench.wait(10);
    assert_eq!(bench.writing(), ["call_answered", "call_answered"]);
    assert!(bench.calls.is_empty(), "c is owed by a memory that others may have overtaken");
    bench.commit();
    assert!(bench.calls.is_empty());
    bench.load();
    assert_eq!(bench.under_way(), ["g/c.compensate#1"]);
}

#[test]
fn a_read_that_finds_another_record_knows_nothing_of_the_calls() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.happens_elsewhere("g", &Input::TakeOver);
    bench.lapse();
    bench.load();
    assert_eq!(bench.writing(), ["taken_over"]);
    bench.commit();
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.owed(), None);
}

#[test]
fn a_conflict_makes_a_driver_forget_what_it_called() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.happens_elsewhere("g", &Input::TakeOver);
    bench.send(2, "g", abort());
    bench.commit();
    bench.load();
    bench.commit();
    assert_eq!((bench.owed(), bench.told()), (None, vec![(2, Ok(Status::RollingBack))]));
}

#[test]
fn a_fence_is_the_newest_durable_record_when_the_call_leaves() {
    let mut bench = Bench::running(ahead("a b<a c<b"));
    assert_eq!(bench.calls[0].fence, 1);
    bench.answer("done");
    assert_eq!(bench.calls[0].fence, 1, "the answer is not durable");
    bench.wait(10);
    bench.commit();
    bench.answer("done");
    assert_eq!(bench.calls[0].fence, 2);
    // A compensation that is decided on an older journal than the takeover of it.
    bench.send(2, "g", abort());
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.calls[0].fence, bench.store.state(&g("g")).unwrap().seq());
}

#[test]
fn compensations_follow_each_other_before_their_answers_are_durable() {
    let mut bench = Bench::running(ahead("a b<a"));
    bench.tell(2, "g", create(ahead("a b<a")), FAR);
    bench.answer("done");
    bench.answer("refused");
    bench.commit();
    bench.answer("done");
    assert_eq!((bench.under_way(), bench.batch.is_none()), (vec!["g/a.compensate#1".to_owned()], true));
    bench.answer("done");
    assert_eq!(bench.told(), [(2, Ok(Status::RolledBack))], "certain, and told before the record is durable");
    assert_eq!(bench.status("g"), Some(Status::RollingBack));
    bench.settle();
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
}

#[test]
fn a_saga_that_is_exposed_exactly_waits_for_each_answer() {
    let mut bench = Bench::running(saga());
    bench.answer("done");
    assert_eq!((bench.writing(), bench.calls.len()), (vec!["call_answered"], 0));
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
}
