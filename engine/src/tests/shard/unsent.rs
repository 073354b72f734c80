//! Calls that cannot be sent, and those who wait for what is parked.

use super::*;

impl Bench {
    /// The call that is under way comes back unsent, and is offered again in a second.
    fn unsent(&mut self, reason: Option<&str>) {
        let call = self.calls.remove(0);
        let retry_at = self.now.plus_millis(1_000);
        self.handle(Message::NotSent {
            gid: g("g"),
            key: call.key,
            retry_at,
            reason: reason.map(str::to_owned),
        });
    }

    fn events(&self) -> Vec<&'static str> {
        let batch = self.batch.as_ref().map(|batch| batch.records.as_slice()).unwrap_or_default();
        batch.iter().map(|record| record.event.name()).collect()
    }
}

#[test]
fn a_call_that_goes_unsent_is_recorded_after_a_while_and_parks_where_attempts_are_limited() {
    let mut bench = Bench::running(limited("a"));
    for second in 0..=60 {
        bench.unsent(Some("nobody there"));
        match second {
            10 => assert_eq!(bench.events(), ["not_sent"]),
            60 => assert_eq!(bench.events(), ["not_sent", "op_parked"]),
            _ => assert!(bench.batch.is_none(), "at {second} s"),
        }
        if bench.batch.is_some() {
            bench.commit();
        }
        bench.wait(1_000);
    }
    assert!(bench.calls.is_empty());
    assert_eq!(bench.store.state(&g("g")).unwrap().parked(), Some("not_sent"));
}

#[test]
fn the_time_a_call_goes_unsent_begins_again_with_a_replay() {
    let mut bench = Bench::running(limited("a b"));
    bench.calls.truncate(1);
    for _ in 0..=60 {
        bench.unsent(Some("nobody there"));
        if bench.batch.is_some() {
            bench.commit();
        }
        bench.wait(1_000);
    }
    assert_eq!(bench.store.state(&g("g")).unwrap().parked(), Some("not_sent"));
    bench.send(2, "g", Command::Replay { branch: None });
    bench.commit();
    bench.unsent(Some("nobody there"));
    assert!(bench.batch.is_none());
}

#[test]
fn the_time_a_call_goes_unsent_goes_on_while_its_transaction_is_read_again() {
    let mut bench = Bench::running(limited("a"));
    for _ in 0..10 {
        bench.unsent(Some("nobody there"));
        bench.shard.handle_lapse();
        bench.pump();
        bench.load();
        bench.wait(1_000);
    }
    bench.unsent(Some("nobody there"));
    assert_eq!(bench.events(), ["not_sent"]);
}

#[test]
fn calls_this_coordinator_holds_back_say_nothing_of_whom_they_go_to() {
    let mut bench = Bench::running(limited("a"));
    for second in 0..=120 {
        bench.unsent(if second % 9 == 8 { None } else { Some("nobody there") });
        assert!(bench.batch.is_none(), "at {second} s");
        bench.wait(1_000);
    }
}

#[test]
fn who_waits_for_the_end_is_told_when_it_has_parked_instead() {
    let mut bench = Bench::new();
    let until = Timestamp::from_millis(300_000);
    bench.tell(1, "g", create(limited("a")), ReplyOn::Settled { until });
    bench.commit();
    bench.answer("unknown");
    assert!(bench.replies.is_empty(), "it is not durable yet");
    bench.commit();
    let told = |bench: &mut Bench| {
        let (ticket, result) = bench.replies.remove(0);
        let snapshot = result.unwrap();
        (ticket, snapshot.status, snapshot.parked, snapshot.waiting_on.map(|on| on.attempts))
    };
    assert_eq!(told(&mut bench), (1, Status::Running, true, Some(1)));
    // Whoever asks for what has parked already, and whoever sets it going again and sees it park once more.
    bench.tell(2, "g", create(limited("a")), ReplyOn::Settled { until });
    bench.commit();
    bench.load();
    assert_eq!(told(&mut bench), (2, Status::Running, true, Some(1)));
    bench.tell(3, "g", Command::Replay { branch: None }, ReplyOn::Settled { until });
    bench.load();
    bench.commit();
    assert!(bench.replies.is_empty(), "it goes on");
    bench.answer("unknown");
    bench.commit();
    assert_eq!(told(&mut bench), (3, Status::Running, true, Some(2)));
}

#[test]
fn who_waits_for_what_another_coordinator_has_parked_is_told_when_it_is_read() {
    let mut bench = Bench::new();
    let until = Timestamp::from_millis(300_000);
    bench.tell(1, "g", create(limited("a")), ReplyOn::Settled { until });
    bench.commit();
    let key = bench.calls.remove(0).key;
    bench.happens_elsewhere("g", &Input::Answer(key, answer(&["unknown"])));
    bench.shard.handle_lapse();
    bench.pump();
    bench.load();
    let (ticket, result) = bench.replies.remove(0);
    assert_eq!((ticket, result.unwrap().parked), (1, true));
}

#[test]
fn a_clock_that_may_be_wrong_gives_nobody_up() {
    let mut bench = Bench::running(limited("a"));
    bench.shard.handle_trust(false, bench.now);
    for _ in 0..=120 {
        bench.unsent(Some("nobody there"));
        assert!(bench.batch.is_none());
        bench.wait(1_000);
    }
    bench.shard.handle_trust(true, bench.now);
    bench.pump();
    for second in 0..=60 {
        bench.unsent(Some("nobody there"));
        match second {
            10 | 60 => bench.commit(),
            _ => assert!(bench.batch.is_none(), "at {second} s after it was right again"),
        }
        bench.wait(1_000);
    }
    assert_eq!(bench.store.state(&g("g")).unwrap().parked(), Some("not_sent"));
}
