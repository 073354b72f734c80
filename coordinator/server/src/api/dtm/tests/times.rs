//! Deadlines, checks and pauses that follow from the seconds in a request, computed without waiting.

use std::sync::Arc;

use trine_engine::{Command, Exposure, Input, Record, RetryPolicy, Spec, Transaction, decide};
use trine_protocol::dtm::{Step, TransOptions, TransRequest, TransType};
use trine_protocol::{Gid, Pattern, Timestamp};

use crate::api::dtm::plan::{self, Topics};
use crate::api::dtm::show;

fn spec(kind: TransType, options: TransOptions) -> Spec {
    let request = TransRequest {
        gid: "g".into(),
        trans_type: kind.as_str().into(),
        steps: vec![Step { action: "http://p/a".into(), compensate: "http://p/c".into() }],
        payloads: vec![b"1".to_vec()],
        query_prepared: "http://p/asked".into(),
        options,
        ..TransRequest::default()
    };
    let open = !matches!(kind, TransType::Saga);
    plan::spec(&request, kind, open, &Topics::new()).unwrap_or_else(|error| panic!("{error:?}"))
}

fn options(timeout_to_fail: i64, retry_interval: i64) -> TransOptions {
    TransOptions { timeout_to_fail, retry_interval, ..TransOptions::default() }
}

/// The first pauses, in seconds.
fn pauses(retry: &RetryPolicy) -> [u64; 6] {
    [1, 2, 3, 4, 5, 6].map(|failures| retry.delay_ms(failures, 0) / 1_000)
}

#[test]
fn a_saga_of_the_dialect_is_exact_so_that_its_counts_of_attempts_survive_a_restart() {
    let saga = spec(TransType::Saga, options(0, 0));
    assert_eq!((saga.pattern, saga.exposure), (Pattern::Saga, Exposure::Exact));
}

#[test]
fn pauses_double_from_twice_the_interval_and_are_capped() {
    for (options, failing, ongoing) in [
        (options(0, 0), [20, 40, 80, 160, 300, 300], 10),
        (options(0, 4), [8, 16, 32, 64, 128, 256], 4),
        (options(0, 400), [800; 6], 400),
        // A short timeout also becomes the interval, unless an interval is given.
        (options(5, 0), [10, 20, 40, 80, 160, 300], 5),
        (options(5, 7), [14, 28, 56, 112, 224, 300], 7),
        (options(60, 0), [20, 40, 80, 160, 300, 300], 10),
    ] {
        for kind in [TransType::Saga, TransType::Msg] {
            let spec = spec(kind, options.clone());
            let call = &spec.branches[0].call;
            assert_eq!((pauses(&call.retry), call.ongoing_ms / 1_000), (failing, ongoing), "{options:?}");
        }
        let check = *spec(TransType::Msg, options.clone()).check_call;
        assert_eq!((pauses(&check.retry), check.ongoing_ms / 1_000), (failing, ongoing), "{options:?}");
    }
}

#[test]
fn a_workflows_executor_that_fails_is_called_back_less_often_and_one_that_answers_every_interval() {
    for (interval, failing) in [(0, [10, 20, 40, 60, 60, 60]), (1, [1, 2, 4, 8, 16, 32]), (90, [90; 6])] {
        let call = *spec(TransType::Workflow, options(0, interval)).check_call;
        let every = if interval == 0 { 10 } else { interval };
        assert_eq!((pauses(&call.retry), call.ongoing_ms / 1_000), (failing, every.cast_unsigned()));
    }
}

#[test]
fn a_call_may_take_three_seconds_or_what_is_said() {
    for (said, takes) in [(0, 3_000), (-1, 3_000), (1, 1_000), (60, 60_000)] {
        let options = TransOptions { request_timeout: said, ..TransOptions::default() };
        assert_eq!(spec(TransType::Saga, options.clone()).branches[0].call.timeout_ms, takes);
        assert_eq!(spec(TransType::Msg, options).check_call.timeout_ms, takes);
    }
}

/// The transaction `age_ms` after its creation, if time alone has changed it by then.
fn after(kind: TransType, options: TransOptions, age_ms: u64) -> Option<Transaction> {
    let (gid, created_at) = (Gid::parse("g").unwrap(), Timestamp::from_millis(1_000_000));
    let create = Input::Command(Command::Create(Arc::new(spec(kind, options))));
    let mut state: Option<Transaction> = None;
    for (seq, input, at) in [(1, create, created_at), (2, Input::Tick, created_at.plus_millis(age_ms))] {
        let Some(event) = decide(state.as_ref(), &input, at).unwrap().pop() else { continue };
        let record = Record { gid: gid.clone(), seq, at, event };
        state = Some(Transaction::apply(state, &record).unwrap());
    }
    state.filter(|transaction| transaction.seq() > 1)
}

#[test]
fn silence_is_waited_for_as_long_as_is_said_or_thirty_five_seconds_and_the_reason_says_how_long() {
    for kind in [TransType::Tcc, TransType::Xa] {
        for (said, seconds) in [(0, 35), (1, 1), (600, 600)] {
            assert!(after(kind, options(said, 0), seconds * 1_000 - 1).is_none());
            let gone = after(kind, options(said, 0), seconds * 1_000).unwrap();
            let global = show::global(&gone, &show::terms(&gone));
            assert_eq!(global.rollback_reason, format!("Timeout after {seconds} seconds"));
        }
    }
}

#[test]
fn a_saga_has_no_timeout_but_the_one_that_is_said() {
    assert!(after(TransType::Saga, options(0, 0), 1_000_000_000).is_none());
    assert!(after(TransType::Saga, options(36, 0), 35_999).is_none());
    let gone = after(TransType::Saga, options(36, 0), 36_000).unwrap();
    assert_eq!(show::rollback_reason(&gone, &show::terms(&gone)), "Timeout after 36 seconds");
}

#[test]
fn the_initiator_of_a_message_is_asked_after_thirty_five_seconds_or_what_is_said() {
    for (said, seconds) in [(0, 35), (7, 7)] {
        assert_eq!(spec(TransType::Msg, options(said, 0)).check_after_ms, seconds * 1_000);
    }
}

#[test]
fn an_executor_is_called_back_an_interval_after_its_last_sign() {
    for (timeout, interval, seconds) in [(0, 0, 10), (0, 4, 4), (5, 0, 5), (60, 0, 10)] {
        assert_eq!(spec(TransType::Workflow, options(timeout, interval)).check_after_ms, seconds * 1_000);
    }
}
