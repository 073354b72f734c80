//! Calls that are made from here and not by a coordinator: a try or prepare of an open transaction, a step of a workflow.
//!
//! They look as the coordinator's own calls do, and their answers are read as it reads them: the status decides.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use trine_protocol::limits::ONGOING_DELAY_MS_DEFAULT;
use trine_protocol::{BranchId, Gid, JournalId, Op, Pattern, PayloadDigest, Target, headers};

use super::forward::Forward;
use super::stopwatch::Stopwatch;
use super::transport::{excerpt, read_at_most, retry_after};
use super::{Client, Error};

/// Largest answer of a participant that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A call of an op on a branch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) gid: &'a Gid,
    pub(crate) branch: &'a BranchId,
    pub(crate) op: Op,
    pub(crate) pattern: Pattern,
    pub(crate) target: &'a Target,
    /// JSON.
    pub(crate) payload: &'a [u8],
    /// The journal of the transaction, if it is known.
    pub(crate) journal: Option<&'a JournalId>,
    /// Every op of the branch has this payload, as far as a coordinator calls it: then it counts for who the call is of.
    pub(crate) one_payload: bool,
    /// How long one attempt may take; none: as long as a request to a coordinator.
    pub(crate) timeout: Option<Duration>,
}

impl Client {
    /// Calls until there is a definite answer or the client's patience ends.
    pub(crate) async fn drive(&self, call: &Call<'_>) -> Result<Forward, Error> {
        let patience = self.inner.transport.patience;
        let began = Stopwatch::start();
        for attempt in 1.. {
            let (pause, why) = match self.attempt(call, attempt).await? {
                Ended::Answered(forward) => return Ok(forward),
                Ended::Ongoing(pause) => (pause, "still ongoing".to_owned()),
                Ended::Unknown(why) => (patience.pause(attempt), why),
                Ended::Conflict(why) => return Ok(Forward::Unknown(why)),
            };
            if began.elapsed() + pause > patience.retry_for {
                return Ok(Forward::Unknown(why));
            }
            let (gid, branch, op) = (call.gid, call.branch, call.op);
            tracing::debug!(%gid, %branch, %op, attempt, why, "called again after {pause:?}");
            tokio::time::sleep(pause).await;
        }
        Ok(Forward::Unknown("out of attempts".into()))
    }

    /// One attempt, with the headers the coordinator itself would send. The fence is 0, below all of the coordinator's.
    async fn attempt(&self, call: &Call<'_>, attempt: u32) -> Result<Ended, Error> {
        let transport = &self.inner.transport;
        let url = match self.inner.directory.url(transport, call.target).await {
            Ok(url) => url,
            Err(error) if error.is_transient() => return Ok(Ended::Unknown(error.to_string())),
            Err(error) => return Err(error),
        };
        let url = Url::parse(&url).map_err(|error| Error::InvalidUrl { url, reason: error.to_string() })?;
        let timeout = call.timeout.unwrap_or(transport.call_timeout);
        let request = transport.http.post(url).timeout(timeout).body(call.payload.to_owned());
        let mut request = request
            .header(CONTENT_TYPE, "application/json")
            .header(headers::GID, call.gid.as_str())
            .header(headers::BRANCH, call.branch.as_str())
            .header(headers::OP, call.op.as_str())
            .header(headers::PATTERN, call.pattern.as_str())
            .header(headers::ATTEMPT, attempt)
            .header(headers::FENCE, 0)
            .header(headers::IDEMPOTENCY_KEY, format!("{}/{}/{}", call.gid, call.branch, call.op));
        if let Some(journal) = call.journal {
            request = request.header(headers::JOURNAL, journal.as_str());
        }
        if call.one_payload {
            request = request.header(headers::PAYLOAD_DIGEST, PayloadDigest::of(call.payload).as_str());
        }
        match request.send().await {
            Ok(answer) => Ok(read(answer, call.op).await),
            Err(error) => Ok(Ended::Unknown(with_causes(&error))),
        }
    }
}

/// How one attempt ended.
enum Ended {
    Answered(Forward),
    Ongoing(Duration),
    Unknown(String),
    /// No repetition mends it.
    Conflict(String),
}

/// Reads an answer by its status, as the coordinator does.
async fn read(answer: reqwest::Response, op: Op) -> Ended {
    let status = answer.status();
    let asked = retry_after(answer.headers());
    let vote = answer.headers().get(headers::VOTE).map(|vote| vote.as_bytes().trim_ascii());
    let read_only = vote.is_some_and(|vote| vote.eq_ignore_ascii_case(headers::VOTE_READ_ONLY.as_bytes()));
    let conflict = answer.headers().contains_key(headers::CONFLICT);
    let body = match read_at_most(answer, ANSWER_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return Ended::Unknown(with_causes(&error)),
    };
    match (status, asked) {
        (status, _) if status.is_success() && read_only && op == Op::Prepare => {
            Ended::Answered(Forward::ReadOnly)
        }
        (status, _) if status.is_success() => Ended::Answered(Forward::Done(output(&body))),
        (StatusCode::CONFLICT, _) => Ended::Answered(Forward::Refused(reason(&body))),
        (StatusCode::TOO_EARLY, _) => {
            Ended::Ongoing(asked.unwrap_or(Duration::from_millis(ONGOING_DELAY_MS_DEFAULT)))
        }
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, Some(pause)) => {
            Ended::Ongoing(pause)
        }
        (StatusCode::PRECONDITION_FAILED, _) if conflict => Ended::Conflict(reason(&body)),
        (status, _) => Ended::Unknown(format!("{status}: {}", excerpt(&body))),
    }
}

/// What a participant answered; text that is not JSON becomes a string.
fn output(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// The words of a refusal: a problem's `detail`, or else the body as it is.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Detail {
        detail: String,
    }
    serde_json::from_slice::<Detail>(body).map_or_else(|_| excerpt(body), |problem| problem.detail)
}

/// An error with everything that caused it: reqwest's own text names the URL only.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
