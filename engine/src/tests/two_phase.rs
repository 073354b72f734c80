//! Rules of two_phase, declared and open: votes yes, no and read-only.

use expect_test::expect;
use trine_protocol::Pattern::TwoPhase;

use super::trace::{absent, created, open, two_phase};

#[test]
fn all_votes_yes_commits_every_branch() {
    absent(two_phase("a b")).shows(expect![[r#"
        > create
        created
        = running  a.prepare#1  b.prepare#1
        > a.prepare done
        a.prepare#1 done
        = running  b.prepare#1
        > b.prepare done
        b.prepare#1 done
        commit_decided
        = committing  a.commit#1  b.commit#1
        > a.commit done
        a.commit#1 done
        = committing  b.commit#1
        > b.commit done
        b.commit#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn one_vote_no_rolls_every_branch_back() {
    created(two_phase("a b")).after("a.prepare done").shows(expect![[r#"
        > b.prepare refused
        b.prepare#1 refused
        rollback_begun: refused by b, no
        = rolling_back  a.rollback#1  b.rollback#1
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
fn a_read_only_vote_is_left_out_of_phase_two() {
    created(two_phase("a b")).shows(expect![[r#"
        > a.prepare read_only
        a.prepare#1 done
        = running  b.prepare#1
        > b.prepare done
        b.prepare#1 done
        commit_decided
        = committing  b.commit#1
        > b.commit done
        b.commit#1 done
        committed
        = committed
    "#]]);
    created(two_phase("a b")).after("a.prepare read_only").shows(expect![[r#"
        > b.prepare refused
        b.prepare#1 refused
        rollback_begun: refused by b, no
        = rolling_back  b.rollback#1
        > b.rollback done
        b.rollback#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn votes_that_are_all_read_only_need_no_phase_two() {
    created(two_phase("a b")).after("a.prepare read_only").shows(expect![[r#"
        > b.prepare read_only
        b.prepare#1 done
        commit_decided
        committed
        = committed
    "#]]);
}

#[test]
fn a_read_only_vote_that_comes_after_the_decision_no_does_not_spare_the_rollback() {
    created(two_phase("a b")).after("a.prepare refused").shows(expect![[r#"
        > b.prepare read_only
        b.prepare#1 done
        = rolling_back  a.rollback#1  b.rollback#1
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
fn a_commit_or_rollback_may_not_be_refused() {
    created(two_phase("a")).after("a.prepare done").shows(expect![[r#"
        > a.commit refused
        a.commit#1 unknown, again @200 (commit may not be refused, yet the answer was no: no)
        = committing  a.commit#2@200  wake @200
        > a.commit done
        a.commit#2 done
        committed
        = committed
    "#]]);
    created(two_phase("a")).after("a.prepare refused").shows(expect![[r#"
        > a.rollback refused
        a.rollback#1 unknown, again @200 (rollback may not be refused, yet the answer was no: no)
        = rolling_back  a.rollback#2@200  wake @200
        > a.rollback done
        a.rollback#2 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn an_open_two_phase_commits_or_rolls_back_as_its_initiator_says() {
    created(open(TwoPhase, "")).after("register a; register b").shows(expect![[r#"
        > commit
        commit_decided
        = committing  a.commit#1  b.commit#1
        > a.commit done
        a.commit#1 done
        = committing  b.commit#1
        > b.commit done
        b.commit#1 done
        committed
        = committed
    "#]]);
    created(open(TwoPhase, "a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.rollback#1
        > a.rollback done
        a.rollback#1 done
        rolled_back
        = rolled_back
    "#]]);
}
