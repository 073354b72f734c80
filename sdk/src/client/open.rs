//! An open transaction in its initiator's hands: registering branches, driving try or prepare, deciding.
//!
//! A branch is registered durably before it is called, always: what the coordinator does not know it cannot cancel.
//! Answers are read as the coordinator reads them: the status decides.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use trine_protocol::limits::ONGOING_DELAY_MS_DEFAULT;
use trine_protocol::v1::{Answer, Branch as BranchDocument};
use trine_protocol::{Gid, Op, Target, headers};

use super::branch::{Branch, TccBranch, TwoPhaseBranch};
use super::kind::{self, Openable};
use super::stopwatch::Stopwatch;
use super::transport::{excerpt, read_at_most, retry_after};
use super::{Client, Error};

/// Largest answer of a participant that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How a try or prepare that the initiator drove itself ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Forward {
    /// The participant did it; this is its output.
    Done(Value),
    /// The participant voted read-only (prepare): it has nothing to commit.
    ReadOnly,
    /// A business "no": abort with this reason.
    Refused(String),
    /// No usable answer in time: it may have run. Abort, or try again with the same branch.
    Unknown(String),
}

impl Forward {
    /// Whether the branch is ready to be committed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_) | Self::ReadOnly)
    }
}

/// An open transaction. Dropping it decides nothing: the coordinator rolls it back at its deadline, or, if it is a
/// message, asks its check URL.
pub struct Open<P> {
    client: Client,
    gid: Gid,
    pattern: PhantomData<P>,
}

impl<P> fmt::Debug for Open<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("gid", &self.gid).finish_non_exhaustive()
    }
}

impl<P: Openable> Open<P> {
    pub(crate) fn new(client: Client, gid: Gid) -> Self {
        Self { client, gid, pattern: PhantomData }
    }

    /// Its gid.
    pub fn gid(&self) -> &Gid {
        &self.gid
    }

    /// Registers a branch, durably when this returns. The same branch again changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] (the branch id belongs to another branch, the transaction is decided, ..) or
    /// [`Error::GaveUp`].
    pub async fn register(&self, branch: Branch<P>) -> Result<Answer, Error> {
        self.client.register(&self.gid, &branch.into_document()?).await
    }

    /// Decides yes: see [`Client::commit`].
    ///
    /// # Errors
    /// As [`Client::commit`].
    pub async fn commit(&self) -> Result<Answer, Error> {
        self.client.commit(&self.gid).await
    }

    /// Decides yes and waits: see [`Client::commit_and_wait`].
    ///
    /// # Errors
    /// As [`Client::commit_and_wait`].
    pub async fn commit_and_wait(&self, wait: Duration) -> Result<Answer, Error> {
        self.client.commit_and_wait(&self.gid, wait).await
    }

    /// Decides no: see [`Client::abort`].
    ///
    /// # Errors
    /// As [`Client::abort`].
    pub async fn abort(&self, reason: &str) -> Result<Answer, Error> {
        self.client.abort(&self.gid, reason).await
    }

    /// Decides no and waits: see [`Client::abort_and_wait`].
    ///
    /// # Errors
    /// As [`Client::abort_and_wait`].
    pub async fn abort_and_wait(&self, reason: &str, wait: Duration) -> Result<Answer, Error> {
        self.client.abort_and_wait(&self.gid, reason, wait).await
    }

    /// Registers the branch, then calls `op` on it until there is a definite answer or the client's patience ends.
    async fn drive(&self, branch: Branch<P>, op: Op) -> Result<Forward, Error> {
        let document = branch.into_document()?;
        let own = if op == Op::Try { &document.try_ } else { &document.prepare };
        let target = own.as_ref().or(document.url.as_ref()).cloned();
        let target = target
            .ok_or_else(|| Error::invalid(format!("branch {}", document.id), format!("has no {op}")))?;
        self.client.register(&self.gid, &document).await?;
        let transport = &self.client.inner.transport;
        let began = Stopwatch::start();
        for attempt in 1.. {
            let (pause, why) = match self.call(&document, &target, op, attempt).await? {
                Call::Ended(forward) => return Ok(forward),
                Call::Ongoing(pause) => (pause, "still ongoing".to_owned()),
                Call::Unknown(why) => (transport.patience.pause(attempt), why),
            };
            if began.elapsed() + pause > transport.patience.retry_for {
                return Ok(Forward::Unknown(why));
            }
            tracing::debug!(gid = %self.gid, branch = %document.id, %op, attempt, why, "called again after {pause:?}");
            tokio::time::sleep(pause).await;
        }
        Ok(Forward::Unknown("out of attempts".into()))
    }

    /// One attempt, with the headers the coordinator itself would send. The fence is 0, below all of the coordinator's.
    async fn call(
        &self,
        branch: &BranchDocument,
        target: &Target,
        op: Op,
        attempt: u32,
    ) -> Result<Call, Error> {
        let inner = &self.client.inner;
        let url = match inner.directory.url(&inner.transport, target).await {
            Ok(url) => url,
            Err(error) if error.is_transient() => return Ok(Call::Unknown(error.to_string())),
            Err(error) => return Err(error),
        };
        let url = Url::parse(&url).map_err(|error| Error::InvalidUrl { url, reason: error.to_string() })?;
        let timeout =
            branch.options.call_timeout_ms.map_or(inner.transport.call_timeout, Duration::from_millis);
        let payload = branch.payload.as_ref().map_or("null", |payload| payload.get());
        let call = inner.transport.http.post(url).timeout(timeout).body(payload.to_owned());
        let call = call
            .header(CONTENT_TYPE, "application/json")
            .header(headers::GID, self.gid.as_str())
            .header(headers::BRANCH, branch.id.as_str())
            .header(headers::OP, op.as_str())
            .header(headers::PATTERN, P::PATTERN.as_str())
            .header(headers::ATTEMPT, attempt)
            .header(headers::FENCE, 0)
            .header(headers::IDEMPOTENCY_KEY, format!("{}/{}/{op}", self.gid, branch.id));
        match call.send().await {
            Ok(answer) => Ok(read(answer, op).await),
            Err(error) => Ok(Call::Unknown(with_causes(&error))),
        }
    }
}

impl Open<kind::Tcc> {
    /// Registers a branch, then tries it, repeating until there is a definite answer or the client's `retry_for` is
    /// over. The headers are those of the coordinator's own calls.
    ///
    /// # Errors
    /// When the branch cannot be registered; what became of the call itself is told by [`Forward`].
    pub async fn try_branch(&self, branch: TccBranch) -> Result<Forward, Error> {
        self.drive(branch, Op::Try).await
    }
}

impl Open<kind::TwoPhase> {
    /// Registers a branch, then asks it to prepare; otherwise as [`Open::try_branch`].
    ///
    /// # Errors
    /// As [`Open::try_branch`].
    pub async fn prepare_branch(&self, branch: TwoPhaseBranch) -> Result<Forward, Error> {
        self.drive(branch, Op::Prepare).await
    }
}

/// How one attempt ended.
enum Call {
    Ended(Forward),
    Ongoing(Duration),
    Unknown(String),
}

/// Reads an answer by its status, as the coordinator does.
async fn read(answer: reqwest::Response, op: Op) -> Call {
    let status = answer.status();
    let asked = retry_after(answer.headers());
    let vote = answer.headers().get(headers::VOTE).map(|vote| vote.as_bytes().trim_ascii());
    let read_only = vote.is_some_and(|vote| vote.eq_ignore_ascii_case(headers::VOTE_READ_ONLY.as_bytes()));
    let body = match read_at_most(answer, ANSWER_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return Call::Unknown(with_causes(&error)),
    };
    match (status, asked) {
        (status, _) if status.is_success() && read_only && op == Op::Prepare => {
            Call::Ended(Forward::ReadOnly)
        }
        (status, _) if status.is_success() => Call::Ended(Forward::Done(output(&body))),
        (StatusCode::CONFLICT, _) => Call::Ended(Forward::Refused(reason(&body))),
        (StatusCode::TOO_EARLY, _) => {
            Call::Ongoing(asked.unwrap_or(Duration::from_millis(ONGOING_DELAY_MS_DEFAULT)))
        }
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, Some(pause)) => {
            Call::Ongoing(pause)
        }
        (status, _) => Call::Unknown(format!("{status}: {}", excerpt(&body))),
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
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
