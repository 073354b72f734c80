//! What operators do: replay, force; and what quarantine stops.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Saga, Tcc};

use super::trace::{calling, check, declared, open};
use crate::spec::{CallPolicy, Draft, RetryPolicy};

fn one_attempt() -> CallPolicy {
    let retry = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    CallPolicy { retry, ..CallPolicy::default() }
}

#[test]
fn replay_sets_every_parked_branch_going_with_fresh_attempts() {
    check(
        calling(declared(Saga, "a b"), one_attempt()),
        "create; a.action unknown; b.action unknown; replay; a.action unknown; b.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > a.action unknown
            a.action#1 unknown, again @200
            op_parked a.action: exhausted
            = running, parked (exhausted)  b.action#1
            > b.action unknown
            b.action#1 unknown, again @200
            op_parked b.action: exhausted
            = running, parked (exhausted)
            > replay
            replayed
            = running  a.action#2  b.action#2
            > a.action unknown
            a.action#2 unknown, again @200
            op_parked a.action: exhausted
            = running, parked (exhausted)  b.action#2
            > b.action done
            b.action#2 done
            = running, parked (exhausted)
        "#]],
    );
}

#[test]
fn replay_of_one_branch_leaves_the_others_parked() {
    check(
        calling(declared(Saga, "a b"), one_attempt()),
        "create; a.action unknown; b.action unknown; replay b; replay b; b.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1  b.action#1
            > a.action unknown
            a.action#1 unknown, again @200
            op_parked a.action: exhausted
            = running, parked (exhausted)  b.action#1
            > b.action unknown
            b.action#1 unknown, again @200
            op_parked b.action: exhausted
            = running, parked (exhausted)
            > replay b
            replayed b
            = running, parked (exhausted)  b.action#2
            > replay b
            = running, parked (exhausted)  b.action#2
            > b.action done
            b.action#2 done
            = running, parked (exhausted)
        "#]],
    );
}

#[test]
fn replay_makes_a_waiting_call_due_now() {
    check(
        declared(Saga, "a"),
        "create; a.action unknown; replay; replay; a.action unknown",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action unknown
        a.action#1 unknown, again @200
        = running  a.action#2@200  wake @200
        > replay
        replayed
        = running  a.action#2
        > replay
        = running  a.action#2
        > a.action unknown
        a.action#2 unknown, again @200
        = running  a.action#3@200  wake @200
    "#]],
    );
}

#[test]
fn replay_works_on_phase_two() {
    check(
        calling(declared(Tcc, "a b"), one_attempt()),
        "create; a.try done; b.try done; a.confirm unknown; b.confirm unknown; replay a; a.confirm done; replay;
         b.confirm done",
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
            > a.confirm unknown
            a.confirm#1 unknown, again @200
            op_parked a.confirm: exhausted
            = committing, parked (exhausted)  b.confirm#1
            > b.confirm unknown
            b.confirm#1 unknown, again @200
            op_parked b.confirm: exhausted
            = committing, parked (exhausted)
            > replay a
            replayed a
            = committing, parked (exhausted)  a.confirm#2
            > a.confirm done
            a.confirm#2 done
            = committing, parked (exhausted)
            > replay
            replayed
            = committing  b.confirm#2
            > b.confirm done
            b.confirm#2 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn replay_with_nothing_to_do_succeeds_and_an_unknown_branch_or_a_settled_transaction_is_refused() {
    check(
        declared(Saga, "a"),
        "create; replay; replay a; replay z; a.action done; replay; replay z",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > replay
        = running  a.action#1
        > replay a
        = running  a.action#1
        > replay z
        ! the transaction has no branch z
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > replay
        ! cannot replay: the transaction is committed; it is settled
        = committed
        > replay z
        ! the transaction has no branch z
        = committed
    "#]],
    );
}

#[test]
fn force_settles_both_ways_from_any_unsettled_status() {
    check(
        declared(Saga, "a"),
        "create; force committed; force committed; force rolled_back",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > force committed
        forced committed: by hand, ops
        = committed
        > force committed
        = committed
        > force rolled_back
        ! cannot force: the transaction is committed; it is settled the other way, and that is final
        = committed
    "#]],
    );
    check(
        declared(Saga, "a"),
        "create; abort; force rolled_back; a.compensate done",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back  a.compensate#1
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > a.compensate done
        = rolled_back
    "#]],
    );
}

#[test]
fn force_overrides_what_was_decided_or_still_open() {
    check(
        open(Tcc, "a"),
        "create; force rolled_back; commit; abort",
        expect![[r#"
        > create
        created
        = open
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
        > abort
        = rolled_back
    "#]],
    );
    check(
        declared(Tcc, "a"),
        "create; a.try done; force rolled_back; a.confirm done",
        expect![[r#"
        > create
        created
        = running  a.try#1
        > a.try done
        a.try#1 done
        commit_decided
        = committing  a.confirm#1
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > a.confirm done
        = rolled_back
    "#]],
    );
    check(
        open(Message, "a"),
        "create; force committed; commit; abort",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > force committed
        forced committed: by hand, ops
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
fn force_after_the_end_is_refused_unless_it_says_the_same() {
    check(
        declared(Saga, "a"),
        "create; a.action done; force committed; force rolled_back",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > force committed
        = committed
        > force rolled_back
        ! cannot force: the transaction is committed; it is settled the other way, and that is final
        = committed
    "#]],
    );
}

#[test]
fn quarantine_stops_calls_answers_and_time_until_a_replay() {
    let draft = Draft { deadline_ms: Some(1_000), ..declared(Saga, "a") };
    check(
        draft,
        "create; quarantine; quarantine; a.action done; +1000; replay; +0; a.compensate done; quarantine",
        expect![[r#"
            > create
            created
            = running  a.action#1  wake @1000
            > quarantine
            quarantined: it panics
            = running, parked (quarantined)
            > quarantine
            = running, parked (quarantined)
            > a.action done
            = running, parked (quarantined)
            > +1000
            = running, parked (quarantined)
            > replay
            replayed
            = running  a.action#1  wake @1000
            > +0
            rollback_begun: deadline, waiting for a
            = rolling_back  a.compensate#1
            > a.compensate done
            a.compensate#1 done
            rolled_back
            = rolled_back
            > quarantine
            = rolled_back
        "#]],
    );
}

#[test]
fn a_quarantined_transaction_can_be_decided_and_acts_on_it_when_replayed() {
    check(
        open(Tcc, "a"),
        "create; quarantine; commit; a.confirm done; replay; a.confirm done",
        expect![[r#"
            > create
            created
            = open
            > quarantine
            quarantined: it panics
            = open, parked (quarantined)
            > commit
            commit_decided
            = committing, parked (quarantined)
            > a.confirm done
            = committing, parked (quarantined)
            > replay
            replayed
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
        "#]],
    );
    check(
        open(Tcc, ""),
        "create; quarantine; abort; replay",
        expect![[r#"
        > create
        created
        = open
        > quarantine
        quarantined: it panics
        = open, parked (quarantined)
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back, parked (quarantined)
        > replay
        replayed
        rolled_back
        = rolled_back
    "#]],
    );
    check(
        declared(Saga, "a"),
        "create; quarantine; force committed",
        expect![[r#"
        > create
        created
        = running  a.action#1
        > quarantine
        quarantined: it panics
        = running, parked (quarantined)
        > force committed
        forced committed: by hand, ops
        = committed
    "#]],
    );
}

#[test]
fn what_does_not_exist_takes_only_a_creation() {
    check(
        declared(Saga, "a"),
        "commit; abort; replay; force committed; register b; quarantine; +5",
        expect![[r#"
        > commit
        ! there is no transaction with this gid
        = absent
        > abort
        ! there is no transaction with this gid
        = absent
        > replay
        ! there is no transaction with this gid
        = absent
        > force committed
        ! there is no transaction with this gid
        = absent
        > register b
        ! there is no transaction with this gid
        = absent
        > quarantine
        = absent
        > +5
        = absent
    "#]],
    );
}
