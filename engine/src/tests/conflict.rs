//! An answer that no retry mends parks its op at once, whatever the retry policy says; replaying asks again.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Saga, Tcc, Workflow};

use super::trace::{calling, check, declared, open};
use crate::spec::{CallPolicy, OnExhausted, RetryPolicy};

/// One attempt, then back.
fn gives_up_at_once() -> CallPolicy {
    let retry = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    CallPolicy { retry, on_exhausted: OnExhausted::RollBack, ..CallPolicy::default() }
}

#[test]
fn a_conflict_parks_a_forward_op_at_once_and_replay_asks_again() {
    check(
        declared(Saga, "a b<a"),
        "create; a.action done; b.action conflict; +86400000; replay; b.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
            > b.action conflict
            b.action#1 unknown, again @200
            op_parked b.action: conflict
            = running, parked (conflict)
            > +86400000
            = running, parked (conflict)
            > replay
            replayed
            = running  b.action#2
            > b.action done
            b.action#2 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_conflict_does_not_roll_back_what_would_roll_back_when_its_attempts_are_used_up() {
    check(
        calling(declared(Saga, "a"), gives_up_at_once()),
        "create; a.action conflict; abort; a.compensate conflict; replay a; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action conflict
            a.action#1 unknown, again @200
            op_parked a.action: conflict
            = running, parked (conflict)
            > abort
            rollback_begun: aborted, changed my mind
            = rolling_back  a.compensate#1
            > a.compensate conflict
            a.compensate#1 unknown, again @200
            op_parked a.compensate: conflict
            = rolling_back, parked (conflict)
            > replay a
            replayed a
            = rolling_back  a.compensate#2
            > a.compensate done
            a.compensate#2 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn a_conflict_in_phase_two_parks_its_branch_and_leaves_the_others_alone() {
    check(
        declared(Tcc, "a b"),
        "create; a.try done; b.try done; a.confirm conflict; b.confirm unknown; b.confirm done; replay; a.confirm done",
        expect![[r#"
            > create
            created
            = running  a.try#1  b.try#1
            > a.try done
            a.try#1 done
            = running  b.try#1
            > b.try done
            b.try#1 done
            commit_decided
            = committing  a.confirm#1  b.confirm#1
            > a.confirm conflict
            a.confirm#1 unknown, again @200
            op_parked a.confirm: conflict
            = committing, parked (conflict)  b.confirm#1
            > b.confirm unknown
            b.confirm#1 unknown, again @200
            = committing, parked (conflict)  b.confirm#2@200  wake @200
            > b.confirm done
            b.confirm#2 done
            = committing, parked (conflict)
            > replay
            replayed
            = committing  a.confirm#2
            > a.confirm done
            a.confirm#2 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_conflict_that_comes_late_is_on_record_and_parks_nothing() {
    check(
        declared(Saga, "a b"),
        "create; abort; a.action conflict; a.compensate done; b.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > abort
            rollback_begun: aborted, changed my mind
            = rolling_back  a.compensate#1  b.compensate#1
            > a.action conflict
            a.action#1 unknown
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
fn a_check_that_meets_a_conflict_is_parked() {
    check(
        open(Message, "a"),
        "create; +10000; check conflict; +86400000; replay; check done",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > +10000
        = open  check#1
        > check conflict
        check#1 unknown, again @10200
        op_parked check: conflict
        = open, parked (conflict)
        > +86400000
        = open, parked (conflict)
        > replay
        replayed
        = open  check#2
        > check done
        check#2 done
        submitted
        = running  a.deliver#1
    "#]],
    );
}

#[test]
fn a_callback_that_meets_a_conflict_is_parked_until_somebody_resumes_the_workflow() {
    check(
        open(Workflow, ""),
        "create; +10000; check conflict; +86400000; resume",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > +10000
        = open  check#1
        > check conflict
        check#1 unknown, again @10200
        op_parked check: conflict
        = open, parked (conflict)
        > +86400000
        = open, parked (conflict)
        > resume
        resumed
        = open  check#2@86420000  wake @86420000
    "#]],
    );
}

#[test]
fn of_several_causes_the_conflict_is_told() {
    let once = CallPolicy { on_exhausted: OnExhausted::Park, ..gives_up_at_once() };
    check(
        calling(declared(Saga, "a b c"), once),
        "create; a.action unknown; b.action conflict; c.action unknown",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1  c.action#1
            > a.action unknown
            a.action#1 unknown, again @200
            op_parked a.action: exhausted
            = running, parked (exhausted)  b.action#1  c.action#1
            > b.action conflict
            b.action#1 unknown, again @200
            op_parked b.action: conflict
            = running, parked (conflict)  c.action#1
            > c.action unknown
            c.action#1 unknown, again @200
            op_parked c.action: exhausted
            = running, parked (conflict)
        "#]],
    );
}
