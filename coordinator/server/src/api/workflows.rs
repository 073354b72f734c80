//! The commands of workflows' executors: begin or resume, record a step, finish.
//!
//! The native API and the dtm dialect share them. Each of the two translates its own documents into these commands, and the
//! answers back.

use std::sync::Arc;

use trine_engine::{Command, Payload, Progress, Rejection, ReplyOn, Snapshot, Spec};
use trine_protocol::dtm::Terms;
use trine_protocol::v1::WorkflowCallback;
use trine_protocol::{Gid, Pattern, Status};

use super::json;
use crate::runtime::{Handle, SubmitError};

/// Longest name of a step's op.
pub(crate) const STEP_OP_BYTES_MAX: usize = 64;

/// Sends the commands of workflows to the lanes.
pub(crate) struct Workflows<'a>(pub(crate) &'a Handle);

impl Workflows<'_> {
    /// Creates a workflow, or finds it. The caller counts as its executor from now on, so the next callback is put off.
    pub(crate) async fn begin(&self, gid: &Gid, spec: Spec) -> Result<Snapshot, SubmitError> {
        let spec = Arc::new(spec);
        let found = match self.submit(gid, Command::Create(Arc::clone(&spec))).await {
            Err(SubmitError::Rejected(Rejection::GidConflict)) => self.begun_over_dtm(gid, &spec).await?,
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

    /// Lets a native executor resume a workflow that began over the dtm dialect, if name and input are the same. The other way
    /// round is refused: an executor of the dialect cannot read native records.
    async fn begun_over_dtm(&self, gid: &Gid, asked: &Spec) -> Result<Snapshot, SubmitError> {
        let found = self.submit(gid, Command::Look).await?;
        let is_same = asked.terms.is_none()
            && found.spec.terms.is_some()
            && identity(asked).is_some_and(|asked| identity(&found.spec) == Some(asked));
        if is_same { Ok(Snapshot { changed: false, ..found }) } else { Err(Rejection::GidConflict.into()) }
    }

    async fn submit(&self, gid: &Gid, command: Command) -> Result<Snapshot, SubmitError> {
        self.0.submit(gid.clone(), command, ReplyOn::Durable).await
    }
}

/// The name of a workflow and its input as compact JSON. None if the spec is no workflow.
fn identity(spec: &Spec) -> Option<(String, Vec<u8>)> {
    if spec.pattern != Pattern::Workflow {
        return None;
    }
    let bytes = spec.check_payload.as_bytes();
    match &spec.terms {
        None => {
            let WorkflowCallback { name, input } = serde_json::from_slice(bytes).ok()?;
            Some((name, input.map(|input| input.get().as_bytes().to_vec()).unwrap_or_default()))
        }
        Some(terms) => {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
            let text = std::str::from_utf8(bytes).ok().filter(|_| is_json);
            let input = text.map_or_else(|| bytes.to_vec(), |text| json::compact(text).into_bytes());
            Some((Terms::decode(terms)?.workflow, input))
        }
    }
}
