//! Whose a transaction is: what is foreign, what becomes ours, what is let go, and what is read again.

use super::*;

impl Bench {
    /// Somebody else owns what is durable.
    fn foreign(draft: Draft) -> Self {
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
    fn adopt(&mut self) {
        self.foreign.remove(&g("g"));
        self.shard.handle_adopted(&g("g"));
        self.pump();
    }

    fn lapse(&mut self) {
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
    assert!(bench.is_quiet() && bench.replies.is_empty());
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

    let retry = RetryPolicy { max_attempts: Some(9), ..RetryPolicy::default() };
    let call = CallPolicy { retry, ..CallPolicy::default() };
    let mut bench = Bench::foreign(calling(declared(Pattern::Saga, "a"), call));
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
    bench.taken(Command::Force { to: ForceTo::RolledBack, reason: "by hand".into(), by: None });
    bench.lapse();
    bench.load();
    assert_eq!(bench.told()[1..], [(2, Ok(Status::RolledBack))]);
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
        if adopted {
            bench.adopted_from();
        }
        bench.lapse();
        bench.commit();
        assert!(bench.calls.is_empty(), "others may be making it");
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
    for foreign in [false, true] {
        let mut bench = Bench::running(saga());
        bench.answer("unknown");
        bench.commit();
        bench.store.lose(&g("g"), 1);
        if foreign {
            bench.adopted_from();
        }
        bench.lapse();
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
