//! Rules of workflows: progress is recorded, the abandoned are called back, and only their executor ends them.

use expect_test::expect;
use trine_protocol::Pattern::{Saga, Workflow};

use super::trace::{check, declared, open};
use crate::spec::{CallPolicy, Draft, OnExhausted, RetryPolicy};

/// Called back after 10 seconds of silence, and every 10 seconds from then on.
fn workflow() -> Draft {
    let check_call = CallPolicy { ongoing_ms: 10_000, ..CallPolicy::default() };
    Draft { check_call, ..open(Workflow, "") }
}

#[test]
fn a_workflow_owes_nothing_but_a_callback_and_ends_as_its_executor_says() {
    check(
        workflow(),
        "create; record 01 action done; finish committed",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > record 01 action done
        progressed 01.action done
        = open  check#1@10000  wake @10000
        > finish committed
        finished committed, no reason
        = committed
    "#]],
    );
    check(
        workflow(),
        "create; record 01 action done; record 02 action refused; record 01 rollback done; finish rolled_back",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > record 01 action done
            progressed 01.action done
            = open  check#1@10000  wake @10000
            > record 02 action refused
            progressed 02.action refused
            = open  check#1@10000  wake @10000
            > record 01 rollback done
            progressed 01.rollback done
            = open  check#1@10000  wake @10000
            > finish rolled_back
            finished rolled_back, no money
            = rolled_back
        "#]],
    );
}

#[test]
fn every_sign_of_the_executor_puts_the_callback_off() {
    check(
        workflow(),
        "create; +9000; record 01 action done; +9000; resume; +9000; record 02 action done; +9999; +1",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +9000
            = open  check#1@10000  wake @10000
            > record 01 action done
            progressed 01.action done
            = open  check#1@19000  wake @19000
            > +9000
            = open  check#1@19000  wake @19000
            > resume
            resumed
            = open  check#1@28000  wake @28000
            > +9000
            = open  check#1@28000  wake @28000
            > record 02 action done
            progressed 02.action done
            = open  check#1@37000  wake @37000
            > +9999
            = open  check#1@37000  wake @37000
            > +1
            = open  check#1
        "#]],
    );
}

#[test]
fn a_repeated_creation_or_record_is_no_sign_of_the_executor() {
    check(
        workflow(),
        "create; record 01 action done; +9000; create; record 01 action done; +1000",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > record 01 action done
            progressed 01.action done
            = open  check#1@10000  wake @10000
            > +9000
            = open  check#1@10000  wake @10000
            > create
            = open  check#1@10000  wake @10000
            > record 01 action done
            = open  check#1@10000  wake @10000
            > +1000
            = open  check#1
        "#]],
    );
}

#[test]
fn an_abandoned_workflow_is_called_back_at_a_constant_pace_whatever_is_answered() {
    check(
        workflow(),
        "create; +10000; check done; +10000; check refused; +10000; check ongoing; +10000; check done; +10000; \
         check ongoing 3000; +3000",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +10000
            = open  check#1
            > check done
            check#1 done, again @20000
            = open  check#2@20000  wake @20000
            > +10000
            = open  check#2
            > check refused
            check#2 refused, again @30000
            = open  check#3@30000  wake @30000
            > +10000
            = open  check#3
            > check ongoing
            check#3 ongoing, again @40000
            = open  check#4@40000  wake @40000
            > +10000
            = open  check#4
            > check done
            check#4 done, again @50000
            = open  check#5@50000  wake @50000
            > +10000
            = open  check#5
            > check ongoing 3000
            check#5 ongoing, again @53000
            = open  check#6@53000  wake @53000
            > +3000
            = open  check#6
        "#]],
    );
}

#[test]
fn a_workflow_that_cannot_be_reached_is_called_back_with_backoff_until_there_is_a_sign() {
    check(
        workflow(),
        "create; +10000; check unknown; +200; check unknown; +400; check unknown; resume; +10000; check unknown; \
         +200; check done; +10000; check unknown",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +10000
            = open  check#1
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
            > check unknown
            check#3 unknown, again @11400
            = open  check#4@11400  wake @11400
            > resume
            resumed
            = open  check#4@20600  wake @20600
            > +10000
            = open  check#4
            > check unknown
            check#4 unknown, again @20800
            = open  check#5@20800  wake @20800
            > +200
            = open  check#5
            > check done
            check#5 done, again @30800
            = open  check#6@30800  wake @30800
            > +10000
            = open  check#6
            > check unknown
            check#6 unknown, again @31000
            = open  check#7@31000  wake @31000
        "#]],
    );
}

#[test]
fn what_a_callback_comes_to_does_not_bring_the_next_one_forward() {
    check(
        workflow(),
        "create; +10000; resume; +3000; check unknown; +1000; record 01 action done; check unknown; +9999; +1",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +10000
            = open  check#1
            > resume
            resumed
            = open  check#1@20000  wake @20000
            > +3000
            = open  check#1@20000  wake @20000
            > check unknown
            check#1 unknown, again @20000
            = open  check#2@20000  wake @20000
            > +1000
            = open  check#2@20000  wake @20000
            > record 01 action done
            progressed 01.action done
            = open  check#2@24000  wake @24000
            > check unknown
            check#2 unknown, again @24000
            = open  check#3@24000  wake @24000
            > +9999
            = open  check#3@24000  wake @24000
            > +1
            = open  check#3
        "#]],
    );
}

#[test]
fn an_answer_that_names_a_shorter_delay_does_not_bring_the_next_callback_forward() {
    check(
        workflow(),
        "create; +10000; +5000; resume; check ongoing 100",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > +10000
        = open  check#1
        > +5000
        = open  check#1
        > resume
        resumed
        = open  check#1@25000  wake @25000
        > check ongoing 100
        check#1 ongoing, again @25000
        = open  check#2@25000  wake @25000
    "#]],
    );
    let hasty = CallPolicy { ongoing_ms: 1_000, ..CallPolicy::default() };
    check(
        Draft { check_call: hasty, ..workflow() },
        "create; +10000; resume; +1000; check done; +9000; check done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +10000
            = open  check#1
            > resume
            resumed
            = open  check#1@20000  wake @20000
            > +1000
            = open  check#1@20000  wake @20000
            > check done
            check#1 done, again @20000
            = open  check#2@20000  wake @20000
            > +9000
            = open  check#2
            > check done
            check#2 done, again @21000
            = open  check#3@21000  wake @21000
        "#]],
    );
}

#[test]
fn a_workflow_ends_once() {
    check(
        workflow(),
        "create; finish committed; finish committed; finish rolled_back; resume; create; commit; abort; +10000; \
         check done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > finish committed
            finished committed, no reason
            = committed
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
        "#]],
    );
    check(
        workflow(),
        "create; finish rolled_back; finish rolled_back; finish committed; resume; commit; abort",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > finish rolled_back
            finished rolled_back, no money
            = rolled_back
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
        "#]],
    );
}

#[test]
fn a_record_is_made_once() {
    check(
        workflow(),
        "create; record 01 action done; record 01 action done; record 01 action refused; record 01 commit done; \
         record 02 action done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > record 01 action done
            progressed 01.action done
            = open  check#1@10000  wake @10000
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
        "#]],
    );
}

#[test]
fn nothing_is_recorded_after_the_end_but_what_was_recorded_is_confirmed() {
    check(
        workflow(),
        "create; record 01 action done; finish committed; record 01 action done; record 01 action refused; \
         record 02 action done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > record 01 action done
            progressed 01.action done
            = open  check#1@10000  wake @10000
            > finish committed
            finished committed, no reason
            = committed
            > record 01 action done
            = committed
            > record 01 action refused
            ! branch 01 exists with another body; choose another id, or repeat the request unchanged
            = committed
            > record 02 action done
            ! cannot record progress: the transaction is committed; it has ended
            = committed
        "#]],
    );
}

#[test]
fn a_workflow_is_not_decided_from_outside() {
    check(
        workflow(),
        "create; commit; commit_at 5000; abort; register a",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
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
        "#]],
    );
}

#[test]
fn only_a_workflow_is_resumed_recorded_and_finished() {
    check(
        declared(Saga, "a"),
        "create; resume; record 01 action done; finish committed; a.action done; resume; finish committed; \
         record 01 action done",
        expect![[r#"
            > create
            created
            = running  a.action#1
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
        "#]],
    );
}

#[test]
fn replay_makes_the_callback_due_now() {
    check(
        workflow(),
        "create; +1000; replay; replay; check done; +1000; record 01 action done; replay a",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +1000
            = open  check#1@10000  wake @10000
            > replay
            replayed
            = open  check#1
            > replay
            = open  check#1
            > check done
            check#1 done, again @11000
            = open  check#2@11000  wake @11000
            > +1000
            = open  check#2@11000  wake @11000
            > record 01 action done
            progressed 01.action done
            = open  check#2@12000  wake @12000
            > replay a
            ! the transaction has no branch a
            = open  check#2@12000  wake @12000
        "#]],
    );
}

#[test]
fn an_operator_ends_a_workflow_by_force_and_that_is_final() {
    check(
        workflow(),
        "create; force committed; finish committed; finish rolled_back; record 01 action done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
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
        "#]],
    );
    check(
        workflow(),
        "create; force rolled_back; finish rolled_back; finish committed; force committed",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
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
        "#]],
    );
}

#[test]
fn a_quarantined_workflow_is_not_called_back_and_its_executor_can_go_on() {
    check(
        workflow(),
        "create; quarantine; +20000; check done; record 01 action done; +20000; replay; check done",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
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
        "#]],
    );
    check(
        workflow(),
        "create; quarantine; resume; finish committed",
        expect![[r#"
        > create
        created
        = open  check#1@10000  wake @10000
        > quarantine
        quarantined: it panics
        = open, parked (quarantined)
        > resume
        resumed
        = open, parked (quarantined)
        > finish committed
        finished committed, no reason
        = committed
    "#]],
    );
}

#[test]
fn callbacks_that_are_used_up_park_whatever_the_policy_says_and_a_sign_of_the_executor_goes_on() {
    let retry = RetryPolicy { max_attempts: Some(2), jitter_permille: 0, ..RetryPolicy::default() };
    let check_call = CallPolicy { retry, on_exhausted: OnExhausted::RollBack, ..CallPolicy::default() };
    check(
        Draft { check_call, ..workflow() },
        "create; +10000; check unknown; +200; check unknown; +100000; record 01 action done; +10000",
        expect![[r#"
            > create
            created
            = open  check#1@10000  wake @10000
            > +10000
            = open  check#1
            > check unknown
            check#1 unknown, again @10200
            = open  check#2@10200  wake @10200
            > +200
            = open  check#2
            > check unknown
            check#2 unknown, again @10600
            op_parked check: exhausted
            = open, parked (exhausted)
            > +100000
            = open, parked (exhausted)
            > record 01 action done
            progressed 01.action done
            = open  check#3@120200  wake @120200
            > +10000
            = open  check#3
        "#]],
    );
}

#[test]
fn what_does_not_exist_is_not_resumed() {
    check(
        workflow(),
        "resume; record 01 action done; finish committed",
        expect![[r#"
        > resume
        ! there is no transaction with this gid
        = absent
        > record 01 action done
        ! there is no transaction with this gid
        = absent
        > finish committed
        ! there is no transaction with this gid
        = absent
    "#]],
    );
}
