//! What others did to a transaction that is driven here, and when who asks or waits here is told of it.

use super::*;

const REFRESH_MS: u64 = 5_000;

impl Bench {
    /// As [`Bench::running`], in a store that others write to; its first call is not answered.
    fn shared(draft: Draft) -> Self {
        let mut bench = Self::new();
        bench.shard =
            Shard::new(ShardOptions { refresh_after_ms: Some(REFRESH_MS), ..ShardOptions::default() });
        bench.send(1, "g", create(draft));
        bench.commit();
        bench.replies.clear();
        bench.calls.clear();
        bench
    }

    fn forced(&mut self) {
        self.taken(abort());
        self.taken(Command::Force { to: ForceTo::RolledBack, reason: "by hand".into(), by: None });
    }
}

fn until(millis: u64) -> ReplyOn {
    ReplyOn::Settled { until: Timestamp::from_millis(millis) }
}

#[test]
fn who_waits_where_a_transaction_is_driven_is_told_the_end_others_gave_it() {
    let mut bench = Bench::shared(saga());
    bench.tell(2, "g", create(saga()), FAR);
    bench.forced();
    bench.wait(REFRESH_MS - 1);
    assert!(bench.is_quiet() && bench.replies.is_empty(), "a short wait costs no read");
    bench.wait(1);
    bench.load();
    assert_eq!(bench.told(), [(2, Ok(Status::RolledBack))]);
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn who_waits_since_the_creation_is_told_the_end_others_gave_it() {
    let mut bench = Bench::shared(saga());
    bench.tell(2, "h", create(saga()), FAR);
    bench.commit();
    bench.calls.clear();
    bench.elsewhere("h", abort());
    bench.elsewhere("h", Command::Force { to: ForceTo::RolledBack, reason: "by hand".into(), by: None });
    bench.wait(REFRESH_MS);
    assert_eq!(bench.loads, [g("h")], "nobody waits for the other one");
    bench.load();
    assert_eq!(bench.told(), [(2, Ok(Status::RolledBack))]);
}

#[test]
fn what_is_waited_for_is_read_at_a_bounded_pace_and_not_when_it_moves_by_itself() {
    let mut bench = Bench::shared(saga());
    bench.tell(2, "g", create(saga()), FAR);
    for _ in 0..3 {
        bench.wait(REFRESH_MS - 1);
        assert!(bench.loads.is_empty());
        bench.wait(1);
        assert_eq!(bench.loads, [g("g")]);
        bench.load();
        assert!(bench.is_quiet() && bench.replies.is_empty(), "its call is still under way");
    }
    let mut bench = Bench::running(saga());
    bench.shard = Shard::new(ShardOptions { refresh_after_ms: Some(REFRESH_MS), ..ShardOptions::default() });
    bench.tell(2, "h", create(saga()), FAR);
    bench.commit();
    bench.calls.remove(0);
    bench.wait(REFRESH_MS - 1);
    bench.answer("done");
    bench.commit();
    bench.wait(REFRESH_MS - 1);
    assert!(bench.loads.is_empty(), "what it wrote is as good as a read");
}

#[test]
fn a_wait_that_is_over_is_answered_with_what_a_read_finds_if_memory_is_old() {
    let mut bench = Bench::shared(saga());
    bench.tell(2, "g", create(saga()), until(REFRESH_MS));
    bench.taken(abort());
    bench.wait(REFRESH_MS);
    assert!(bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(2, Ok(Status::RollingBack))]);
    assert!(bench.shard.is_empty(), "it is somebody else's");

    let mut bench = Bench::shared(saga());
    bench.tell(2, "g", create(saga()), until(REFRESH_MS - 1));
    bench.wait(REFRESH_MS - 1);
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
    assert!(bench.is_quiet());
}

#[test]
fn a_command_that_changes_nothing_is_answered_from_a_read_if_memory_is_old() {
    let repetition = || create(saga());
    for (command, told) in [
        (repetition(), Ok(Status::RollingBack)),
        (Command::Replay { branch: None }, Ok(Status::RollingBack)),
        (
            Command::Commit,
            Err(Rejection::IllegalState {
                what: "commit",
                status: Status::RollingBack,
                why: "; it was decided to roll back",
            }),
        ),
    ] {
        let mut bench = Bench::shared(saga());
        bench.taken(abort());
        bench.wait(REFRESH_MS - 1);
        bench.send(2, "g", repetition());
        assert_eq!(bench.told(), [(2, Ok(Status::Running))], "it is not as old as that");
        bench.wait(1);
        bench.send(3, "g", command);
        assert_eq!((bench.loads.len(), bench.replies.len()), (1, 1));
        bench.load();
        assert_eq!(bench.told()[1], (3, told));
    }
}

#[test]
fn a_command_that_changes_something_is_written_without_a_read_however_old_memory_is() {
    let mut bench = Bench::shared(saga());
    bench.wait(10 * REFRESH_MS);
    bench.send(2, "g", abort());
    assert!(bench.loads.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::RollingBack))]);
    bench.send(3, "g", abort());
    assert_eq!(bench.told().len(), 2, "a write is as good as a read");
}

#[test]
fn what_is_being_written_is_not_read_for_those_who_wait() {
    let mut bench = Bench::running(saga());
    bench.shard = Shard::new(ShardOptions { refresh_after_ms: Some(REFRESH_MS), ..ShardOptions::default() });
    bench.tell(2, "h", create(saga()), until(REFRESH_MS + 1));
    bench.wait(2 * REFRESH_MS);
    bench.send(3, "h", create(saga()));
    assert!(bench.loads.is_empty() && bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Running)), (3, Ok(Status::Running))]);
}

#[test]
fn where_nobody_else_writes_nothing_is_read_again() {
    let mut bench = Bench::running(saga());
    bench.calls.clear();
    bench.tell(2, "g", create(saga()), until(999_999));
    bench.wait(999_000);
    bench.send(3, "g", create(saga()));
    bench.wait(999);
    assert_eq!(bench.told(), [(3, Ok(Status::Running)), (2, Ok(Status::Running))]);
    assert!(bench.is_quiet());
}

#[test]
fn who_waits_is_told_when_a_read_for_it_fails_and_the_transaction_comes_back() {
    let mut bench = Bench::shared(saga());
    bench.tell(2, "g", create(saga()), FAR);
    bench.wait(REFRESH_MS);
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(2, Err(Rejection::Unavailable))]);
    bench.wait(500);
    bench.load();
    assert!(bench.is_quiet() && bench.shard.drives(&g("g")), "its call is still under way");
}

#[test]
fn what_time_makes_due_is_called_only_after_a_look_at_what_others_did() {
    let mut bench = Bench::shared(open(Pattern::Message, "a"));
    bench.taken(Command::Commit);
    bench.wait(10_000);
    assert!(bench.calls.is_empty(), "the check is not made on old knowledge");
    bench.load();
    assert!(bench.calls.is_empty() && bench.shard.is_empty(), "it was submitted elsewhere");

    let mut bench = Bench::shared(open(Pattern::Message, "a"));
    bench.wait(10_000);
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    assert_eq!(bench.calls.len(), 1, "nobody did anything: the check is made");
    assert!(bench.loads.is_empty(), "and not read for again");
}

#[test]
fn calls_that_time_makes_due_are_made_without_a_look_a_second_after_a_write_and_during_one() {
    let answered = |bench: &mut Bench, branch: u32, words: &[&str]| {
        let key = CallKey { branch: Some(branch), op: Op::Action, attempt: 1 };
        bench.handle(Message::Answer { gid: g("g"), key, answer: answer(words) });
    };
    for (after_ms, looks) in [(1_000, false), (1_001, true)] {
        let mut bench = Bench::shared(declared(Pattern::Saga, "a"));
        answered(&mut bench, 0, &["ongoing", &after_ms.to_string()]);
        bench.commit();
        bench.wait(after_ms);
        assert_eq!(bench.loads.len(), usize::from(looks), "after {after_ms} ms");
    }
    let mut bench = Bench::shared(declared(Pattern::Saga, "a b"));
    answered(&mut bench, 0, &["ongoing", "3000"]);
    bench.commit();
    bench.wait(2_999);
    answered(&mut bench, 1, &["unknown"]);
    bench.wait(1);
    bench.commit();
    assert!(bench.loads.is_empty(), "had others moved it, the write would have found that out");
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
}
