//! Version 1 of the encoding: one JSON object per event, `{"v":1,"event":"<name>",..}`, times in `_ms` since the epoch.
//!
//! No change may alter what an existing text means. A field may be added if its absence means what it meant before; any
//! other change needs a new version. The words in the text belong to the journal: they are spelt out here, or pinned by
//! golden files if they come from the protocol crate.

mod bytes;
mod parked;
mod rollback;
mod spec;
mod workflow;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trine_engine::{CallReport, Event, Exposure, ForceTo, Outcome, SharedPolicy, Spec};
use trine_protocol::{BranchId, Op, Timestamp};

use super::DecodeError;
use spec::{BranchText, SpecText};

pub(super) const VERSION: u64 = 1;
/// The same encoding. Written if a reader that knows only version 1 would misunderstand the event, because it would skip a
/// field that matters. Such a reader then leaves the transaction alone.
pub(super) const VERSION_OF_DIALECTS: u64 = 2;
/// The same encoding, and the same reason: a reader that knows only versions 1 and 2 would not undo branches that were exposed
/// ahead.
pub(super) const VERSION_OF_EXPOSURE: u64 = 3;

#[derive(Serialize)]
struct Envelope<'a, T> {
    v: u64,
    event: &'a str,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize, Deserialize)]
struct Created<'a> {
    #[serde(borrow)]
    spec: SpecText<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check_at_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Submitted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_at_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Resumed {
    check_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct BranchRegistered<'a> {
    #[serde(borrow)]
    branch: BranchText<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeWord {
    Done,
    Refused,
    Ongoing,
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct CallAnswered<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    op: Op,
    attempt: u32,
    outcome: OutcomeWord,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    output_hex: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    /// The outcome is unknown, and no retry changes that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    client_error: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(default)]
    duration_ms: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct Replayed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    due_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Quarantined<'a> {
    #[serde(borrow)]
    detail: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ForceWord {
    Committed,
    RolledBack,
}

#[derive(Serialize, Deserialize)]
struct Forced<'a> {
    to: ForceWord,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    by: Option<Cow<'a, str>>,
}

/// See [`super::encode`].
pub(super) fn encode(event: &Event) -> String {
    match event {
        Event::Created { spec, start_at, deadline_at, check_at } => text_of(
            version_of(spec),
            "created",
            Created {
                spec: SpecText::of(spec),
                start_at_ms: millis(*start_at),
                deadline_at_ms: millis(*deadline_at),
                check_at_ms: millis(*check_at),
            },
        ),
        Event::BranchRegistered { branch } => {
            text("branch_registered", BranchRegistered { branch: BranchText::of(branch) })
        }
        Event::Started => text("started", Nothing {}),
        Event::Submitted { start_at } => {
            let v = if start_at.is_some() { VERSION_OF_DIALECTS } else { VERSION };
            text_of(v, "submitted", Submitted { start_at_ms: millis(*start_at) })
        }
        Event::CommitDecided => text("commit_decided", Nothing {}),
        Event::RollbackBegun { cause, owed } => {
            let v = if owed.is_some() { VERSION_OF_EXPOSURE } else { VERSION };
            text_of(v, "rollback_begun", rollback::rollback_begun(cause, owed.as_deref()))
        }
        Event::CallAnswered { branch, op, attempt, outcome, retry_at, report } => {
            let mut body = call_answered(outcome, report);
            (body.branch, body.op, body.attempt) = (branch.clone(), *op, *attempt);
            body.retry_at_ms = millis(*retry_at);
            text("call_answered", body)
        }
        Event::NotSent { branch, op, since, reason } => {
            text("not_sent", parked::not_sent(branch.as_ref(), *op, *since, reason))
        }
        Event::OpParked { branch, op, cause } => {
            text("op_parked", parked::op_parked(branch.as_ref(), *op, *cause))
        }
        Event::Replayed { branch, due_at } => {
            text("replayed", Replayed { branch: branch.clone(), due_at_ms: due_at.millis() })
        }
        Event::Quarantined { detail } => text("quarantined", Quarantined { detail: detail.into() }),
        Event::TakenOver => text_of(VERSION_OF_EXPOSURE, "taken_over", Nothing {}),
        Event::Forced { to, reason, by } => {
            let to = match to {
                ForceTo::Committed => ForceWord::Committed,
                ForceTo::RolledBack => ForceWord::RolledBack,
            };
            text("forced", Forced { to, reason: reason.into(), by: by.as_deref().map(Cow::from) })
        }
        Event::Resumed { check_at } => text("resumed", Resumed { check_at_ms: check_at.millis() }),
        Event::Progressed { progress, check_at } => {
            text("progressed", workflow::progressed(progress, *check_at))
        }
        Event::Finished { committed, reason, result } => {
            text("finished", workflow::finished(*committed, reason.as_deref(), result))
        }
        Event::Committed => text("committed", Nothing {}),
        Event::RolledBack => text("rolled_back", Nothing {}),
    }
}

/// The version of a creation.
fn version_of(spec: &Spec) -> u64 {
    match (spec.exposure, &spec.terms) {
        (Exposure::Ahead, _) => VERSION_OF_EXPOSURE,
        (Exposure::Exact, Some(_)) => VERSION_OF_DIALECTS,
        (Exposure::Exact, None) => VERSION,
    }
}

fn text<T: Serialize>(event: &str, body: T) -> String {
    text_of(VERSION, event, body)
}

fn text_of<T: Serialize>(v: u64, event: &str, body: T) -> String {
    serde_json::to_string(&Envelope { v, event, body })
        .expect("keys are strings and nothing refuses to be written, so JSON can always be made")
}

fn millis(at: Option<Timestamp>) -> Option<u64> {
    at.map(Timestamp::millis)
}

/// Sets the fields that say how the attempt ended.
fn call_answered<'a>(outcome: &'a Outcome, report: &'a CallReport) -> CallAnswered<'a> {
    let mut body = CallAnswered {
        branch: None,
        op: Op::Check,
        attempt: 0,
        outcome: OutcomeWord::Unknown,
        output: None,
        output_hex: None,
        read_only: false,
        reason: None,
        client_error: false,
        retry_after_ms: None,
        retry_at_ms: None,
        status_code: report.status_code,
        duration_ms: report.duration_ms,
        error: report.error.as_deref().map(Cow::from),
    };
    match outcome {
        Outcome::Done { output, read_only } => {
            (body.output, body.output_hex) = bytes::split(output);
            (body.outcome, body.read_only) = (OutcomeWord::Done, *read_only);
        }
        Outcome::Refused { reason } => {
            (body.outcome, body.reason) = (OutcomeWord::Refused, Some(reason.into()));
        }
        Outcome::Ongoing { retry_after_ms } => {
            (body.outcome, body.retry_after_ms) = (OutcomeWord::Ongoing, *retry_after_ms);
        }
        Outcome::Unknown => {}
        Outcome::ClientError => body.client_error = true,
    }
    body
}

/// See [`super::decode`]; `name` is the event's.
pub(super) fn decode(name: &str, text: &str) -> Result<Event, DecodeError> {
    Ok(match name {
        "created" => {
            let body: Created<'_> = serde_json::from_str(text)?;
            Event::Created {
                spec: body.spec.into_spec()?.into(),
                start_at: timestamp(body.start_at_ms),
                deadline_at: timestamp(body.deadline_at_ms),
                check_at: timestamp(body.check_at_ms),
            }
        }
        "branch_registered" => {
            let body: BranchRegistered<'_> = serde_json::from_str(text)?;
            Event::BranchRegistered { branch: body.branch.into_branch(&SharedPolicy::default())?.into() }
        }
        "started" => Event::Started,
        "submitted" => {
            let body: Submitted = serde_json::from_str(text)?;
            Event::Submitted { start_at: timestamp(body.start_at_ms) }
        }
        "commit_decided" => Event::CommitDecided,
        "rollback_begun" => serde_json::from_str::<rollback::RollbackBegun<'_>>(text)?.into_event()?,
        "call_answered" => serde_json::from_str::<CallAnswered<'_>>(text)?.into_event()?,
        "not_sent" => serde_json::from_str::<parked::NotSent<'_>>(text)?.into_event(),
        "op_parked" => serde_json::from_str::<parked::OpParked>(text)?.into_event(),
        "replayed" => {
            let body: Replayed = serde_json::from_str(text)?;
            Event::Replayed { branch: body.branch, due_at: Timestamp::from_millis(body.due_at_ms) }
        }
        "quarantined" => {
            let body: Quarantined<'_> = serde_json::from_str(text)?;
            Event::Quarantined { detail: body.detail.into_owned() }
        }
        "taken_over" => Event::TakenOver,
        "forced" => {
            let body: Forced<'_> = serde_json::from_str(text)?;
            let to = match body.to {
                ForceWord::Committed => ForceTo::Committed,
                ForceWord::RolledBack => ForceTo::RolledBack,
            };
            Event::Forced { to, reason: body.reason.into_owned(), by: body.by.map(Cow::into_owned) }
        }
        "resumed" => {
            let body: Resumed = serde_json::from_str(text)?;
            Event::Resumed { check_at: Timestamp::from_millis(body.check_at_ms) }
        }
        "progressed" => serde_json::from_str::<workflow::Progressed<'_>>(text)?.into_event()?,
        "finished" => serde_json::from_str::<workflow::Finished<'_>>(text)?.into_event()?,
        "committed" => Event::Committed,
        "rolled_back" => Event::RolledBack,
        "" => return Err(DecodeError::Damaged("the event has no name".to_owned())),
        unknown => return Err(DecodeError::UnknownEvent(unknown.chars().take(64).collect())),
    })
}

fn timestamp(millis: Option<u64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::Damaged(format!("`{field}` is missing")))
}

impl CallAnswered<'_> {
    fn into_event(self) -> Result<Event, DecodeError> {
        let outcome = match self.outcome {
            OutcomeWord::Done => Outcome::Done {
                output: bytes::join(self.output, self.output_hex)?,
                read_only: self.read_only,
            },
            OutcomeWord::Refused => {
                Outcome::Refused { reason: required(self.reason, "reason")?.into_owned() }
            }
            OutcomeWord::Ongoing => Outcome::Ongoing { retry_after_ms: self.retry_after_ms },
            OutcomeWord::Unknown if self.client_error => Outcome::ClientError,
            OutcomeWord::Unknown => Outcome::Unknown,
        };
        Ok(Event::CallAnswered {
            branch: self.branch,
            op: self.op,
            attempt: self.attempt,
            outcome,
            retry_at: timestamp(self.retry_at_ms),
            report: CallReport {
                status_code: self.status_code,
                duration_ms: self.duration_ms,
                error: self.error.map(Cow::into_owned),
            },
        })
    }
}
