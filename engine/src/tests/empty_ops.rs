//! Ops without a target: done as soon as they are owed, and no sooner.

use expect_test::expect;

use super::trace::{absent, created, dialect, message, saga, tcc, two_phase};
use crate::spec::Draft;

#[test]
fn a_step_with_nothing_to_do_does_not_let_its_successor_overtake_its_predecessor() {
    created(dialect(saga("a *b<a c<b"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn several_steps_in_a_row_with_nothing_to_do_keep_the_order_of_their_neighbours() {
    absent(dialect(saga("*z a<z *b<a *c<b d<c *e<d"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_step_with_nothing_to_do_is_undone_if_it_was_its_turn() {
    created(dialect(saga("a *b<a c<b *d<c"))).after("a.action done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_step_with_nothing_to_do_whose_turn_it_was_not_is_not_undone() {
    created(dialect(saga("a *b<a *c<b"))).shows(expect![[r#"
        > a.action refused
        a.action#1 refused
        rollback_begun: refused by a, no
        = rolling_back  a.compensate#1
        > a.compensate done
        a.compensate#1 done
        rolled_back
        = rolled_back
    "#]]);
}

#[test]
fn a_step_with_nothing_to_undo_in_between_keeps_the_order_of_its_neighbours() {
    created(dialect(saga("a !b<a c<b"))).after("a.action done; b.action done").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_saga_with_nothing_to_do_commits_at_once() {
    absent(dialect(saga(""))).shows(expect![[r#"
        > create
        created
        committed
        = committed
        > create
        = committed
    "#]]);
    absent(dialect(saga("*a *!b<a"))).shows(expect![[r#"
        > create
        created
        committed
        = committed
    "#]]);
}

#[test]
fn a_saga_with_nothing_to_do_waits_for_its_start() {
    created(dialect(Draft { start_delay_ms: 1_000, ..saga("*a") })).shows(expect![[r#"
        > +999
        = running  wake @1000
        > +1
        started
        committed
        = committed
    "#]]);
}

#[test]
fn a_delivery_without_a_target_is_done() {
    created(dialect(message("a *b<a c<b"))).shows(expect![[r#"
        > a.deliver done
        a.deliver#1 done
        = running  c.deliver#1
        > c.deliver done
        c.deliver#1 done
        committed
        = committed
    "#]]);
    absent(dialect(message(""))).shows(expect![[r#"
        > create
        created
        committed
        = committed
    "#]]);
}

#[test]
fn a_declared_branch_without_a_try_is_tried_and_finished_all_the_same() {
    created(dialect(tcc("a *b"))).shows(expect![[r#"
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
    "#]]);
    absent(dialect(two_phase("*a *b"))).shows(expect![[r#"
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
    "#]]);
    created(dialect(tcc("a *b"))).shows(expect![[r#"
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
    "#]]);
}

#[test]
fn transactions_without_anybody_to_call_settle_at_once() {
    absent(dialect(tcc("*^a"))).shows(expect![[r#"
        > create
        created
        commit_decided
        committed
        = committed
    "#]]);
    absent(dialect(two_phase(""))).shows(expect![[r#"
        > create
        created
        commit_decided
        committed
        = committed
    "#]]);
}
