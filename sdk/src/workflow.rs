//! Workflows: a transaction as a function. Its steps are recorded with the coordinator as they are done, and when the
//! function is interrupted the coordinator calls back until it has come to its end.
//!
//! ```
//! use trine_sdk::workflow::{Failure, Step, Workflow, WorkflowError, Workflows};
//! use trine_sdk::Gid;
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Trip { guest: String }
//!
//! async fn book(flow: Workflow, trip: Trip) -> Result<String, Failure> {
//!     let undo = trip.clone();
//!     let seat: String = flow
//!         .branch()
//!         .on_rollback(async move |step: Step| step.tell("airline:/unbook", &undo).await)
//!         .call("airline:/book", trip.clone())
//!         .await?;
//!     let undo = trip.clone();
//!     let room: String = flow
//!         .branch()
//!         .on_rollback(async move |step: Step| step.tell("hotel:/unbook", &undo).await)
//!         .call("hotel:/book", trip)
//!         .await?;
//!     Ok(format!("{seat}, {room}"))
//! }
//!
//! # async fn initiate() -> Result<(), WorkflowError> {
//! let workflows = Workflows::new("http://127.0.0.1:36789", "http://10.0.0.7:8080/workflows")?;
//! workflows.register_json("trip", book);
//! // Serve `workflows.router()` at the callback URL, in every instance of the service.
//! let trip = Trip { guest: "Ada".into() };
//! let booked: String = workflows.execute_json("trip", &Gid::parse("trip-7").unwrap(), &trip).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! A step that is on record is not done again: its answer is read from the record. A step that is not may have run all the
//! same (a crash came between), so steps are run **at least once** and must be safe to repeat: behind a barrier, or at
//! participants that have one. [`Step`] carries what they need.
//!
//! | The handler answers | What follows |
//! |---|---|
//! | `Ok(result)` | [`Branch::on_commit`] of the steps that were done, in the order they were asked for, and [`Branch::on_rollback`] of those that were refused, in reverse; then the workflow is committed with the result |
//! | [`Failure::Refused`] | [`Branch::on_rollback`] of every step that was asked for, the refused ones included, in reverse; then it is rolled back with the reason |
//! | anything else, a panic, a crash | nothing: the workflow stays open, and is executed again when the coordinator calls back |
//!
//! Which of the first two it is, is recorded first, if a branch has either: once begun, the one is never followed by the other.
//!
//! A step whose outcome is unknown ends the execution, and so does an answer of the coordinator that tells of another
//! executor; no later step runs then, and nothing is finished or undone, whatever the handler makes of the error. A
//! refusal of a step is an answer: a handler may cope with it and go another way.
//!
//! # Determinism
//!
//! The handler must ask for the same branches in the same order at each execution; see [`Workflow`]. What can be noticed
//! is ([`WorkflowError::Diverged`]), and nothing is finished then. Change the code of a handler under another name while
//! workflows of the old one are open.
//!
//! # Executors
//!
//! Within one `Workflows`, a gid is executed once at a time: whoever else asks waits for the same end. Between instances
//! the record decides: each step is recorded once, and an executor that finds it recorded by another stops
//! ([`WorkflowError::Superseded`]). A step that takes longer than [`Workflows::callback_after`] may be begun a second time
//! by another instance meanwhile, as it may after a crash.

mod callback;
mod error;
mod execution;
mod flow;
mod step;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::Instrument as _;
use trine_protocol::Gid;
use trine_protocol::limits::BODY_BYTES_MAX;

pub use error::{Failure, WorkflowError, settle};
pub use flow::{Branch, WORKFLOW_BRANCHES_MAX, Workflow};
pub use step::Step;

use crate::Error;
use crate::client::Client;
use execution::Handler;
use wire::{About, Coordinator};

/// Largest input of a workflow: what a callback brings back. Requests carry it in base64, so a coordinator that reads
/// bodies of no more than this refuses inputs of three quarters of it.
pub const WORKFLOW_INPUT_BYTES_MAX: usize = BODY_BYTES_MAX;

/// What an execution came to; none while it goes on.
type Ended = Option<Result<Vec<u8>, WorkflowError>>;

/// The workflows of a service. Cheap to clone; clones know the same handlers and executions.
#[derive(Clone)]
pub struct Workflows {
    coordinator: Coordinator,
    path: Arc<str>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    handlers: Mutex<HashMap<String, Handler>>,
    running: Mutex<HashMap<Gid, Running>>,
}

/// An execution that goes on.
#[derive(Clone)]
struct Running {
    about: Arc<About>,
    ended: watch::Receiver<Ended>,
}

impl fmt::Debug for Workflows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflows").field("callback", &self.coordinator.callback).finish_non_exhaustive()
    }
}

impl Workflows {
    /// Workflows at the coordinator with this base URL. `callback` is where the coordinator reaches this service's
    /// [`Workflows::router`], `http(s)://host[:port]/path`.
    ///
    /// # Errors
    /// [`WorkflowError::Coordinator`] with [`Error::InvalidUrl`] when one of them cannot be used.
    pub fn new(coordinator: impl Into<String>, callback: impl AsRef<str>) -> Result<Self, WorkflowError> {
        Self::of(&Client::new(coordinator).map_err(unusable)?, callback)
    }

    /// The same with the coordinators, times and patience of a client.
    ///
    /// # Errors
    /// As [`Workflows::new`].
    pub fn of(client: &Client, callback: impl AsRef<str>) -> Result<Self, WorkflowError> {
        let url = callback.as_ref();
        let invalid = |reason: String| unusable(Error::InvalidUrl { url: url.to_owned(), reason });
        let parsed = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.query().is_some() {
            return Err(invalid("a callback is http(s)://host[:port]/path".into()));
        }
        let coordinator = Coordinator { client: client.clone(), callback: url.into(), callback_after_s: 0 };
        Ok(Self { coordinator, path: parsed.path().into(), shared: Arc::default() })
    }

    /// How long nothing may be heard of an executor (a record is a sign of it) until the coordinator calls back, in whole
    /// seconds, rounded up (default: the coordinator's, 10 s). Longer than the longest step. It counts for workflows that
    /// are executed first through this value or its clones.
    #[must_use]
    pub fn callback_after(mut self, time: Duration) -> Self {
        self.coordinator.callback_after_s =
            u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
        self
    }

    /// Makes a handler known under a name. Input and result are bytes.
    ///
    /// # Panics
    /// When the name is empty or taken.
    pub fn register<F, R>(&self, name: &str, handler: F) -> &Self
    where
        F: Fn(Workflow, Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
    {
        assert!(!name.is_empty(), "a workflow has a name");
        let handler: Handler = Arc::new(move |flow, input| Box::pin(handler(flow, input)));
        let taken = lock(&self.shared.handlers).insert(name.to_owned(), handler).is_some();
        assert!(!taken, "workflow `{name}` is registered twice");
        self
    }

    /// The same with an input and a result that are JSON. An input that is not ends the execution with
    /// [`WorkflowError::Json`].
    ///
    /// # Panics
    /// As [`Workflows::register`].
    pub fn register_json<I, O, F, R>(&self, name: &str, handler: F) -> &Self
    where
        I: DeserializeOwned + Send,
        O: Serialize + Send,
        F: Fn(Workflow, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.register(name, move |flow, input| {
            let running = match serde_json::from_slice(&input) {
                Ok(input) => Ok(handler(flow, input)),
                Err(error) => Err(Failure::Stopped(WorkflowError::json("the input", &error))),
            };
            async move {
                let result = running?.await?;
                serde_json::to_vec(&result)
                    .map_err(|error| Failure::Stopped(WorkflowError::json("the result", &error)))
            }
        })
    }

    /// Executes a workflow to its end, and returns its result: begins it, or resumes it, or reads what it came to if it
    /// has ended. It goes on when this future is dropped.
    ///
    /// Derive the gid from what the operation is about: the same gid is the same workflow, whoever executes it.
    ///
    /// # Errors
    /// [`WorkflowError::Refused`] when it has ended with a "no"; with any other error it has not ended. See there.
    pub async fn execute(
        &self,
        name: &str,
        gid: &Gid,
        input: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, WorkflowError> {
        let about = About { gid: gid.clone(), name: name.to_owned(), input: input.into() };
        self.start(about)?.end().await
    }

    /// The same with an input and a result that are JSON.
    ///
    /// # Errors
    /// As [`Workflows::execute`]; [`WorkflowError::Json`] when the result is not of type `O`, though the workflow has ended.
    pub async fn execute_json<I, O>(&self, name: &str, gid: &Gid, input: &I) -> Result<O, WorkflowError>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let input = serde_json::to_vec(input).map_err(|error| WorkflowError::json("the input", &error))?;
        let result = self.execute(name, gid, input).await?;
        serde_json::from_slice(&result).map_err(|error| WorkflowError::json("the result", &error))
    }

    /// What the coordinator calls back, at the path of the callback URL, ready to be merged into the service's own router.
    /// It answers 200 when the execution has ended or goes on, 404 for a name that is not registered, 500 when the workflow
    /// is to be called back again.
    pub fn router(&self) -> Router {
        callback::router(self.clone(), &self.path, callback::WAIT_MAX)
    }

    /// Begins an execution, or joins the one that goes on. It has a task of its own: a caller that goes away stops nothing.
    fn start(&self, about: About) -> Result<Running, WorkflowError> {
        let handler = lock(&self.shared.handlers).get(&about.name).cloned();
        let handler = handler.ok_or_else(|| WorkflowError::NotRegistered(about.name.clone()))?;
        if about.input.len() > WORKFLOW_INPUT_BYTES_MAX {
            return Err(WorkflowError::InputTooLarge { bytes: about.input.len() });
        }
        let mut running = lock(&self.shared.running);
        if let Some(running) = running.get(&about.gid) {
            let same = *running.about == about;
            let what = "it is executed right now, under another name or with another input";
            return if same {
                Ok(running.clone())
            } else {
                Err(WorkflowError::Conflict { gid: about.gid, what: what.into() })
            };
        }
        let (sender, ended) = watch::channel(None);
        let begun = Running { about: Arc::new(about.clone()), ended };
        running.insert(about.gid.clone(), begun.clone());
        drop(running);
        let entry = Entry { shared: Arc::clone(&self.shared), gid: about.gid.clone() };
        let span = tracing::info_span!("workflow", gid = %about.gid, name = about.name);
        let coordinator = self.coordinator.clone();
        let task = async move {
            let entry = entry;
            let end = execution::execute(coordinator, handler, about).await;
            // First, so that whoever hears of the end and asks again begins anew. A panic drops it, too.
            drop(entry);
            sender.send_replace(Some(end));
        };
        tokio::spawn(task.instrument(span));
        Ok(begun)
    }
}

impl Running {
    async fn end(mut self) -> Result<Vec<u8>, WorkflowError> {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Err(WorkflowError::Interrupted)),
            // The task is gone without a word.
            Err(_) => Err(WorkflowError::Interrupted),
        }
    }
}

/// The place of an execution among those that go on.
struct Entry {
    shared: Arc<Shared>,
    gid: Gid,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.shared.running).remove(&self.gid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unusable(error: Error) -> WorkflowError {
    WorkflowError::Coordinator(Arc::new(error))
}
