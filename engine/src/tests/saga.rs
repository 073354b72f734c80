//! Rules of sagas: order, parallelism, what is compensated and in which order.

use expect_test::expect;

use super::trace::{absent, attempts, calling, created, deadline, saga};
use crate::spec::{Draft, OnExhausted};

#[test]
fn actions_in_sequence_wait_for_each_other() {
    absent(saga("a b<a c<b")).shows(expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action done
        a.action#1 done
        = running  b.action#1
        > b.action done
        b.action#1 done
        = running  c.action#1
        > c.action done
        c.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn independent_branches_run_in_parallel_and_a_join_waits_for_all() {
    created(saga("a b<a c<a d<b,c")).shows(expect![[r#"
        > a.action done
        a.action#1 done
        = running  b.action#1  c.action#1
        > c.action done
        c.action#1 done
        = running  b.action#1
        > b.action done
        b.action#1 done
        = running  d.action#1
        > d.action done
        d.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn branches_run_in_the_order_of_their_dependencies_however_they_are_listed() {
    created(saga("b<a a")).shows(expect![[r#"
        > a.action done
        a.action#1 done
        = running  b.action#1
    "#]]);
}

#[test]
fn a_refusal_compensates_in_reverse_order_beginning_with_the_one_that_refused() {
    created(saga("a b<a c<b")).after("a.action done").shows(expect![[r#"
        > b.action refused
        b.action#1 refused
        rollback_begun: refused by b, no
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
fn a_branch_that_was_never_owed_is_not_compensated() {
    created(saga("a b<a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn the_only_branch_is_compensated_when_it_refuses() {
    created(saga("a")).shows(expect![[r#"
        > a.action refused
        a.action#1 refused
        rollback_begun: refused by a, no
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_action_without_a_usable_answer_is_compensated() {
    created(saga("a b<a")).after("a.action unknown").shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_diamond_is_undone_in_reverse_dependency_order() {
    let run = created(saga("a b<a c<a d<b,c")).after("a.action done; b.action done; c.action done");
    run.shows(expect![[r#"
        > d.action refused
        d.action#1 refused
        rollback_begun: refused by d, no
        = rolling_back  d.compensate#1
        > d.compensate done
        d.compensate#1 done
        = rolling_back  b.compensate#1  c.compensate#1
        > b.compensate done
        b.compensate#1 done
        = rolling_back  c.compensate#1
        > c.compensate done
        c.compensate#1 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn unrelated_branches_are_undone_in_parallel() {
    created(saga("a b c")).after("a.action done").shows(expect![[r#"
        > b.action refused
        b.action#1 refused
        rollback_begun: refused by b, no
        = rolling_back  a.compensate#1  b.compensate#1  c.compensate#1
        > c.compensate done
        c.compensate#1 done
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
fn a_branch_with_nothing_to_undo_is_left_out() {
    created(saga("a !b<a c<b")).after("a.action done; b.action done").shows(expect![[r#"
        > c.action refused
        c.action#1 refused
        rollback_begun: refused by c, no
        = rolling_back  c.compensate#1
        > c.compensate done
        c.compensate#1 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_branch_in_between_with_nothing_to_undo_keeps_the_order_of_its_neighbours() {
    let run = created(saga("a !b<a !c<b d<c")).after("a.action done; b.action done; c.action done");
    run.shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  d.compensate#1
        > d.compensate unknown
        d.compensate#1 unknown, again @200
        = rolling_back  d.compensate#2@200  wake @200
        > d.compensate done
        d.compensate#2 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_saga_with_nothing_to_undo_is_rolled_back_at_once() {
    created(saga("!a !b<a")).shows(expect![[r#"
        > a.action refused
        a.action#1 refused
        rollback_begun: refused by a, no
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_action_that_answers_while_its_transaction_rolls_back_changes_nothing_that_is_owed() {
    created(saga("a b")).after("a.action refused").shows(expect![[r#"
        > b.action done
        b.action#1 done
        = rolling_back  a.compensate#1  b.compensate#1
        > a.compensate done
        a.compensate#1 done
        = rolling_back  b.compensate#1
        > b.compensate done
        b.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
    created(saga("a b")).after("a.action refused").shows(expect![[r#"
        > b.action unknown
        b.action#1 unknown
        = rolling_back  a.compensate#1  b.compensate#1
        > b.action#2 done
        b.action#2 done
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
fn a_second_refusal_changes_nothing() {
    created(saga("a b")).after("a.action refused").shows(expect![[r#"
        > b.action refused
        b.action#1 refused
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
fn a_compensation_may_not_be_refused() {
    created(saga("a")).after("abort").shows(expect![[r#"
        > a.compensate refused
        a.compensate#1 unknown, again @200 (compensate may not be refused, yet the answer was no: no)
        = rolling_back  a.compensate#2@200  wake @200
        > a.compensate done
        a.compensate#2 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_deadline_rolls_back() {
    created(deadline(1_000, saga("a b<a"))).after("a.action done").shows(expect![[r#"
        > +999
        = running  b.action#1  wake @1000
        > +1
        rollback_begun: deadline, waiting for b
        = rolling_back  b.compensate#1
        > b.compensate done
        b.compensate#1 done
        = rolling_back  a.compensate#1
        > +5000
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
        > +5000
        = rolled_back
    "#]]);
}

#[test]
fn a_deadline_after_the_end_changes_nothing() {
    created(deadline(1_000, saga("a"))).after("a.action done").shows(expect![[r#"
        > +1000
        = committed
    "#]]);
}

#[test]
fn a_start_delay_holds_the_first_calls_and_the_deadline_counts_from_there() {
    let draft = Draft { start_delay_ms: 500, ..deadline(1_000, saga("a")) };
    created(draft.clone()).shows(expect![[r#"
        > +499
        = running  wake @500
        > +1
        started
        = running  a.action#1  wake @1500
        > +999
        = running  a.action#1  wake @1500
        > +1
        rollback_begun: deadline, waiting for a
        = rolling_back  a.compensate#1
    "#]]);
    created(draft).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_abort_before_the_last_answer_wins_and_after_it_loses() {
    created(saga("a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.action done
        a.action#1 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
        > abort
        = rolled_back
    "#]]);
    created(saga("a")).after("a.action done").shows(expect![[r#"
        > abort
        ! cannot abort: the transaction is committed; it was decided to commit
        = committed
    "#]]);
}

#[test]
fn exhausted_attempts_roll_back_if_the_policy_says_so_and_a_compensation_parks_all_the_same() {
    created(calling(saga("a b<a"), attempts(2, OnExhausted::RollBack)))
        .after("a.action done; b.action unknown")
        .shows(expect![[r#"
        > b.action unknown
        b.action#2 unknown, again @400
        rollback_begun: exhausted b
        = rolling_back  b.compensate#1
        > b.compensate unknown
        b.compensate#1 unknown, again @200
        = rolling_back  b.compensate#2@200  wake @200
        > b.compensate unknown
        b.compensate#2 unknown, again @400
        op_parked b.compensate: exhausted
        = rolling_back, parked (exhausted)
        > abort
        = rolling_back, parked (exhausted)
        > replay
        replayed
        = rolling_back  b.compensate#3
        > b.compensate done
        b.compensate#3 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}
