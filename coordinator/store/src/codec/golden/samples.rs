//! One event of each variant and sub-variant, and the names of their golden files.

use std::collections::BTreeMap;

use trine_engine::{
    BranchSpec, CallPolicy, CallReport, Digest, Draft, Event, Exposure, FinishOrder, ForceTo, OnExhausted,
    Outcome, ParkCause, Payload, Progress, RetryPolicy, RollbackCause, SharedPolicy,
};
use trine_protocol::{BranchId, Op, OutcomeKind, Pattern, Target, Timestamp};

fn branch_id(text: &str) -> BranchId {
    BranchId::parse(text).unwrap()
}

fn target(text: &str) -> Option<Target> {
    Some(Target::parse(text).unwrap())
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

fn branch(id: &str, payload: Payload) -> BranchSpec {
    BranchSpec {
        id: branch_id(id),
        forward: target("inventory:/stock/reserve"),
        on_commit: None,
        on_rollback: target("http://127.0.0.1:7001/stock/release?a=b"),
        payload,
        after: Box::default(),
        call: CallPolicy {
            timeout_ms: 2_500,
            retry: RetryPolicy {
                initial_ms: 150,
                factor_permille: 1_500,
                max_interval_ms: 9_000,
                jitter_permille: 250,
                max_attempts: Some(7),
                client_error_attempts: 5,
            },
            on_exhausted: OnExhausted::RollBack,
            ongoing_ms: 1_000,
            ongoing_counts: false,
        }
        .into(),
        digest: Digest([0xab; 32]),
    }
}

fn saga() -> Draft {
    let mut second = branch("order", Payload::from(&[0xff, 0x00, 0x80][..]));
    second.after = [branch_id("stock")].into();
    second.on_rollback = None;
    let mut draft = draft_of(Pattern::Saga);
    draft.labels = [("customer", "7"), ("city", "Köln \"am Rhein\"")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect::<BTreeMap<_, _>>()
        .into();
    draft.deadline_ms = Some(30_000);
    draft.start_delay_ms = 5_000;
    draft.check_call = CallPolicy { on_exhausted: OnExhausted::RollBack, ..usual() }.into();
    let first = branch("stock", Payload::from("{\"sku\":\"A-1\",\n\"note\":\"\u{0}ä\"}"));
    draft.branches = vec![first.into(), second.into()];
    draft.digest = Digest(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    draft
}

/// What the encoding leaves out, with its numbers: the protocol's defaults may move away from them.
fn usual() -> CallPolicy {
    CallPolicy {
        timeout_ms: 10_000,
        retry: RetryPolicy {
            initial_ms: 200,
            factor_permille: 2_000,
            max_interval_ms: 30_000,
            jitter_permille: 500,
            max_attempts: None,
            client_error_attempts: 5,
        },
        on_exhausted: OnExhausted::Park,
        ongoing_ms: 1_000,
        ongoing_counts: false,
    }
}

fn draft_of(pattern: Pattern) -> Draft {
    Draft { check_after_ms: 10_000, check_call: usual().into(), ..Draft::new(pattern) }
}

fn reservation(pattern: Pattern, open: bool) -> Draft {
    let mut only = branch("only", Payload::default());
    only.on_commit = target("https://example.test/confirm");
    only.call = usual().into();
    let mut draft = draft_of(pattern);
    (draft.open, draft.branches) = (open, vec![only.into()]);
    draft
}

fn message(open: bool) -> Draft {
    let mut only = branch("mail", Payload::from("{}"));
    only.on_rollback = None;
    only.call = CallPolicy { on_exhausted: OnExhausted::Park, ..*only.call }.into();
    let mut draft = draft_of(Pattern::Message);
    (draft.open, draft.branches) = (open, vec![only.into()]);
    if open {
        draft.check = target("orders:/checks");
        draft.check_after_ms = 1_234;
    }
    draft
}

/// With a number of client errors that is not the usual one.
fn patient() -> Draft {
    let mut only = branch("slow", Payload::default());
    let retry = RetryPolicy { client_error_attempts: 9, ..only.call.retry };
    only.call = CallPolicy { retry, ..*only.call }.into();
    Draft { branches: vec![only.into()], ..draft_of(Pattern::Saga) }
}

/// All of whose branches count as called as soon as it runs.
fn ahead() -> Draft {
    Draft { exposure: Exposure::Ahead, ..saga() }
}

/// With everything only other dialects say.
fn of_a_dialect() -> Draft {
    let mut draft = draft_of(Pattern::Saga);
    let mut only = branch("01", Payload::default());
    only.forward = None;
    let forward = CallPolicy { ongoing_ms: 10_000, ongoing_counts: true, ..usual() };
    only.call = SharedPolicy::with_forward(*only.call, forward);
    (draft.open, draft.branches) = (true, vec![only.into()]);
    draft.finish_order = FinishOrder::LastToFirst;
    draft.terms = Some("{\"gid\":\"a b\"}".into());
    draft
}

fn workflow() -> Draft {
    let mut draft = draft_of(Pattern::Workflow);
    draft.open = true;
    draft.check = target("http://127.0.0.1:7001/workflow");
    draft.check_payload = "{\"amount\":3}".into();
    draft.finish_order = FinishOrder::FirstToLast;
    draft
}

fn progressed(done: bool, data: Payload) -> Event {
    let progress = Progress { branch: branch_id("01"), op: "action".to_owned(), done, data };
    Event::Progressed { progress: progress.into(), check_at: at(8) }
}

fn created(draft: Draft) -> Event {
    Event::Created { spec: draft.build().unwrap().into(), start_at: None, deadline_at: None, check_at: None }
}

fn answered(branch: Option<&str>, op: Op, outcome: Outcome, report: CallReport) -> Event {
    let retry_at = matches!(outcome.kind(), OutcomeKind::Unknown | OutcomeKind::Ongoing).then(|| at(900));
    Event::CallAnswered { branch: branch.map(branch_id), op, attempt: 3, outcome, retry_at, report }
}

fn answers() -> Vec<(String, Event)> {
    let quiet = |code| CallReport { status_code: Some(code), duration_ms: 12, error: None };
    let loud =
        CallReport { status_code: None, duration_ms: 10_000, error: Some("timed out after 10 s".to_owned()) };
    let done = |output: Payload, read_only| Outcome::Done { output, read_only };
    let refused = || Outcome::Refused { reason: "out of stock".to_owned() };
    let mut samples = vec![
        ("done", answered(Some("stock"), Op::Action, done("{\"id\":1}".into(), false), quiet(200))),
        ("done_empty", answered(Some("stock"), Op::Confirm, done(Payload::default(), false), quiet(204))),
        (
            "done_bytes",
            answered(Some("stock"), Op::Action, done(Payload::from(&[0xfe, 1][..]), false), quiet(200)),
        ),
        ("done_read_only", answered(Some("b"), Op::Prepare, done(Payload::default(), true), quiet(200))),
        ("refused", answered(Some("stock"), Op::Try, refused(), quiet(409))),
        ("refused_check", answered(None, Op::Check, refused(), quiet(409))),
        ("ongoing", answered(Some("b"), Op::Action, Outcome::Ongoing { retry_after_ms: None }, quiet(425))),
        (
            "ongoing_until",
            answered(Some("b"), Op::Action, Outcome::Ongoing { retry_after_ms: Some(4_000) }, quiet(503)),
        ),
        ("unknown", answered(Some("b"), Op::Action, Outcome::Unknown, loud)),
        ("client_error", answered(Some("b"), Op::Action, Outcome::ClientError, quiet(404))),
    ]
    .into_iter()
    .map(|(name, event)| (format!("call_answered_{name}"), event))
    .collect::<Vec<_>>();
    // Every op's word.
    for op in Op::ALL {
        let name = format!("call_answered_op_{}", op.as_str());
        samples.push((name, answered(Some("b"), op, Outcome::Unknown, CallReport::default())));
    }
    samples
}

/// Events about parking.
fn stops() -> Vec<(&'static str, Event)> {
    let not_sent = |branch, op| {
        let reason = "no live instance of participant `ghost`".to_owned();
        Event::NotSent { branch, op, since: at(3), reason }
    };
    vec![
        ("not_sent", not_sent(Some(branch_id("b")), Op::Action)),
        ("not_sent_check", not_sent(None, Op::Check)),
        (
            "op_parked_not_sent",
            Event::OpParked { branch: Some(branch_id("b")), op: Op::Try, cause: ParkCause::NotSent },
        ),
        (
            "op_parked",
            Event::OpParked { branch: Some(branch_id("b")), op: Op::Confirm, cause: ParkCause::Exhausted },
        ),
        (
            "op_parked_client_error",
            Event::OpParked { branch: Some(branch_id("b")), op: Op::Confirm, cause: ParkCause::ClientError },
        ),
        (
            "op_parked_conflict",
            Event::OpParked { branch: Some(branch_id("b")), op: Op::Action, cause: ParkCause::Conflict },
        ),
        ("op_parked_check", Event::OpParked { branch: None, op: Op::Check, cause: ParkCause::Exhausted }),
    ]
}

fn causes() -> Vec<(&'static str, RollbackCause)> {
    let reason = || "no".to_owned();
    vec![
        ("refused", RollbackCause::Refused { branch: branch_id("b"), reason: reason() }),
        ("deadline", RollbackCause::Deadline { branch: None, reason: None }),
        (
            "deadline_waiting",
            RollbackCause::Deadline { branch: Some(branch_id("b")), reason: Some("HTTP 500".to_owned()) },
        ),
        ("aborted", RollbackCause::Aborted { reason: None }),
        ("aborted_with_reason", RollbackCause::Aborted { reason: Some(reason()) }),
        ("exhausted", RollbackCause::Exhausted { branch: branch_id("b"), reason: None }),
        (
            "exhausted_because",
            RollbackCause::Exhausted { branch: branch_id("b"), reason: Some("HTTP 500".to_owned()) },
        ),
        ("check_refused", RollbackCause::CheckRefused { reason: reason() }),
    ]
}

fn rollbacks() -> Vec<(String, Event)> {
    let named =
        |(name, cause)| (format!("rollback_begun_{name}"), Event::RollbackBegun { cause, owed: None });
    let owed = Some(vec![branch_id("stock"), branch_id("order")]);
    let narrowed = Event::RollbackBegun { cause: RollbackCause::Aborted { reason: None }, owed };
    causes().into_iter().map(named).chain([("rollback_begun_owed".to_owned(), narrowed)]).collect()
}

/// One of everything: `(name of the golden file, event)`.
pub(in crate::codec) fn samples() -> Vec<(String, Event)> {
    let all_times = Event::Created {
        spec: message(true).build().unwrap().into(),
        start_at: Some(at(1)),
        deadline_at: Some(at(2)),
        check_at: Some(Timestamp::MAX),
    };
    let mut samples: Vec<(String, Event)> = [
        ("created_saga", created(saga())),
        ("created_saga_ahead", created(ahead())),
        ("created_tcc", created(reservation(Pattern::Tcc, false))),
        ("created_tcc_open", created(reservation(Pattern::Tcc, true))),
        ("created_two_phase", created(reservation(Pattern::TwoPhase, false))),
        ("created_message", created(message(false))),
        ("created_message_open", all_times),
        ("branch_registered", Event::BranchRegistered { branch: branch("late", "text".into()).into() }),
        (
            "branch_registered_raw",
            Event::BranchRegistered { branch: branch("late", Payload::raw(b"7")).into() },
        ),
        ("started", Event::Started),
        ("created_saga_patient", created(patient())),
        ("created_saga_dialect", created(of_a_dialect())),
        ("created_workflow", created(workflow())),
        ("submitted", Event::Submitted { start_at: None }),
        ("submitted_later", Event::Submitted { start_at: Some(at(7)) }),
        ("resumed", Event::Resumed { check_at: at(9) }),
        ("progressed", progressed(true, Payload::from(&[0xff, 1][..]))),
        ("progressed_refused", progressed(false, "no money".into())),
        ("finished", Event::Finished { committed: true, reason: None, result: "{}".into() }),
        (
            "finished_rolled_back",
            Event::Finished {
                committed: false,
                reason: Some("no money".to_owned()),
                result: Payload::default(),
            },
        ),
        ("commit_decided", Event::CommitDecided),
        ("replayed", Event::Replayed { branch: None, due_at: at(5) }),
        ("replayed_branch", Event::Replayed { branch: Some(branch_id("b")), due_at: at(5) }),
        ("quarantined", Event::Quarantined { detail: "panicked 3 times".to_owned() }),
        (
            "forced_committed",
            Event::Forced { to: ForceTo::Committed, reason: "checked by hand".to_owned(), by: None },
        ),
        (
            "forced_rolled_back",
            Event::Forced {
                to: ForceTo::RolledBack,
                reason: "customer called".to_owned(),
                by: Some("Ada".to_owned()),
            },
        ),
        ("taken_over", Event::TakenOver),
        ("committed", Event::Committed),
        ("rolled_back", Event::RolledBack),
    ]
    .map(|(name, event)| (name.to_owned(), event))
    .into();
    samples.extend(answers());
    samples.extend(stops().into_iter().map(|(name, event)| (name.to_owned(), event)));
    samples.extend(rollbacks());
    samples
}
