//! Phase two one by one, for those that count on it.

use expect_test::expect;
use trine_protocol::Pattern::{Saga, Tcc, TwoPhase};

use super::trace::{calling, check, declared, dialect, open};
use crate::spec::{CallPolicy, Draft, FinishOrder, OnExhausted, RetryPolicy};

fn first_to_last(draft: Draft) -> Draft {
    Draft { finish_order: FinishOrder::FirstToLast, ..draft }
}

fn last_to_first(draft: Draft) -> Draft {
    Draft { finish_order: FinishOrder::LastToFirst, ..draft }
}

fn parking(draft: Draft) -> Draft {
    let retry = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    calling(draft, CallPolicy { retry, on_exhausted: OnExhausted::Park, ..CallPolicy::default() })
}

#[test]
fn tries_are_still_in_parallel_and_confirms_one_by_one_from_the_last() {
    check(
        last_to_first(declared(Tcc, "a b c")),
        "create; a.try done; b.try done; c.try done; c.confirm done; b.confirm done; a.confirm done",
        expect![[r#"
            > create
            created
            = running  a.try#1  b.try#1  c.try#1
            > a.try done
            a.try#1 done
            = running  b.try#1  c.try#1
            > b.try done
            b.try#1 done
            = running  c.try#1
            > c.try done
            c.try#1 done
            commit_decided
            = committing  c.confirm#1
            > c.confirm done
            c.confirm#1 done
            = committing  b.confirm#1
            > b.confirm done
            b.confirm#1 done
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn an_unknown_answer_in_the_middle_holds_up_the_rest() {
    check(
        last_to_first(open(Tcc, "a b c")),
        "create; commit; c.confirm done; b.confirm unknown; +200; b.confirm ongoing 500; +500; b.confirm done; \
         a.confirm done",
        expect![[r#"
            > create
            created
            = open
            > commit
            commit_decided
            = committing  c.confirm#1
            > c.confirm done
            c.confirm#1 done
            = committing  b.confirm#1
            > b.confirm unknown
            b.confirm#1 unknown, again @200
            = committing  b.confirm#2@200  wake @200
            > +200
            = committing  b.confirm#2
            > b.confirm ongoing 500
            b.confirm#2 ongoing, again @700
            = committing  b.confirm#3@700  wake @700
            > +500
            = committing  b.confirm#3
            > b.confirm done
            b.confirm#3 done
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_parked_branch_holds_up_the_rest_until_it_is_replayed() {
    check(
        parking(first_to_last(open(TwoPhase, "a b c"))),
        "create; commit; a.commit done; b.commit unknown; +1000000; replay c; replay b; b.commit done; c.commit done",
        expect![[r#"
            > create
            created
            = open
            > commit
            commit_decided
            = committing  a.commit#1
            > a.commit done
            a.commit#1 done
            = committing  b.commit#1
            > b.commit unknown
            b.commit#1 unknown, again @200
            op_parked b.commit: exhausted
            = committing, parked (exhausted)
            > +1000000
            = committing, parked (exhausted)
            > replay c
            = committing, parked (exhausted)
            > replay b
            replayed b
            = committing  b.commit#2
            > b.commit done
            b.commit#2 done
            = committing  c.commit#1
            > c.commit done
            c.commit#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn cancels_go_from_the_last_to_the_first_as_well() {
    check(
        last_to_first(open(Tcc, "a")),
        "create; register b; register c; abort; c.cancel done; b.cancel unknown; +200; b.cancel done; a.cancel done",
        expect![[r#"
            > create
            created
            = open
            > register b
            branch_registered b
            = open
            > register c
            branch_registered c
            = open
            > abort
            rollback_begun: aborted, changed my mind
            = rolling_back  c.cancel#1
            > c.cancel done
            c.cancel#1 done
            = rolling_back  b.cancel#1
            > b.cancel unknown
            b.cancel#1 unknown, again @200
            = rolling_back  b.cancel#2@200  wake @200
            > +200
            = rolling_back  b.cancel#2
            > b.cancel done
            b.cancel#2 done
            = rolling_back  a.cancel#1
            > a.cancel done
            a.cancel#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn rollbacks_go_from_the_first_to_the_last_and_pass_over_who_only_read() {
    check(
        first_to_last(declared(TwoPhase, "a b c d")),
        "create; a.prepare done; b.prepare read_only; d.prepare refused; a.rollback done; c.prepare done; \
         c.rollback done; d.rollback done",
        expect![[r#"
            > create
            created
            = running  a.prepare#1  b.prepare#1  c.prepare#1  d.prepare#1
            > a.prepare done
            a.prepare#1 done
            = running  b.prepare#1  c.prepare#1  d.prepare#1
            > b.prepare read_only
            b.prepare#1 done
            = running  c.prepare#1  d.prepare#1
            > d.prepare refused
            d.prepare#1 refused
            rollback_begun: refused by d, no
            = rolling_back  a.rollback#1
            > a.rollback done
            a.rollback#1 done
            = rolling_back  c.rollback#1
            > c.prepare done
            c.prepare#1 done
            = rolling_back  c.rollback#1
            > c.rollback done
            c.rollback#1 done
            = rolling_back  d.rollback#1
            > d.rollback done
            d.rollback#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn who_refused_is_rolled_back_when_it_is_its_turn() {
    check(
        first_to_last(declared(TwoPhase, "a b")),
        "create; a.prepare refused; a.rollback done; b.rollback done",
        expect![[r#"
            > create
            created
            = running  a.prepare#1  b.prepare#1
            > a.prepare refused
            a.prepare#1 refused
            rollback_begun: refused by a, no
            = rolling_back  a.rollback#1
            > a.rollback done
            a.rollback#1 done
            = rolling_back  b.rollback#1
            > b.rollback done
            b.rollback#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn registered_branches_with_nothing_to_confirm_are_passed_over() {
    check(
        last_to_first(dialect(open(Tcc, ""))),
        "create; register a; register ^!b; register ^c; register !d; register ^!e; commit; d.confirm done; \
         a.confirm done",
        expect![[r#"
            > create
            created
            = open
            > register a
            branch_registered a
            = open
            > register ^!b
            branch_registered b
            = open
            > register ^c
            branch_registered c
            = open
            > register !d
            branch_registered d
            = open
            > register ^!e
            branch_registered e
            = open
            > commit
            commit_decided
            = committing  d.confirm#1
            > d.confirm done
            d.confirm#1 done
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn registered_branches_with_nothing_to_cancel_are_passed_over() {
    check(
        last_to_first(dialect(open(Tcc, ""))),
        "create; register a; register ^!b; register ^c; register !d; register ^!e; abort; c.cancel done; \
         a.cancel done",
        expect![[r#"
            > create
            created
            = open
            > register a
            branch_registered a
            = open
            > register ^!b
            branch_registered b
            = open
            > register ^c
            branch_registered c
            = open
            > register !d
            branch_registered d
            = open
            > register ^!e
            branch_registered e
            = open
            > abort
            rollback_begun: aborted, changed my mind
            = rolling_back  c.cancel#1
            > c.cancel done
            c.cancel#1 done
            = rolling_back  a.cancel#1
            > a.cancel done
            a.cancel#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn branches_that_all_have_no_target_settle_as_soon_as_it_is_decided() {
    check(
        last_to_first(dialect(open(Tcc, "^!a ^!b"))),
        "create; commit",
        expect![[r#"
        > create
        created
        = open
        > commit
        commit_decided
        committed
        = committed
    "#]],
    );
    check(
        last_to_first(dialect(open(Tcc, "^!a ^!b"))),
        "create; abort",
        expect![[r#"
        > create
        created
        = open
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn one_by_one_does_not_undo_what_others_were_built_on_first() {
    check(
        first_to_last(declared(Saga, "a b<a c")),
        "create; a.action done; c.action done; b.action refused; b.compensate done; a.compensate done; \
         c.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  c.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1  c.action#1
            > c.action done
            c.action#1 done
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
            = rolling_back  c.compensate#1
            > c.compensate done
            c.compensate#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}
