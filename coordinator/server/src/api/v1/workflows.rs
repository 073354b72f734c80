//! The calls of workflows' executors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ext;
use trine_engine::Snapshot;
use trine_protocol::Gid;
use trine_protocol::v1::{Answer, FinishWorkflow, StartWorkflow, WorkflowStep, WorkflowView};

use super::from_wire::workflow as from_wire;
use super::to_wire;
use super::transactions::{load, require_participants};
use crate::api::ApiState;
use crate::api::body::JsonBody;
use crate::api::params::GidPath;
use crate::api::problem::Refusal;
use crate::api::workflows::Workflows;
use crate::runtime::SubmitError;

/// Start or resume a workflow.
///
/// The answer says how far the workflow is. Name and input are its identity: the same gid with another name or input is a
/// 409. A workflow that was begun over the dtm dialect is resumed as well. Each start puts the next callback off.
#[utoipa::path(
    post,
    path = "/v1/workflows/{gid}",
    operation_id = "startWorkflow",
    tag = "workflows",
    params(("gid" = Gid, Path, description = "The workflow")),
    request_body(content = StartWorkflow, example = json!({"name": "trip", "callback": "http://127.0.0.1:7001/workflows",
        "input": {"guest": "Ada"}, "callback_after": "30s"})),
    responses((status = 200, description = "Durably begun, resumed, or settled before", body = WorkflowView))
)]
pub(super) async fn start(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    JsonBody(request): JsonBody<StartWorkflow>,
) -> Result<Json<WorkflowView>, Refusal> {
    let spec = from_wire::workflow_spec(&request).map_err(|refusal| refusal.with_gid(&gid))?;
    let named = from_wire::participant_of_workflow(&request);
    if let Err(refusal) = require_participants(&state, named).await {
        // Only a new workflow needs its participant. A repeated start must get the same answer as the first.
        if state.readable(&gid).await?.is_empty() {
            return Err(refusal.with_gid(&gid));
        }
    }
    let begun = Workflows(&state.handle).begin(&gid, spec).await;
    begun.map_err(|error| Refusal::from_submit(error, &gid))?;
    let (records, transaction) = load(&state, &gid).await?;
    Ok(Json(to_wire::workflow(&transaction, &records)))
}

/// Record a step of a workflow.
///
/// Recording the same step with the same outcome again changes nothing; with another one it is a 409. Each new step puts
/// the next callback off.
#[utoipa::path(
    post,
    path = "/v1/workflows/{gid}/steps",
    operation_id = "recordStep",
    tag = "workflows",
    params(("gid" = Gid, Path, description = "The workflow")),
    request_body(content = WorkflowStep, example = json!({"branch": "01", "op": "action", "outcome": "done",
        "output": {"seat": "12A"}})),
    responses((status = 200, description = "Durably recorded", body = Answer))
)]
pub(super) async fn record(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    JsonBody(step): JsonBody<WorkflowStep>,
) -> Result<Json<Answer>, Refusal> {
    let progress = from_wire::progress(&step).map_err(|refusal| refusal.with_gid(&gid))?;
    answer(&gid, Workflows(&state.handle).record(&gid, progress).await)
}

/// Finish a workflow.
///
/// The same outcome again changes nothing, and the first result stays; the other outcome is a 409.
#[utoipa::path(
    post,
    path = "/v1/workflows/{gid}/finish",
    operation_id = "finishWorkflow",
    tag = "workflows",
    params(("gid" = Gid, Path, description = "The workflow")),
    request_body(content = FinishWorkflow, example = json!({"outcome": "committed", "result": {"seat": "12A"}})),
    responses((status = 200, description = "Settled", body = Answer))
)]
pub(super) async fn finish(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    JsonBody(request): JsonBody<FinishWorkflow>,
) -> Result<Json<Answer>, Refusal> {
    let (committed, reason, result) = from_wire::end(&request).map_err(|refusal| refusal.with_gid(&gid))?;
    answer(&gid, Workflows(&state.handle).finish_natively(&gid, committed, reason, result).await)
}

fn answer(gid: &Gid, submitted: Result<Snapshot, SubmitError>) -> Result<Json<Answer>, Refusal> {
    let snapshot = submitted.map_err(|error| Refusal::from_submit(error, gid))?;
    Ok(Json(to_wire::answer(snapshot)))
}
