//! Ops without a target: done as soon as they are owed, and no sooner.

use expect_test::expect;
use trine_protocol::Pattern::{Message, Saga, Tcc, TwoPhase};

use super::trace::{check, declared, dialect};
use crate::spec::Draft;

#[test]
fn a_step_with_nothing_to_do_does_not_let_its_successor_overtake_its_predecessor() {
    check(
        dialect(declared(Saga, "a *b<a c<b")),
        "create; a.action unknown; +200; a.action done; c.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action unknown
            a.action#1 unknown, again @200
            = running  a.action#2@200  wake @200
            > +200
            = running  a.action#2
            > a.action done
            a.action#2 done
            = running  c.action#1
            > c.action done
            c.action#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn several_steps_in_a_row_with_nothing_to_do_keep_the_order_of_their_neighbours() {
    check(
        dialect(declared(Saga, "*z a<z *b<a *c<b d<c *e<d")),
        "create; a.action done; d.action done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  d.action#1
            > d.action done
            d.action#1 done
            committed
            = committed
        "#]],
    );
}

#[test]
fn a_step_with_nothing_to_do_is_undone_if_it_was_its_turn() {
    check(
        dialect(declared(Saga, "a *b<a c<b *d<c")),
        "create; a.action done; c.action refused; c.compensate done; b.compensate done; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  c.action#1
            > c.action refused
            c.action#1 refused
            rollback_begun: refused by c, no
            = rolling_back  c.compensate#1
            > c.compensate done
            c.compensate#1 done
            = rolling_back  b.compensate#1
            > b.compensate done
            b.compensate#1 done
            = rolling_back  a.compensate#1
            > a.compensate done
            a.compensate#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn a_step_with_nothing_to_do_whose_turn_it_was_not_is_not_undone() {
    check(
        dialect(declared(Saga, "a *b<a *c<b")),
        "create; a.action refused; a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action refused
            a.action#1 refused
            rollback_begun: refused by a, no
            = rolling_back  a.compensate#1
            > a.compensate done
            a.compensate#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn a_step_with_nothing_to_undo_in_between_keeps_the_order_of_its_neighbours() {
    check(
        dialect(declared(Saga, "a !b<a c<b")),
        "create; a.action done; b.action done; c.action refused; c.compensate unknown; +200; c.compensate done; \
         a.compensate done",
        expect![[r#"
            > create
            created
            = running  a.action#1
            > a.action done
            a.action#1 done
            = running  b.action#1
            > b.action done
            b.action#1 done
            = running  c.action#1
            > c.action refused
            c.action#1 refused
            rollback_begun: refused by c, no
            = rolling_back  c.compensate#1
            > c.compensate unknown
            c.compensate#1 unknown, again @200
            = rolling_back  c.compensate#2@200  wake @200
            > +200
            = rolling_back  c.compensate#2
            > c.compensate done
            c.compensate#2 done
            = rolling_back  a.compensate#1
            > a.compensate done
            a.compensate#1 done
            rolled_back
            = rolled_back
        "#]],
    );
}

#[test]
fn a_saga_with_nothing_to_do_commits_at_once() {
    check(
        dialect(declared(Saga, "")),
        "create; create",
        expect![[r#"
        > create
        created
        committed
        = committed
        > create
        = committed
    "#]],
    );
    check(
        dialect(declared(Saga, "*a *!b<a")),
        "create",
        expect![[r#"
        > create
        created
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_saga_with_nothing_to_do_waits_for_its_start() {
    check(
        dialect(Draft { start_delay_ms: 1_000, ..declared(Saga, "*a") }),
        "create; +999; +1",
        expect![[r#"
        > create
        created
        = running  wake @1000
        > +999
        = running  wake @1000
        > +1
        started
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_delivery_without_a_target_is_done() {
    check(
        dialect(declared(Message, "a *b<a c<b")),
        "create; a.deliver done; c.deliver done",
        expect![[r#"
        > create
        created
        = running  a.deliver#1
        > a.deliver done
        a.deliver#1 done
        = running  c.deliver#1
        > c.deliver done
        c.deliver#1 done
        committed
        = committed
    "#]],
    );
    check(
        dialect(declared(Message, "")),
        "create",
        expect![[r#"
        > create
        created
        committed
        = committed
    "#]],
    );
}

#[test]
fn a_declared_branch_without_a_try_is_tried_and_finished_all_the_same() {
    check(
        dialect(declared(Tcc, "a *b")),
        "create; a.try done; b.confirm done; a.confirm done",
        expect![[r#"
            > create
            created
            = running  a.try#1
            > a.try done
            a.try#1 done
            commit_decided
            = committing  a.confirm#1  b.confirm#1
            > b.confirm done
            b.confirm#1 done
            = committing  a.confirm#1
            > a.confirm done
            a.confirm#1 done
            committed
            = committed
        "#]],
    );
    check(
        dialect(declared(TwoPhase, "*a *b")),
        "create; b.commit done; a.commit done",
        expect![[r#"
        > create
        created
        commit_decided
        = committing  a.commit#1  b.commit#1
        > b.commit done
        b.commit#1 done
        = committing  a.commit#1
        > a.commit done
        a.commit#1 done
        committed
        = committed
    "#]],
    );
    check(
        dialect(declared(Tcc, "a *b")),
        "create; a.try refused; b.cancel done; a.cancel done",
        expect![[r#"
        > create
        created
        = running  a.try#1
        > a.try refused
        a.try#1 refused
        rollback_begun: refused by a, no
        = rolling_back  a.cancel#1  b.cancel#1
        > b.cancel done
        b.cancel#1 done
        = rolling_back  a.cancel#1
        > a.cancel done
        a.cancel#1 done
        rolled_back
        = rolled_back
    "#]],
    );
}

#[test]
fn transactions_without_anybody_to_call_settle_at_once() {
    check(
        dialect(declared(Tcc, "*^a")),
        "create",
        expect![[r#"
        > create
        created
        commit_decided
        committed
        = committed
    "#]],
    );
    check(
        dialect(declared(TwoPhase, "")),
        "create",
        expect![[r#"
        > create
        created
        commit_decided
        committed
        = committed
    "#]],
    );
}
