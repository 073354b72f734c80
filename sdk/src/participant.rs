//! The participant's side on axum: mounts the handlers of a service's ops on a router, and registers the service by name.
//!
//! This file has the router builder. `answer` writes an outcome as HTTP, `registration` registers the service. The
//! [`barrier`](crate::barrier) makes ops safe to repeat, and axum serves the router.

mod answer;
mod registration;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;
use trine_protocol::Op;
use trine_protocol::limits::BODY_BYTES_MAX;

pub use registration::{Registration, RegistrationHandle};

use crate::context::Call;
use crate::{BranchContext, CheckAnswer, CheckContext, HeaderError, Outcome};
pub use answer::Rejection;

/// The error of a handler. It is logged, and to the coordinator it is *unknown*.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Running = Pin<Box<dyn Future<Output = Result<Result<Outcome, BoxError>, Rejection>> + Send>>;
/// A handler with its state, payload type and error type hidden.
type Handler = Arc<dyn Fn(Call, Vec<u8>) -> Running + Send + Sync>;

/// Mounts the ops of a service on an axum router.
///
/// Each method takes a path and an async function `(state, context, payload) -> Result<Outcome, E>`. The payload is the one that
/// the initiator gave the branch, deserialized. Several ops may share a path, so that a branch has one `url`. The header
/// `Trine-Op` tells the ops apart.
///
/// Every handler runs in a task of its own, and ends also if the caller closes the connection.
///
/// | The handler returns | The answer |
/// |---|---|
/// | `Done(output)` | 200 and the output |
/// | `DoneReadOnly` (prepare) | 200 with `Trine-Vote: read-only` |
/// | `Refused(reason)` | 409, a problem document with the reason as `detail` |
/// | `Refused` of an op that may not be refused | 500, and an error in the log: a defect of the service |
/// | `Ongoing(after)` | 425 with `Retry-After` in whole seconds, at least 1 |
/// | an `Err` that is [`Fenced`](crate::Fenced), or has it among its sources | 412 |
/// | an `Err` that is a [`Conflict`](crate::Conflict), or has it among its sources | 412 with `Trine-Conflict` |
/// | any other `Err`, a panic | 500; the details are in the log, and not in the answer |
///
/// A call is answered 400 without running a handler if headers are missing or ill-formed, if no handler is mounted for the op at
/// this path, or if the payload does not deserialize.
///
/// ```
/// use trine_sdk::{BranchContext, Outcome, Participant};
///
/// #[derive(serde::Deserialize)]
/// struct Greeting { to: String }
///
/// #[derive(Clone)]
/// struct Service;
///
/// async fn greet(_: Service, call: BranchContext, greeting: Greeting) -> Result<Outcome, std::io::Error> {
///     println!("{}: hello {}", call.gid, greeting.to);
///     Ok(Outcome::empty())
/// }
///
/// async fn take_back(_: Service, call: BranchContext, _: serde_json::Value) -> Result<Outcome, std::io::Error> {
///     println!("{}: never mind", call.gid);
///     Ok(Outcome::empty())
/// }
///
/// let router: axum::Router =
///     Participant::new(Service).action("/greet", greet).compensate("/ungreet", take_back).into_router();
/// ```
#[must_use = "a participant serves nothing before its router is served"]
pub struct Participant<S> {
    state: S,
    paths: BTreeMap<String, Vec<(Op, Handler)>>,
}

impl<S> fmt::Debug for Participant<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounted =
            self.paths.iter().flat_map(|(path, ops)| ops.iter().map(move |(op, _)| (path, op.as_str())));
        f.debug_list().entries(mounted).finish()
    }
}

macro_rules! mount {
    ($($(#[$doc:meta])* $name:ident $op:ident)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// If this op is already mounted at this path.
        pub fn $name<T, F, R, E>(self, path: &str, handler: F) -> Self
        where
            F: Fn(S, BranchContext, T) -> R + Send + Sync + 'static,
            R: Future<Output = Result<Outcome, E>> + Send + 'static,
            T: DeserializeOwned + Send + 'static,
            E: Into<BoxError> + 'static,
        {
            self.mount(Op::$op, path, handler)
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Participant<S> {
    /// A participant without handlers. Each call gets a clone of the state.
    pub fn new(state: S) -> Self {
        Self { state, paths: BTreeMap::new() }
    }

    mount! {
        /// The action of a saga.
        action Action
        /// Undoes the action of a saga. May not be refused.
        compensate Compensate
        /// The try of a tcc: reserves.
        try_ Try
        /// The confirm of a tcc: uses the reservation. May not be refused.
        confirm Confirm
        /// The cancel of a tcc: gives the reservation back. May not be refused.
        cancel Cancel
        /// The prepare of a two_phase: votes.
        prepare Prepare
        /// The commit of a two_phase: makes the prepared work permanent. May not be refused.
        commit Commit
        /// The rollback of a two_phase: drops the prepared work. May not be refused.
        rollback Rollback
        /// Takes the delivery of a message. May not be refused.
        deliver Deliver
    }

    /// The check of a message, at its initiator: says whether the local transaction of the message committed. An `Err` means
    /// that nobody knows now, and the coordinator asks again.
    ///
    /// # Panics
    /// If a check is already mounted at this path.
    pub fn check<F, R, E>(self, path: &str, handler: F) -> Self
    where
        F: Fn(S, CheckContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<CheckAnswer, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let (state, handler) = (self.state.clone(), Arc::new(handler));
        let erased: Handler = Arc::new(move |call, _| {
            let (state, handler) = (state.clone(), Arc::clone(&handler));
            Box::pin(async move {
                let Call::Check(context) = call else { return Err(Rejection::op(call.op())) };
                Ok(handler(state, context).await.map(answer::of_check).map_err(Into::into))
            })
        });
        self.insert(Op::Check, path, erased)
    }

    /// The router, ready to be merged into the service's own.
    ///
    /// # Panics
    /// If axum does not take a path. (A path must begin with `/`.)
    pub fn into_router(self) -> Router {
        let mut router = Router::new();
        for (path, ops) in self.paths {
            let ops: Arc<[(Op, Handler)]> = ops.into();
            router = router.route(&path, post(move |request: Request| serve(Arc::clone(&ops), request)));
        }
        router
    }

    fn mount<T, F, R, E>(self, op: Op, path: &str, handler: F) -> Self
    where
        F: Fn(S, BranchContext, T) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Outcome, E>> + Send + 'static,
        T: DeserializeOwned + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let (state, handler) = (self.state.clone(), Arc::new(handler));
        let erased: Handler = Arc::new(move |call, body| {
            let (state, handler) = (state.clone(), Arc::clone(&handler));
            Box::pin(async move {
                let Call::Branch(context) = call else { return Err(Rejection::op(call.op())) };
                let json: &[u8] = if body.is_empty() { b"null" } else { &body };
                let payload = serde_json::from_slice(json).map_err(Rejection::payload)?;
                drop(body);
                Ok(handler(state, context, payload).await.map_err(Into::into))
            })
        });
        self.insert(op, path, erased)
    }

    fn insert(mut self, op: Op, path: &str, handler: Handler) -> Self {
        let ops = self.paths.entry(path.to_owned()).or_default();
        assert!(ops.iter().all(|(mounted, _)| *mounted != op), "{op} is mounted twice at {path}");
        ops.push((op, handler));
        self
    }
}

/// One call, from its request to its answer.
async fn serve(ops: Arc<[(Op, Handler)]>, request: Request) -> Response {
    match run(&ops, request).await {
        Ok(response) => response,
        Err(rejection) => rejection.into_answer(),
    }
}

async fn run(ops: &[(Op, Handler)], request: Request) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let call = call_of(&parts.headers).map_err(Rejection::header)?;
    let op = call.op();
    let (_, handler) = ops.iter().find(|(mounted, _)| *mounted == op).ok_or_else(|| Rejection::op(op))?;
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(Rejection::body)?;
    let span = tracing::info_span!("call", gid = %call.gid(), branch = call.branch(), op = op.as_str());
    let running = handler(call, body.into());
    let answered = async move { running.await.map(|result| answer::of_result(op, result)) };
    let task = tokio::spawn(answered.instrument(span.clone()));
    match task.await {
        Ok(answer) => answer,
        // The panic hook has already written the panic's message to standard error.
        Err(error) => {
            span.in_scope(|| tracing::error!(%error, "the handler did not finish"));
            Ok(answer::internal())
        }
    }
}

fn call_of(headers: &HeaderMap) -> Result<Call, HeaderError> {
    Call::from_headers(|name| headers.get(name).and_then(|value| value.to_str().ok()))
}

impl<S: Sync> FromRequestParts<S> for BranchContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::from_headers(|name| parts.headers.get(name).and_then(|value| value.to_str().ok()))
            .map_err(Rejection::header)
    }
}
