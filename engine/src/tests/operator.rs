//! What operators do: replay, force; and what quarantine stops.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Tcc};

use super::trace::{absent, attempts, calling, created, deadline, dialect, open, saga, tcc};
use crate::spec::OnExhausted;

#[test]
fn replay_sets_every_parked_branch_going_with_fresh_attempts() {
    created(calling(saga("a b"), attempts(1, OnExhausted::Park)))
        .after("a.action unknown; b.action unknown")
        .shows(expect![[r#"
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
    "#]]);
}

#[test]
fn replay_of_one_branch_leaves_the_others_parked() {
    created(calling(saga("a b"), attempts(1, OnExhausted::Park)))
        .after("a.action unknown; b.action unknown")
        .shows(expect![[r#"
        > replay b
        replayed b
        = running, parked (exhausted)  b.action#2
        > replay b
        = running, parked (exhausted)  b.action#2
        > b.action done
        b.action#2 done
        = running, parked (exhausted)
    "#]]);
}

#[test]
fn replay_makes_a_waiting_call_due_now() {
    created(saga("a")).after("a.action unknown").shows(expect![[r#"
        > replay
        replayed
        = running  a.action#2
        > replay
        = running  a.action#2
        > a.action unknown
        a.action#2 unknown, again @200
        = running  a.action#3@200  wake @200
        > +200
        = running  a.action#3
        > replay
        = running  a.action#3
    "#]]);
}

#[test]
fn replay_works_on_phase_two() {
    created(calling(tcc("a b"), attempts(1, OnExhausted::Park)))
        .after("a.try done; b.try done; a.confirm unknown; b.confirm unknown")
        .shows(expect![[r#"
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
    "#]]);
}

#[test]
fn replay_with_nothing_to_do_succeeds_and_an_unknown_branch_or_a_settled_transaction_is_refused() {
    created(saga("a")).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn force_settles_both_ways_from_any_unsettled_status() {
    created(saga("a")).shows(expect![[r#"
        > force committed
        forced committed: by hand, ops
        = committed
        > force committed
        = committed
        > force rolled_back
        ! cannot force: the transaction is committed; it is settled the other way, and that is final
        = committed
    "#]]);
    created(saga("a")).after("abort").shows(expect![[r#"
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > a.compensate done
        = rolled_back
    "#]]);
}

#[test]
fn force_overrides_what_is_still_open() {
    created(open(Tcc, "a")).shows(expect![[r#"
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
        > abort
        = rolled_back
    "#]]);
    created(open(Message, "a")).shows(expect![[r#"
        > force committed
        forced committed: by hand, ops
        = committed
        > commit
        = committed
        > abort
        ! cannot abort: the transaction is committed; it was decided to commit
        = committed
    "#]]);
}

#[test]
fn a_decision_can_only_be_forced_to_its_own_end() {
    created(tcc("a")).after("a.try done").shows(expect![[r#"
        > force rolled_back
        ! cannot force: the transaction is committing; the opposite was decided, and initiators may have been told so
        = committing  a.confirm#1
        > force committed
        forced committed: by hand, ops
        = committed
    "#]]);
    created(saga("a")).after("abort").shows(expect![[r#"
        > force committed
        ! cannot force: the transaction is rolling_back; the opposite was decided, and initiators may have been told so
        = rolling_back  a.compensate#1
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
    "#]]);
}

#[test]
fn an_operator_of_another_dialect_may_give_a_commit_up() {
    created(dialect(tcc("a"))).after("a.try done").shows(expect![[r#"
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
    "#]]);
}

#[test]
fn force_after_the_end_is_refused_unless_it_says_the_same() {
    created(saga("a")).after("a.action done").shows(expect![[r#"
        > force committed
        = committed
        > force rolled_back
        ! cannot force: the transaction is committed; it is settled the other way, and that is final
        = committed
    "#]]);
}

#[test]
fn quarantine_stops_calls_answers_and_time_until_a_replay() {
    created(deadline(1_000, saga("a"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_quarantined_transaction_can_be_decided_and_acts_on_it_when_replayed() {
    created(open(Tcc, "a")).after("quarantine").shows(expect![[r#"
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
    "#]]);
    created(open(Tcc, "")).after("quarantine").shows(expect![[r#"
        > abort
        rollback_begun: aborted, changed my mind
        = rolling_back, parked (quarantined)
        > replay
        replayed
        rolled_back
        = rolled_back
    "#]]);
    created(saga("a")).after("quarantine").shows(expect![[r#"
        > force committed
        forced committed: by hand, ops
        = committed
    "#]]);
}

#[test]
fn what_does_not_exist_takes_only_a_creation() {
    absent(saga("a")).shows(expect![[r#"
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
    "#]]);
}
