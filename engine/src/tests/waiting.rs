//! What a transaction waits for: calls that cannot be sent, errors that are remembered, and what is said of both.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Tcc};
use trine_protocol::{Op, OutcomeKind, Timestamp};

use super::trace::{attempts, calling, created, deadline, open, saga, tcc};
use crate::spec::{Draft, OnExhausted};

#[test]
fn a_call_that_cannot_be_sent_is_recorded_when_that_lasts_and_then_sparsely() {
    created(saga("a")).after("+9999").shows(expect![[r#"
        > a.action unsent 0 nobody
        = running  a.action#1
        > +1
        = running  a.action#1
        > a.action unsent 0 nobody
        not_sent a.action, since @0: nobody
        = running  a.action#1
        > a.action unsent 0 nobody
        = running  a.action#1
        > +9999
        = running  a.action#1
        > a.action unsent 0 no place
        = running  a.action#1
        > +1
        = running  a.action#1
        > a.action unsent 0 no place
        not_sent a.action, since @0: no place
        = running  a.action#1
        > +86400000
        = running  a.action#1
        > a.action unsent 0 no place
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn where_attempts_are_limited_it_parks_after_the_time_they_would_have_taken() {
    // 0.2 + 0.4 + .. + 25.6 + 30 + 30 seconds between eleven attempts.
    created(calling(saga("a"), attempts(11, OnExhausted::Park))).after("+110999").shows(expect![[r#"
        > a.action unsent 0 nobody
        not_sent a.action, since @0: nobody
        = running  a.action#1
        > +1
        = running  a.action#1
        > a.action unsent 0 nobody
        not_sent a.action, since @0: nobody
        op_parked a.action: not_sent
        = running, parked (not_sent)
        > a.action unsent 0 nobody
        = running, parked (not_sent)
        > replay
        replayed
        = running  a.action#1
        > a.action unsent 0 nobody
        not_sent a.action, since @0: nobody
        op_parked a.action: not_sent
        = running, parked (not_sent)
        > a.action done
        a.action#1 done
        committed
        = committed
    "#]]);
}

#[test]
fn a_minute_passes_before_anything_is_given_up_for_want_of_somebody_to_call() {
    created(calling(saga("a b<a"), attempts(1, OnExhausted::RollBack)))
        .after("+10000; a.action unsent 0 nobody")
        .shows(expect![[r#"
        > +49999
        = running  a.action#1
        > a.action unsent 0 nobody
        = running  a.action#1
        > +1
        = running  a.action#1
        > a.action unsent 0 nobody
        not_sent a.action, since @0: nobody
        rollback_begun: exhausted a (nobody)
        = rolling_back  a.compensate#1
        > +60000
        = rolling_back  a.compensate#1
        > a.compensate unsent 60000 nobody
        not_sent a.compensate, since @60000: nobody
        op_parked a.compensate: not_sent
        = rolling_back, parked (not_sent)
        > replay
        replayed
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn what_lasted_while_nobody_tried_is_not_held_against_anybody() {
    created(calling(saga("a"), attempts(2, OnExhausted::RollBack)))
        .after("+10000; a.action unsent 0 nobody")
        .shows(expect![[r#"
        > +7200000
        = running  a.action#1
        > a.action unsent 7200000 nobody
        = running  a.action#1
        > +10000
        = running  a.action#1
        > a.action unsent 7200000 nobody
        = running  a.action#1
        > +40000
        = running  a.action#1
        > a.action unsent 7200000 nobody
        not_sent a.action, since @0: nobody
        rollback_begun: exhausted a (nobody)
        = rolling_back  a.compensate#1
    "#]]);
}

#[test]
fn an_answer_ends_the_time_that_calls_could_not_be_sent() {
    created(calling(saga("a"), attempts(3, OnExhausted::Park)))
        .after("+10000; a.action unsent 0 nobody; a.action unknown")
        .shows(expect![[r#"
        > +59000
        = running  a.action#2
        > a.action unsent 11000 nobody
        not_sent a.action, since @11000: nobody
        = running  a.action#2
        > +1000
        = running  a.action#2
        > a.action unsent 11000 nobody
        = running  a.action#2
        > +3000
        = running  a.action#2
        > a.action unsent 11000 nobody
        not_sent a.action, since @11000: nobody
        op_parked a.action: not_sent
        = running, parked (not_sent)
    "#]]);
}

#[test]
fn a_check_and_a_delivery_park_and_never_roll_back() {
    created(calling(open(Message, "a"), attempts(1, OnExhausted::RollBack))).after("+70000").shows(expect![
        [r#"
        > check unsent 10000 nobody
        not_sent check, since @10000: nobody
        op_parked check: not_sent
        = open, parked (not_sent)
        > commit
        submitted
        = running  a.deliver#1
        > +60000
        = running  a.deliver#1
        > a.deliver unsent 70000 nobody
        not_sent a.deliver, since @70000: nobody
        op_parked a.deliver: not_sent
        = running, parked (not_sent)
    "#]
    ]);
}

#[test]
fn what_is_not_owed_cannot_have_been_unsent() {
    created(saga("a b<a")).after("+20000").shows(expect![[r#"
        > b.action unsent 0 nobody
        = running  a.action#1
        > a.action#2 unsent 0 nobody
        = running  a.action#1
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > a.action unsent 0 nobody
        = rolling_back  a.compensate#1
    "#]]);
}

#[test]
fn a_deadline_names_the_branch_that_was_waited_for_and_what_was_wrong_with_it() {
    let run = created(deadline(1_000, saga("a b<a"))).after("a.action done; b.action unknown boom");
    run.shows(expect![[r#"
        > +1000
        rollback_begun: deadline, waiting for b (boom)
        = rolling_back  b.compensate#1
    "#]]);
}

#[test]
fn attempts_that_are_used_up_say_what_the_last_one_came_to() {
    created(calling(saga("a"), attempts(2, OnExhausted::RollBack))).after("a.action unknown first").shows(
        expect![[r#"
        > a.action unknown second
        a.action#2 unknown, again @400 (second)
        rollback_begun: exhausted a (second)
        = rolling_back  a.compensate#1
    "#]],
    );
}

#[test]
fn it_waits_for_whoever_needs_somebody_most() {
    let waits = |draft: Draft, script: &str| {
        let on = created(draft).after(script).state().waiting_on()?;
        Some((on.branch.map(|id| id.to_string()), on.op, on.attempts, on.last_error))
    };
    let b = |error: Option<&str>, attempts| {
        Some((Some("b".to_owned()), Op::Try, attempts, error.map(str::to_owned)))
    };
    let three = || calling(tcc("a b c"), attempts(2, OnExhausted::Park));
    assert_eq!(waits(three(), "a.try done"), b(None, 0));
    assert_eq!(waits(three(), "b.try ongoing"), b(None, 1), "before what was not answered yet");
    assert_eq!(waits(three(), "a.try ongoing; b.try unknown boom"), b(Some("boom"), 1));
    let unsent = "a.try unknown boom; +10000; b.try unsent 0 nobody";
    assert_eq!(waits(three(), unsent), b(Some("nobody"), 0));
    let parked = format!("{unsent}; b.try unknown one; b.try unknown two; c.try unsent 0 nobody");
    assert_eq!(waits(three(), &parked), b(Some("two"), 2));
    assert_eq!(
        waits(three(), "a.try done; b.try done; c.try done; a.confirm done; b.confirm done; c.confirm done"),
        None
    );
    assert_eq!(waits(saga("a b<a"), "quarantine"), None);
    assert_eq!(waits(Draft { start_delay_ms: 5, ..saga("a") }, ""), None);
    assert_eq!(waits(open(Tcc, "a"), ""), None, "its initiator is no op");
    assert_eq!(waits(open(Message, "a"), ""), Some((None, Op::Check, 0, None)));
}

#[test]
fn since_when_and_when_again_are_said_until_it_is_done_or_replayed() {
    let at = Timestamp::from_millis;
    let on = |script: &str| created(saga("a b<a")).after(script).state().waiting_on().unwrap();
    let first = on("+7; a.action unknown boom");
    assert_eq!(
        (first.since, first.next_at, first.last),
        (Some(at(7)), Some(at(207)), Some(OutcomeKind::Unknown))
    );
    let again = on("+7; a.action unknown boom; +200; a.action ongoing");
    assert_eq!((again.since, again.next_at, again.last_error), (Some(at(7)), Some(at(1_207)), None));
    let unsent = on("a.action unknown boom; +10200; a.action unsent 200 nobody");
    assert_eq!((unsent.since, unsent.next_at), (Some(at(0)), None), "its call is due, and nobody is there");
    let done = on("+7; a.action unknown boom; +200; a.action done");
    assert_eq!((done.branch.unwrap().as_str(), done.since), ("b", None));
}

#[test]
fn what_is_kept_of_an_error_is_bounded() {
    let long = "ä".repeat(1_000);
    let on = created(saga("a")).after(&format!("a.action unknown {long}")).state().waiting_on().unwrap();
    assert_eq!(on.last_error.unwrap(), "ä".repeat(256));
}

#[test]
fn an_op_that_goes_on_being_ongoing_is_asked_less_and_less_often() {
    // Ends a run that asks too often before it becomes slow.
    const FAR_TOO_MANY: usize = 1_000;
    let mut records = Vec::new();
    for hours in [1, 2, 3] {
        let mut run = created(saga("a"));
        while run.now() < hours * 3_600_000 && run.records() < FAR_TOO_MANY {
            run.step("a.action ongoing 0");
            run.pass();
        }
        records.push(run.records());
    }
    // Asked again at once each time, it would have been ten times a second.
    assert!(records[0] < 200, "{records:?}");
    // At least once a minute, all the same.
    assert!((60..=62).contains(&(records[2] - records[1])), "{records:?}");
}

#[test]
fn another_answer_ends_the_patience_and_a_longer_delay_is_kept() {
    created(saga("a")).shows(expect![[r#"
        > a.action ongoing 0
        a.action#1 ongoing, again @100
        = running  a.action#2@100  wake @100
        > +1600
        = running  a.action#2
        > a.action ongoing 0
        a.action#2 ongoing, again @1700
        = running  a.action#3@1700  wake @1700
        > +3200
        = running  a.action#3
        > a.action ongoing 5000
        a.action#3 ongoing, again @9800
        = running  a.action#4@9800  wake @9800
        > +5000
        = running  a.action#4
        > a.action unknown
        a.action#4 unknown, again @10000
        = running  a.action#5@10000  wake @10000
        > a.action ongoing 0
        a.action#5 ongoing, again @9900
        = running  a.action#6@9900  wake @9900
        > +800000
        = running  a.action#6
        > a.action ongoing
        a.action#6 ongoing, again @859800
        = running  a.action#7@859800  wake @859800
        > +3600000
        = running  a.action#7
        > a.action ongoing
        a.action#7 ongoing, again @4469800
        = running  a.action#8@4469800  wake @4469800
    "#]]);
}

#[test]
fn what_nothing_undid_may_stand() {
    let stands = |draft: Draft, script: &str| {
        let state = created(draft).after(script).state();
        state.may_stand().into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    // `!`: nothing to undo it with.
    let bare = || saga("!a !b<a c<b !d<c");
    assert_eq!(stands(bare(), "a.action unknown"), "", "it goes on");
    assert_eq!(stands(bare(), "a.action unknown; abort"), "a", "it may have run");
    assert_eq!(stands(bare(), "a.action done; b.action refused"), "a", "b says that it did not");
    let undone = "a.action done; b.action done; c.action unknown; abort; c.compensate done";
    assert_eq!(stands(bare(), undone), "a b", "c was undone, d was never asked");
    assert_eq!(stands(saga("a b"), "abort; a.compensate done; b.compensate done"), "");
    assert_eq!(stands(saga("a b"), "abort; a.compensate done; force rolled_back"), "b");
    assert_eq!(stands(saga("a"), "force committed"), "");
    assert_eq!(stands(open(Tcc, "*a"), "force rolled_back"), "a", "its initiator may have tried it");
}
