//! The checks and bounds for every request before a router sees it, and for every answer on its way back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use tower::ServiceExt as _;
use trine_protocol::errors::{Code, Problem};

use super::budget::{AboutHealth, Allowance, Budget, FREE_BYTES, Pace, Room};
use super::{Wire, incoming, outgoing};

/// Least number of bytes for which an answer counts.
const ANSWER_BYTES_MIN: usize = 256;

/// The front of one connection.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) router: Router,
    pub(super) wire: Wire,
    pub(super) budget: Budget,
    /// Free bytes for bodies of requests.
    pub(super) allowance: Allowance,
    /// Free bytes for small answers that are under way side by side.
    pub(super) answers: Allowance,
    pub(super) body_bytes_max: usize,
    pub(super) body_timeout: Duration,
    pub(super) pace: Pace,
}

impl Front {
    /// Answers one request.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if let Some(detail) = wrong_host(&request) {
            let problem = Problem::new(Code::InvalidParameter, detail).with_field("Host");
            let mut response = refusal(&problem);
            // The end of this request in the byte stream is not certain, so no further request may be read from the connection.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return Ok(response);
        }
        let room = Room::new(&self.budget, &self.allowance);
        let bounded = |body| incoming::bounded(body, room.clone(), self.body_bytes_max, self.body_timeout);
        let request = request.map(bounded);
        let response = room.hold(self.router.clone().oneshot(request)).await?;
        Ok(self.leave(response).await)
    }

    async fn leave(&self, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        if body.is_end_stream() {
            return Response::from_parts(head, body);
        }
        let Some(bytes) = body.size_hint().exact() else {
            let body = outgoing::streamed(body, self.budget.clone(), self.pace.clone());
            return Response::from_parts(head, body);
        };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        // Over HTTP/1.1 a connection has only one answer under way, so a small answer needs no accounting.
        if bytes <= FREE_BYTES && self.wire == Wire::Http1 {
            return Response::from_parts(head, body);
        }
        if let Some(held) = self.answers.answer(bytes.max(ANSWER_BYTES_MIN)) {
            return Response::from_parts(head, outgoing::whole(body, held));
        }
        let about_health = head.extensions.get::<AboutHealth>().is_some();
        match self.budget.answer(bytes, about_health, &self.pace).await {
            Some(held) => Response::from_parts(head, outgoing::whole(body, held)),
            None => {
                let detail =
                    "too many large answers are being fetched; nothing is wrong with this one, ask again";
                let mut response = refusal(&Problem::new(Code::Busy, detail));
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}

/// The error in a request's `Host` header. For HTTP/2 the library checks `:authority`.
fn wrong_host(request: &Request<Incoming>) -> Option<&'static str> {
    let count = request.headers().get_all(HOST).iter().count();
    match request.version() {
        Version::HTTP_11 if count == 0 => Some("a request of HTTP/1.1 names its host in a `Host` header"),
        Version::HTTP_10 | Version::HTTP_11 if count > 1 => Some("may be given once"),
        _ => None,
    }
}

fn refusal(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(problem).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
