//! The calls to create, extend, decide and read one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Ext;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use trine_engine::{Command, Record, ReplyOn, Snapshot, Transaction};
use trine_protocol::Gid;
use trine_protocol::v1::{self, Answer, CreateTransaction, RegisterBranch, TransactionView};

use super::super::body::{JsonBody, OptionalJsonBody};
use super::super::params::{GidPath, idempotency_gid, prefer_wait};
use super::super::problem::Refusal;
use super::super::{ApiState, check_text};
use super::{from_wire, to_wire};
use trine_clock as clock;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Create a transaction.
///
/// A declared transaction starts at once; an open one waits for its initiator. It is durable when this answers.
/// Repeating the request with the same gid (or `Idempotency-Key`) and the same body gives the same transaction; the same
/// gid with another body is a 409, and nothing runs.
#[utoipa::path(
    post,
    path = "/v1/transactions",
    operation_id = "createTransaction",
    tag = "transactions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names the transaction when the body gives no gid", min_length = 1),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: answer when settled, or after that time"),
    ),
    request_body(content = CreateTransaction, examples(
        ("saga" = (value = json!({"pattern": "saga", "labels": {"customer": "7"}, "options": {"deadline": "30s"}, "branches": [
            {"id": "stock", "action": "http://127.0.0.1:7002/stock/reserve", "compensate": "http://127.0.0.1:7002/stock/release",
             "payload": {"sku": "A-1", "quantity": 2}},
            {"id": "order", "url": "http://127.0.0.1:7001/orders/branch", "after": ["stock"],
             "payload": {"sku": "A-1", "quantity": 2}}]}))),
        ("open tcc" = (value = json!({"pattern": "tcc", "open": true, "options": {"deadline": "2m"}}))),
    )),
    responses(
        (status = 200, description = "Settled", body = Answer, headers(
            ("Location", description = "Path of the transaction"),
            ("Preference-Applied", description = "The wait that was granted"))),
        (status = 202, description = "Durable; it goes on, or stays open", body = Answer, headers(
            ("Location", description = "Path of the transaction"),
            ("Preference-Applied", description = "The wait that was granted"))),
    )
)]
pub(super) async fn create(
    Ext(state): Ext<Arc<ApiState>>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CreateTransaction>,
) -> Result<Response, Refusal> {
    let gid = match request.gid.clone() {
        Some(gid) => gid,
        None => idempotency_gid(&headers)?.map_or_else(fresh_gid, Ok)?,
    };
    let named = from_wire::participants_of(&request);
    let spec = from_wire::spec(request, |name| state.directory.is_guarded(name))
        .map_err(|refusal| refusal.with_gid(&gid))?;
    if let Err(refusal) = require_participants(&state, named).await {
        // If the gid has records, skip this check: a repeated creation gets the same answer as the first, even if a
        // participant is no longer registered. The engine compares the bodies by their digests.
        if state.readable(&gid).await?.is_empty() {
            return Err(refusal.with_gid(&gid));
        }
    }
    let mut response =
        submit_and_answer(&state, &headers, gid.clone(), Command::Create(Arc::new(spec))).await?;
    // The characters of a gid need no escaping in a path or a header.
    if let Ok(location) = HeaderValue::try_from(format!("/v1/transactions/{gid}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn fresh_gid() -> Result<Gid, Refusal> {
    Gid::parse(&uuid::Uuid::now_v7().to_string()).map_err(|error| Refusal::internal(&error))
}

/// Register a branch on an open transaction.
///
/// Repeating it with the same body changes nothing; the same id with another body is a 409.
#[utoipa::path(
    post,
    path = "/v1/transactions/{gid}/branches",
    operation_id = "registerBranch",
    tag = "transactions",
    params(("gid" = Gid, Path, description = "The transaction")),
    request_body(content = RegisterBranch, example = json!({"id": "stock",
        "confirm": "http://127.0.0.1:7002/stock/confirm", "cancel": "http://127.0.0.1:7002/stock/cancel",
        "payload": {"sku": "A-1", "quantity": 3}})),
    responses((status = 200, description = "Durably registered", body = Answer))
)]
pub(super) async fn register_branch(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    JsonBody(request): JsonBody<RegisterBranch>,
) -> Result<Json<Answer>, Refusal> {
    // The branch inherits pattern and policy from the creation. Neither ever changes, so this read cannot be stale.
    let (_, transaction) = load(&state, &gid).await?;
    let spec = transaction.spec();
    let named = from_wire::participants_of_branch(format_args!(""), &request);
    let branch = from_wire::registration(request, spec.pattern, &spec.check_call)
        .map_err(|refusal| refusal.with_gid(&gid))?;
    if transaction.branches().iter().all(|known| known.spec.id != branch.id) {
        require_participants(&state, named).await.map_err(|refusal| refusal.with_gid(&gid))?;
    }
    let command = Command::Register(Arc::new(branch));
    let snapshot = state
        .handle
        .submit(gid.clone(), command, ReplyOn::Durable)
        .await
        .map_err(|error| Refusal::from_submit(error, &gid))?;
    Ok(Json(to_wire::answer(snapshot)))
}

/// Commit an open transaction.
///
/// Decides yes: phase two begins, or a message is delivered. Repeating it changes nothing.
#[utoipa::path(
    post,
    path = "/v1/transactions/{gid}/commit",
    operation_id = "commitTransaction",
    tag = "transactions",
    params(
        ("gid" = Gid, Path, description = "The transaction"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: answer when settled, or after that time"),
    ),
    responses(
        (status = 200, description = "Settled", body = Answer),
        (status = 202, description = "Durably decided; it goes on", body = Answer),
    )
)]
pub(super) async fn commit(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    submit_and_answer(&state, &headers, gid, Command::Commit).await
}

/// Abort a transaction.
///
/// Decides no while that is still possible: what may have run is undone. Repeating it changes nothing.
#[utoipa::path(
    post,
    path = "/v1/transactions/{gid}/abort",
    operation_id = "abortTransaction",
    tag = "transactions",
    params(
        ("gid" = Gid, Path, description = "The transaction"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: answer when settled, or after that time"),
    ),
    request_body(content = v1::Abort, description = "May be left out"),
    responses(
        (status = 200, description = "Settled", body = Answer),
        (status = 202, description = "Durably decided; it is being rolled back", body = Answer),
    )
)]
pub(super) async fn abort(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    headers: HeaderMap,
    OptionalJsonBody(request): OptionalJsonBody<v1::Abort>,
) -> Result<Response, Refusal> {
    if let Some(reason) = &request.reason {
        check_text("reason", reason)?;
    }
    submit_and_answer(&state, &headers, gid, Command::Abort { reason: request.reason }).await
}

/// Show one transaction.
///
/// Its state, its branches with their ops and outputs, what is owed next and when.
#[utoipa::path(
    get,
    path = "/v1/transactions/{gid}",
    operation_id = "getTransaction",
    tag = "transactions",
    params(("gid" = Gid, Path, description = "The transaction")),
    responses((status = 200, description = "The transaction", body = TransactionView))
)]
pub(super) async fn show(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
) -> Result<Json<TransactionView>, Refusal> {
    let (records, transaction) = load(&state, &gid).await?;
    // If the clock was set back, the transaction's own time may be ahead of it.
    let now = clock::now().max(transaction.updated_at());
    Ok(Json(to_wire::view(&transaction, &records, now)))
}

pub(super) async fn load(state: &ApiState, gid: &Gid) -> Result<(Vec<Record>, Transaction), Refusal> {
    let records = state.records(gid).await?;
    match Transaction::fold(&records) {
        Ok(Some(transaction)) => Ok((records, transaction)),
        Ok(None) => Err(Refusal::not_found(gid)),
        Err(corrupt) => Err(state.damaged(gid, &corrupt)),
    }
}

/// Submits a creation, a commit or an abort, and waits as `Prefer` asks.
async fn submit_and_answer(
    state: &ApiState,
    headers: &HeaderMap,
    gid: Gid,
    command: Command,
) -> Result<Response, Refusal> {
    let wait = prefer_wait(headers)?;
    if wait.is_some() {
        crate::http::release_body_memory();
    }
    let reply_on =
        wait.map_or(ReplyOn::Durable, |wait| ReplyOn::Settled { until: state.handle.within(wait) });
    let submitted = state.handle.submit(gid.clone(), command, reply_on).await;
    let snapshot = submitted.map_err(|error| Refusal::from_submit(error, &gid))?;
    Ok(answer_to(snapshot, wait))
}

fn answer_to(snapshot: Snapshot, wait: Option<Duration>) -> Response {
    let status = if snapshot.status.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(to_wire::answer(snapshot))).into_response();
    let applied = wait.map(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs_f64())));
    if let Some(Ok(applied)) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    response
}

/// Refuses participants that were never registered. The store is asked only about names that the directory does not know.
pub(super) async fn require_participants(
    state: &ApiState,
    named: Vec<(String, String)>,
) -> Result<(), Refusal> {
    let mut asked = BTreeSet::new();
    for (field, name) in named {
        if state.directory.knows(&name) || asked.contains(&name) {
            continue;
        }
        if !state.bounded(state.registry.is_registered(name.clone())).await? {
            return Err(from_wire::unknown_participant(field, &name));
        }
        asked.insert(name);
    }
    Ok(())
}
