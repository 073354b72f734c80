//! Rules of messages: open, submit, check-back, delivery.

use expect_test::expect;
use trine_protocol::Pattern::Message;

use super::trace::{absent, attempts, calling, created, message, open};
use crate::spec::{Draft, OnExhausted};

#[test]
fn a_declared_message_is_delivered_to_every_target_in_parallel() {
    absent(message("a b")).shows(expect![[r#"
        > create
        created
        = running  a.deliver#1  b.deliver#1
        > b.deliver done
        b.deliver#1 done
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn deliveries_can_be_in_sequence() {
    created(message("a b<a")).shows(expect![[r#"
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
fn an_open_message_delivers_nothing_before_it_is_submitted() {
    absent(open(Message, "a")).shows(expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > register b<a
        branch_registered b
        = open  check#1@10000  wake @10000
        > commit
        submitted
        = running  a.deliver#1
        > commit
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
fn an_initiator_that_falls_silent_is_asked_and_yes_submits() {
    created(open(Message, "a")).shows(expect![[r#"
        > +9999
        = open  check#1@10000  wake @10000
        > +1
        = open  check#1
        > check done
        check#1 done
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn an_initiator_that_says_no_rolls_back_and_nothing_is_delivered() {
    created(open(Message, "a")).after("+10000").shows(expect![[r#"
        > check refused
        check#1 refused
        rollback_begun: check_refused, no
        rolled_back
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
    "#]]);
}

#[test]
fn an_initiator_that_does_not_know_yet_is_asked_again() {
    created(open(Message, "a")).after("+10000").shows(expect![[r#"
        > check ongoing 2000
        check#1 ongoing, again @12000
        = open  check#2@12000  wake @12000
        > +2000
        = open  check#2
        > check ongoing
        check#2 ongoing, again @13000
        = open  check#3@13000  wake @13000
        > +1000
        = open  check#3
        > check done
        check#3 done
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn an_initiator_that_cannot_be_reached_is_asked_again_with_backoff_and_never_taken_for_a_no() {
    created(open(Message, "a")).after("+10000").shows(expect![[r#"
        > check unknown
        check#1 unknown, again @10200
        = open  check#2@10200  wake @10200
        > +200
        = open  check#2
        > check unknown
        check#2 unknown, again @10600
        = open  check#3@10600  wake @10600
        > +400
        = open  check#3
        > commit
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_check_that_answers_after_the_initiator_decided_changes_nothing() {
    created(open(Message, "a")).after("+10000; commit").shows(expect![[r#"
        > check refused
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
    created(open(Message, "a")).after("+10000; abort").shows(expect![[r#"
        > check done
        = rolled_back
    "#]]);
}

#[test]
fn an_open_message_can_be_aborted_and_a_submitted_one_cannot() {
    created(open(Message, "a")).shows(expect![[r#"
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
    created(open(Message, "a")).after("commit").shows(expect![[r#"
        > abort
        ! cannot abort: the transaction is running; a submitted message is delivered, never undone
        = running  a.deliver#1
    "#]]);
}

#[test]
fn a_delivery_may_not_be_refused() {
    created(message("a")).shows(expect![[r#"
        > a.deliver refused
        a.deliver#1 unknown, again @200 (deliver may not be refused, yet the answer was no: no)
        = running  a.deliver#2@200  wake @200
        > a.deliver done
        a.deliver#2 done
        committed
        = committed
    "#]]);
}

#[test]
fn exhausted_deliveries_and_checks_park_whatever_the_policy_says() {
    let call = attempts(1, OnExhausted::RollBack);
    created(calling(message("a"), call)).shows(expect![[r#"
        > a.deliver unknown
        a.deliver#1 unknown, again @200
        op_parked a.deliver: exhausted
        = running, parked (exhausted)
        > replay
        replayed
        = running  a.deliver#2
        > a.deliver done
        a.deliver#2 done
        committed
        = committed
    "#]]);
    created(calling(open(Message, "a"), call)).after("+10000").shows(expect![[r#"
        > check unknown
        check#1 unknown, again @10200
        op_parked check: exhausted
        = open, parked (exhausted)
        > +60000
        = open, parked (exhausted)
        > replay
        replayed
        = open  check#2
        > check done
        check#2 done
        submitted
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn replay_asks_the_initiator_at_once() {
    created(open(Message, "a")).after("+10").shows(expect![[r#"
        > replay
        replayed
        = open  check#1
        > replay
        = open  check#1
        > check done
        check#1 done
        submitted
        = running  a.deliver#1
    "#]]);
}

#[test]
fn an_open_message_without_targets_settles_when_it_is_submitted() {
    created(open(Message, "")).shows(expect![[r#"
        > commit
        submitted
        committed
        = committed
    "#]]);
}

#[test]
fn a_start_delay_holds_a_declared_message() {
    let draft = Draft { start_delay_ms: 500, ..message("a") };
    created(draft).shows(expect![[r#"
        > +500
        started
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        committed
        = committed
    "#]]);
}
