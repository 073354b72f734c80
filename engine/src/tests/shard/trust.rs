//! While the time that is told cannot be believed, time alone decides nothing, and everything else goes on.

use super::*;

const DAYS_MS: u64 = 40 * 24 * 60 * 60 * 1_000;

impl Bench {
    fn trust(&mut self, trusted: bool) {
        self.shard.handle_trust(trusted, self.now);
        self.pump();
    }
}

#[test]
fn no_deadline_passes_by_a_clock_that_cannot_be_believed() {
    let mut bench = Bench::running(Draft { deadline_ms: Some(60_000), ..saga() });
    bench.trust(false);
    bench.wait(DAYS_MS);
    assert!(bench.batch.is_none(), "the deadline may well be to come");
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"], "calls and answers go on");
    bench.trust(true);
    bench.commit();
    assert_eq!(
        bench.status("g"),
        Some(Status::RollingBack),
        "it passes as soon as the clock is believed again"
    );
}

#[test]
fn nothing_starts_by_a_clock_that_cannot_be_believed() {
    let mut bench = Bench::new();
    bench.trust(false);
    bench.send(1, "g", create(Draft { start_delay_ms: 1_000, ..saga() }));
    bench.commit();
    bench.wait(DAYS_MS);
    assert!(bench.is_quiet());
    bench.trust(true);
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn nobody_is_checked_on_by_a_clock_that_cannot_be_believed() {
    for pattern in [Pattern::Message, Pattern::Workflow] {
        let mut bench = Bench::new();
        bench.send(1, "g", create(open(pattern, "")));
        bench.commit();
        bench.trust(false);
        bench.wait(DAYS_MS);
        assert!(bench.is_quiet(), "{pattern:?}: whom it would ask may be at work");
        bench.trust(true);
        assert_eq!(bench.under_way(), ["g/-.check#1"], "{pattern:?}");
    }
}

#[test]
fn nobody_to_ask_is_no_answer_by_a_clock_that_cannot_be_believed() {
    let mut bench = Bench::new();
    let unasked = Draft { check: None, ..open(Pattern::Message, "a") };
    bench.send(1, "g", create(super::super::trace::dialect(unasked)));
    bench.commit();
    bench.trust(false);
    bench.wait(DAYS_MS);
    assert!(bench.is_quiet());
    bench.trust(true);
    assert!(bench.batch.is_some(), "it counts as answered");
}

#[test]
fn retries_go_on_by_whatever_clock_there_is() {
    let mut bench = Bench::running(saga());
    bench.trust(false);
    for attempt in 2..5 {
        bench.answer("unknown");
        bench.commit();
        bench.wait(60_000);
        assert_eq!(bench.under_way(), [format!("g/a.action#{attempt}")]);
    }
}

#[test]
fn what_is_put_off_is_looked_at_now_and_then_and_not_again_and_again() {
    let mut bench = Bench::running(Draft { deadline_ms: Some(60_000), ..saga() });
    bench.trust(false);
    bench.wait(DAYS_MS);
    let again = bench.shard.poll_timeout().expect("a timer");
    assert_eq!(again.millis_since(bench.now), ShardOptions::default().reload_delay_ms);
}
