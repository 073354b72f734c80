//! Transactions that another coordinator owns: how they are answered for, and how a command takes one over.

mod adopted;

use super::*;

impl Bench {
    /// Somebody else owns what is durable.
    pub(super) fn foreign(draft: Draft) -> Self {
        let mut bench = Self::new();
        bench.elsewhere("g", create(draft));
        bench.foreign.insert(g("g"));
        bench
    }

    /// Somebody else takes the transaction over, without moving it.
    fn adopted_from(&mut self) {
        self.foreign.insert(g("g"));
    }

    /// This coordinator takes the transaction over.
    pub(super) fn adopt(&mut self) {
        self.foreign.remove(&g("g"));
        self.shard.handle_adopted(&g("g"));
        self.pump();
    }

    pub(super) fn lapse(&mut self) {
        self.shard.handle_lapse();
        self.pump();
    }

    /// Appends, as somebody else, that the oldest call under way was done.
    fn done_elsewhere(&mut self) {
        let key = self.calls[0].key;
        let state = self.store.load(&g("g"));
        let events = decide(state.as_ref(), &Input::Answer(key, answer(&["done"])), self.now).unwrap();
        let (_, records) = advance(state, &g("g"), events, self.now);
        assert!(self.store.append(&records).is_empty());
    }
}

#[test]
fn a_foreign_transaction_is_answered_for_and_not_driven() {
    let mut bench = Bench::foreign(Draft { deadline_ms: Some(1_000), ..open(Pattern::Tcc, "a") });
    bench.now = Timestamp::from_millis(5_000);
    bench.send(1, "g", Command::Replay { branch: None });
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Open))], "its deadline is for its owner to see");
    assert!(bench.is_quiet() && bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_foreign_transaction_makes_no_calls_while_somebody_waits_for_it() {
    let mut bench = Bench::foreign(saga());
    bench.tell(1, "g", create(saga()), FAR);
    bench.commit();
    bench.load();
    assert!(bench.is_quiet() && bench.replies.is_empty() && !bench.shard.drives(&g("g")));
    bench.wait(499);
    assert!(bench.is_quiet());
    bench.wait(1);
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    assert!(bench.is_quiet() && bench.replies.is_empty());
}

#[test]
fn a_command_that_moves_a_foreign_transaction_makes_it_ours_and_writes_its_row() {
    let mut bench = Bench::foreign(open(Pattern::Tcc, ""));
    bench.send(1, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "a"))));
    bench.load();
    bench.commit();
    assert!(bench.foreign.is_empty());
    assert_eq!(bench.told(), [(1, Ok(Status::Open))]);

    let mut bench = Bench::foreign(declared(Pattern::Saga, "a"));
    bench.adopt();
    bench.load();
    bench.answer("unknown");
    bench.commit();
    bench.adopted_from();
    bench.lapse();
    bench.load();
    assert!(bench.shard.is_empty());
    bench.send(1, "g", Command::Replay { branch: None });
    bench.load();
    let rows = &bench.batch.as_ref().unwrap().rows;
    assert_eq!(rows.len(), 1, "a list sees no change, but its owner is another");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
}

#[test]
fn an_answer_for_a_foreign_transaction_changes_nothing_and_is_not_recorded() {
    for waited_for in [true, false] {
        let mut bench = Bench::running(saga());
        if waited_for {
            bench.tell(1, "g", create(saga()), FAR);
        }
        bench.adopted_from();
        bench.lapse();
        bench.load();
        assert_eq!(bench.shard.is_empty(), !waited_for);
        bench.answer("done");
        assert!(bench.is_quiet(), "its owner asks as well, and hears for itself");
    }
}

#[test]
fn answers_and_commands_that_wait_for_a_read_find_it_foreign() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    bench.adopted_from();
    bench.lapse();
    bench.answer("done");
    bench.send(1, "g", Command::Replay { branch: None });
    bench.answer("done");
    bench.load();
    assert_eq!((bench.loads.len(), bench.replies.len()), (1, 0), "the command is younger than that read");
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert!(bench.is_quiet() && bench.shard.is_empty());
    bench.adopt();
    bench.load();
    assert_eq!(bench.under_way(), ["g/a.action#1", "g/b.action#1"], "what ended is asked for again");
}

#[test]
fn after_a_conflict_with_another_owner_the_transaction_is_let_go() {
    let mut bench = Bench::running(saga());
    bench.tell(1, "g", create(saga()), FAR);
    let action = bench.answer("done");
    bench.send(2, "g", Command::Commit);
    bench.taken(abort());
    bench.commit();
    assert!(bench.calls.is_empty() && bench.replies.is_empty());
    bench.load();
    let told = bench.told();
    let refused = matches!(told[..], [(2, Err(Rejection::IllegalState { status: Status::RollingBack, .. }))]);
    assert!(refused, "a command is decided again: {told:?}");
    assert!(bench.is_quiet(), "an answer is not");
    bench.answer_to(&action, "done");
    assert!(bench.is_quiet());
    bench.taken(Command::Force { to: ForceTo::RolledBack, reason: "by hand".into(), by: None });
    bench.wait(500);
    bench.load();
    assert_eq!(bench.told()[1], (1, Ok(Status::RolledBack)));
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_conflict_on_what_is_still_ours_is_no_reason_to_let_go() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    bench.elsewhere("g", abort());
    bench.commit();
    bench.load();
    while bench.batch.is_some() {
        bench.commit();
    }
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
}

#[test]
fn who_waits_for_a_foreign_end_is_told_at_its_time_where_it_stands() {
    let mut bench = Bench::foreign(saga());
    for (ticket, millis) in [(1, 300), (2, 800)] {
        let until = Timestamp::from_millis(millis);
        bench.tell(ticket, "g", create(saga()), ReplyOn::Settled { until });
    }
    bench.commit();
    bench.load();
    bench.wait(300);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    bench.load();
    bench.taken(abort());
    bench.wait(500);
    assert_eq!(bench.told()[1], (2, Ok(Status::Running)), "as old as the last read");
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn commands_do_not_put_off_the_next_look_at_a_foreign_transaction() {
    let mut bench = Bench::foreign(saga());
    bench.tell(1, "g", create(saga()), FAR);
    bench.commit();
    bench.load();
    bench.taken(abort());
    for ticket in 2..9 {
        bench.wait(100);
        bench.send(ticket, "g", create(saga()));
        bench.load();
        assert_eq!(
            bench.told().last(),
            Some(&(ticket, Ok(Status::RollingBack))),
            "no older than the question"
        );
    }
    bench.taken(Command::Force { to: ForceTo::RolledBack, reason: "by hand".into(), by: None });
    bench.wait(500);
    bench.load();
    assert_eq!(bench.told().last(), Some(&(1, Ok(Status::RolledBack))));
}

#[test]
fn who_waits_is_told_the_end_and_not_that_the_command_came_too_late() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") }));
    bench.commit();
    bench.tell(2, "g", Command::Commit, FAR);
    bench.commit();
    bench.taken(Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None });
    bench.lapse();
    bench.load();
    assert_eq!(bench.told()[1..], [(2, Ok(Status::Committed))]);
}

#[test]
fn who_waits_after_a_replay_does_not_replay_at_every_look() {
    let mut bench = Bench::foreign(saga());
    bench.tell(1, "g", Command::Replay { branch: None }, FAR);
    bench.load();
    bench.adopt();
    bench.load();
    bench.answer("unknown");
    bench.commit();
    bench.adopted_from();
    bench.lapse();
    bench.load();
    assert!(bench.is_quiet(), "the retry is its owner's");
    assert!(!bench.shard.is_empty());
}

#[test]
fn who_waits_for_what_was_deleted_meanwhile_does_not_start_it_again() {
    let mut bench = Bench::foreign(saga());
    bench.tell(1, "g", create(saga()), FAR);
    bench.commit();
    bench.load();
    bench.store = Store::default();
    bench.wait(500);
    bench.load();
    assert_eq!(bench.told(), [(1, Err(Rejection::NotFound))]);
    assert!(bench.is_quiet() && bench.shard.is_empty());
}

#[test]
fn who_waits_is_told_when_the_store_does_not_answer() {
    let mut bench = Bench::foreign(saga());
    bench.tell(1, "g", create(saga()), FAR);
    bench.commit();
    bench.load();
    bench.wait(500);
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(1, Err(Rejection::Unavailable))]);
    bench.wait(500);
    bench.load();
    assert!(bench.is_quiet() && bench.shard.is_empty());
}
