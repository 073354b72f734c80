//! What is in memory, what leaves it and comes back: eviction, adoption, quarantine, the index.

use super::*;

#[test]
fn a_settled_transaction_leaves_memory_and_is_read_when_asked_for() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.answer("done");
    bench.commit();
    assert!(bench.shard.is_empty());
    bench.send(2, "g", abort());
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    assert!(matches!(bench.told()[..], [(2, Err(Rejection::IllegalState { .. }))]));
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_long_wait_leaves_memory_and_comes_back_when_it_is_due() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { start_delay_ms: 3_600_000, ..saga() }));
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!(row.due_at, Some(Timestamp::from_millis(3_600_000)));
    bench.commit();
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
    bench.now = Timestamp::from_millis(3_600_000);
    bench.shard.handle_wanted(&g("g"));
    bench.pump();
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_wait_stays_in_memory_unless_it_is_longer_than_the_shard_is_told() {
    let evict_after_ms = ShardOptions::default().evict_after_ms;
    for (longer_ms, committed_after_ms, leaves) in [(0, 0, false), (1, 1, false), (1, 0, true)] {
        let mut bench = Bench::new();
        bench.send(1, "g", create(Draft { start_delay_ms: evict_after_ms + longer_ms, ..saga() }));
        let due_at = bench.batch.as_ref().unwrap().rows[0].due_at;
        bench.now = Timestamp::from_millis(committed_after_ms);
        bench.commit();
        assert_eq!((due_at.is_some(), bench.shard.is_empty()), (longer_ms > 0, leaves));
    }
}

#[test]
fn a_parked_transaction_leaves_memory_and_replay_brings_it_back() {
    let mut bench = Bench::running(limited("a"));
    bench.answer("unknown");
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!((row.parked, row.due_at), (Some("exhausted"), Some(Timestamp::MAX)));
    bench.commit();
    assert!(bench.shard.is_empty());
    bench.send(2, "g", Command::Replay { branch: None });
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
}

#[test]
fn a_transaction_with_a_waiter_or_a_call_stays_in_memory() {
    let mut bench = Bench::new();
    let delayed = Draft { start_delay_ms: 3_600_000, ..saga() };
    bench.tell(1, "g", create(delayed), ReplyOn::Settled { until: Timestamp::from_millis(500) });
    bench.commit();
    assert!(!bench.shard.is_empty());
    bench.wait(500);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert!(bench.shard.is_empty(), "once the waiter is gone, it may leave");
}

#[test]
fn commands_for_what_does_not_exist_are_told_so_after_reading() {
    let mut bench = Bench::new();
    bench.send(1, "g", Command::Commit);
    assert!(bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(1, Err(Rejection::NotFound))]);
    assert!(bench.shard.is_empty());
}

#[test]
fn a_shard_is_full_when_the_forming_batch_is() {
    let mut bench = Bench::new();
    bench.shard = Shard::new(ShardOptions { batch_records_max: 2, ..ShardOptions::default() });
    bench.send(1, "g1", create(saga()));
    bench.send(2, "g2", create(saga()));
    assert!(!bench.shard.is_full());
    bench.send(3, "g3", create(saga()));
    assert!(bench.shard.is_full());
    bench.commit();
    assert!(!bench.shard.is_full());
}

#[test]
fn a_quarantined_transaction_makes_no_calls_until_it_is_replayed() {
    let mut bench = Bench::running(saga());
    bench.handle(Message::Quarantine { gid: g("g"), detail: "it panics".into() });
    bench.commit();
    bench.answer("unknown");
    assert!(bench.batch.is_none());
    bench.wait(60_000);
    assert!(bench.calls.is_empty());
    bench.send(2, "g", Command::Replay { branch: None });
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn quarantine_reads_what_is_not_in_memory_and_survives_a_lost_batch() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(saga()));
    bench.handle(Message::Quarantine { gid: g("g"), detail: "it panics".into() });
    bench.load();
    bench.fail(false);
    bench.load();
    bench.commit();
    assert_eq!(bench.store.state(&g("g")).unwrap().parked(), Some("quarantined"));
}

#[test]
fn wanting_twice_is_wanting_once() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(saga()));
    bench.shard.handle_wanted(&g("g"));
    bench.shard.handle_wanted(&g("g"));
    bench.pump();
    assert_eq!(bench.loads.len(), 1);
    bench.load();
    bench.shard.handle_wanted(&g("g"));
    bench.pump();
    assert!(bench.loads.is_empty());
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_command_waits_for_the_read_that_was_wanted_and_what_settled_leaves_again() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(open(Pattern::Tcc, "")));
    bench.shard.handle_wanted(&g("g"));
    bench.send(1, "g", abort());
    bench.pump();
    assert_eq!(bench.loads.len(), 1, "one read serves both");
    bench.load();
    bench.commit();
    assert!(!bench.shard.knows(&g("g")));
    bench.elsewhere("h", create(open(Pattern::Tcc, "")));
    bench.elsewhere("h", Command::Commit);
    bench.shard.handle_wanted(&g("h"));
    bench.pump();
    bench.load();
    assert!(!bench.shard.knows(&g("h")));
}

#[test]
fn a_deadline_that_passed_while_nobody_owned_it_counts_when_it_is_adopted() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(Draft { deadline_ms: Some(1_000), ..saga() }));
    bench.now = Timestamp::from_millis(5_000);
    bench.shard.handle_wanted(&g("g"));
    bench.pump();
    bench.load();
    assert!(bench.calls.is_empty(), "no action is started after the deadline");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
}

#[test]
fn an_index_row_is_written_when_it_changes_and_only_then() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!((row.status, row.parked, row.due_at), (Status::Running, None, None));
    assert_eq!(row.hosts, ["participant"]);
    bench.commit();
    bench.answer("done");
    assert!(bench.batch.as_ref().unwrap().rows.is_empty(), "nothing a list shows has changed");
    bench.commit();
    bench.answer("refused");
    assert_eq!(bench.batch.as_ref().unwrap().rows[0].status, Status::RollingBack);
}

#[test]
fn a_shard_tells_how_much_it_holds() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.send(2, "h", create(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") }));
    bench.commit();
    let held = |bench: &Bench| (bench.shard.len(), bench.shard.bytes());
    assert_eq!(held(&bench), (2, 4), "the payload of a branch is {{}}");
    bench.send(3, "h", Command::Register(Arc::new(branch(Pattern::Tcc, "b"))));
    assert_eq!(held(&bench), (2, 6));
    bench.commit();
    bench.answer("done");
    bench.commit();
    assert_eq!(held(&bench), (1, 4));
}

#[test]
fn a_shard_that_stops_tells_those_who_wait_what_is_durable() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(saga()), FAR);
    bench.tell(2, "h", create(saga()), FAR);
    bench.commit();
    bench.shard.handle_stop();
    bench.pump();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))], "the creation of h is still being written");
}

#[test]
fn the_transaction_that_was_worked_on_last_is_the_one_to_blame() {
    let mut bench = Bench::running(saga());
    assert_eq!(bench.shard.touching(), Some(&g("g")));
    bench.send(2, "h", create(saga()));
    assert_eq!(bench.shard.touching(), Some(&g("h")));
    bench.answer("unknown");
    assert_eq!(bench.shard.touching(), Some(&g("g")));
}
