//! Rules of tcc, declared and open.

use expect_test::expect;
use trine_protocol::Pattern::Tcc;

use super::trace::{check, declared, open};
use crate::spec::Draft;

#[test]
fn all_tries_done_confirms_every_branch_in_parallel() {
    check(
        declared(Tcc, "a b"),
        "create; b.try done; a.try done; a.confirm done; b.confirm done",
        expect![[r#"
            > create
            created
            = running  a.try#1  b.try#1
            > b.try done
            b.try#1 done
            = running  a.try#1
            > a.try done
            a.try#1 done
            commit_decided
            = committing  a.confirm#1  b.confirm#1
            > a.confirm done
            a.confirm#1 done
            = committing  b.confirm#1
            > b.confirm done
            b.confirm#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_refused_try_cancels_every_branch() {
    check(
        declared(Tcc, "a b"),
        "create; a.try done; b.try refused; b.cancel done; a.cancel done",
        expect![[r#"
            > create
            created
            = running  a.try#1  b.try#1
            > a.try done
            a.try#1 done
            = running  b.try#1
            > b.try refused
            b.try#1 refused
            rollback_begun: refused by b, no
            = rolling_back  a.cancel#1  b.cancel#1
            > b.cancel done
            b.cancel#1 done
            = rolling_back  a.cancel#1
            > a.cancel done
            a.cancel#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn a_try_that_answers_after_the_refusal_of_another_is_cancelled() {
    check(
        declared(Tcc, "a b"),
        "create; a.try refused; b.try done; a.cancel done; b.cancel done",
        expect![[r#"
            > create
            created
            = running  a.try#1  b.try#1
            > a.try refused
            a.try#1 refused
            rollback_begun: refused by a, no
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
        "#]],
    );
}

#[test]
fn a_confirm_is_retried_until_done_and_a_refusal_of_it_is_no_answer() {
    check(
        declared(Tcc, "a"),
        "create; a.try done; a.confirm unknown; a.confirm refused; abort; a.confirm done",
        expect![[r#"
            > create
            created
            = running  a.try#1
            > a.try done
            a.try#1 done
            commit_decided
            = committing  a.confirm#1
            > a.confirm unknown
            a.confirm#1 unknown, again @200
            = committing  a.confirm#2@200  wake @200
            > a.confirm refused
            a.confirm#2 unknown, again @400 (confirm may not be refused, yet the answer was no: no)
            = committing  a.confirm#3@400  wake @400
            > abort
            ! cannot abort: the transaction is committing; it was decided to commit
            = committing  a.confirm#3@400  wake @400
            > a.confirm done
            a.confirm#3 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_cancel_may_not_be_refused() {
    check(
        declared(Tcc, "a"),
        "create; a.try refused; a.cancel refused; a.cancel done",
        expect![[r#"
        > create
        created
        = running  a.try#1
        > a.try refused
        a.try#1 refused
        rollback_begun: refused by a, no
        = rolling_back  a.cancel#1
        > a.cancel refused
        a.cancel#1 unknown, again @200 (cancel may not be refused, yet the answer was no: no)
        = rolling_back  a.cancel#2@200  wake @200
        > a.cancel done
        a.cancel#2 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn a_deadline_passed_after_the_decision_changes_nothing() {
    let draft = Draft { deadline_ms: Some(1_000), ..declared(Tcc, "a") };
    check(
        draft,
        "create; a.try done; +1000; a.confirm done",
        expect![[r#"
        > create
        created
        = running  a.try#1  wake @1000
        > a.try done
        a.try#1 done
        commit_decided
        = committing  a.confirm#1
        > +1000
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_read_only_answer_means_nothing_outside_two_phase() {
    check(
        declared(Tcc, "a"),
        "create; a.try read_only; a.confirm done",
        expect![[r#"
        > create
        created
        = running  a.try#1
        > a.try read_only
        a.try#1 done
        commit_decided
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_declared_tcc_is_not_committed_by_its_initiator() {
    check(
        declared(Tcc, "a"),
        "create; commit; register b",
        expect![[r#"
        > create
        created
        = running  a.try#1
        > commit
        ! cannot commit: the transaction is running; it was declared, so the coordinator decides when every branch has answered
        = running  a.try#1
        > register b
        ! cannot register a branch: the transaction is running; it was declared with all its branches
        = running  a.try#1
    "#]],
    );
}

#[test]
fn an_open_tcc_registers_and_commits() {
    check(
        open(Tcc, ""),
        "create; register a; register b; commit; b.confirm done; a.confirm done; commit; abort",
        expect![[r#"
            > create
            created
            = open
            > register a
            branch_registered a
            = open
            > register b
            branch_registered b
            = open
            > commit
            commit_decided
            = committing  a.confirm#1  b.confirm#1
            > b.confirm done
            b.confirm#1 done
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
            > commit
            = committed
            > abort
            ! cannot abort: the transaction is committed; it was decided to commit
            = committed
        "#]],
    );
}

#[test]
fn an_open_tcc_aborts_every_registered_branch() {
    check(
        open(Tcc, "a"),
        "create; register b; abort; b.cancel done; a.cancel done; abort; commit",
        expect![[r#"
            > create
            created
            = open
            > register b
            branch_registered b
            = open
            > abort
            rollback_begun: aborted, changed my mind
            = rolling_back  a.cancel#1  b.cancel#1
            > b.cancel done
            b.cancel#1 done
            = rolling_back  a.cancel#1
            > a.cancel done
            a.cancel#1 done
            rolled_back
            = rolled_back
            > abort
            = rolled_back
            > commit
            ! cannot commit: the transaction is rolled_back; it was decided to roll back
            = rolled_back
        "#]],
    );
}

#[test]
fn an_open_tcc_whose_initiator_falls_silent_is_cancelled_at_its_deadline() {
    let draft = Draft { deadline_ms: Some(1_000), ..open(Tcc, "a") };
    check(
        draft,
        "create; +1000; commit; a.cancel done",
        expect![[r#"
        > create
        created
        = open  wake @1000
        > +1000
        rollback_begun: deadline
        = rolling_back  a.cancel#1
        > commit
        ! cannot commit: the transaction is rolling_back; it was decided to roll back
        = rolling_back  a.cancel#1
        > a.cancel done
        a.cancel#1 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn an_open_tcc_without_branches_settles_when_it_is_decided() {
    check(
        open(Tcc, ""),
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
        open(Tcc, ""),
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
fn the_initiator_of_an_open_tcc_answers_no_try() {
    check(
        open(Tcc, "a"),
        "create; a.try done; a.confirm done; check done",
        expect![[r#"
        > create
        created
        = open
        > a.try done
        = open
        > a.confirm done
        = open
        > check done
        = open
    "#]],
    );
}
