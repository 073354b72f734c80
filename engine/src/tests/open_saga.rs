//! Sagas and messages that are submitted later: open sagas, delays counted from creation, messages without a check.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Saga, Tcc};

use super::trace::{absent, created, deadline, dialect, open, saga};
use crate::spec::Draft;

fn opened(branches: &str) -> Draft {
    dialect(open(Saga, branches))
}

fn opened_message(branches: &str) -> Draft {
    dialect(open(Message, branches))
}

fn unasked(branches: &str) -> Draft {
    Draft { check: None, ..opened_message(branches) }
}

#[test]
fn an_open_saga_runs_when_it_is_committed_and_committing_again_changes_nothing() {
    absent(opened("a b<a")).shows(expect![[r#"
        > create
        created
        = open
        > register c<b
        branch_registered c
        = open
        > +1000
        = open
        > commit
        submitted
        = running  a.action#1
        > commit
        = running  a.action#1
        > a.action done
        a.action#1 done
        = running  b.action#1
        > commit
        = running  b.action#1
        > b.action done
        b.action#1 done
        = running  c.action#1
        > c.action done
        c.action#1 done
        committed
        = committed
        > commit
        = committed
    "#]]);
}

#[test]
fn an_open_saga_that_runs_is_compensated_like_any_other() {
    created(opened("a b<a")).after("commit; a.action done").shows(expect![[r#"
        > b.action refused
        b.action#1 refused
        rollback_begun: refused by b, no
        = rolling_back  b.compensate#1
        > commit
        ! cannot commit: the transaction is rolling_back; it was decided to roll back
        = rolling_back  b.compensate#1
        > b.compensate done
        b.compensate#1 done
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
    "#]]);
}

#[test]
fn an_open_saga_that_is_aborted_has_nothing_to_undo() {
    created(opened("a b<a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
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
fn an_open_saga_whose_initiator_falls_silent_is_given_up_at_its_deadline() {
    created(deadline(1_000, opened("a"))).shows(expect![[r#"
        > +999
        = open  wake @1000
        > +1
        rollback_begun: deadline
        rolled_back
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
    "#]]);
}

#[test]
fn the_deadline_of_an_open_saga_counts_from_its_creation() {
    created(deadline(1_000, opened("a"))).after("+800").shows(expect![[r#"
        > commit
        submitted
        = running  a.action#1  wake @1000
        > +199
        = running  a.action#1  wake @1000
        > +1
        rollback_begun: deadline, waiting for a
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_saga_takes_no_registration_once_it_is_committed() {
    created(opened("a")).after("commit").shows(expect![[r#"
        > register b
        ! cannot register a branch: the transaction is running; it is decided
        = running  a.action#1
    "#]]);
}

#[test]
fn an_open_saga_without_steps_commits_when_it_is_told_to() {
    created(opened("")).shows(expect![[r#"
        > commit
        submitted
        committed
        = committed
    "#]]);
}

#[test]
fn a_delay_is_counted_from_creation() {
    created(opened_message("a")).after("+2000").shows(expect![[r#"
        > commit_at 5000
        submitted, from @5000
        = running  wake @5000
        > commit
        = running  wake @5000
        > commit_at 9000
        = running  wake @5000
        > +2999
        = running  wake @5000
        > +1
        started
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
    created(opened("a")).after("+2000").shows(expect![[r#"
        > commit_at 5000
        submitted, from @5000
        = running  wake @5000
        > +3000
        started
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn there_is_no_delay_for_what_is_as_old_already() {
    created(opened_message("a")).after("+5000").shows(expect![[r#"
        > commit_at 5000
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
    created(opened("a")).after("+9000").shows(expect![[r#"
        > commit_at 5000
        submitted
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_delay_means_nothing_where_the_first_calls_were_made_by_the_initiator() {
    created(open(Tcc, "a")).shows(expect![[r#"
        > commit_at 5000
        commit_decided
        = committing  a.confirm#1
        > a.confirm done
        a.confirm#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_deadline_before_the_start_wins() {
    created(deadline(3_000, opened("a"))).shows(expect![[r#"
        > commit_at 5000
        submitted, from @5000
        = running  wake @3000
        > +2999
        = running  wake @3000
        > +1
        rollback_begun: deadline
        rolled_back
        = rolled_back
        > commit_at 5000
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
    "#]]);
}

#[test]
fn a_deadline_after_the_start_counts_from_creation_all_the_same() {
    created(deadline(6_000, opened("a"))).after("commit_at 5000").shows(expect![[r#"
        > +5000
        started
        = running  a.action#1  wake @6000
        > +1000
        rollback_begun: deadline, waiting for a
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn what_waits_for_its_start_can_be_aborted_if_it_is_a_saga() {
    created(opened("a")).after("commit_at 5000").shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]]);
    created(opened_message("a")).after("commit_at 5000").shows(expect![[r#"
        > abort
        ! cannot abort: the transaction is running; a submitted message is delivered, never undone
        = running  wake @5000
    "#]]);
}

#[test]
fn a_message_without_a_check_counts_as_yes_when_its_time_has_come() {
    created(unasked("a b<a")).shows(expect![[r#"
        > +9999
        = open  wake @10000
        > +1
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        = running  b.deliver#1
        > b.deliver done
        b.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_message_that_counts_as_submitted_is_delivered_when_its_delay_since_creation_is_over() {
    let delayed = |draft: Draft| created(Draft { start_delay_ms: 20_000, ..draft });
    delayed(unasked("a")).shows(expect![[r#"
        > +10000
        submitted, from @20000
        = running  wake @20000
        > +10000
        started
        = running  a.deliver#1
    "#]]);
    delayed(opened_message("a")).after("+10000").shows(expect![[r#"
        > check done
        check#1 done
        submitted, from @20000
        = running  wake @20000
    "#]]);
}

#[test]
fn a_message_without_a_check_is_submitted_or_aborted_before_its_time() {
    created(unasked("a")).shows(expect![[r#"
        > commit
        submitted
        = running  a.deliver#1
        > +10000
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
    created(unasked("a")).shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
        > +10000
        = rolled_back
    "#]]);
    created(unasked("a")).after("+4000").shows(expect![[r#"
        > commit_at 20000
        submitted, from @20000
        = running  wake @20000
        > +6000
        = running  wake @20000
        > +10000
        started
        = running  a.deliver#1
    "#]]);
}

#[test]
fn a_quarantined_message_without_a_check_waits_for_a_person() {
    created(unasked("a")).shows(expect![[r#"
        > quarantine
        quarantined: it panics
        = open, parked (quarantined)
        > +20000
        = open, parked (quarantined)
        > replay
        replayed
        = open  wake @10000
        > +0
        submitted
        = running  a.deliver#1
    "#]]);
}

#[test]
fn replay_makes_the_time_of_a_message_without_a_check_come() {
    created(unasked("a")).after("+1").shows(expect![[r#"
        > replay
        replayed
        = open  wake @1
        > +0
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_declared_saga_is_not_committed_by_hand_in_any_dialect() {
    created(dialect(saga("a"))).shows(expect![[r#"
        > commit
        ! cannot commit: the transaction is running; it was not created as open, so the coordinator decides when every branch has answered
        = running  a.action#1
        > commit_at 5000
        ! cannot commit: the transaction is running; it was not created as open, so the coordinator decides when every branch has answered
        = running  a.action#1
    "#]]);
}
