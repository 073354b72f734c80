//! Workflows: a transaction as a function. The coordinator records each step when it is done. When the function is
//! interrupted, the coordinator calls the service back until the function has come to its end.
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
//! A step that is on record is not done again: its answer is read from the record. A step that is not on record may have run
//! all the same, because a crash may come between the step and its record. So steps run **at least once** and must be safe to
//! repeat: behind a barrier, or at participants that have one. [`Step`] carries what they need.
//!
//! | The handler answers | What follows |
//! |---|---|
//! | `Ok(result)` | [`Branch::on_commit`] of the steps that were done, in the order they were asked for. [`Branch::on_rollback`] of the steps that were refused, in reverse. Then the workflow is committed with the result |
//! | [`Failure::Refused`] | [`Branch::on_rollback`] of every step that was asked for, also of refused ones, in reverse. Then the workflow is rolled back with the reason |
//! | anything else, a panic, a crash | nothing: the workflow stays open, and is executed again when the coordinator calls back |
//!
//! If a branch has an `on_commit` or `on_rollback`, the decision to commit or to roll back is recorded first. A workflow never
//! begins the one after the other.
//!
//! A step whose outcome is unknown ends the execution. So does an answer of the coordinator that tells of another executor.
//! After that no step runs, and nothing is finished or undone, whatever the handler makes of the error. A refusal of a step
//! is an answer: a handler may go another way.
//!
//! # Determinism
//!
//! The handler must ask for the same branches in the same order at each execution; see [`Workflow`]. If an execution finds
//! that it did not ([`WorkflowError::Diverged`]), it finishes nothing. Change the code of a handler under another name while
//! workflows of the old one are open.
//!
//! # Executors
//!
//! Within one [`Workflows`], a gid is executed once at a time: others who ask wait for the same end. Between instances the
//! record decides: each step is recorded once, and an executor that finds its step recorded by another one stops
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
use serde_json::value::RawValue;
use tokio::sync::watch;
use tracing::Instrument as _;
use trine_protocol::limits::{BODY_BYTES_MAX, DURATION_MS_MAX};
use trine_protocol::v1::Base64;
use trine_protocol::{Gid, Target};

pub use error::{Failure, WorkflowError, settle};
pub use flow::{Branch, WORKFLOW_BRANCHES_MAX, Workflow};
pub use step::Step;

use crate::Error;
use crate::client::Client;
use execution::Handler;
use wire::{About, Coordinator, Form};

/// Largest input of a workflow that a service takes in a callback. A coordinator reads requests of this size by default, and
/// a request holds more than the input (an input of bytes is in base64), so the coordinator may refuse smaller inputs.
pub const WORKFLOW_INPUT_BYTES_MAX: usize = BODY_BYTES_MAX;
/// Shortest time without a sign of the executor that a coordinator takes.
const CALLBACK_AFTER_MS_MIN: u64 = 1_000;

/// How an execution ended; none while it goes on.
type Ended = Option<Result<Vec<u8>, WorkflowError>>;

/// The workflows of a service. Cheap to clone; clones know the same handlers and executions.
///
/// ```no_run
/// use trine_sdk::workflow::{Workflow, Workflows};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let workflows = Workflows::new("http://127.0.0.1:36789", "http://10.0.0.7:8080/workflows")?;
/// workflows.register_json("double", async |flow: Workflow, number: i64| {
///     flow.branch().run(async move |_| Ok(2 * number)).await
/// });
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
/// axum::serve(listener, workflows.router()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Workflows {
    coordinator: Coordinator,
    path: Arc<str>,
    shared: Arc<Shared>,
}

/// An input before it is known which handler gets it.
enum Input {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// The two fields of a document: JSON, or bytes in base64.
    Document(Option<Box<RawValue>>, Option<Base64>),
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
    /// Workflows at the coordinator with this base URL. `callback` is the URL at which the coordinator reaches this
    /// service's [`Workflows::router`], `http(s)://host[:port]/path`.
    ///
    /// # Errors
    /// [`WorkflowError::Coordinator`] with [`Error::InvalidUrl`] when one of them cannot be used.
    pub fn new(coordinator: impl Into<String>, callback: impl AsRef<str>) -> Result<Self, WorkflowError> {
        Self::of(&Client::new(coordinator).map_err(unusable)?, callback)
    }

    /// As [`Workflows::new`], with the coordinators and times of a client.
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
        let callback = Target::parse(url).map_err(|error| invalid(error.to_string()))?;
        let coordinator = Coordinator { client: client.clone(), callback, callback_after_ms: None };
        Ok(Self { coordinator, path: parsed.path().into(), shared: Arc::default() })
    }

    /// The coordinator calls back when it has heard nothing of the executor for this time (10 s by default; at least 1 s,
    /// at most a year). Each recorded step is a sign of the executor, so choose more than the longest step takes. The time
    /// counts for workflows that are executed first through this value or its clones.
    #[must_use]
    pub fn callback_after(mut self, time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.coordinator.callback_after_ms = Some(ms.clamp(CALLBACK_AFTER_MS_MIN, DURATION_MS_MAX));
        self
    }

    /// Registers a handler under a name. Its input and its result are bytes.
    ///
    /// # Panics
    /// When the name is empty or taken.
    pub fn register<F, R>(&self, name: &str, handler: F) -> &Self
    where
        F: Fn(Workflow, Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
    {
        self.insert(name, Form::Bytes, handler)
    }

    /// As [`Workflows::register`], for a handler whose input and result are JSON: people see them in the history of the
    /// workflow. An input that is not JSON of type `I` ends the execution with [`WorkflowError::Json`].
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
        self.insert(name, Form::Json, move |flow, input| {
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

    fn insert<F, R>(&self, name: &str, form: Form, handler: F) -> &Self
    where
        F: Fn(Workflow, Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<u8>, Failure>> + Send + 'static,
    {
        assert!(!name.is_empty(), "a workflow has a name");
        let handler = Handler { form, run: Arc::new(move |flow, input| Box::pin(handler(flow, input))) };
        let taken = lock(&self.shared.handlers).insert(name.to_owned(), handler).is_some();
        assert!(!taken, "workflow `{name}` is registered twice");
        self
    }

    /// Executes a workflow to its end, and returns its result. A workflow that is new is begun, one that is open is resumed,
    /// and of one that has ended the result is read. The execution goes on when this future is dropped.
    ///
    /// Derive the gid from what the operation is about: the same gid is the same workflow, whoever executes it. The input
    /// of a handler that is registered with [`Workflows::register_json`] must be JSON.
    ///
    /// # Errors
    /// [`WorkflowError`] tells for each error whether the workflow has ended and what to do.
    pub async fn execute(
        &self,
        name: &str,
        gid: &Gid,
        input: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, WorkflowError> {
        self.start(gid, name, Input::Bytes(input.into()))?.end().await
    }

    /// As [`Workflows::execute`], with an input and a result that are JSON.
    ///
    /// # Errors
    /// As [`Workflows::execute`]. [`WorkflowError::Json`] if the result is not of type `O`, though the workflow has ended.
    pub async fn execute_json<I, O>(&self, name: &str, gid: &Gid, input: &I) -> Result<O, WorkflowError>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let input = serde_json::to_vec(input).map_err(|error| WorkflowError::json("the input", &error))?;
        let result = self.execute(name, gid, input).await?;
        serde_json::from_slice(&result).map_err(|error| WorkflowError::json("the result", &error))
    }

    /// The route that the coordinator calls back, at the path of the callback URL. Merge it into the service's own router.
    ///
    /// The route answers 200 when the execution has ended or goes on. It answers 500 when the execution could not come to an
    /// end, and 503 when no handler has the name of the workflow: the coordinator then calls back again.
    pub fn router(&self) -> Router {
        callback::router(self.clone(), &self.path, callback::WAIT_MAX)
    }

    /// Begins an execution, or joins the one that goes on. The execution has a task of its own, so it goes on when the
    /// caller goes away.
    fn start(&self, gid: &Gid, name: &str, input: Input) -> Result<Running, WorkflowError> {
        let handler = lock(&self.shared.handlers).get(name).cloned();
        let handler = handler.ok_or_else(|| WorkflowError::NotRegistered(name.to_owned()))?;
        let input = match input {
            Input::Bytes(bytes) => bytes,
            Input::Document(json, base64) => handler.form.read(json.as_deref(), base64.as_ref()),
        };
        if input.len() > WORKFLOW_INPUT_BYTES_MAX {
            return Err(WorkflowError::InputTooLarge { bytes: input.len() });
        }
        let about = About { gid: gid.clone(), name: name.to_owned(), input, form: handler.form };
        let mut running = lock(&self.shared.running);
        if let Some(running) = running.get(&about.gid) {
            if *running.about == about {
                return Ok(running.clone());
            }
            let what = "it is executed right now, under another name or with another input".to_owned();
            return Err(WorkflowError::Conflict { gid: about.gid, what });
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
            // The entry goes first, so that a caller who hears of the end and asks again begins anew. A panic drops it, too.
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
            // The task panicked, or its runtime is gone.
            Err(_) => Err(WorkflowError::Interrupted),
        }
    }
}

/// Takes an execution out of those that go on when it is dropped.
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
