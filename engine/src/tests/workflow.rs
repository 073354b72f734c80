//! Rules of workflows: progress is recorded, and only their executor ends them.

use expect_test::expect;
use trine_protocol::Pattern::Workflow;

use super::trace::{absent, created, open, saga};
use crate::spec::{CallPolicy, Draft};

/// Called back after 10 seconds of silence, and every 10 seconds from then on.
pub(super) fn workflow() -> Draft {
    let check_call = CallPolicy { ongoing_ms: 10_000, ..CallPolicy::default() }.into();
    Draft { check_call, ..open(Workflow, "") }
}

#[test]
fn a_workflow_owes_nothing_but_a_callback_and_ends_as_its_executor_says() {
    absent(workflow()).shows(expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > record 01 action done
        progressed 01.action done
        = open  check#1@10000  wake @10000
        > finish committed
        finished committed, no reason
        = committed
    "#]]);
    created(workflow()).after("record 01 action done").shows(expect![[r#"
        > record 02 action refused
        progressed 02.action refused
        = open  check#1@10000  wake @10000
        > record 01 rollback done
        progressed 01.rollback done
        = open  check#1@10000  wake @10000
        > finish rolled_back
        finished rolled_back, no money
        = rolled_back
    "#]]);
}

#[test]
fn a_workflow_ends_once() {
    created(workflow()).after("finish committed").shows(expect![[r#"
        > finish committed
        = committed
        > finish rolled_back
        ! cannot finish: the transaction is committed; it has ended
        = committed
        > resume
        = committed
        > create
        = committed
        > commit
        = committed
        > abort
        ! cannot abort: the transaction is committed; it was decided to commit
        = committed
        > +10000
        = committed
        > check done
        = committed
    "#]]);
    created(workflow()).after("finish rolled_back").shows(expect![[r#"
        > finish rolled_back
        = rolled_back
        > finish committed
        ! cannot finish: the transaction is rolled_back; it has ended
        = rolled_back
        > resume
        = rolled_back
        > commit
        ! cannot commit: the transaction is rolled_back; it was decided to roll back
        = rolled_back
        > abort
        = rolled_back
    "#]]);
}

#[test]
fn a_record_is_made_once() {
    created(workflow()).after("record 01 action done").shows(expect![[r#"
        > record 01 action done
        = open  check#1@10000  wake @10000
        > record 01 action refused
        ! branch 01 exists with another body; choose another id, or repeat the request unchanged
        = open  check#1@10000  wake @10000
        > record 01 commit done
        progressed 01.commit done
        = open  check#1@10000  wake @10000
        > record 02 action done
        progressed 02.action done
        = open  check#1@10000  wake @10000
    "#]]);
}

#[test]
fn nothing_is_recorded_after_the_end_but_what_was_recorded_is_confirmed() {
    created(workflow()).after("record 01 action done; finish committed").shows(expect![[r#"
        > record 01 action done
        = committed
        > record 01 action refused
        ! branch 01 exists with another body; choose another id, or repeat the request unchanged
        = committed
        > record 02 action done
        ! cannot record progress: the transaction is committed; it has ended
        = committed
    "#]]);
}

#[test]
fn a_workflow_is_not_decided_from_outside() {
    created(workflow()).shows(expect![[r#"
        > commit
        ! cannot commit: the transaction is open; a workflow ends itself
        = open  check#1@10000  wake @10000
        > commit_at 5000
        ! cannot commit: the transaction is open; a workflow ends itself
        = open  check#1@10000  wake @10000
        > abort
        ! cannot abort: the transaction is open; a workflow undoes what it did and ends itself
        = open  check#1@10000  wake @10000
        > register a
        ! cannot register a branch: the transaction is open; a workflow's branches are its own, and it records progress
        = open  check#1@10000  wake @10000
    "#]]);
}

#[test]
fn only_a_workflow_is_resumed_recorded_and_finished() {
    created(saga("a")).shows(expect![[r#"
        > resume
        ! cannot resume: the transaction is running; it is no workflow
        = running  a.action#1
        > record 01 action done
        ! cannot record progress: the transaction is running; it is no workflow
        = running  a.action#1
        > finish committed
        ! cannot finish: the transaction is running; it is no workflow
        = running  a.action#1
        > a.action done
        a.action#1 done
        committed
        = committed
        > resume
        ! cannot resume: the transaction is committed; it is no workflow
        = committed
        > finish committed
        ! cannot finish: the transaction is committed; it is no workflow
        = committed
        > record 01 action done
        ! cannot record progress: the transaction is committed; it is no workflow
        = committed
    "#]]);
}

#[test]
fn an_operator_ends_a_workflow_by_force_and_that_is_final() {
    created(workflow()).shows(expect![[r#"
        > force committed
        forced committed: by hand, ops
        = committed
        > finish committed
        = committed
        > finish rolled_back
        ! cannot finish: the transaction is committed; it has ended
        = committed
        > record 01 action done
        ! cannot record progress: the transaction is committed; it has ended
        = committed
    "#]]);
    created(workflow()).shows(expect![[r#"
        > force rolled_back
        forced rolled_back: by hand, ops
        = rolled_back
        > finish rolled_back
        = rolled_back
        > finish committed
        ! cannot finish: the transaction is rolled_back; it has ended
        = rolled_back
        > force committed
        ! cannot force: the transaction is rolled_back; it is settled the other way, and that is final
        = rolled_back
    "#]]);
}

#[test]
fn a_quarantined_workflow_is_not_called_back_and_its_executor_can_go_on() {
    created(workflow()).shows(expect![[r#"
        > quarantine
        quarantined: it panics
        = open, parked (quarantined)
        > +20000
        = open, parked (quarantined)
        > check done
        = open, parked (quarantined)
        > record 01 action done
        progressed 01.action done
        = open, parked (quarantined)
        > +20000
        = open, parked (quarantined)
        > replay
        replayed
        = open  check#1
        > check done
        check#1 done, again @50000
        = open  check#2@50000  wake @50000
    "#]]);
    created(workflow()).after("quarantine").shows(expect![[r#"
        > resume
        resumed
        = open, parked (quarantined)
        > finish committed
        finished committed, no reason
        = committed
    "#]]);
}

#[test]
fn what_does_not_exist_is_not_resumed() {
    absent(workflow()).shows(expect![[r#"
        > resume
        ! there is no transaction with this gid
        = absent
        > record 01 action done
        ! there is no transaction with this gid
        = absent
        > finish committed
        ! there is no transaction with this gid
        = absent
    "#]]);
}
