//! Calls of the forward op made in another way than those that undo it, and what ongoing answers count for.

use std::sync::Arc;

use expect_test::expect;
use trine_protocol::Pattern::Message;

use super::trace::{attempts, calling, created, dialect, message, open, saga};
use crate::spec::{CallPolicy, Draft, OnExhausted, RetryPolicy, SharedPolicy};

/// `limit` repetitions without a pause, then rolled back; undoing as usual.
fn limited(mut draft: Draft, limit: u32) -> Draft {
    let retry = RetryPolicy {
        initial_ms: 0,
        max_interval_ms: 0,
        jitter_permille: 0,
        max_attempts: Some(limit + 1),
        ..RetryPolicy::default()
    };
    let on_exhausted = OnExhausted::RollBack;
    let forward = CallPolicy { retry, on_exhausted, ongoing_counts: true, ..CallPolicy::default() };
    for branch in &mut draft.branches {
        Arc::make_mut(branch).call = SharedPolicy::with_forward(*branch.call, forward);
    }
    draft
}

#[test]
fn actions_are_repeated_at_once_and_roll_back_when_the_limit_is_reached() {
    created(limited(saga("a b<a"), 2)).after("a.action done").shows(expect![[r#"
        > b.action unknown
        b.action#1 unknown, again @0
        = running  b.action#2
        > b.action unknown
        b.action#2 unknown, again @0
        = running  b.action#3
        > b.action unknown
        b.action#3 unknown, again @0
        rollback_begun: exhausted b
        = rolling_back  b.compensate#1
        > b.compensate done
        b.compensate#1 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn ongoing_answers_use_the_limit_up_whatever_delay_they_ask_for() {
    created(limited(saga("a"), 2)).shows(expect![[r#"
        > a.action ongoing
        a.action#1 ongoing, again @0
        = running  a.action#2
        > a.action unknown
        a.action#2 unknown, again @0
        = running  a.action#3
        > a.action ongoing 60000
        a.action#3 ongoing, again @0
        rollback_begun: exhausted a
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_action_that_is_done_within_the_limit_commits() {
    created(limited(saga("a"), 1)).shows(expect![[r#"
        > a.action ongoing
        a.action#1 ongoing, again @0
        = running  a.action#2
        > a.action done
        a.action#2 done
        committed
        = committed
    "#]]);
}

#[test]
fn each_branch_has_a_limit_of_its_own() {
    created(limited(saga("a b"), 1)).shows(expect![[r#"
        > a.action unknown
        a.action#1 unknown, again @0
        = running  a.action#2  b.action#1
        > b.action unknown
        b.action#1 unknown, again @0
        = running  a.action#2  b.action#2
        > a.action done
        a.action#2 done
        = running  b.action#2
        > b.action done
        b.action#2 done
        committed
        = committed
    "#]]);
}

#[test]
fn compensations_keep_the_usual_policy_and_never_park() {
    created(limited(saga("a"), 0)).after("a.action unknown").shows(expect![[r#"
        > a.compensate unknown
        a.compensate#1 unknown, again @200
        = rolling_back  a.compensate#2@200  wake @200
        > +200
        = rolling_back  a.compensate#2
        > a.compensate ongoing
        a.compensate#2 ongoing, again @1200
        = rolling_back  a.compensate#3@1200  wake @1200
        > +1000
        = rolling_back  a.compensate#3
        > a.compensate unknown
        a.compensate#3 unknown, again @1600
        = rolling_back  a.compensate#4@1600  wake @1600
        > +400
        = rolling_back  a.compensate#4
        > a.compensate unknown
        a.compensate#4 unknown, again @2400
        = rolling_back  a.compensate#5@2400  wake @2400
        > +800
        = rolling_back  a.compensate#5
        > a.compensate refused
        a.compensate#5 unknown, again @4000 (compensate may not be refused, yet the answer was no: no)
        = rolling_back  a.compensate#6@4000  wake @4000
        > +1600
        = rolling_back  a.compensate#6
        > a.compensate done
        a.compensate#6 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_ongoing_answer_that_names_no_delay_waits_as_the_policy_says() {
    let slow = CallPolicy { ongoing_ms: 10_000, ..CallPolicy::default() };
    created(calling(saga("a"), slow)).shows(expect![[r#"
        > a.action ongoing
        a.action#1 ongoing, again @10000
        = running  a.action#2@10000  wake @10000
        > +10000
        = running  a.action#2
        > a.action ongoing 3000
        a.action#2 ongoing, again @13000
        = running  a.action#3@13000  wake @13000
        > +3000
        = running  a.action#3
        > a.action refused
        a.action#3 refused
        rollback_begun: refused by a, no
        = rolling_back  a.compensate#1
        > a.compensate ongoing
        a.compensate#1 ongoing, again @23000
        = rolling_back  a.compensate#2@23000  wake @23000
        > +10000
        = rolling_back  a.compensate#2
        > a.compensate done
        a.compensate#2 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn ongoing_answers_do_not_count_unless_the_policy_says_so() {
    created(calling(saga("a"), attempts(2, OnExhausted::RollBack))).after("a.action unknown; +200").shows(
        expect![[r#"
        > a.action ongoing
        a.action#2 ongoing, again @1200
        = running  a.action#3@1200  wake @1200
        > +1000
        = running  a.action#3
        > a.action ongoing
        a.action#3 ongoing, again @2200
        = running  a.action#4@2200  wake @2200
        > +1000
        = running  a.action#4
        > a.action unknown
        a.action#4 unknown, again @2600
        rollback_begun: exhausted a
        = rolling_back  a.compensate#1
    "#]],
    );
}

#[test]
fn a_check_counts_ongoing_answers_if_its_policy_says_so() {
    let check_call = CallPolicy { ongoing_counts: true, ..attempts(2, OnExhausted::Park) }.into();
    created(Draft { check_call, ..dialect(open(Message, "a")) }).after("+10000").shows(expect![[r#"
        > check ongoing 9000
        check#1 ongoing, again @10200
        = open  check#2@10200  wake @10200
        > +200
        = open  check#2
        > check ongoing
        check#2 ongoing, again @10600
        op_parked check: exhausted
        = open, parked (exhausted)
        > replay
        replayed
        = open  check#3
        > check done
        check#3 done
        submitted
        = running  a.deliver#1
    "#]]);
}

#[test]
fn a_delivery_whose_attempts_are_used_up_parks_for_it_cannot_be_undone() {
    created(limited(message("a"), 1)).shows(expect![[r#"
        > a.deliver ongoing
        a.deliver#1 ongoing, again @0
        = running  a.deliver#2
        > a.deliver unknown
        a.deliver#2 unknown, again @0
        op_parked a.deliver: exhausted
        = running, parked (exhausted)
        > replay
        replayed
        = running  a.deliver#3
    "#]]);
}
