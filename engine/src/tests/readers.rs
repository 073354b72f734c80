//! What a transaction and a payload tell of themselves.

use std::sync::Arc;

use trine_protocol::Pattern::Workflow;
use trine_protocol::Timestamp;

use super::trace::{absent, created, deadline, open, saga, tcc};
use crate::event::{ForceTo, Progress, RollbackCause};
use crate::spec::{Draft, Payload};
use crate::transaction::{OpProgress, OpState, Reports, Transaction};

#[test]
fn a_payload_tells_its_bytes_and_whether_they_were_given_as_bytes() {
    for (payload, bytes, raw) in [
        (Payload::from("{}"), &b"{}"[..], false),
        (Payload::from(&b"[]"[..]), b"[]", false),
        (Payload::raw(b"{}"), b"{}", true),
        (Payload::default(), b"", false),
    ] {
        let told = (payload.as_bytes(), payload.is_raw(), payload.is_empty());
        assert_eq!(told, (bytes, raw, bytes.is_empty()));
    }
}

#[test]
fn a_transaction_tells_its_times_its_cause_and_who_settled_it() {
    let at = Timestamp::from_millis;
    let times = |of: &Transaction| (of.created_at(), of.deadline_at(), of.settled_at());
    let running = absent(deadline(1_000, saga("a"))).after("+5; create; +5; a.action unknown").state();
    assert_eq!(times(&running), (at(5), Some(at(1_005)), None));
    assert_eq!((running.cause(), running.forced(), running.check()), (None, None, None));

    let forced = created(saga("a")).after("+5; force rolled_back").state();
    assert_eq!((times(&forced), forced.forced()), ((at(0), None, Some(at(5))), Some(ForceTo::RolledBack)));

    let ended = |how: &str| created(open(Workflow, "")).after(how).state().cause().cloned();
    let aborted = RollbackCause::Aborted { reason: Some("no money".into()) };
    assert_eq!((ended("finish rolled_back"), ended("finish committed")), (Some(aborted), None));
}

#[test]
fn the_bytes_of_a_transaction_are_those_of_everything_that_others_gave_it() {
    let text = |length: usize| Payload::from("x".repeat(length).as_str());
    let mut draft = Draft { check_payload: text(20), terms: Some("1".into()), ..tcc("a b") };
    Arc::make_mut(&mut draft.branches[0]).payload = text(300);
    Arc::make_mut(&mut draft.branches[1]).payload = text(4_000);
    let mut state = created(draft).state();
    assert_eq!(state.bytes(), 4_321);
    state.branches[0].forward.state = OpState::Done { output: text(50_000) };
    let state_of_finish = OpState::Done { output: text(600_000) };
    state.branches[0].finish = Some(Box::new(OpProgress { state: state_of_finish, ..OpProgress::default() }));
    assert_eq!(state.bytes(), 654_321);

    let mut workflow = created(open(Workflow, "")).after("record 01 action done").state();
    let step = Progress { data: text(30), ..(*workflow.progress_made()[0]).clone() };
    let reports = Reports { steps: vec![Arc::new(step)], result: Some(text(7)) };
    workflow.reports = Some(Box::new(reports));
    assert_eq!((workflow.bytes(), workflow.result()), (37, Some(&text(7))));
}
