//! Answers that no retry mends: few attempts, spread over about a minute, and then a person, or the way back.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Workflow};

use super::trace::{attempts, calling, created, open, saga, tcc};
use crate::spec::{CallPolicy, OnExhausted, RetryPolicy};

fn patient(client_error_attempts: u32, on_exhausted: OnExhausted) -> CallPolicy {
    let retry = RetryPolicy { client_error_attempts, ..RetryPolicy::default() };
    CallPolicy { retry, on_exhausted, ..CallPolicy::default() }
}

#[test]
fn five_client_errors_over_a_minute_park_an_op_that_has_no_limit() {
    created(calling(saga("a"), CallPolicy::default())).shows(expect![[r#"
        > a.action client_error
        a.action#1 unknown, again @6000
        = running  a.action#2@6000  wake @6000
        > a.action client_error
        a.action#2 unknown, again @12000
        = running  a.action#3@12000  wake @12000
        > a.action client_error
        a.action#3 unknown, again @24000
        = running  a.action#4@24000  wake @24000
        > a.action client_error
        a.action#4 unknown, again @30000
        = running  a.action#5@30000  wake @30000
        > a.action client_error
        a.action#5 unknown, again @30000
        op_parked a.action: client_error
        = running, parked (client_error)
        > replay
        replayed
        = running  a.action#6
        > a.action done
        a.action#6 done
        committed
        = committed
    "#]]);
}

#[test]
fn any_other_answer_begins_the_count_again() {
    created(calling(saga("a"), patient(2, OnExhausted::Park))).shows(expect![[r#"
        > a.action client_error
        a.action#1 unknown, again @6000
        = running  a.action#2@6000  wake @6000
        > a.action unknown
        a.action#2 unknown, again @400
        = running  a.action#3@400  wake @400
        > a.action client_error
        a.action#3 unknown, again @6000
        = running  a.action#4@6000  wake @6000
        > a.action ongoing
        a.action#4 ongoing, again @1000
        = running  a.action#5@1000  wake @1000
        > a.action client_error
        a.action#5 unknown, again @6000
        = running  a.action#6@6000  wake @6000
        > a.action client_error
        a.action#6 unknown, again @12000
        op_parked a.action: client_error
        = running, parked (client_error)
    "#]]);
}

#[test]
fn a_forward_op_rolls_back_where_its_policy_says_so_and_its_branch_is_undone() {
    created(calling(saga("a b<a"), patient(1, OnExhausted::RollBack))).after("a.action done").shows(expect![
        [r#"
        > b.action client_error
        b.action#1 unknown, again @6000
        rollback_begun: exhausted b
        = rolling_back  b.compensate#1
        > b.compensate client_error
        b.compensate#1 unknown, again @6000
        op_parked b.compensate: client_error
        = rolling_back, parked (client_error)
    "#]
    ]);
}

#[test]
fn a_limit_that_comes_first_keeps_its_own_delays() {
    created(calling(saga("a"), attempts(2, OnExhausted::Park))).shows(expect![[r#"
        > a.action client_error
        a.action#1 unknown, again @200
        = running  a.action#2@200  wake @200
        > a.action client_error
        a.action#2 unknown, again @400
        op_parked a.action: exhausted
        = running, parked (exhausted)
    "#]]);
}

#[test]
fn client_errors_are_spread_whatever_the_factor_of_the_policy() {
    let steady = RetryPolicy { factor_permille: 1_000, ..RetryPolicy::default() };
    assert_eq!([1, 2, 3].map(|n| steady.client_error_delay_ms(n, n, 0)), [6_000, 12_000, 24_000]);
}

#[test]
fn the_longest_delay_of_a_policy_holds_for_client_errors() {
    let retry = RetryPolicy { max_interval_ms: 2_000, jitter_permille: 0, ..RetryPolicy::default() };
    created(calling(tcc("a"), CallPolicy { retry, ..CallPolicy::default() })).shows(expect![[r#"
        > a.try client_error
        a.try#1 unknown, again @2000
        = running  a.try#2@2000  wake @2000
        > a.try client_error
        a.try#2 unknown, again @2000
        = running  a.try#3@2000  wake @2000
    "#]]);
}

#[test]
fn checks_and_callbacks_park_too_and_a_sign_of_the_executor_begins_the_count_again() {
    created(calling(open(Message, "a"), patient(1, OnExhausted::Park))).after("+10000").shows(expect![[r#"
        > check client_error
        check#1 unknown, again @16000
        op_parked check: client_error
        = open, parked (client_error)
        > commit
        submitted
        = running  a.deliver#1
    "#]]);
    created(calling(open(Workflow, ""), patient(2, OnExhausted::Park))).after("+10000").shows(expect![[r#"
        > check client_error
        check#1 unknown, again @16000
        = open  check#2@16000  wake @16000
        > resume
        resumed
        = open  check#2@20000  wake @20000
        > check client_error
        check#2 unknown, again @20000
        = open  check#3@20000  wake @20000
        > check client_error
        check#3 unknown, again @22000
        op_parked check: client_error
        = open, parked (client_error)
        > finish committed
        finished committed, no reason
        = committed
    "#]]);
}

#[test]
fn a_late_client_error_of_an_action_that_is_being_undone_changes_nothing() {
    created(calling(saga("a"), patient(1, OnExhausted::Park))).after("abort").shows(expect![[r#"
        > a.action client_error
        a.action#1 unknown
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}
