//! An answer that no retry mends parks its op at once, whatever the retry policy says; replaying asks again.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Workflow};

use super::trace::{attempts, calling, created, open, saga, tcc};
use crate::spec::OnExhausted;

#[test]
fn a_conflict_parks_a_forward_op_at_once_and_replay_asks_again() {
    created(saga("a b<a")).after("a.action done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_conflict_does_not_roll_back_what_would_roll_back_when_its_attempts_are_used_up() {
    created(calling(saga("a"), attempts(1, OnExhausted::RollBack))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_conflict_in_phase_two_parks_its_branch_and_leaves_the_others_alone() {
    created(tcc("a b")).after("a.try done; b.try done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_conflict_that_comes_late_is_on_record_and_parks_nothing() {
    created(saga("a b")).after("abort").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_check_that_meets_a_conflict_is_parked() {
    created(open(Message, "a")).after("+10000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_callback_that_meets_a_conflict_is_parked_until_somebody_resumes_the_workflow() {
    created(open(Workflow, "")).after("+10000").shows(expect![[r#"
        > check conflict
        check#1 unknown, again @10200
        op_parked check: conflict
        = open, parked (conflict)
        > +86400000
        = open, parked (conflict)
        > resume
        resumed
        = open  check#2@86420000  wake @86420000
    "#]]);
}

#[test]
fn of_several_causes_the_conflict_is_told() {
    let once = attempts(1, OnExhausted::Park);
    created(calling(saga("a b c"), once)).after("a.action unknown").shows(expect![[r#"
        > b.action conflict
        b.action#1 unknown, again @200
        op_parked b.action: conflict
        = running, parked (conflict)  c.action#1
        > c.action unknown
        c.action#1 unknown, again @200
        op_parked c.action: exhausted
        = running, parked (conflict)
    "#]]);
}
