//! What an execution asks of the coordinator: how far the workflow is, to record a step, to end it.
//!
//! All three may be repeated. A record that is repeated is answered as a duplicate, and so is one that another executor
//! was faster with; each record therefore carries a mark of the execution that made it, and who meets a duplicate reads
//! whose it is.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trine_protocol::dtm::workflow::{Custom, Ending, Finish, Prepare, Prepared, Progress, Record, Reply};
use trine_protocol::dtm::workflow::{TRANS_TYPE, path};
use trine_protocol::dtm::{op, status};
use trine_protocol::limits::TEXT_BYTES_MAX;
use trine_protocol::{BranchId, Gid};

use super::WorkflowError;
use crate::Error;
use crate::client::Client;
use crate::client::stopwatch::Stopwatch;
use crate::client::transport::{Raw, Request, excerpt};

/// Op of the one record that belongs to no branch: which way phase two goes.
const DECISION: &str = "decision";

/// What is recorded of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Action,
    Commit,
    Rollback,
    /// Of the workflow, not of a branch.
    Decision,
}

/// A workflow's identity. The gid alone finds it; the rest must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) gid: Gid,
    pub(super) name: String,
    pub(super) input: Vec<u8>,
}

/// How far a workflow is.
#[derive(Debug)]
pub(super) enum Standing {
    Open(Vec<Recorded>),
    Done(Vec<u8>),
    Refused(String),
}

/// What a step came to: JSON, or the reason of a refusal.
pub(super) type Settled = Result<Box<RawValue>, String>;

/// A step on record.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) branch: String,
    pub(super) phase: Phase,
    /// Who made it; none for another implementation.
    executor: Option<String>,
    /// The other branches whose steps had been asked for then, and had no record.
    pub(super) open: Vec<String>,
    pub(super) settled: Settled,
}

/// The text of a record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    executor: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The coordinator, as this service's executions see it.
#[derive(Debug, Clone)]
pub(super) struct Coordinator {
    pub(super) client: Client,
    pub(super) callback: String,
    /// Seconds; 0: the coordinator's default.
    pub(super) callback_after_s: u64,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Action, Self::Commit, Self::Rollback, Self::Decision];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Action => op::ACTION,
            Self::Commit => op::COMMIT,
            Self::Rollback => op::ROLLBACK,
            Self::Decision => DECISION,
        }
    }
}

impl Coordinator {
    /// Creates the workflow, or reads how far it is. From now on the coordinator takes the asker for its executor.
    pub(super) async fn prepare(&self, about: &About) -> Result<Standing, WorkflowError> {
        let custom = Custom { name: about.name.clone(), data: about.input.clone() };
        let prepare = Prepare {
            gid: about.gid.to_string(),
            trans_type: TRANS_TYPE.into(),
            custom_data: serde_json::to_string(&custom).map_err(|e| WorkflowError::json("the input", &e))?,
            query_prepared: self.callback.clone(),
            protocol: "http".into(),
            retry_interval: self.callback_after_s,
        };
        let answer = self.ask(path::PREPARE, &prepare).await?;
        if answer.status == StatusCode::CONFLICT {
            return Err(WorkflowError::Conflict { gid: about.gid.clone(), what: message(&answer) });
        }
        if !answer.status.is_success() {
            return Err(rejected(&answer));
        }
        let prepared = serde_json::from_slice(&answer.body);
        standing(about, prepared.map_err(|error| WorkflowError::json("the coordinator's answer", &error))?)
    }

    /// Records a step for `executor`. When this returns, its record is durable and its own.
    pub(super) async fn record(
        &self,
        about: &About,
        executor: &str,
        branch: &str,
        phase: Phase,
        settled: &Settled,
        open: Vec<String>,
    ) -> Result<(), WorkflowError> {
        let (word, output, reason) = match settled {
            Ok(output) => (status::SUCCEED, Some(output.clone()), None),
            Err(reason) => (status::FAILED, None, Some(reason.clone())),
        };
        let marked = Marked { executor: executor.to_owned(), open, output, reason };
        let record = Record {
            gid: about.gid.to_string(),
            trans_type: TRANS_TYPE.into(),
            branch_id: branch.to_owned(),
            op: phase.as_str().into(),
            status: word.into(),
            data: serde_json::to_string(&marked).map_err(|error| WorkflowError::json("a step", &error))?,
        };
        let answer = self.ask(path::RECORD, &record).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        if answer.status == StatusCode::CONFLICT {
            // It has ended, and not by us.
            return Err(WorkflowError::Superseded);
        }
        let Standing::Open(recorded) = self.prepare(about).await? else {
            return Err(WorkflowError::Superseded);
        };
        match recorded.iter().find(|known| known.branch == branch && known.phase == phase) {
            // An earlier attempt got through, and its answer was lost.
            Some(known) if known.executor.as_deref() == Some(executor) => Ok(()),
            Some(_) => Err(WorkflowError::Superseded),
            None => Err(rejected(&answer)),
        }
    }

    /// Ends the workflow, and returns how it has ended.
    pub(super) async fn finish(&self, about: &About, ending: End) -> Result<Vec<u8>, WorkflowError> {
        let (word, rollback_reason, result) = match &ending {
            Ok(result) => (status::SUCCEED, String::new(), result.clone()),
            Err(reason) => (status::FAILED, reason.clone(), Vec::new()),
        };
        let finish = Finish {
            gid: about.gid.to_string(),
            trans_type: TRANS_TYPE.into(),
            req_extra: Ending { status: word.into(), rollback_reason, result },
        };
        let answer = self.ask(path::FINISH, &finish).await?;
        if answer.status.is_success() {
            return ending.map_err(WorkflowError::Refused);
        }
        match self.prepare(about).await? {
            Standing::Open(_) => Err(rejected(&answer)),
            Standing::Done(result) => Ok(result),
            Standing::Refused(reason) => Err(WorkflowError::Refused(reason)),
        }
    }

    /// Sends until there is an answer that a repetition would not change, or patience ends.
    async fn ask<T: Serialize>(&self, path: &str, document: &T) -> Result<Raw, WorkflowError> {
        let body = serde_json::to_vec(document).map_err(|error| WorkflowError::json("a request", &error))?;
        let request = Request { method: Method::POST, path: path.into(), body: Some(body), wait_secs: None };
        let transport = &self.client.inner.transport;
        let patience = transport.patience;
        let began = Stopwatch::start();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (error, asked) = match transport.once(&request).await {
                Ok(answer) if !may_pass(&answer) => return Ok(answer),
                Ok(Raw { url, status, retry_after, body }) => {
                    let excerpt = excerpt(&body);
                    (Error::NotACoordinator { url, status: status.as_u16(), excerpt }, retry_after)
                }
                Err(error) => (error, None),
            };
            transport.move_on();
            let pause = patience.pause(attempts).max(asked.unwrap_or_default().min(patience.max));
            if began.elapsed() + pause > patience.retry_for {
                let gave_up = Error::GaveUp { attempts, last: Box::new(error) };
                return Err(WorkflowError::Coordinator(Arc::new(gave_up)));
            }
            tracing::debug!(path, attempts, ?pause, %error, "the coordinator is asked again");
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether the same request may be answered differently in a moment. A coordinator that cannot tell yet says when to
/// come back, whatever the status.
fn may_pass(answer: &Raw) -> bool {
    answer.retry_after.is_some() || matches!(answer.status.as_u16(), 429 | 502..=504)
}

fn message(answer: &Raw) -> String {
    let reply = serde_json::from_slice::<Reply>(&answer.body).unwrap_or_default();
    if reply.message.is_empty() { excerpt(&answer.body) } else { reply.message }
}

fn rejected(answer: &Raw) -> WorkflowError {
    WorkflowError::Rejected { status: answer.status.as_u16(), message: message(answer) }
}

/// What an answer says, if it is about this workflow.
fn standing(about: &About, prepared: Prepared) -> Result<Standing, WorkflowError> {
    let found = prepared.transaction;
    let conflict =
        |what: &str| Err(WorkflowError::Conflict { gid: about.gid.clone(), what: what.to_owned() });
    if found.trans_type != TRANS_TYPE {
        return conflict("it is no workflow's");
    }
    if let Ok(custom) = serde_json::from_str::<Custom>(&found.custom_data) {
        if custom.name != about.name {
            return conflict(&format!("it is a workflow `{}`", custom.name));
        }
        if custom.data != about.input {
            return conflict("the workflow has another input");
        }
    }
    overruled(&found.status, &prepared.progresses)?;
    match found.status.as_str() {
        status::SUCCEED => Ok(Standing::Done(found.result)),
        status::FAILED => Ok(Standing::Refused(found.rollback_reason)),
        status::PREPARED => {
            prepared.progresses.into_iter().map(recorded).collect::<Result<_, _>>().map(Standing::Open)
        }
        other => Err(WorkflowError::Diverged(format!("a workflow that is {other}"))),
    }
}

/// An end that is not the one on record as decided: what was done for the one is no part of the other.
fn overruled(ended: &str, progresses: &[Progress]) -> Result<(), WorkflowError> {
    let decision = progresses.iter().find(|known| known.op == DECISION).map(|known| known.status.as_str());
    match (decision, ended) {
        (Some(status::FAILED), status::SUCCEED) => {
            Err(WorkflowError::Overruled { decided: "roll back", ended: "committed" })
        }
        (Some(status::SUCCEED), status::FAILED) => {
            Err(WorkflowError::Overruled { decided: "commit", ended: "rolled back" })
        }
        _ => Ok(()),
    }
}

fn recorded(progress: Progress) -> Result<Recorded, WorkflowError> {
    let Progress { branch_id: branch, op, status: word, bin_data } = progress;
    let unreadable = |what: &str| WorkflowError::Diverged(format!("step {branch}/{op} has {what}"));
    let phase = Phase::ALL.into_iter().find(|phase| phase.as_str() == op);
    let phase = phase.ok_or_else(|| unreadable("an op of another implementation"))?;
    let text = String::from_utf8_lossy(&bin_data);
    let (executor, open, output, reason) = match serde_json::from_str::<Marked>(&text) {
        Ok(marked) => (Some(marked.executor), marked.open, marked.output, marked.reason),
        // Another implementation keeps the output, or the reason, as it is.
        Err(_) => (None, Vec::new(), Some(as_json(&text)), Some(text.into_owned())),
    };
    let settled = match word.as_str() {
        status::SUCCEED => Ok(output.unwrap_or_else(null)),
        status::FAILED => Err(reason.unwrap_or_default()),
        _ => return Err(unreadable("an unknown status")),
    };
    Ok(Recorded { branch, phase, executor, open, settled })
}

/// Text that is no JSON becomes a string.
fn as_json(text: &str) -> Box<RawValue> {
    let parsed = serde_json::from_str(text).or_else(|_| serde_json::value::to_raw_value(text));
    parsed.unwrap_or_else(|_| null())
}

/// JSON's null.
pub(super) fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// A reason as long as one may be.
pub(super) fn clip(reason: String) -> String {
    let end = reason.floor_char_boundary(TEXT_BYTES_MAX);
    reason[..end].to_owned()
}

/// The id under which the decision is recorded.
pub(super) const NO_BRANCH: &str = trine_protocol::dtm::NO_BRANCH;

/// How a workflow ends: its result, or the reason of its refusal.
pub(super) type End = Result<Vec<u8>, String>;

/// A branch id of the workflow protocol: at least two digits, counted from 1.
pub(super) fn branch_id(number: usize) -> BranchId {
    BranchId::parse(&format!("{number:02}")).expect("digits are within the grammar of branch ids")
}
