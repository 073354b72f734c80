//! Rules of callbacks: a workflow that shows no sign of its executor is called back.

use expect_test::expect;

use super::trace::{attempts, created};
use super::workflow::workflow;
use crate::spec::{CallPolicy, Draft, OnExhausted};

#[test]
fn every_sign_of_the_executor_puts_the_callback_off() {
    created(workflow()).after("+9000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_repeated_creation_or_record_is_no_sign_of_the_executor() {
    created(workflow()).after("record 01 action done; +9000").shows(expect![[r#"
        > create
        = open  check#1@10000  wake @10000
        > record 01 action done
        = open  check#1@10000  wake @10000
        > +1000
        = open  check#1
    "#]]);
}

#[test]
fn an_abandoned_workflow_is_called_back_at_a_constant_pace_whatever_is_answered() {
    created(workflow()).after("+10000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn a_workflow_that_cannot_be_reached_is_called_back_with_backoff_until_there_is_a_sign() {
    created(workflow()).after("+10000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn what_a_callback_comes_to_does_not_bring_the_next_one_forward() {
    created(workflow()).after("+10000; resume; +3000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn an_answer_that_names_a_shorter_delay_does_not_bring_the_next_callback_forward() {
    created(workflow()).after("+10000; +5000; resume").shows(expect![[r#"
        > check ongoing 100
        check#1 ongoing, again @25000
        = open  check#2@25000  wake @25000
    "#]]);
    let hasty = CallPolicy { ongoing_ms: 1_000, ..CallPolicy::default() }.into();
    created(Draft { check_call: hasty, ..workflow() }).after("+10000; resume; +1000").shows(expect![[r#"
        > check done
        check#1 done, again @20000
        = open  check#2@20000  wake @20000
        > +9000
        = open  check#2
        > check done
        check#2 done, again @21000
        = open  check#3@21000  wake @21000
    "#]]);
}

#[test]
fn replay_makes_the_callback_due_now() {
    created(workflow()).after("+1000").shows(expect![[r#"
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
    "#]]);
}

#[test]
fn callbacks_that_are_used_up_park_whatever_the_policy_says_and_a_sign_of_the_executor_goes_on() {
    created(Draft { check_call: attempts(2, OnExhausted::RollBack).into(), ..workflow() })
        .after("+10000; check unknown; +200")
        .shows(expect![[r#"
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
    "#]]);
}
