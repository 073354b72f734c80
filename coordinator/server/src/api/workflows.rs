//! The commands of workflows' executors: begin or resume, record a step, finish.
//!
//! The native API and the dtm dialect share them. Each of the two translates its own documents into these commands, and the
//! answers back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trine_engine::{Command, Payload, Progress, Rejection, ReplyOn, Snapshot, Spec, Transaction};
use trine_protocol::dtm::Terms;
use trine_protocol::v1::{Base64, WorkflowCallback};
use trine_protocol::{Gid, Pattern, Status};

use crate::runtime::{Handle, SubmitError};
use trine_protocol::json;

/// Longest name of a step's op.
pub(crate) const STEP_OP_BYTES_MAX: usize = 64;

/// Sends the commands of workflows to the lanes.
pub(crate) struct Workflows<'a>(pub(crate) &'a Handle);

impl Workflows<'_> {
    /// Creates a workflow, or finds it. The caller counts as its executor from now on, so the next callback is put off.
    pub(crate) async fn begin(&self, gid: &Gid, spec: Spec) -> Result<Snapshot, SubmitError> {
        let spec = Arc::new(spec);
        let found = match self.submit(gid, Command::Create(Arc::clone(&spec))).await {
            Err(SubmitError::Rejected(Rejection::GidConflict)) => self.begun_otherwise(gid, &spec).await?,
            created => created?,
        };
        if found.changed || found.status != Status::Open {
            return Ok(found);
        }
        match self.submit(gid, Command::Resume).await {
            // The workflow has ended meanwhile, or the gid is no workflow. The caller reads the records to find out.
            Err(SubmitError::Rejected(Rejection::IllegalState { .. })) => Ok(found),
            resumed => resumed,
        }
    }

    /// Records a step, which its executor then never does again.
    pub(crate) async fn record(&self, gid: &Gid, progress: Progress) -> Result<Snapshot, SubmitError> {
        self.submit(gid, Command::Record(Arc::new(progress))).await
    }

    /// Ends a workflow with the outcome of its executor. The same outcome again is a success.
    pub(crate) async fn finish(
        &self,
        gid: &Gid,
        committed: bool,
        reason: Option<String>,
        result: Payload,
    ) -> Result<Snapshot, SubmitError> {
        self.submit(gid, Command::Finish { committed, reason, result }).await
    }

    /// Finishes a workflow for a native executor. [`result`] reads the result back.
    pub(crate) async fn finish_natively(
        &self,
        gid: &Gid,
        committed: bool,
        reason: Option<String>,
        mut result: Payload,
    ) -> Result<Snapshot, SubmitError> {
        // The workflow began over the dialect: its executors may ask for the result, and they read base64.
        if !result.is_empty() && self.submit(gid, Command::Look).await?.spec.terms.is_some() {
            result = STANDARD.encode(result.as_bytes()).as_str().into();
        }
        self.finish(gid, committed, reason, result).await
    }

    /// Finds the workflow if it was started in another form: with its input as bytes instead of JSON, or over the dtm dialect.
    /// A native executor resumes a workflow that began over the dialect. The other way round is refused: an executor of the
    /// dialect cannot read native callbacks.
    async fn begun_otherwise(&self, gid: &Gid, asked: &Spec) -> Result<Snapshot, SubmitError> {
        let found = self.submit(gid, Command::Look).await?;
        let is_same = asked.terms.is_none()
            && identity(asked).is_some_and(|asked| identity(&found.spec) == Some(asked));
        if is_same { Ok(Snapshot { changed: false, ..found }) } else { Err(Rejection::GidConflict.into()) }
    }

    async fn submit(&self, gid: &Gid, command: Command) -> Result<Snapshot, SubmitError> {
        self.0.submit(gid.clone(), command, ReplyOn::Durable).await
    }
}

/// The result of a workflow that is finished, in the bytes that its executor gave.
pub(crate) fn result(transaction: &Transaction) -> Option<Vec<u8>> {
    let kept = transaction.result()?.as_bytes();
    // A client of the dialect may have given a result that is not base64.
    let decoded = transaction.spec().terms.as_ref().and_then(|_| STANDARD.decode(kept).ok());
    Some(decoded.unwrap_or_else(|| kept.to_vec()))
}

/// The name of a workflow and its input. None if the spec is no workflow.
fn identity(spec: &Spec) -> Option<(String, Vec<u8>)> {
    if spec.pattern != Pattern::Workflow {
        return None;
    }
    let bytes = spec.check_payload.as_bytes();
    let (name, input) = match &spec.terms {
        None => {
            let WorkflowCallback { name, input, input_base64 } = serde_json::from_slice(bytes).ok()?;
            let json = input.as_ref().map(|input| input.get().as_bytes());
            let input = json.or(input_base64.as_ref().map(Base64::as_bytes)).unwrap_or_default().to_vec();
            (name, input)
        }
        Some(terms) => (Terms::decode(terms)?.workflow, bytes.to_vec()),
    };
    Some((name, canonical(input)))
}

/// JSON without insignificant white space. A `null` is the same as no input.
fn canonical(input: Vec<u8>) -> Vec<u8> {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&input).is_ok();
    match std::str::from_utf8(&input).map(json::compact) {
        Ok(compact) if is_json && compact == "null" => Vec::new(),
        Ok(compact) if is_json => compact.into_owned().into_bytes(),
        Ok(_) | Err(_) => input,
    }
}
