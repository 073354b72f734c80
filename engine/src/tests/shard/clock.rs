//! The wall clock is set while transactions wait: nothing waits longer for it, and nothing that is in memory shorter.

use super::*;
use crate::shard::Wall;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const JUMPS_MS: [i64; 4] = [-HOUR_MS, HOUR_MS, -40 * DAY_MS, 40 * DAY_MS];
/// Late enough for the wall clock to be set back.
const START: Timestamp = Timestamp::from_millis(100 * DAY_MS.unsigned_abs());

/// A bench with a wall clock.
struct Clocked {
    bench: Bench,
    wall: Wall,
}

impl Clocked {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.now = START;
        Self { bench, wall: Wall::default() }
    }

    fn set_clock(&mut self, by_ms: i64) {
        self.wall.set(self.wall.lead_ms() + by_ms, self.bench.now);
        self.bench.shard.handle_clock(self.wall.clone());
        self.bench.pump();
    }

    fn create(&mut self, draft: Draft) {
        self.bench.send(1, "g", create(draft));
        self.bench.commit();
        self.bench.replies.clear();
    }

    /// It belongs in memory.
    fn want(&mut self) {
        self.bench.shard.handle_wanted(&g("g"));
        self.bench.pump();
        self.bench.load();
    }

    fn adopt(&mut self) {
        self.bench.shard.handle_adopted(&g("g"));
        self.bench.pump();
        self.bench.load();
    }

    /// Something came out that was not there.
    fn stirs(&self) -> bool {
        !self.bench.is_quiet() || !self.bench.replies.is_empty()
    }

    /// Whatever it is that comes next comes in `wait_ms`, not earlier and not later.
    #[track_caller]
    fn stirs_in(&mut self, wait_ms: u64, what: &str) {
        assert!(!self.stirs(), "{what} is not waited for");
        self.bench.wait(wait_ms - 1);
        assert!(!self.stirs(), "{what} came early");
        self.bench.wait(1);
        assert!(self.stirs(), "{what} is late");
    }
}

fn now_and_then() -> ShardOptions {
    ShardOptions { refresh_after_ms: Some(5_000), ..ShardOptions::default() }
}

/// Lets something wait; returns how long.
type Waits = fn(&mut Clocked) -> u64;

/// Every timer of a shard.
const TIMERS: [(&str, Waits); 12] = [
    ("a retry", |clocked| {
        clocked.create(saga());
        clocked.bench.answer("unknown");
        clocked.bench.commit();
        clocked.bench.shard.poll_timeout().unwrap().millis_since(clocked.bench.now)
    }),
    ("a call whose participant is at work", |clocked| {
        clocked.create(saga());
        clocked.bench.answer("ongoing 5000");
        clocked.bench.commit();
        5_000
    }),
    ("a deadline", |clocked| {
        clocked.create(Draft { deadline_ms: Some(8_000), ..open(Pattern::Tcc, "a") });
        8_000
    }),
    ("the deadline of a retry", |clocked| {
        let retry = RetryPolicy { initial_ms: 60_000, max_interval_ms: 60_000, ..RetryPolicy::default() };
        let call = CallPolicy { retry, ..CallPolicy::default() };
        clocked.create(Draft { deadline_ms: Some(9_000), ..calling(saga(), call) });
        clocked.bench.answer("unknown");
        clocked.bench.commit();
        9_000
    }),
    ("a check", |clocked| {
        clocked.create(Draft { check_after_ms: 10_000, ..open(Pattern::Message, "a") });
        10_000
    }),
    ("a callback", |clocked| {
        clocked.create(Draft { check_after_ms: 30_000, ..open(Pattern::Workflow, "") });
        30_000
    }),
    ("a start", |clocked| {
        clocked.create(Draft { start_delay_ms: 60_000, ..saga() });
        60_000
    }),
    ("who waits for the end", |clocked| {
        let until = clocked.bench.now.plus_millis(10_000);
        clocked.bench.tell(1, "g", create(open(Pattern::Tcc, "a")), ReplyOn::Settled { until });
        clocked.bench.commit();
        10_000
    }),
    ("who waits for quiet", |clocked| {
        let until = clocked.bench.now.plus_millis(7_000);
        clocked.bench.tell(1, "g", create(saga()), ReplyOn::Quiet { until });
        clocked.bench.commit();
        clocked.bench.calls.clear();
        7_000
    }),
    ("a call that found no place", |clocked| {
        clocked.create(saga());
        let (call, retry_at) = (clocked.bench.calls.remove(0), clocked.bench.now.plus_millis(4_000));
        clocked.bench.handle(Message::NotSent { gid: call.gid, key: call.key, retry_at, reason: None });
        4_000
    }),
    ("a read that failed", |clocked| {
        clocked.bench.shard.handle_wanted(&g("g"));
        clocked.bench.pump();
        clocked.bench.load_fails(LoadFailure::Unavailable);
        ShardOptions::default().reload_delay_ms
    }),
    ("what others may have ended", |clocked| {
        clocked.bench.shard = Shard::new(now_and_then());
        let until = clocked.bench.now.plus_millis(60_000);
        clocked.bench.tell(1, "g", create(open(Pattern::Tcc, "a")), ReplyOn::Settled { until });
        clocked.bench.commit();
        5_000
    }),
];

#[test]
fn every_timer_keeps_its_pace_whatever_the_wall_clock_is_set_to() {
    for (what, waits) in TIMERS {
        for by_ms in JUMPS_MS {
            let mut clocked = Clocked::new();
            let wait_ms = waits(&mut clocked);
            clocked.bench.wait(wait_ms / 2);
            clocked.set_clock(by_ms);
            clocked.stirs_in(wait_ms - wait_ms / 2, &format!("{what}, the clock set by {by_ms} ms,"));
        }
    }
}

#[test]
fn a_timer_that_begins_after_the_wall_clock_was_set_keeps_its_pace_as_well() {
    for (what, waits) in TIMERS {
        for by_ms in JUMPS_MS {
            let mut clocked = Clocked::new();
            clocked.set_clock(by_ms);
            let wait_ms = waits(&mut clocked);
            clocked.stirs_in(wait_ms, &format!("{what}, the clock set by {by_ms} ms before,"));
        }
    }
}

/// A transaction with a deadline in 8 s. The clock was set; a second later a record was written.
fn moved_after_the_clock_was_set(by_ms: i64) -> Clocked {
    let mut clocked = Clocked::new();
    clocked.create(Draft { deadline_ms: Some(8_000), ..open(Pattern::Tcc, "a") });
    clocked.set_clock(by_ms);
    clocked.bench.wait(1_000);
    clocked.bench.send(2, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "b"))));
    clocked.bench.commit();
    clocked.bench.replies.clear();
    clocked
}

#[test]
fn waits_go_on_where_they_were_when_a_transaction_is_read_again_after_the_clock_was_set() {
    for by_ms in JUMPS_MS {
        let mut clocked = moved_after_the_clock_was_set(by_ms);
        for read_fails in [false, true, false] {
            clocked.bench.wait(500);
            clocked.bench.shard.handle_lapse();
            clocked.bench.pump();
            if read_fails {
                clocked.bench.load_fails(LoadFailure::Unavailable);
            }
            clocked.bench.wait(500);
            clocked.bench.load();
        }
        clocked.stirs_in(4_000, &format!("the deadline, the clock set by {by_ms} ms,"));
    }
}

#[test]
fn waits_go_on_where_they_were_when_a_batch_is_lost_after_the_clock_was_set() {
    for by_ms in JUMPS_MS {
        let mut clocked = moved_after_the_clock_was_set(by_ms);
        clocked.bench.send(3, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "c"))));
        clocked.bench.fail(false);
        clocked.bench.load();
        clocked.bench.commit();
        clocked.bench.replies.clear();
        clocked.stirs_in(7_000, &format!("the deadline, the clock set by {by_ms} ms,"));
    }
}

#[test]
fn what_waits_for_a_person_leaves_memory_whatever_the_clock_shows() {
    for by_ms in JUMPS_MS {
        let mut clocked = Clocked::new();
        clocked.create(limited("a"));
        clocked.set_clock(by_ms);
        clocked.bench.answer("unknown");
        clocked.bench.commit();
        assert!(clocked.bench.shard.is_empty(), "the clock set by {by_ms} ms");
    }
}

#[test]
fn a_long_wait_that_left_memory_is_as_long_as_it_was_asked_for_once_it_is_wanted_again() {
    let delayed = Draft { start_delay_ms: 3_600_000, ..saga() };
    for (by_ms, repeated) in JUMPS_MS.into_iter().flat_map(|by_ms| [(by_ms, false), (by_ms, true)]) {
        let mut clocked = Clocked::new();
        clocked.create(delayed.clone());
        assert!(clocked.bench.shard.is_empty());
        clocked.bench.wait(600_000);
        clocked.set_clock(by_ms);
        clocked.bench.wait(1_000);
        if repeated {
            // The creation is taken for a new one, with the wall clock's time, until its append conflicts.
            clocked.create(delayed.clone());
            clocked.bench.load();
            clocked.bench.replies.clear();
        } else {
            clocked.want();
        }
        assert!(!clocked.bench.shard.is_empty(), "its row tells when it is due by a clock that was set");
        clocked.stirs_in(2_999_000, &format!("the start, the clock set by {by_ms} ms,"));
    }
}

#[test]
fn what_was_written_when_the_clock_showed_a_time_for_the_second_time_is_not_taken_for_older() {
    let mut clocked = Clocked::new();
    clocked.set_clock(-HOUR_MS);
    clocked.create(Draft { start_delay_ms: 3_600_000, ..saga() });
    assert!(clocked.bench.shard.is_empty());
    clocked.bench.wait(600_000);
    clocked.want();
    assert!(clocked.bench.shard.is_empty(), "by the clock as it is now it is not due for long");
    clocked.bench.wait(2_999_999);
    clocked.want();
    assert!(!clocked.stirs());
    clocked.bench.wait(1);
    clocked.want();
    assert!(clocked.stirs());
}

#[test]
fn what_this_coordinator_wrote_is_read_by_the_clock_of_that_time() {
    // The clock was right for 100 s and is an hour ahead (or 50 s behind) from then on. At 120 s a transaction is read.
    let behind_ms = -50_000;
    for (set_by_ms, written_at, lead_ms, why) in [
        (HOUR_MS, 20_000, 0, "before it was set"),
        (HOUR_MS, HOUR_MS + 110_000, HOUR_MS, "afterwards"),
        (HOUR_MS, 200_000, HOUR_MS, "by another clock: this one never showed that time"),
        (behind_ms, 60_000, 0, "shown twice, and the transaction has not left memory since it was set"),
        (behind_ms, 30_000, 0, "before it was set back"),
    ] {
        let mut clocked = Clocked::new();
        clocked.bench.wait(100_000);
        clocked.set_clock(set_by_ms);
        clocked.bench.now = START.plus_millis(written_at.unsigned_abs());
        clocked.bench.elsewhere("g", create(saga()));
        clocked.bench.now = START.plus_millis(120_000);
        clocked.want();
        let own_now = clocked.bench.shard.time_of(&g("g"), clocked.bench.now);
        assert_eq!(
            own_now.millis().cast_signed() - clocked.bench.now.millis().cast_signed(),
            lead_ms,
            "{why}"
        );
    }
}

#[test]
fn waits_of_a_journal_that_ends_in_the_future_are_counted_from_its_end() {
    for adopted in [true, false] {
        let mut clocked = Clocked::new();
        clocked.bench.now = START.plus_millis(40 * DAY_MS.unsigned_abs());
        clocked.bench.elsewhere("g", create(Draft { deadline_ms: Some(8_000), ..open(Pattern::Tcc, "a") }));
        clocked.bench.now = START;
        if adopted {
            clocked.adopt()
        } else {
            clocked.want()
        }
        clocked.stirs_in(8_000, "the deadline");
    }
}

#[test]
fn what_another_coordinator_wrote_is_read_by_the_wall_clock_as_it_is_now() {
    let hour_ms = HOUR_MS.unsigned_abs();
    // Written after this coordinator's clock was set right, or at a time that this clock showed before, an hour late.
    for (written_at, deadline_ms, wait_ms) in [(hour_ms + 2_000, 8_000, 4_000), (500, hour_ms + 8_000, 2_500)]
    {
        for waited_for in [false, true] {
            let mut clocked = Clocked::new();
            clocked.bench.wait(1_000);
            clocked.set_clock(HOUR_MS);
            let draft = Draft { deadline_ms: Some(deadline_ms), ..open(Pattern::Tcc, "a") };
            clocked.bench.now = START.plus_millis(written_at);
            clocked.bench.elsewhere("g", create(draft.clone()));
            clocked.bench.now = START.plus_millis(6_000);
            if waited_for {
                clocked.bench.foreign.insert(g("g"));
                let until = START.plus_millis(2 * hour_ms);
                clocked.bench.tell(1, "g", create(draft), ReplyOn::Settled { until });
                clocked.bench.commit();
                clocked.bench.load();
                clocked.bench.foreign.clear();
            }
            clocked.adopt();
            clocked.stirs_in(wait_ms, "the deadline");
        }
    }
}

#[test]
fn the_time_of_a_transaction_never_runs_backwards_and_a_new_one_takes_the_wall_clock_s() {
    for by_ms in JUMPS_MS {
        let mut clocked = Clocked::new();
        clocked.create(saga());
        clocked.set_clock(by_ms);
        clocked.bench.wait(10);
        clocked.bench.answer("unknown");
        clocked.bench.commit();
        let times: Vec<_> = clocked.bench.store.records(&g("g")).iter().map(|record| record.at).collect();
        assert_eq!(times, [START, START.plus_millis(10)], "set by {by_ms}");
        clocked.bench.send(2, "h", create(saga()));
        clocked.bench.commit();
        let new = clocked.bench.store.records(&g("h"))[0].at;
        assert_eq!(new, clocked.wall.at(clocked.bench.now), "set by {by_ms}");
    }
}

#[test]
fn a_clock_that_is_set_often_is_followed() {
    let mut clocked = Clocked::new();
    clocked.create(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") });
    // In the end it shows another time than in the beginning.
    for step in 0..31 {
        clocked.bench.wait(1_000);
        clocked.set_clock(JUMPS_MS[step % JUMPS_MS.len()]);
    }
    clocked.stirs_in(29_000, "the deadline");
}

#[test]
fn no_record_is_dated_before_the_record_that_it_follows_even_if_the_time_that_is_passed_goes_back() {
    let mut clocked = Clocked::new();
    clocked.create(saga());
    clocked.bench.now = Timestamp::from_millis(START.millis() - 1_000);
    clocked.bench.answer("done");
    clocked.bench.commit();
    let times: Vec<_> = clocked.bench.store.records(&g("g")).iter().map(|record| record.at).collect();
    assert_eq!(times, [START, START]);
}

#[test]
fn what_was_written_at_a_time_shown_twice_keeps_its_time_however_late_it_leaves_memory() {
    let mut clocked = Clocked::new();
    clocked.bench.wait(100_000);
    clocked.set_clock(-50_000);
    let delayed = create(Draft { start_delay_ms: 3_600_000, ..saga() });
    let until = |millis| ReplyOn::Settled { until: START.plus_millis(millis) };
    clocked.bench.tell(1, "g", delayed, until(200_000));
    clocked.bench.commit();
    clocked.bench.wait(100_000);
    assert!(clocked.bench.shard.is_empty());
    clocked.bench.wait(3_300_000);
    clocked.bench.tell(2, "g", Command::Look, until(9_999_999));
    clocked.bench.load();
    let (own, now) = (clocked.bench.shard.time_of(&g("g"), clocked.bench.now), clocked.bench.now);
    assert_eq!(now.millis() - own.millis(), 50_000);
}
