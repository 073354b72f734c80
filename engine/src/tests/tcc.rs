//! Rules of tcc, declared and open.

use expect_test::expect;
use trine_protocol::Pattern::Tcc;

use super::trace::{absent, created, deadline, open, tcc};

#[test]
fn all_tries_done_confirms_every_branch_in_parallel() {
    absent(tcc("a b")).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_refused_try_cancels_every_branch() {
    created(tcc("a b")).after("a.try done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_try_that_answers_after_the_refusal_of_another_is_cancelled() {
    created(tcc("a b")).after("a.try refused").shows(expect![[r#"
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
fn a_confirm_is_retried_until_done_and_a_refusal_of_it_is_no_answer() {
    created(tcc("a")).after("a.try done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_cancel_may_not_be_refused() {
    created(tcc("a")).after("a.try refused").shows(expect![[r#"
        > a.cancel refused
        a.cancel#1 unknown, again @200 (cancel may not be refused, yet the answer was no: no)
        = rolling_back  a.cancel#2@200  wake @200
        > a.cancel done
        a.cancel#2 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_deadline_passed_after_the_decision_changes_nothing() {
    created(deadline(1_000, tcc("a"))).after("a.try done").shows(expect![[r#"
        > +1000
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_read_only_answer_means_nothing_outside_two_phase() {
    created(tcc("a")).shows(expect![[r#"
        > a.try read_only
        a.try#1 done
        commit_decided
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_declared_tcc_is_not_committed_by_its_initiator() {
    created(tcc("a")).shows(expect![[r#"
        > commit
        ! cannot commit: the transaction is running; it was not created as open, so the coordinator decides when every branch has answered
        = running  a.try#1
        > register b
        ! cannot register a branch: the transaction is running; it was created with all its branches
        = running  a.try#1
    "#]]);
}

#[test]
fn an_open_tcc_registers_and_commits() {
    absent(open(Tcc, "")).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn an_open_tcc_aborts_every_registered_branch() {
    created(open(Tcc, "a")).after("register b").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn an_open_tcc_whose_initiator_falls_silent_is_cancelled_at_its_deadline() {
    created(deadline(1_000, open(Tcc, "a"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn an_open_tcc_without_branches_settles_when_it_is_decided() {
    created(open(Tcc, "")).shows(expect![[r#"
        > commit
        commit_decided
        committed
        = committed
    "#]]);
    created(open(Tcc, "")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn the_initiator_of_an_open_tcc_answers_no_try() {
    created(open(Tcc, "a")).shows(expect![[r#"
        > a.try done
        = open
        > a.confirm done
        = open
        > check done
        = open
    "#]]);
}
