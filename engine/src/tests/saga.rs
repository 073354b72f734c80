//! Rules of sagas: order, parallelism, what is compensated and in which order.

use expect_test::expect;
use trine_protocol::Pattern::Saga;

use super::trace::{calling, check, declared};
use crate::spec::{CallPolicy, Draft, OnExhausted, RetryPolicy};

#[test]
fn actions_in_sequence_wait_for_each_other() {
    check(
        declared(Saga, "a b<a c<b"),
        "create; a.action done; b.action done; c.action done",
        expect![[r#"
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
    "#]],
    );
}

#[test]
fn independent_branches_run_in_parallel_and_a_join_waits_for_all() {
    check(
        declared(Saga, "a b<a c<a d<b,c"),
        "create; a.action done; c.action done; b.action done; d.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1
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
        "#]],
    );
}

#[test]
fn a_refusal_compensates_in_reverse_order_beginning_with_the_one_that_refused() {
    check(
        declared(Saga, "a b<a c<b"),
        "create; a.action done; b.action refused; b.compensate done; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
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
        "#]],
    );
}

#[test]
fn a_branch_that_was_never_owed_is_not_compensated() {
    check(
        declared(Saga, "a b<a"),
        "create; abort; a.compensate done",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn the_only_branch_is_compensated_when_it_refuses() {
    check(
        declared(Saga, "a"),
        "create; a.action refused; a.compensate done",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action refused
        a.action#1 refused
        rollback_begun: refused by a, no
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn an_action_without_a_usable_answer_is_compensated() {
    check(
        declared(Saga, "a b<a"),
        "create; a.action unknown; abort; a.compensate done",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action unknown
        a.action#1 unknown, again @200
        = running  a.action#2@200  wake @200
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn a_diamond_is_undone_in_reverse_dependency_order() {
    check(
        declared(Saga, "a b<a c<a d<b,c"),
        "create; a.action done; b.action done; c.action done; d.action refused;
         d.compensate done; b.compensate done; c.compensate done; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1  c.action#1
            > b.action done
            b.action#1 done
            = running  c.action#1
            > c.action done
            c.action#1 done
            = running  d.action#1
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
        "#]],
    );
}

#[test]
fn unrelated_branches_are_undone_in_parallel() {
    check(
        declared(Saga, "a b c"),
        "create; a.action done; b.action refused; c.compensate done; a.compensate done; b.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1  c.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1  c.action#1
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
        "#]],
    );
}

#[test]
fn a_branch_with_nothing_to_undo_is_left_out() {
    check(
        declared(Saga, "a !b<a c<b"),
        "create; a.action done; b.action done; c.action refused; c.compensate done; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
            > b.action done
            b.action#1 done
            = running  c.action#1
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
        "#]],
    );
}

#[test]
fn a_branch_in_between_with_nothing_to_undo_keeps_the_order_of_its_neighbours() {
    check(
        declared(Saga, "a !b<a !c<b d<c"),
        "create; a.action done; b.action done; c.action done; abort; d.compensate unknown; d.compensate done;
         a.compensate done",
        expect![[r#"
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
            = running  d.action#1
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
        "#]],
    );
}

#[test]
fn a_saga_with_nothing_to_undo_is_rolled_back_at_once() {
    check(
        declared(Saga, "!a !b<a"),
        "create; a.action refused",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action refused
        a.action#1 refused
        rollback_begun: refused by a, no
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn an_action_that_answers_while_its_transaction_rolls_back_changes_nothing_that_is_owed() {
    check(
        declared(Saga, "a b"),
        "create; a.action refused; b.action done; a.compensate done; b.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > a.action refused
            a.action#1 refused
            rollback_begun: refused by a, no
            = rolling_back  a.compensate#1  b.compensate#1
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
        "#]],
    );
    check(
        declared(Saga, "a b"),
        "create; a.action refused; b.action unknown; b.action#2 done; a.compensate done; b.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > a.action refused
            a.action#1 refused
            rollback_begun: refused by a, no
            = rolling_back  a.compensate#1  b.compensate#1
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
        "#]],
    );
}

#[test]
fn a_second_refusal_changes_nothing() {
    check(
        declared(Saga, "a b"),
        "create; a.action refused; b.action refused; a.compensate done; b.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > a.action refused
            a.action#1 refused
            rollback_begun: refused by a, no
            = rolling_back  a.compensate#1  b.compensate#1
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
        "#]],
    );
}

#[test]
fn a_compensation_may_not_be_refused() {
    check(
        declared(Saga, "a"),
        "create; abort; a.compensate refused; a.compensate done",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.compensate refused
        a.compensate#1 unknown, again @200 (compensate may not be refused, yet the answer was no: no)
        = rolling_back  a.compensate#2@200  wake @200
        > a.compensate done
        a.compensate#2 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn a_deadline_rolls_back() {
    let draft = Draft { deadline_ms: Some(1_000), ..declared(Saga, "a b<a") };
    check(
        draft,
        "create; a.action done; +999; +1; b.compensate done; +5000; a.compensate done; +5000",
        expect![[r#"
            > create
            created
            = running  a.action#1  wake @1000
            > a.action done
            a.action#1 done
            = running  b.action#1  wake @1000
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
        "#]],
    );
}

#[test]
fn a_deadline_after_the_end_changes_nothing() {
    let draft = Draft { deadline_ms: Some(1_000), ..declared(Saga, "a") };
    check(
        draft,
        "create; a.action done; +1000",
        expect![[r#"
        > create
        created
        = running  a.action#1  wake @1000
        > a.action done
        a.action#1 done
        committed
        = committed
        > +1000
        = committed
    "#]],
    );
}

#[test]
fn a_start_delay_holds_the_first_calls_and_the_deadline_counts_from_there() {
    let draft = Draft { start_delay_ms: 500, deadline_ms: Some(1_000), ..declared(Saga, "a") };
    check(
        draft.clone(),
        "create; +499; +1; +999; +1",
        expect![[r#"
            > create
            created
            = running  wake @500
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
        "#]],
    );
    check(
        draft,
        "create; abort",
        expect![[r#"
        > create
        created
        = running  wake @500
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn an_abort_before_the_last_answer_wins_and_after_it_loses() {
    check(
        declared(Saga, "a"),
        "create; abort; a.action done; a.compensate done; abort",
        expect![[r#"
        > create
        created
        = running  a.action#1
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
    "#]],
    );
    check(
        declared(Saga, "a"),
        "create; a.action done; abort",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > abort
        ! cannot abort: the transaction is committed; it was decided to commit
        = committed
    "#]],
    );
}

#[test]
fn exhausted_attempts_roll_back_if_the_policy_says_so_and_a_compensation_parks_all_the_same() {
    let retry = RetryPolicy { max_attempts: Some(2), ..RetryPolicy::default() };
    let call = CallPolicy { retry, on_exhausted: OnExhausted::RollBack, ..CallPolicy::default() };
    check(
        calling(declared(Saga, "a b<a"), call),
        "create; a.action done; b.action unknown; b.action unknown; b.compensate unknown; b.compensate unknown;
         abort; replay; b.compensate done; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
            > b.action unknown
            b.action#1 unknown, again @200
            = running  b.action#2@200  wake @200
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
        "#]],
    );
}
