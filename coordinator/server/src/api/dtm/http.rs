//! The dialect over HTTP: the routes. `decode` parses requests, and `envelope` writes answers.

mod lists;
mod params;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State as Ext};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use trine_protocol::dtm::TransRequest;
use trine_protocol::dtm::result::SUCCESS;

use super::outcome::DtmError;
use super::whole::Whole;
use super::{Front, browsers, decode, envelope, json_rpc};
use crate::metrics;
use lists::{all, query, query_kv, reset_cron_time, scan_kv, subscribe, unsubscribe};

/// Every route except ping: its method, path and handler.
fn routes() -> Vec<(Method, &'static str, MethodRouter<Front>)> {
    let of_method = |method: Method| move |(path, handler)| (method.clone(), path, handler);
    let gets = [
        ("/api/metrics", get(render_metrics)),
        ("/api/dtmsvr/version", get(version)),
        ("/api/dtmsvr/newGid", get(new_gid)),
        ("/api/dtmsvr/query", get(query)),
        ("/api/dtmsvr/all", get(all)),
        ("/api/dtmsvr/resetCronTime", get(reset_cron_time)),
        ("/api/dtmsvr/subscribe", get(subscribe)),
        ("/api/dtmsvr/unsubscribe", get(unsubscribe)),
        ("/api/dtmsvr/queryKV", get(query_kv)),
        ("/api/dtmsvr/scanKV", get(scan_kv)),
    ];
    let posts = [
        ("/api/dtmsvr/prepare", post(prepare)),
        ("/api/dtmsvr/submit", post(submit)),
        ("/api/dtmsvr/abort", post(abort)),
        ("/api/dtmsvr/forceStop", post(force_stop)),
        ("/api/dtmsvr/registerBranch", post(register_branch)),
        ("/api/dtmsvr/registerXaBranch", post(register_branch)),
        ("/api/dtmsvr/registerTccBranch", post(register_branch)),
        ("/api/dtmsvr/prepareWorkflow", post(prepare_workflow)),
        ("/api/dtmsvr/resetNextCronTime", post(reset_next_cron_time)),
        ("/api/json-rpc", post(json_rpc::answer)),
    ];
    let deletes = [("/api/dtmsvr/topic/{name}", delete(delete_topic))];
    // axum's GET routes answer HEAD as well; dtm's do not.
    let gets = gets.map(|(path, handler)| (path, handler.head(envelope::missing)));
    gets.into_iter()
        .map(of_method(Method::GET))
        .chain(posts.into_iter().map(of_method(Method::POST)))
        .chain(deletes.into_iter().map(of_method(Method::DELETE)))
        .collect()
}

/// Everything under `/api/`.
pub(super) fn router(front: Front) -> Router {
    let mut router = Router::new().route(PING, any(ping));
    let mut known = Vec::new();
    for (method, path, handler) in routes() {
        router = router.route(path, handler.fallback(envelope::missing));
        known.push((method, path));
    }
    let known: Arc<[_]> = known.into();
    let elsewhere = async move |method: Method, uri: Uri| match without_slash(&known, &method, &uri) {
        Some(location) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response(),
        None => envelope::missing().await,
    };
    router
        .route("/api/", any(envelope::missing))
        .route("/api/{*rest}", any(elsewhere))
        .layer((
            CatchPanicLayer::custom(envelope::from_panic),
            axum::middleware::from_fn(browsers::refuse_foreign_pages),
            DefaultBodyLimit::max(front.body_bytes_max),
        ))
        .with_state(front)
}

const PING: &str = "/api/ping";

/// The redirect target for a path with a slash too many.
fn without_slash(known: &[(Method, &str)], method: &Method, uri: &Uri) -> Option<HeaderValue> {
    let path = uri.path().strip_suffix('/')?;
    let is_path = |pattern: &str| match pattern.split_once('{') {
        Some((start, _)) => {
            path.strip_prefix(start).is_some_and(|name| !name.is_empty() && !name.contains('/'))
        }
        None => path == pattern,
    };
    if path != PING && !known.iter().any(|(of, pattern)| of == method && is_path(pattern)) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    HeaderValue::from_str(&format!("{path}{query}")).ok()
}

/// The request in a body.
fn transaction(body: &[u8]) -> Result<TransRequest, DtmError> {
    decode::transaction(body).map_err(DtmError::Other)
}

async fn ping() -> Response {
    envelope::value(Ok(json!({"msg": "pong"})))
}

async fn render_metrics(Ext(front): Ext<Front>) -> Response {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    ([content_type], (front.metrics)()).into_response()
}

async fn version() -> Response {
    envelope::value(Ok(json!({"version": concat!("v", env!("CARGO_PKG_VERSION"))})))
}

async fn new_gid(Ext(front): Ext<Front>) -> Response {
    envelope::value(Ok(json!({"dtm_result": SUCCESS, "gid": front.service.new_gid()})))
}

async fn prepare(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::done(front.service.prepare(request).await),
        Err(error) => envelope::refuse(error),
    }
}

async fn submit(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::done(front.service.submit(request).await),
        Err(error) => envelope::refuse(error),
    }
}

async fn abort(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::done(front.service.abort(request).await),
        Err(error) => envelope::refuse(error),
    }
}

async fn force_stop(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::done(front.service.force_stop(&request.gid).await),
        Err(error) => envelope::refuse(error),
    }
}

async fn reset_next_cron_time(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::done(front.service.reset_next_cron_time(&request.gid).await),
        Err(error) => envelope::refuse(error),
    }
}

/// Clients read the document whatever the status is, so a document is sent whenever the gid can be read.
async fn prepare_workflow(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match transaction(&body) {
        Ok(request) => envelope::value(
            front
                .service
                .prepare_workflow(request)
                .await
                .map(|(global, branches)| json!({"transaction": global, "progresses": branches})),
        ),
        Err(error) => envelope::refuse(error),
    }
}

async fn register_branch(Ext(front): Ext<Front>, Whole(body): Whole) -> Response {
    match decode::branch(&body) {
        Ok(request) => envelope::done(front.service.register_branch(request).await),
        Err(text) => envelope::unbound(&json!({"message": text})),
    }
}

async fn delete_topic(Ext(front): Ext<Front>, Path(name): Path<String>) -> Response {
    envelope::done(front.service.delete_topic(&name).await)
}

#[cfg(test)]
mod tests;
