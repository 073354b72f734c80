//! Requests to coordinators: attempts, pauses between them, and reading answers.
//!
//! Every request of the API may be repeated (each names its gid), so this module repeats on transport errors and 503
//! without asking what the request means.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER, SERVER};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use trine_protocol::errors::Problem;
use trine_protocol::limits::RETRY_AFTER_MS_MAX;
use trine_protocol::{JournalId, headers};

use super::Error;
use super::stopwatch::Stopwatch;

/// Largest answer that is read; a view of the largest transaction fits many times.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of an unexpected answer is shown.
const EXCERPT_CHARS: usize = 200;

/// When and for how long requests are repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// No attempt begins later than this after the first.
    pub(crate) retry_for: Duration,
    /// Pause after the first attempt; it doubles from then on.
    pub(crate) initial: Duration,
    /// Longest pause, also if the coordinator asks for a longer one.
    pub(crate) max: Duration,
}

impl Patience {
    /// The pause after attempt number `attempt`, half of it random so that clients do not march in step.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let full = self.initial.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.max);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// A request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// With a leading `/`, and a query if there is one.
    pub(crate) path: String,
    /// JSON.
    pub(crate) body: Option<Vec<u8>>,
    /// Whole seconds for `Prefer: wait`.
    pub(crate) wait_secs: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) patience: Patience,
    pub(crate) call_timeout: Duration,
    coordinators: Vec<Url>,
    /// Index of the coordinator that answered last; only a hint, so relaxed.
    current: AtomicUsize,
    /// The journal that the last answer named.
    journal: Mutex<Option<JournalId>>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// A success: who answered, its status and its body.
pub(crate) type Answered = (String, StatusCode, Vec<u8>);

/// An attempt without a usable answer.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
}

impl Transport {
    pub(crate) fn new(
        http: reqwest::Client,
        coordinators: Vec<Url>,
        patience: Patience,
        call_timeout: Duration,
    ) -> Self {
        Self {
            http,
            patience,
            call_timeout,
            coordinators,
            current: AtomicUsize::new(0),
            journal: Mutex::default(),
        }
    }

    /// The journal behind the coordinators, if they say (those of an earlier version do not).
    pub(crate) fn journal(&self) -> Option<JournalId> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_journal(&self, headers: &HeaderMap) {
        let named =
            headers.get(headers::JOURNAL).and_then(|value| JournalId::parse(value.to_str().ok()?).ok());
        if named.is_some() {
            *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = named;
        }
    }

    /// Sends until there is an answer or patience ends, and reads the answer's document.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        self.send_within(request, self.patience.retry_for).await
    }

    pub(crate) async fn send_within<T>(&self, request: &Request, retry_for: Duration) -> Result<T, Error>
    where
        T: DeserializeOwned,
    {
        read(self.repeat(request, retry_for).await?)
    }

    /// As [`Self::send_within`], when the answer's document does not matter.
    pub(crate) async fn tell_within(&self, request: &Request, retry_for: Duration) -> Result<(), Error> {
        self.repeat(request, retry_for).await.map(|_| ())
    }

    /// Sends until there is an answer or `retry_for` is over.
    pub(crate) async fn repeat(&self, request: &Request, retry_for: Duration) -> Result<Answered, Error> {
        let began = Stopwatch::start();
        let count = u32::try_from(self.coordinators.len()).unwrap_or(u32::MAX);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let index = self.current.load(Ordering::Relaxed);
            let failure = match self.attempt(request, index).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.error.is_transient() => failure,
                Err(failure) => return Err(failure.error),
            };
            self.current.store((index + 1) % self.coordinators.len(), Ordering::Relaxed);
            // Another coordinator may well answer at once; only a full round of failures calls for a pause.
            let pause = if attempts % count == 0 {
                let asked = failure.retry_after.unwrap_or_default().min(self.patience.max);
                self.patience.pause(attempts / count).max(asked)
            } else {
                Duration::ZERO
            };
            if began.elapsed() + pause > retry_for {
                return Err(Error::GaveUp { attempts, last: Box::new(failure.error) });
            }
            tracing::debug!(path = request.path, attempts, ?pause, error = %failure.error, "the coordinator is asked again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Request, index: usize) -> Result<Answered, Failure> {
        let (Raw { url, status, retry_after, body }, server) =
            self.exchange(request, index).await.map_err(|error| Failure { error, retry_after: None })?;
        if status.is_success() {
            return Ok((url, status, body));
        }
        Err(Failure { error: refusal(url, status, server, &body), retry_after })
    }

    /// The next coordinator is to be asked from now on.
    pub(crate) fn move_on(&self) {
        let index = self.current.load(Ordering::Relaxed);
        self.current.store((index + 1) % self.coordinators.len(), Ordering::Relaxed);
    }

    /// The base URL of the coordinator that is asked next, without a `/` at its end.
    pub(crate) fn base(&self, index: usize) -> &str {
        self.coordinators[index % self.coordinators.len()].as_str().trim_end_matches('/')
    }

    pub(crate) fn address(&self) -> &str {
        self.base(self.current.load(Ordering::Relaxed))
    }

    /// Opens a stream of Server-Sent Events that continues after the event with the id `after`: one attempt.
    pub(crate) async fn stream(
        &self,
        path: &str,
        after: Option<u64>,
    ) -> Result<(String, reqwest::Response), Error> {
        let url = format!("{}{path}", self.address());
        let mut call = self.http.get(&url).header(ACCEPT, "text/event-stream");
        if let Some(id) = after {
            call = call.header("last-event-id", id);
        }
        // The stream itself has no end in time, so the time limit is on what comes before it.
        let opened = tokio::time::timeout(self.call_timeout, self.opened(&url, call)).await;
        let opened = opened.unwrap_or(Err(Error::Silent { url: url.clone(), after: self.call_timeout }));
        if opened.as_ref().is_err_and(Error::is_transient) {
            self.move_on();
        }
        opened.map(|response| (url, response))
    }

    async fn opened(&self, url: &str, call: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let transport = |source| Error::Transport { url: url.to_owned(), source };
        let answer = call.send().await.map_err(transport)?;
        let (status, server) = (answer.status(), server(answer.headers()));
        if status.is_success() {
            return Ok(answer);
        }
        let body = read_at_most(answer, ANSWER_BYTES_MAX).await.map_err(transport)?;
        Err(refusal(url.to_owned(), status, server, &body))
    }

    /// One attempt: what came back, and the name of the server that says it.
    async fn exchange(&self, request: &Request, index: usize) -> Result<(Raw, String), Error> {
        let url = format!("{}{}", self.base(index), request.path);
        let wait = Duration::from_secs(request.wait_secs.unwrap_or(0));
        let mut call = self.http.request(request.method.clone(), &url).timeout(self.call_timeout + wait);
        if let Some(seconds) = request.wait_secs {
            call = call.header("prefer", format!("wait={seconds}"));
        }
        if let Some(body) = &request.body {
            call = call.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let transport = |source| Error::Transport { url: url.clone(), source };
        let answer = call.send().await.map_err(transport)?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let server = server(answer.headers());
        self.note_journal(answer.headers());
        let body = read_at_most(answer, ANSWER_BYTES_MAX).await.map_err(transport)?;
        Ok((Raw { url, status, retry_after, body }, server))
    }
}

/// Reads the document of an answer. No body is read as `null`.
pub(crate) fn read<T: DeserializeOwned>((url, status, body): Answered) -> Result<T, Error> {
    let document: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(document).map_err(|error| Error::NotACoordinator {
        url,
        status: status.as_u16(),
        excerpt: format!("{error}: {}", excerpt(&body)),
    })
}

/// What an answer says that is no success.
fn refusal(url: String, status: StatusCode, server: String, body: &[u8]) -> Error {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return Error::Refused(Box::new(problem));
    }
    let (status, excerpt) = (status.as_u16(), excerpt(body));
    match status {
        502..=504 => Error::Gateway { url, status, server, excerpt },
        _ => Error::NotACoordinator { url, status, excerpt },
    }
}

fn server(headers: &HeaderMap) -> String {
    headers.get(SERVER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Reads a body, and no more than `bytes_max` of it: what comes after is dropped.
pub(crate) async fn read_at_most(
    mut answer: reqwest::Response,
    bytes_max: usize,
) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// `Retry-After` in its form of whole seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(Duration::from_millis(RETRY_AFTER_MS_MAX)))
}

/// The beginning of a body, with control characters made visible.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut excerpt = String::new();
    for c in text.trim().chars().take(EXCERPT_CHARS) {
        if c.is_control() { excerpt.extend(c.escape_default()) } else { excerpt.push(c) }
    }
    excerpt
}
