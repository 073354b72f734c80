//! Law L1: which events a status may see is a list; every other pair is corrupt and names both.

use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Timestamp};

use super::trace::{branch, declared, dialect, gid, open};
use crate::event::{CallReport, Event, ForceTo, Outcome, ParkCause, Progress, Record, RollbackCause};
use crate::spec::Payload;
use crate::transaction::Transaction;

fn record(seq: u64, event: Event) -> Record {
    Record { gid: gid(), seq, at: Timestamp::default(), event }
}

fn created(pattern: Pattern, open_form: bool) -> Event {
    let draft = if pattern == Pattern::Workflow {
        open(pattern, "")
    } else if open_form {
        dialect(open(pattern, "a"))
    } else {
        declared(pattern, "a")
    };
    let check_at = draft.check.is_some().then_some(Timestamp::default());
    Event::Created { spec: Arc::new(draft.build().unwrap()), start_at: None, deadline_at: None, check_at }
}

/// A transaction of the pattern in the status; none where the pattern has no such status.
fn in_status(pattern: Pattern, status: Status) -> Option<Transaction> {
    let open_form = status == Status::Open;
    let mut events = vec![created(pattern, open_form)];
    match status {
        Status::Running if pattern == Pattern::Workflow => return None,
        Status::Open | Status::Running => {}
        Status::Committing if Op::on_commit(pattern).is_some() => events.push(Event::CommitDecided),
        Status::RollingBack if Op::on_rollback(pattern).is_some() => {
            events.push(Event::rollback(RollbackCause::Deadline { branch: None, reason: None }));
        }
        Status::Committed => events.push(force(ForceTo::Committed)),
        Status::RolledBack => events.push(force(ForceTo::RolledBack)),
        Status::Committing | Status::RollingBack => return None,
    }
    let records: Vec<Record> = (1..).zip(events).map(|(seq, event)| record(seq, event)).collect();
    Transaction::fold(&records).unwrap()
}

fn force(to: ForceTo) -> Event {
    Event::Forced { to, reason: "by hand".into(), by: None }
}

fn progress(branch: &str) -> Arc<Progress> {
    let branch = BranchId::parse(branch).unwrap();
    Arc::new(Progress { branch, op: "action".into(), done: true, data: Payload::default() })
}

/// One event of every kind, about an op the status asks for if there is one.
fn every_event(transaction: &Transaction) -> Vec<Event> {
    let pattern = transaction.pattern();
    let a = Some(BranchId::parse("a").unwrap());
    let check = transaction.check().is_some() && transaction.status() == Status::Open;
    let op = transaction.phase_op().unwrap_or(Op::forward(pattern));
    let (asked, op) = if check { (None, Op::Check) } else { (a.clone(), op) };
    let outcome = Outcome::Done { output: Payload::default(), read_only: false };
    let report = CallReport::default();
    let retry_at = (pattern == Pattern::Workflow).then_some(Timestamp::default());
    let (check_at, result) = (Timestamp::default(), Payload::default());
    vec![
        created(pattern, false),
        Event::BranchRegistered { branch: Arc::new(branch(pattern, "b")) },
        Event::Started,
        Event::Submitted { start_at: None },
        Event::CommitDecided,
        Event::rollback(RollbackCause::Deadline { branch: None, reason: None }),
        Event::CallAnswered { branch: asked.clone(), op, attempt: 1, outcome, retry_at, report },
        Event::OpParked { branch: asked, op, cause: ParkCause::Exhausted },
        Event::Replayed { branch: None, due_at: Timestamp::default() },
        Event::Quarantined { detail: "it panics".into() },
        Event::TakenOver,
        force(ForceTo::Committed),
        Event::Resumed { check_at },
        Event::Progressed { progress: progress("01"), check_at },
        Event::Finished { committed: true, reason: None, result: result.clone() },
        Event::Finished { committed: false, reason: None, result },
        Event::Committed,
        Event::RolledBack,
    ]
}

fn table(pattern: Pattern, expect: Expect) {
    let statuses: Vec<Transaction> =
        Status::ALL.into_iter().filter_map(|status| in_status(pattern, status)).collect();
    let mut text = format!("{:18}", "");
    for transaction in &statuses {
        write!(text, " {:12}", transaction.status().as_str()).unwrap();
    }
    let rows = every_event(&statuses[0]).len();
    for row in 0..rows {
        write!(text, "\n{:18}", every_event(&statuses[0])[row].name()).unwrap();
        for transaction in &statuses {
            let event = every_event(transaction).swap_remove(row);
            let record = record(transaction.seq() + 1, event);
            let cell = match Transaction::apply(Some(transaction.clone()), &record) {
                Ok(next) => next.status().as_str(),
                Err(corrupt) => {
                    let text = corrupt.to_string();
                    assert!(text.contains(record.event.name()), "{text} does not name the event");
                    assert!(text.contains(transaction.status().as_str()), "{text} does not name the status");
                    "-"
                }
            };
            write!(text, " {cell:12}").unwrap();
        }
    }
    expect.assert_eq(&text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
}

#[test]
fn saga_events_lead_from_status_to_status_as_listed() {
    table(
        Pattern::Saga,
        expect![[r#"
                               open         running      rolling_back committed    rolled_back
            created            -            -            -            -            -
            branch_registered  open         -            -            -            -
            started            -            -            -            -            -
            submitted          running      -            -            -            -
            commit_decided     -            -            -            -            -
            rollback_begun     rolling_back rolling_back -            -            -
            call_answered      -            running      rolling_back -            -
            op_parked          -            running      rolling_back -            -
            replayed           open         running      rolling_back -            -
            quarantined        open         running      rolling_back -            -
            taken_over         -            -            -            -            -
            forced             committed    committed    committed    -            -
            resumed            -            -            -            -            -
            progressed         -            -            -            -            -
            finished           -            -            -            -            -
            finished           -            -            -            -            -
            committed          -            committed    -            -            -
            rolled_back        -            -            rolled_back  -            -
        "#]],
    );
}

#[test]
fn tcc_events_lead_from_status_to_status_as_listed() {
    table(
        Pattern::Tcc,
        expect![[r#"
                               open         running      committing   rolling_back committed    rolled_back
            created            -            -            -            -            -            -
            branch_registered  open         -            -            -            -            -
            started            -            -            -            -            -            -
            submitted          -            -            -            -            -            -
            commit_decided     committing   committing   -            -            -            -
            rollback_begun     rolling_back rolling_back -            -            -            -
            call_answered      -            running      committing   rolling_back -            -
            op_parked          -            running      committing   rolling_back -            -
            replayed           open         running      committing   rolling_back -            -
            quarantined        open         running      committing   rolling_back -            -
            taken_over         -            -            -            -            -            -
            forced             committed    committed    committed    committed    -            -
            resumed            -            -            -            -            -            -
            progressed         -            -            -            -            -            -
            finished           -            -            -            -            -            -
            finished           -            -            -            -            -            -
            committed          -            -            committed    -            -            -
            rolled_back        -            -            -            rolled_back  -            -
        "#]],
    );
}

#[test]
fn two_phase_events_lead_from_status_to_status_as_listed() {
    table(
        Pattern::TwoPhase,
        expect![[r#"
                               open         running      committing   rolling_back committed    rolled_back
            created            -            -            -            -            -            -
            branch_registered  open         -            -            -            -            -
            started            -            -            -            -            -            -
            submitted          -            -            -            -            -            -
            commit_decided     committing   committing   -            -            -            -
            rollback_begun     rolling_back rolling_back -            -            -            -
            call_answered      -            running      committing   rolling_back -            -
            op_parked          -            running      committing   rolling_back -            -
            replayed           open         running      committing   rolling_back -            -
            quarantined        open         running      committing   rolling_back -            -
            taken_over         -            -            -            -            -            -
            forced             committed    committed    committed    committed    -            -
            resumed            -            -            -            -            -            -
            progressed         -            -            -            -            -            -
            finished           -            -            -            -            -            -
            finished           -            -            -            -            -            -
            committed          -            -            committed    -            -            -
            rolled_back        -            -            -            rolled_back  -            -
        "#]],
    );
}

#[test]
fn message_events_lead_from_status_to_status_as_listed() {
    table(
        Pattern::Message,
        expect![[r#"
                               open         running      committed    rolled_back
            created            -            -            -            -
            branch_registered  open         -            -            -
            started            -            -            -            -
            submitted          running      -            -            -
            commit_decided     -            -            -            -
            rollback_begun     rolling_back -            -            -
            call_answered      open         running      -            -
            op_parked          open         running      -            -
            replayed           open         running      -            -
            quarantined        open         running      -            -
            taken_over         -            -            -            -
            forced             committed    committed    -            -
            resumed            -            -            -            -
            progressed         -            -            -            -
            finished           -            -            -            -
            finished           -            -            -            -
            committed          -            committed    -            -
            rolled_back        -            -            -            -
        "#]],
    );
}

#[test]
fn workflow_events_lead_from_status_to_status_as_listed() {
    table(
        Pattern::Workflow,
        expect![[r#"
                               open         committed    rolled_back
            created            -            -            -
            branch_registered  -            -            -
            started            -            -            -
            submitted          -            -            -
            commit_decided     -            -            -
            rollback_begun     -            -            -
            call_answered      open         -            -
            op_parked          open         -            -
            replayed           open         -            -
            quarantined        open         -            -
            taken_over         -            -            -
            forced             committed    -            -
            resumed            open         -            -
            progressed         open         -            -
            finished           committed    -            -
            finished           rolled_back  -            -
            committed          -            -            -
            rolled_back        -            -            -
        "#]],
    );
}

fn refusal_of(state: Option<Transaction>, record: &Record) -> String {
    Transaction::apply(state, record).unwrap_err().to_string()
}

#[test]
fn a_history_begins_with_created_at_seq_1() {
    expect!["g seq 1: committed does not fit an absent transaction"]
        .assert_eq(&refusal_of(None, &record(1, Event::Committed)));
    expect!["g seq 2: created does not fit an absent transaction"]
        .assert_eq(&refusal_of(None, &record(2, created(Pattern::Saga, false))));
}

#[test]
fn a_gap_a_repetition_or_a_record_of_another_gid_is_corrupt() {
    let state = in_status(Pattern::Saga, Status::Running);
    expect!["g seq 3: replayed does not fit a journal that ends at seq 1"].assert_eq(&refusal_of(
        state.clone(),
        &record(3, Event::Replayed { branch: None, due_at: Timestamp::default() }),
    ));
    expect!["g seq 1: created does not fit a journal that ends at seq 1"]
        .assert_eq(&refusal_of(state.clone(), &record(1, created(Pattern::Saga, false))));
    let foreign = Record { gid: Gid::parse("h").unwrap(), ..record(2, force(ForceTo::Committed)) };
    expect!["h seq 2: forced does not fit the journal of g"].assert_eq(&refusal_of(state, &foreign));
}

fn answered(op: Op, attempt: u32, outcome: Outcome, retry_at: Option<Timestamp>) -> Event {
    let branch = Some(BranchId::parse("a").unwrap());
    Event::CallAnswered { branch, op, attempt, outcome, retry_at, report: CallReport::default() }
}

#[test]
fn an_answer_must_be_to_the_attempt_that_is_owed_and_say_when_the_next_one_is() {
    let running = in_status(Pattern::Saga, Status::Running);
    let done = || Outcome::Done { output: Payload::default(), read_only: false };
    expect!["g seq 2: call_answered does not fit running with action at attempt 0 in state Pending"]
        .assert_eq(&refusal_of(running.clone(), &record(2, answered(Op::Action, 2, done(), None))));
    expect!["g seq 2: call_answered does not fit running, which does not ask for compensate"]
        .assert_eq(&refusal_of(running.clone(), &record(2, answered(Op::Compensate, 1, done(), None))));
    expect!["g seq 2: call_answered does not fit running and no time for the next attempt"]
        .assert_eq(&refusal_of(running.clone(), &record(2, answered(Op::Action, 1, Outcome::Unknown, None))));
    // Only a callback is repeated after it was done: a time for the next attempt means nothing here.
    let again = Some(Timestamp::default());
    let after = Transaction::apply(running, &record(2, answered(Op::Action, 1, done(), again))).unwrap();
    expect!["g seq 3: call_answered does not fit running with action at attempt 1 in state Done { output: 0 bytes }"]
        .assert_eq(&refusal_of(Some(after), &record(3, answered(Op::Action, 2, done(), None))));
}

fn check_answered(op: Op, outcome: Outcome) -> Event {
    let report = CallReport::default();
    Event::CallAnswered { branch: None, op, attempt: 1, outcome, retry_at: None, report }
}

#[test]
fn a_check_is_answered_by_its_name_and_while_its_transaction_is_open() {
    let open = in_status(Pattern::Message, Status::Open).unwrap();
    let done = || Outcome::Done { output: Payload::default(), read_only: false };
    expect!["g seq 2: call_answered does not fit open, which does not ask for deliver"]
        .assert_eq(&refusal_of(Some(open.clone()), &record(2, check_answered(Op::Deliver, done()))));
    let submitted = Transaction::apply(Some(open), &record(2, Event::Submitted { start_at: None })).unwrap();
    expect!["g seq 3: call_answered does not fit running, which does not ask for check"]
        .assert_eq(&refusal_of(Some(submitted), &record(3, check_answered(Op::Check, done()))));
}

#[test]
fn an_answer_to_a_callback_must_say_when_the_next_one_is_whatever_it_is() {
    let open = in_status(Pattern::Workflow, Status::Open);
    let answered = |outcome: Outcome| check_answered(Op::Check, outcome);
    let done = Outcome::Done { output: Payload::default(), read_only: false };
    expect!["g seq 2: call_answered does not fit open and no time for the next callback"]
        .assert_eq(&refusal_of(open.clone(), &record(2, answered(done))));
    let refused = Outcome::Refused { reason: "no".into() };
    expect!["g seq 2: call_answered does not fit open and no time for the next callback"]
        .assert_eq(&refusal_of(open.clone(), &record(2, answered(refused))));
    expect!["g seq 2: call_answered does not fit open and no time for the next attempt"]
        .assert_eq(&refusal_of(open, &record(2, answered(Outcome::Unknown))));
}

#[test]
fn a_branch_is_registered_once_and_after_what_it_waits_for() {
    let state = in_status(Pattern::Message, Status::Open);
    let register =
        |text: &str| record(2, Event::BranchRegistered { branch: Arc::new(branch(Pattern::Message, text)) });
    expect!["g seq 2: branch_registered does not fit open with a branch a"]
        .assert_eq(&refusal_of(state.clone(), &register("a")));
    expect!["g seq 2: branch_registered does not fit open without a branch this one waits for"]
        .assert_eq(&refusal_of(state, &register("b<z")));
}
