//! Sagas and messages that are submitted later: open sagas, delays counted from creation, messages without a check.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Saga, Tcc};

use super::trace::{check, declared, dialect, open};
use crate::spec::Draft;

fn unasked(branches: &str) -> Draft {
    Draft { check: None, ..dialect(open(Message, branches)) }
}

#[test]
fn an_open_saga_runs_when_it_is_committed_and_committing_again_changes_nothing() {
    check(
        dialect(open(Saga, "a b<a")),
        "create; register c<b; +1000; commit; commit; a.action done; commit; b.action done; c.action done; commit",
        expect![[r#"
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
        "#]],
    );
}

#[test]
fn an_open_saga_that_runs_is_compensated_like_any_other() {
    check(
        dialect(open(Saga, "a b<a")),
        "create; commit; a.action done; b.action refused; commit; b.compensate done; a.compensate done; commit",
        expect![[r#"
            > create
            created
            = open
            > commit
            submitted
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
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
        "#]],
    );
}

#[test]
fn an_open_saga_that_is_aborted_has_nothing_to_undo() {
    check(
        dialect(open(Saga, "a b<a")),
        "create; abort; abort; commit",
        expect![[r#"
        > create
        created
        = open
        > abort
        rollback_begun: aborted, changed my mind
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
fn an_open_saga_whose_initiator_falls_silent_is_given_up_at_its_deadline() {
    let draft = Draft { deadline_ms: Some(1_000), ..dialect(open(Saga, "a")) };
    check(
        draft,
        "create; +999; +1; commit",
        expect![[r#"
        > create
        created
        = open  wake @1000
        > +999
        = open  wake @1000
        > +1
        rollback_begun: deadline
        rolled_back
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
    "#]],
    );
}

#[test]
fn the_deadline_of_an_open_saga_counts_from_its_creation() {
    let draft = Draft { deadline_ms: Some(1_000), ..dialect(open(Saga, "a")) };
    check(
        draft,
        "create; +800; commit; +199; +1; a.compensate done",
        expect![[r#"
            > create
            created
            = open  wake @1000
            > +800
            = open  wake @1000
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
        "#]],
    );
}

#[test]
fn a_saga_takes_no_registration_once_it_is_committed() {
    check(
        dialect(open(Saga, "a")),
        "create; commit; register b",
        expect![[r#"
        > create
        created
        = open
        > commit
        submitted
        = running  a.action#1
        > register b
        ! cannot register a branch: the transaction is running; it is decided
        = running  a.action#1
    "#]],
    );
}

#[test]
fn an_open_saga_without_steps_commits_when_it_is_told_to() {
    check(
        dialect(open(Saga, "")),
        "create; commit",
        expect![[r#"
        > create
        created
        = open
        > commit
        submitted
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_delay_is_counted_from_creation() {
    check(
        dialect(open(Message, "a")),
        "create; +2000; commit_at 5000; commit; commit_at 9000; +2999; +1; a.deliver done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +2000
            = open  check#1@10000  wake @10000
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
        "#]],
    );
    check(
        dialect(open(Saga, "a")),
        "create; +2000; commit_at 5000; +3000; a.action done",
        expect![[r#"
        > create
        created
        = open
        > +2000
        = open
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
    "#]],
    );
}

#[test]
fn there_is_no_delay_for_what_is_as_old_already() {
    check(
        dialect(open(Message, "a")),
        "create; +5000; commit_at 5000; a.deliver done",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > +5000
        = open  check#1@10000  wake @10000
        > commit_at 5000
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]],
    );
    check(
        dialect(open(Saga, "a")),
        "create; +9000; commit_at 5000; a.action done",
        expect![[r#"
        > create
        created
        = open
        > +9000
        = open
        > commit_at 5000
        submitted
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_delay_means_nothing_where_the_first_calls_were_made_by_the_initiator() {
    check(
        open(Tcc, "a"),
        "create; commit_at 5000; a.confirm done",
        expect![[r#"
        > create
        created
        = open
        > commit_at 5000
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
fn a_deadline_before_the_start_wins() {
    let draft = Draft { deadline_ms: Some(3_000), ..dialect(open(Saga, "a")) };
    check(
        draft,
        "create; commit_at 5000; +2999; +1; commit_at 5000",
        expect![[r#"
        > create
        created
        = open  wake @3000
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
    "#]],
    );
}

#[test]
fn a_deadline_after_the_start_counts_from_creation_all_the_same() {
    let draft = Draft { deadline_ms: Some(6_000), ..dialect(open(Saga, "a")) };
    check(
        draft,
        "create; commit_at 5000; +5000; +1000; a.compensate done",
        expect![[r#"
            > create
            created
            = open  wake @6000
            > commit_at 5000
            submitted, from @5000
            = running  wake @5000
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
        "#]],
    );
}

#[test]
fn what_waits_for_its_start_can_be_aborted_if_it_is_a_saga() {
    check(
        dialect(open(Saga, "a")),
        "create; commit_at 5000; abort",
        expect![[r#"
        > create
        created
        = open
        > commit_at 5000
        submitted, from @5000
        = running  wake @5000
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
    "#]],
    );
    check(
        dialect(open(Message, "a")),
        "create; commit_at 5000; abort",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > commit_at 5000
        submitted, from @5000
        = running  wake @5000
        > abort
        ! cannot abort: the transaction is running; a submitted message is delivered, never undone
        = running  wake @5000
    "#]],
    );
}

#[test]
fn a_message_without_a_check_counts_as_yes_when_its_time_has_come() {
    check(
        unasked("a b<a"),
        "create; +9999; +1; a.deliver done; b.deliver done",
        expect![[r#"
        > create
        created
        = open  wake @10000
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
    "#]],
    );
}

#[test]
fn a_message_without_a_check_is_submitted_or_aborted_before_its_time() {
    check(
        unasked("a"),
        "create; commit; +10000; a.deliver done",
        expect![[r#"
        > create
        created
        = open  wake @10000
        > commit
        submitted
        = running  a.deliver#1
        > +10000
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]],
    );
    check(
        unasked("a"),
        "create; abort; +10000",
        expect![[r#"
        > create
        created
        = open  wake @10000
        > abort
        rollback_begun: aborted, changed my mind
        rolled_back
        = rolled_back
        > +10000
        = rolled_back
    "#]],
    );
    check(
        unasked("a"),
        "create; +4000; commit_at 20000; +6000; +10000",
        expect![[r#"
        > create
        created
        = open  wake @10000
        > +4000
        = open  wake @10000
        > commit_at 20000
        submitted, from @20000
        = running  wake @20000
        > +6000
        = running  wake @20000
        > +10000
        started
        = running  a.deliver#1
    "#]],
    );
}

#[test]
fn a_quarantined_message_without_a_check_waits_for_a_person() {
    check(
        unasked("a"),
        "create; quarantine; +20000; replay; +0",
        expect![[r#"
        > create
        created
        = open  wake @10000
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
    "#]],
    );
}

#[test]
fn replay_makes_the_time_of_a_message_without_a_check_come() {
    check(
        unasked("a"),
        "create; +1; replay; +0; a.deliver done",
        expect![[r#"
        > create
        created
        = open  wake @10000
        > +1
        = open  wake @10000
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
    "#]],
    );
}

#[test]
fn a_declared_saga_is_not_committed_by_hand_in_any_dialect() {
    check(
        dialect(declared(Saga, "a")),
        "create; commit; commit_at 5000",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > commit
        ! cannot commit: the transaction is running; it was declared, so the coordinator decides when every branch has answered
        = running  a.action#1
        > commit_at 5000
        ! cannot commit: the transaction is running; it was declared, so the coordinator decides when every branch has answered
        = running  a.action#1
    "#]],
    );
}
