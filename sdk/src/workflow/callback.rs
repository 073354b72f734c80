//! Where the coordinator calls back: executions that nobody has been heard of are taken up again.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use trine_protocol::Gid;

use super::wire::About;
use super::{WORKFLOW_INPUT_BYTES_MAX, WorkflowError, Workflows};
use crate::client::call::with_causes;

/// How long a callback waits for the end: shorter than a coordinator waits for an answer.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);

/// What a callback says beside the input, which is its body.
#[derive(Debug, Deserialize)]
struct Asked {
    op: String,
    gid: String,
}

pub(super) fn router(workflows: Workflows, path: &str, wait: Duration) -> Router {
    let handler = async move |State(workflows), request| answer(workflows, request, wait).await;
    Router::new().route(path, get(handler).post(handler)).with_state(workflows)
}

async fn answer(workflows: Workflows, request: Request, wait: Duration) -> Response {
    let asked = match Query::<Asked>::try_from_uri(request.uri()) {
        Ok(Query(asked)) => asked,
        Err(error) => return bad(format!("a callback has op and gid in its query: {error}")),
    };
    let gid = match Gid::parse(&asked.gid) {
        Ok(gid) => gid,
        Err(error) => return bad(format!("gid {error}")),
    };
    let input = match axum::body::to_bytes(request.into_body(), WORKFLOW_INPUT_BYTES_MAX).await {
        Ok(input) => input.into(),
        Err(error) => return bad(format!("the input cannot be read: {error}")),
    };
    let about = About { gid, name: asked.op, input };
    let gid = about.gid.clone();
    let end = match workflows.start(about) {
        Ok(running) => tokio::time::timeout(wait, running.end()).await,
        Err(error) => Ok(Err(error)),
    };
    let (status, text) = match end {
        Err(_) => (StatusCode::OK, "it goes on".to_owned()),
        Ok(Ok(_)) => (StatusCode::OK, "it has ended: done".to_owned()),
        Ok(Err(WorkflowError::Refused(_))) => (StatusCode::OK, "it has ended: refused".to_owned()),
        Ok(Err(error @ WorkflowError::Overruled { .. })) => {
            tracing::error!(%gid, %error, "a workflow did not end as was decided");
            (StatusCode::OK, "it has ended: overruled".to_owned())
        }
        Ok(Err(WorkflowError::Superseded)) => (StatusCode::OK, "another executor goes on".to_owned()),
        Ok(Err(error @ WorkflowError::NotRegistered(_))) => {
            tracing::error!(%gid, %error, "called back for a workflow nobody knows here");
            (StatusCode::NOT_FOUND, error.to_string())
        }
        Ok(Err(error)) => {
            tracing::error!(%gid, error = with_causes(&error), "a workflow did not end; it will be called back");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "it did not end; the service's log has the details".to_owned(),
            )
        }
    };
    (status, text).into_response()
}

fn bad(text: String) -> Response {
    tracing::warn!(text, "a callback was not understood");
    (StatusCode::BAD_REQUEST, text).into_response()
}
