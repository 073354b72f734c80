//! Rules of repeating calls: backoff, ongoing, exhaustion, parking.

use expect_test::expect;

use super::trace::{attempts, calling, created, deadline, saga, tcc};
use crate::spec::{OnExhausted, RetryPolicy};

fn policy(initial_ms: u64, factor_permille: u32, max_interval_ms: u64) -> RetryPolicy {
    RetryPolicy {
        initial_ms,
        factor_permille,
        max_interval_ms,
        jitter_permille: 0,
        max_attempts: None,
        ..RetryPolicy::default()
    }
}

#[test]
fn delays_grow_by_the_factor_and_are_capped() {
    let delays = |policy: RetryPolicy| (1..=7).map(|n| policy.delay_ms(n, 0)).collect::<Vec<_>>();
    assert_eq!(delays(policy(100, 2_000, 1_000)), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
    assert_eq!(delays(policy(100, 1_500, 400)), [100, 150, 225, 337, 400, 400, 400]);
    assert_eq!(delays(policy(100, 1_000, 1_000)), [100; 7]);
    assert_eq!(delays(policy(5_000, 2_000, 1_000)), [1_000; 7]);
    assert_eq!(delays(policy(0, 2_000, 1_000)), [0; 7]);
}

#[test]
fn a_factor_above_one_always_makes_the_delay_longer() {
    let delays: Vec<u64> = (1..=8).map(|n| policy(1, 1_500, 100).delay_ms(n, 0)).collect();
    assert!(delays.is_sorted_by(|a, b| a < b), "{delays:?} does not grow");
}

#[test]
fn absurd_numbers_neither_overflow_nor_hang() {
    assert_eq!(policy(u64::MAX, u32::MAX, u64::MAX).delay_ms(u32::MAX, 1_000), u64::MAX);
    assert_eq!(policy(1, 2_000, u64::MAX).delay_ms(1_000_000, 0), u64::MAX);
    let jittered = RetryPolicy { jitter_permille: u32::MAX, ..policy(1_000, 2_000, 1_000) };
    assert_eq!(jittered.delay_ms(1, u32::MAX), 0);
}

#[test]
fn a_call_may_go_unsent_as_long_as_the_attempts_that_are_left_would_take_and_a_minute_at_least() {
    let most = |policy: RetryPolicy, max| RetryPolicy { max_attempts: Some(max), ..policy };
    let (growing, steady) = (policy(200, 2_000, 30_000), policy(30_000, 1_000, 60_000));
    assert_eq!(growing.not_sent_ms_max(0), None);
    assert_eq!(most(growing, 11).not_sent_ms_max(0), Some(111_000));
    assert_eq!(most(growing, 11).not_sent_ms_max(8), Some(60_000));
    assert_eq!(most(steady, 5).not_sent_ms_max(0), Some(120_000));
    assert_eq!(most(steady, 5).not_sent_ms_max(1), Some(90_000));
    assert_eq!(most(steady, u32::MAX).not_sent_ms_max(0), Some(30_000 * u64::from(u32::MAX - 1)));
}

#[test]
fn jitter_shortens_by_at_most_its_share() {
    let jittered = RetryPolicy { jitter_permille: 500, ..policy(1_000, 2_000, 10_000) };
    assert_eq!(jittered.delay_ms(1, 0), 1_000);
    assert_eq!(jittered.delay_ms(1, 500), 750);
    assert_eq!(jittered.delay_ms(1, 1_000), 500);
    assert_eq!(jittered.delay_ms(3, 1_000), 2_000);
}

#[test]
fn a_call_without_a_usable_answer_is_repeated_with_backoff() {
    created(saga("a")).shows(expect![[r#"
        > a.action unknown
        a.action#1 unknown, again @200
        = running  a.action#2@200  wake @200
        > +200
        = running  a.action#2
        > a.action unknown
        a.action#2 unknown, again @600
        = running  a.action#3@600  wake @600
        > +399
        = running  a.action#3@600  wake @600
        > +1
        = running  a.action#3
        > a.action unknown
        a.action#3 unknown, again @1400
        = running  a.action#4@1400  wake @1400
        > +800
        = running  a.action#4
        > a.action done
        a.action#4 done
        committed
        = committed
    "#]]);
}

#[test]
fn ongoing_asks_again_after_the_stated_or_the_default_delay_and_does_not_count_as_a_failure() {
    created(calling(saga("a"), attempts(2, OnExhausted::Park))).shows(expect![[r#"
        > a.action ongoing
        a.action#1 ongoing, again @1000
        = running  a.action#2@1000  wake @1000
        > +1000
        = running  a.action#2
        > a.action ongoing 250
        a.action#2 ongoing, again @1250
        = running  a.action#3@1250  wake @1250
        > +250
        = running  a.action#3
        > a.action unknown
        a.action#3 unknown, again @1450
        = running  a.action#4@1450  wake @1450
        > +200
        = running  a.action#4
        > a.action ongoing
        a.action#4 ongoing, again @2450
        = running  a.action#5@2450  wake @2450
        > +1000
        = running  a.action#5
        > a.action done
        a.action#5 done
        committed
        = committed
    "#]]);
}

#[test]
fn an_ongoing_delay_is_bounded() {
    created(saga("a")).shows(expect![[r#"
        > a.action ongoing 999999999
        a.action#1 ongoing, again @3600000
        = running  a.action#2@3600000  wake @3600000
    "#]]);
}

#[test]
fn exhausted_attempts_park_and_the_deadline_still_counts() {
    created(calling(deadline(10_000, saga("a b")), attempts(1, OnExhausted::Park))).shows(expect![[r#"
        > a.action unknown
        a.action#1 unknown, again @200
        op_parked a.action: exhausted
        = running, parked (exhausted)  b.action#1  wake @10000
        > b.action done
        b.action#1 done
        = running, parked (exhausted)  wake @10000
        > +10000
        rollback_begun: deadline, waiting for a
        = rolling_back  a.compensate#1  b.compensate#1
        > a.compensate done
        a.compensate#1 done
        = rolling_back  b.compensate#1
        > b.compensate done
        b.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn exhausted_attempts_of_a_forward_op_roll_back_if_the_policy_says_so() {
    let run = created(calling(tcc("a b"), attempts(2, OnExhausted::RollBack))).after("a.try unknown");
    run.shows(expect![[r#"
        > a.try unknown
        a.try#2 unknown, again @400
        rollback_begun: exhausted a
        = rolling_back  a.cancel#1  b.cancel#1
        > b.try done
        b.try#1 done
        = rolling_back  a.cancel#1  b.cancel#1
        > a.cancel done
        a.cancel#1 done
        = rolling_back  b.cancel#1
        > b.cancel done
        b.cancel#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn exhausted_attempts_after_the_decision_park_whatever_the_policy_says() {
    created(calling(tcc("a"), attempts(1, OnExhausted::RollBack))).after("a.try done").shows(expect![[r#"
        > a.confirm unknown
        a.confirm#1 unknown, again @200
        op_parked a.confirm: exhausted
        = committing, parked (exhausted)
        > abort
        ! cannot abort: the transaction is committing; it was decided to commit
        = committing, parked (exhausted)
        > replay
        replayed
        = committing  a.confirm#2
        > a.confirm done
        a.confirm#2 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_parked_op_does_not_stop_its_siblings() {
    created(calling(saga("a b c<b"), attempts(1, OnExhausted::Park))).after("a.action unknown").shows(
        expect![[r#"
        > b.action done
        b.action#1 done
        = running, parked (exhausted)  c.action#1
        > c.action done
        c.action#1 done
        = running, parked (exhausted)
        > replay
        replayed
        = running  a.action#2
        > a.action done
        a.action#2 done
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_parked_op_takes_a_refusal_that_comes_in_late() {
    let run = created(calling(saga("a"), attempts(1, OnExhausted::Park))).after("a.action unknown");
    run.shows(expect![[r#"
        > a.action#2 refused
        a.action#2 refused
        rollback_begun: refused by a, no
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}
