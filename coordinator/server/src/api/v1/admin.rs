//! The calls of operators: replay parked transactions, settle by hand, list coordinators.
//!
//! Replay and force are commands like any other: durable, recorded in the history, refused if the state does not allow them. Who
//! may use them will be decided by a layer in `server.rs`.

mod replay;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State as Ext};
use axum::{Json, Router};
use trine_engine::{Command, ForceTo, ReplyOn};
use trine_protocol::Gid;
use trine_protocol::v1::{Answer, CoordinatorList, Force, ForceOutcome, Replay, Replayed};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::from_wire::check_text;
use super::to_wire;
use crate::api::ApiState;
use crate::api::body::{JsonBody, OptionalJsonBody};
use crate::api::params::GidPath;
use crate::api::problem::Refusal;

/// The admin API, `/v1/admin`.
pub fn router(state: Arc<ApiState>) -> Router {
    let body_limit = DefaultBodyLimit::max(state.limits.body_bytes_max);
    let (router, _) = routes().split_for_parts();
    router.layer(body_limit).with_state(state)
}

/// Every route of the admin API with its description.
pub(crate) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new()
        .routes(routes!(replay_one))
        .routes(routes!(force))
        .routes(routes!(replay::replay_many))
        .routes(routes!(list_coordinators))
}

/// Replay a transaction.
///
/// Parked ops are tried again, and waiting retries are due now: of one branch, if one is named. When nothing
/// waits, nothing changes.
#[utoipa::path(
    post,
    path = "/v1/admin/transactions/{gid}/replay",
    operation_id = "replayTransaction",
    tag = "admin",
    params(("gid" = Gid, Path, description = "The transaction")),
    request_body(content = Replay, description = "May be left out"),
    responses((status = 200, description = "Set going again", body = Replayed))
)]
async fn replay_one(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    OptionalJsonBody(request): OptionalJsonBody<Replay>,
) -> Result<Json<Replayed>, Refusal> {
    let command = Command::Replay { branch: request.branch };
    let submitted = state.handle.submit(gid.clone(), command, ReplyOn::Durable).await;
    let snapshot = submitted.map_err(|error| Refusal::from_submit(error, &gid))?;
    let waiting_on = snapshot.waiting_on.map(to_wire::waiting_on);
    Ok(Json(Replayed { gid: snapshot.gid, status: snapshot.status, parked: snapshot.parked, waiting_on }))
}

/// List the coordinators of this store.
///
/// Every coordinator with its last heartbeat, by the store's clock, and how many unfinished transactions it owns.
#[utoipa::path(
    get,
    path = "/v1/admin/coordinators",
    operation_id = "listCoordinators",
    tag = "admin",
    responses((status = 200, description = "By name", body = CoordinatorList))
)]
async fn list_coordinators(Ext(state): Ext<Arc<ApiState>>) -> Result<Json<CoordinatorList>, Refusal> {
    let coordinators = state.bounded(state.membership.coordinators()).await?;
    Ok(Json(CoordinatorList { coordinators }))
}

/// Settle a transaction by hand.
///
/// No participant is called any more. The reason is mandatory and stays in the history. After a decision only the decided outcome
/// is accepted.
#[utoipa::path(
    post,
    path = "/v1/admin/transactions/{gid}/force",
    operation_id = "forceTransaction",
    tag = "admin",
    params(("gid" = Gid, Path, description = "The transaction")),
    request_body = Force,
    responses((status = 200, description = "Settled", body = Answer))
)]
async fn force(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    JsonBody(request): JsonBody<Force>,
) -> Result<Json<Answer>, Refusal> {
    check_text("reason", &request.reason)?;
    if request.reason.trim().is_empty() {
        return Err(Refusal::field("reason", "must not be blank: the next person will read it"));
    }
    if let Some(by) = &request.by {
        check_text("by", by)?;
    }
    let to = match request.outcome {
        ForceOutcome::Committed => ForceTo::Committed,
        ForceOutcome::RolledBack => ForceTo::RolledBack,
    };
    let command = Command::Force { to, reason: request.reason, by: request.by };
    let submitted = state.handle.submit(gid.clone(), command, ReplyOn::Durable).await;
    let snapshot = submitted.map_err(|error| Refusal::from_submit(error, &gid))?;
    Ok(Json(to_wire::answer(snapshot)))
}
