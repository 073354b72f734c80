//! Workflows in the dialect: translates requests into calls of `api::workflows`, and the answers into dtm's words.

use trine_engine::{Payload, Progress, Rejection, Snapshot};
use trine_protocol::Status;
use trine_protocol::dtm::{BranchRequest, TransRequest, TransType, status};

use super::names;
use super::outcome::{CommandError, DtmError, DtmResult, duplicate, not_prepared, other};
use super::plan::{self, Topics};
use super::service::Service;
use super::show;
use super::view::{Branch, Global};
use crate::api::workflows::{STEP_OP_BYTES_MAX, Workflows};

impl Service {
    /// Creates a workflow, or returns its progress. The caller counts as its executor from now on.
    pub(crate) async fn prepare_workflow(
        &self,
        request: TransRequest,
    ) -> Result<(Global, Vec<Branch>), DtmError> {
        let gid = Self::gid(&request.gid)?;
        let spec = plan::spec(&request, TransType::Workflow, true, &Topics::new())?;
        let begun = Workflows(&self.handle).begin(&gid, spec).await;
        begun.map_err(CommandError::from)?;
        let found = self.load(&gid).await?.ok_or_else(|| other(Rejection::NotFound))?;
        Ok(show::whole(&found.0, &found.1))
    }

    /// Records a step, which its executor then never does again.
    pub(super) async fn record_progress(&self, request: BranchRequest) -> DtmResult {
        let gid = Self::gid(&request.gid)?;
        let text = |key: &str| request.data.get(key).cloned().unwrap_or_default();
        let done = match text("status").as_str() {
            status::SUCCEED => true,
            status::FAILED => false,
            other => return Err(DtmError::Other(format!("unknown progress status: {other}"))),
        };
        let op = text("op");
        names::ensure_kept("op", &op)?;
        if op.len() > STEP_OP_BYTES_MAX {
            return Err(DtmError::Other(format!("op: at most {STEP_OP_BYTES_MAX} bytes")));
        }
        let branch = plan::branch_id(&request.branch_id)?;
        let progress = Progress { branch, op, done, data: Payload::from(request.payload.as_slice()) };
        match Workflows(&self.handle).record(&gid, progress).await.map_err(CommandError::from) {
            Ok(Snapshot { changed: true, .. }) => Ok(()),
            Ok(Snapshot { status, .. }) if status.is_settled() => Err(not_prepared(&request.gid)),
            // Two executors run at once. The later one gets an error and stops.
            Ok(_) | Err(CommandError::Rejected(Rejection::BranchConflict(_))) => Err(duplicate()),
            // An executor takes FAILURE for the end of its workflow, so FAILURE must not be said of an open transaction.
            Err(CommandError::Rejected(Rejection::IllegalState { status: Status::Open, .. })) => {
                Err(DtmError::Other("this transaction is no workflow".into()))
            }
            Err(CommandError::Rejected(Rejection::IllegalState { .. } | Rejection::NotFound)) => {
                Err(not_prepared(&request.gid))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a workflow with the outcome of its executor. The same outcome again is a success.
    pub(super) async fn finish_workflow(&self, request: &TransRequest) -> DtmResult {
        let gid = Self::gid(&request.gid)?;
        let extra = |key: &str| request.req_extra.get(key).cloned().filter(|text| !text.is_empty());
        let committed = match extra("status").as_deref() {
            Some(status::SUCCEED) => true,
            Some(status::FAILED) => false,
            other => {
                return Err(DtmError::Other(format!("unknown workflow status: {}", other.unwrap_or(""))));
            }
        };
        let result = Payload::from(extra("result").unwrap_or_default().as_str());
        let finished =
            Workflows(&self.handle).finish(&gid, committed, extra("rollback_reason"), result).await;
        match finished.map_err(CommandError::from) {
            Ok(_) => Ok(()),
            Err(CommandError::Rejected(Rejection::IllegalState { .. } | Rejection::NotFound)) => {
                Err(other(Rejection::NotFound))
            }
            Err(error) => Err(error.into()),
        }
    }
}
