//! Repeated, late and conflicting requests; stale answers.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Tcc};

use super::trace::{created, open, saga};

#[test]
fn a_repeated_creation_succeeds_and_changes_nothing_at_any_time() {
    created(saga("a")).shows(expect![[r#"
        > create
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > create
        = committed
    "#]]);
}

#[test]
fn a_creation_with_another_body_is_refused_at_any_time() {
    created(saga("a")).shows(expect![[r#"
        > create other
        ! a transaction with this gid but another body exists; choose another gid, or repeat the request unchanged
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > create other
        ! a transaction with this gid but another body exists; choose another gid, or repeat the request unchanged
        = committed
    "#]]);
}

#[test]
fn a_repeated_registration_succeeds_even_after_the_decision() {
    created(open(Tcc, "")).after("register a").shows(expect![[r#"
        > register a
        = open
        > commit
        commit_decided
        = committing  a.confirm#1
        > register a
        = committing  a.confirm#1
    "#]]);
}

#[test]
fn a_registration_with_a_used_id_and_another_body_is_refused() {
    created(open(Tcc, "")).after("register a").shows(expect![[r#"
        > register a other
        ! branch a exists with another body; choose another id, or repeat the request unchanged
        = open
    "#]]);
}

#[test]
fn a_registration_after_the_decision_is_refused() {
    created(open(Tcc, "a")).after("commit").shows(expect![[r#"
        > register b
        ! cannot register a branch: the transaction is committing; it is decided
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
        > register b
        ! cannot register a branch: the transaction is committed; it is decided
        = committed
    "#]]);
    created(open(Tcc, "a")).after("abort").shows(expect![[r#"
        > register b
        ! cannot register a branch: the transaction is rolling_back; it is decided
        = rolling_back  a.cancel#1
    "#]]);
    created(saga("a")).shows(expect![[r#"
        > register b
        ! cannot register a branch: the transaction is running; it was created with all its branches
        = running  a.action#1
    "#]]);
}

#[test]
fn a_registration_that_breaks_a_rule_is_refused() {
    created(open(Tcc, "a")).shows(expect![[r#"
        > register b<a
        ! after: tcc branches run in parallel; only saga and message branches take `after`
        = open
        > register !b
        ! cancel: a tcc branch needs `cancel` (or `url`)
        = open
    "#]]);
    created(open(Message, "a")).shows(expect![[r#"
        > register b<z
        ! after: names z, which is not a branch of this transaction
        = open  check#1@10000  wake @10000
        > register b<a
        branch_registered b
        = open  check#1@10000  wake @10000
        > register c<b,a
        branch_registered c
        = open  check#1@10000  wake @10000
    "#]]);
}

#[test]
fn decisions_are_idempotent_and_final() {
    created(open(Tcc, "a")).shows(expect![[r#"
        > commit
        commit_decided
        = committing  a.confirm#1
        > commit
        = committing  a.confirm#1
        > abort
        ! cannot abort: the transaction is committing; it was decided to commit
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
    created(open(Tcc, "a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.cancel#1
        > abort
        = rolling_back  a.cancel#1
        > commit
        ! cannot commit: the transaction is rolling_back; it was decided to roll back
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
fn a_declared_transaction_is_not_committed_by_hand_and_repeating_its_end_succeeds() {
    created(saga("a")).shows(expect![[r#"
        > commit
        ! cannot commit: the transaction is running; it was not created as open, so the coordinator decides when every branch has answered
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > commit
        = committed
    "#]]);
}

#[test]
fn a_late_answer_of_an_older_attempt_changes_nothing() {
    created(saga("a b<a")).after("a.action unknown").shows(expect![[r#"
        > a.action#1 refused
        = running  a.action#2@200  wake @200
        > a.action#1 done
        = running  a.action#2@200  wake @200
        > a.action#2 done
        a.action#2 done
        = running  b.action#1
        > a.action#2 refused
        = running  b.action#1
        > a.action#3 done
        = running  b.action#1
    "#]]);
}

#[test]
fn an_answer_to_what_was_never_owed_changes_nothing() {
    created(saga("a b<a")).shows(expect![[r#"
        > a.action#2 done
        = running  a.action#1
        > b.action#1 done
        = running  a.action#1
        > a.compensate done
        = running  a.action#1
        > a.try done
        = running  a.action#1
        > check done
        = running  a.action#1
    "#]]);
}

#[test]
fn an_answer_after_the_end_changes_nothing() {
    created(saga("a")).after("a.action done").shows(expect![[r#"
        > a.action#1 refused
        = committed
        > a.action#2 refused
        = committed
    "#]]);
    created(saga("!a")).after("abort").shows(expect![[r#"
        > a.action done
        = rolled_back
    "#]]);
}
