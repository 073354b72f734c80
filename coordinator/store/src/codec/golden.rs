//! Golden files: one per event variant and sub-variant, in `tests/golden/journal/v1`. They are never edited. A new
//! sample gets a file of its own: run the test with `TRINE_GOLDEN=add` once and commit what it writes.

use std::path::PathBuf;

use trine_engine::{
    BranchSpec, CallPolicy, CallReport, Digest, Draft, Event, FinishOrder, ForceTo, OnExhausted, Outcome,
    ParkCause, Payload, Progress, RetryPolicy, RollbackCause,
};
use trine_protocol::{BranchId, Op, OutcomeKind, Pattern, Target, Timestamp};

use super::{decode, encode};

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
        after: Vec::new(),
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
        },
        forward_call: None,
        digest: Digest([0xab; 32]),
    }
}

fn saga() -> Draft {
    let mut second = branch("order", Payload::from(&[0xff, 0x00, 0x80][..]));
    second.after = vec![branch_id("stock")];
    second.on_rollback = None;
    let mut draft = draft_of(Pattern::Saga);
    draft.labels = [("customer", "7"), ("city", "Köln \"am Rhein\"")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    draft.deadline_ms = Some(30_000);
    draft.start_delay_ms = 5_000;
    draft.check_call.on_exhausted = OnExhausted::RollBack;
    draft.branches = vec![branch("stock", Payload::from("{\"sku\":\"A-1\",\n\"note\":\"\u{0}ä\"}")), second];
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
    Draft { check_after_ms: 10_000, check_call: usual(), ..Draft::new(pattern) }
}

fn reservation(pattern: Pattern, open: bool) -> Draft {
    let mut only = branch("only", Payload::default());
    only.on_commit = target("https://example.test/confirm");
    only.call = usual();
    let mut draft = draft_of(pattern);
    (draft.open, draft.branches) = (open, vec![only]);
    draft
}

fn message(open: bool) -> Draft {
    let mut only = branch("mail", Payload::from("{}"));
    only.on_rollback = None;
    only.call = CallPolicy { on_exhausted: OnExhausted::Park, ..only.call };
    let mut draft = draft_of(Pattern::Message);
    (draft.open, draft.branches) = (open, vec![only]);
    if open {
        draft.check = target("orders:/checks");
        draft.check_after_ms = 1_234;
    }
    draft
}

/// With a number of client errors that is not the usual one.
fn patient() -> Draft {
    let mut only = branch("slow", Payload::default());
    only.call.retry.client_error_attempts = 9;
    Draft { branches: vec![only], ..draft_of(Pattern::Saga) }
}

/// With everything only other dialects say.
fn of_a_dialect() -> Draft {
    let mut draft = draft_of(Pattern::Saga);
    let mut only = branch("01", Payload::default());
    only.forward = None;
    only.forward_call = Some(CallPolicy { ongoing_ms: 10_000, ongoing_counts: true, ..usual() });
    (draft.open, draft.branches) = (true, vec![only]);
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

/// Why nothing more happens by itself.
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

/// One of everything: `(name of the golden file, event)`.
pub(super) fn samples() -> Vec<(String, Event)> {
    let all_times = Event::Created {
        spec: message(true).build().unwrap().into(),
        start_at: Some(at(1)),
        deadline_at: Some(at(2)),
        check_at: Some(Timestamp::MAX),
    };
    let mut samples: Vec<(String, Event)> = [
        ("created_saga", created(saga())),
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
        ("committed", Event::Committed),
        ("rolled_back", Event::RolledBack),
    ]
    .map(|(name, event)| (name.to_owned(), event))
    .into();
    samples.extend(answers());
    samples.extend(stops().into_iter().map(|(name, event)| (name.to_owned(), event)));
    samples.extend(
        causes()
            .into_iter()
            .map(|(name, cause)| (format!("rollback_begun_{name}"), Event::RollbackBegun { cause })),
    );
    samples
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal/v1");
    folder.join(format!("{name}.json"))
}

#[test]
fn every_sample_is_encoded_as_its_golden_file_and_decoded_from_it() {
    for (name, event) in samples() {
        let (path, text) = (path(&name), encode(&event));
        if !path.exists() && std::env::var("TRINE_GOLDEN").is_ok_and(|mode| mode == "add") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; it should contain {text}", path.display()));
        assert_eq!(golden.trim_end_matches('\n'), text, "{name}: the encoding of old events must not change");
        assert_eq!(decode(golden.trim_end_matches('\n')), Ok(event), "{name}");
    }
}

#[test]
fn every_golden_file_belongs_to_a_sample() {
    let names: Vec<PathBuf> = samples().iter().map(|(name, _)| path(name)).collect();
    for entry in std::fs::read_dir(path("x").parent().unwrap()).unwrap() {
        let found = entry.unwrap().path();
        assert!(names.contains(&found), "{} pins nothing: its sample is gone", found.display());
    }
}

/// Makes the list of what must have a sample from the arms of a match without `_`: a new variant does not compile until
/// it is named here, and then fails the test below until it has a sample.
macro_rules! kinds {
    ($($pattern:pat => $name:literal,)+) => {
        const KINDS: &[&str] = &[$($name),+];

        fn kind(event: &Event) -> &'static str {
            match event {
                $($pattern => $name,)+
            }
        }
    };
}

kinds! {
    Event::Created { check_at: Some(_), .. } => "created with a time to check at",
    Event::Created { .. } => "created",
    Event::BranchRegistered { .. } => "branch registered",
    Event::Started => "started",
    Event::Submitted { start_at: None } => "submitted",
    Event::Submitted { start_at: Some(_) } => "submitted, to start later",
    Event::Resumed { .. } => "resumed",
    Event::Progressed { .. } => "progressed",
    Event::Finished { committed: true, .. } => "finished",
    Event::Finished { committed: false, .. } => "finished, rolled back",
    Event::CommitDecided => "commit decided",
    Event::RollbackBegun { cause: RollbackCause::Refused { .. } } => "rollback: refused",
    Event::RollbackBegun { cause: RollbackCause::Deadline { branch: None, .. } } => "rollback: deadline",
    Event::RollbackBegun { cause: RollbackCause::Deadline { branch: Some(_), .. } } => "rollback: deadline, waiting for a branch",
    Event::RollbackBegun { cause: RollbackCause::Aborted { reason: None } } => "rollback: aborted",
    Event::RollbackBegun { cause: RollbackCause::Aborted { reason: Some(_) } } => "rollback: aborted, and why",
    Event::RollbackBegun { cause: RollbackCause::Exhausted { reason: None, .. } } => "rollback: exhausted",
    Event::RollbackBegun { cause: RollbackCause::Exhausted { reason: Some(_), .. } } => "rollback: exhausted, and why",
    Event::RollbackBegun { cause: RollbackCause::CheckRefused { .. } } => "rollback: check refused",
    Event::CallAnswered { outcome: Outcome::Done { read_only: true, .. }, .. } => "done, read-only",
    Event::CallAnswered { outcome: Outcome::Done { read_only: false, .. }, .. } => "done",
    Event::CallAnswered { outcome: Outcome::Refused { .. }, .. } => "refused",
    Event::CallAnswered { outcome: Outcome::Ongoing { retry_after_ms: None }, .. } => "ongoing",
    Event::CallAnswered { outcome: Outcome::Ongoing { retry_after_ms: Some(_) }, .. } => "ongoing for a while",
    Event::CallAnswered { outcome: Outcome::Unknown, .. } => "unknown",
    Event::CallAnswered { outcome: Outcome::ClientError, .. } => "unknown, a client error",
    Event::OpParked { cause: ParkCause::Exhausted, .. } => "op parked",
    Event::OpParked { cause: ParkCause::ClientError, .. } => "op parked, a client error",
    Event::OpParked { cause: ParkCause::Conflict, .. } => "op parked: conflict",
    Event::OpParked { cause: ParkCause::NotSent, .. } => "op parked, not sent",
    Event::NotSent { branch: None, .. } => "check not sent",
    Event::NotSent { branch: Some(_), .. } => "not sent",
    Event::Replayed { branch: None, .. } => "replayed",
    Event::Replayed { branch: Some(_), .. } => "replayed, one branch",
    Event::Quarantined { .. } => "quarantined",
    Event::Forced { to: ForceTo::Committed, .. } => "forced to committed",
    Event::Forced { to: ForceTo::RolledBack, .. } => "forced to rolled back",
    Event::Committed => "committed",
    Event::RolledBack => "rolled back",
}

#[test]
fn every_variant_has_a_sample() {
    let samples = samples();
    for wanted in KINDS {
        assert!(samples.iter().any(|(_, event)| kind(event) == *wanted), "no sample is {wanted:?}");
    }
    for pattern in Pattern::ALL {
        let created = |event: &Event| matches!(event, Event::Created { spec, .. } if spec.pattern == pattern);
        assert!(samples.iter().any(|(_, event)| created(event)), "no sample creates a {pattern}");
    }
}
