//! The route that the coordinator calls back: the workflow in question is executed again, from what is on record.
//!
//! There are two kinds of callbacks. For a workflow that was begun over the native API, a callback has Trine's own headers,
//! and name and input in the body. For a workflow that an older SDK began over the dtm dialect, a callback looks as dtm's:
//! gid and name are in the query, and the body is the input.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use trine_protocol::v1::WorkflowCallback;
use trine_protocol::{Gid, Op, Pattern, headers};

use super::{Input, WORKFLOW_INPUT_BYTES_MAX, WorkflowError, Workflows};
use crate::client::call::with_causes;

/// How long a callback waits for the end. Shorter than any coordinator waits for the answer: over the dialect, 3 s.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);
/// Largest body of a callback: the largest input in base64, and room for the name.
const BODY_BYTES_MAX: usize = WORKFLOW_INPUT_BYTES_MAX / 3 * 4 + 16 * 1024;

/// The workflow that is called back.
struct Called {
    gid: Gid,
    name: String,
    input: Input,
}

pub(super) fn router(workflows: Workflows, path: &str, wait: Duration) -> Router {
    let handler = async move |State(workflows), request| answer(workflows, request, wait).await;
    // The dialect calls back without a body, by GET, where there is no input.
    Router::new().route(path, get(handler).post(handler)).with_state(workflows)
}

async fn answer(workflows: Workflows, request: Request, wait: Duration) -> Response {
    let Called { gid, name, input } = match called(request).await {
        Ok(called) => called,
        Err(text) => {
            tracing::warn!(text, "a callback was not understood");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let end = match workflows.start(&gid, &name, input) {
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
            tracing::error!(%gid, %error, "called back for a workflow that has no handler here");
            // After a few answers of 404 the coordinator would park the workflow. Another instance may have the handler.
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
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

/// Reads a callback of either kind. An error says why the request is no callback.
async fn called(request: Request) -> Result<Called, String> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|error| format!("the body cannot be read: {error}"))?;
    if parts.headers.contains_key(headers::GID) {
        native(&parts.headers, &body)
    } else {
        dtm(&parts.uri, &body)
    }
}

fn native(headers: &HeaderMap, body: &[u8]) -> Result<Called, String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (name, expected) in
        [(headers::OP, Op::Check.as_str()), (headers::PATTERN, Pattern::Workflow.as_str())]
    {
        if text(name) != expected {
            return Err(format!("{name} is not `{expected}`, so this is no callback of a workflow"));
        }
    }
    let gid = Gid::parse(text(headers::GID)).map_err(|error| format!("gid {error}"))?;
    let WorkflowCallback { name, input, input_base64 } =
        serde_json::from_slice(body).map_err(|error| format!("the body is not a workflow's: {error}"))?;
    Ok(Called { gid, name, input: Input::Document(input, input_base64) })
}

fn dtm(uri: &Uri, body: &[u8]) -> Result<Called, String> {
    #[derive(Deserialize)]
    struct Identity {
        op: String,
        gid: String,
    }
    let Query(Identity { op, gid }) = Query::try_from_uri(uri)
        .map_err(|error| format!("a callback has {}, or op and gid in its query: {error}", headers::GID))?;
    let gid = Gid::parse(&gid).map_err(|error| format!("gid {error}"))?;
    Ok(Called { gid, name: op, input: Input::Bytes(body.to_vec()) })
}
