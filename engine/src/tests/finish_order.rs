//! Phase two one by one, for those that count on it.

use expect_test::expect;
use trine_protocol::Pattern::{Tcc, TwoPhase};

use super::trace::{attempts, calling, created, dialect, open, saga, tcc, two_phase};
use crate::spec::{Draft, FinishOrder, OnExhausted};

fn first_to_last(draft: Draft) -> Draft {
    Draft { finish_order: FinishOrder::FirstToLast, ..draft }
}

fn last_to_first(draft: Draft) -> Draft {
    Draft { finish_order: FinishOrder::LastToFirst, ..draft }
}

fn parking(draft: Draft) -> Draft {
    calling(draft, attempts(1, OnExhausted::Park))
}

#[test]
fn tries_are_still_in_parallel_and_confirms_one_by_one_from_the_last() {
    created(last_to_first(tcc("a b c"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn an_unknown_answer_in_the_middle_holds_up_the_rest() {
    created(last_to_first(open(Tcc, "a b c"))).after("commit; c.confirm done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_parked_branch_holds_up_the_rest_until_it_is_replayed() {
    let run = created(parking(first_to_last(open(TwoPhase, "a b c")))).after("commit; a.commit done");
    run.shows(expect![[r#"
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
    "#]]);
}

#[test]
fn cancels_go_from_the_last_to_the_first_as_well() {
    created(last_to_first(open(Tcc, "a"))).after("register b; register c").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn rollbacks_go_from_the_first_to_the_last_and_pass_over_who_only_read() {
    created(first_to_last(two_phase("a b c d"))).after("a.prepare done; b.prepare read_only").shows(expect![
        [r#"
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
    "#]
    ]);
}

#[test]
fn who_refused_is_rolled_back_when_it_is_its_turn() {
    created(first_to_last(two_phase("a b"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn registered_branches_with_nothing_to_confirm_are_passed_over() {
    created(last_to_first(dialect(open(Tcc, ""))))
        .after("register a; register ^!b; register ^c; register !d; register ^!e")
        .shows(expect![[r#"
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
    "#]]);
}

#[test]
fn registered_branches_with_nothing_to_cancel_are_passed_over() {
    created(last_to_first(dialect(open(Tcc, ""))))
        .after("register a; register ^!b; register ^c; register !d; register ^!e")
        .shows(expect![[r#"
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
    "#]]);
}

#[test]
fn branches_that_all_have_no_target_settle_as_soon_as_it_is_decided() {
    created(last_to_first(dialect(open(Tcc, "^!a ^!b")))).shows(expect![[r#"
        > commit
        commit_decided
        committed
        = committed
    "#]]);
    created(last_to_first(dialect(open(Tcc, "^!a ^!b")))).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn one_by_one_does_not_undo_what_others_were_built_on_first() {
    created(first_to_last(saga("a b<a c"))).after("a.action done; c.action done").shows(expect![[r#"
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
    "#]]);
}
