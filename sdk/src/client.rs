//! Talking to the coordinators: building transactions, sending and deciding them, asking about them, operating them.
//!
//! Here are the client and what initiators ask. What operators ask is in `operate`, `list`, `history` and `watch`, each a
//! small request to be awaited (`request`). Building is in `transaction` and `branch`, an open transaction in `open`,
//! calling participants in `call`, repeating requests in `transport`.

mod branch;
pub(crate) mod call;
mod error;
mod forward;
mod history;
pub mod kind;
mod list;
mod open;
mod operate;
mod request;
mod resolve;
mod sse;
pub(crate) mod stopwatch;
mod transaction;
pub(crate) mod transport;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use trine_protocol::Gid;
use trine_protocol::v1::{
    Abort, Answer, Branch as BranchDocument, CreateTransaction, RegisterParticipant, Registered,
    TransactionView,
};

pub use branch::{Branch, MessageBranch, RetryPolicy, SagaBranch, TccBranch, TwoPhaseBranch};
pub use error::Error;
pub use forward::Forward;
pub use history::{RecordPages, Records};
pub use list::{List, Rows};
pub use open::Open;
pub use operate::{Force, Replay, ReplayParked};
pub use request::ApiRequest;
pub use reqwest::{Method, StatusCode};
pub use transaction::{Message, Saga, Tcc, Transaction, TwoPhase};
pub use watch::Watch;

use kind::{Openable, PatternKind};
use resolve::Directory;
use stopwatch::Stopwatch;
use transport::{Patience, Request, Transport};

/// Longest single wait that is asked of a coordinator: shorter than what proxies in between usually allow.
const WAIT_SECS_MAX: u64 = 20;
/// Where transactions are.
const TRANSACTIONS: &str = "/v1/transactions";

/// Talks to the coordinators. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    directory: Directory,
}

/// Builds a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    coordinators: Vec<String>,
    call_timeout: Duration,
    patience: Patience,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            coordinators: Vec::new(),
            call_timeout: Duration::from_secs(10),
            patience: Patience {
                retry_for: Duration::from_secs(30),
                initial: Duration::from_millis(100),
                max: Duration::from_secs(5),
            },
        }
    }
}

impl ClientBuilder {
    /// Adds a coordinator, `http(s)://host[:port][/prefix]`. Any coordinator takes any request; the next one is tried
    /// when one does not answer.
    #[must_use]
    pub fn coordinator(mut self, base_url: impl Into<String>) -> Self {
        self.coordinators.push(base_url.into());
        self
    }

    /// How long one attempt at a request may take, waiting asked for not counted (default 10 s).
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// For how long a request is repeated on transport errors and while coordinators are busy (default 30 s; zero:
    /// one attempt).
    #[must_use]
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.patience.retry_for = time;
        self
    }

    /// Pause after the first attempt, doubling up to the second value (default 100 ms and 5 s). A `Retry-After` is
    /// honoured up to the second value. Half of each pause is random.
    #[must_use]
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        (self.patience.initial, self.patience.max) = (initial, max);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when there is no coordinator, or one's URL cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        // Both TLS libraries of the process must agree on one provider; whoever comes first chooses.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let coordinators: Vec<Url> =
            self.coordinators.iter().map(|text| base_url(text)).collect::<Result<_, _>>()?;
        if coordinators.is_empty() {
            return Err(Error::InvalidUrl { url: String::new(), reason: "no coordinator is named".into() });
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.call_timeout.min(Duration::from_secs(5)))
            // Shorter than any server keeps an idle connection, or a request meets one that is being closed.
            .pool_idle_timeout(Duration::from_secs(4))
            .tcp_nodelay(true)
            .user_agent(concat!("trine-sdk/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| Error::Transport { url: self.coordinators[0].clone(), source })?;
        let transport = Transport::new(http, coordinators, self.patience, self.call_timeout);
        Ok(Client { inner: Arc::new(Inner { transport, directory: Directory::default() }) })
    }
}

impl Client {
    /// A client of one coordinator, with the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn new(base_url: impl Into<String>) -> Result<Self, Error> {
        Self::builder().coordinator(base_url).build()
    }

    /// For several coordinators, or other times.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Hands a declared transaction over. Returns as soon as the coordinator has it durably; from then on it will be
    /// settled whatever happens to this process. Repeated with the same gid on transport errors.
    ///
    /// # Errors
    /// [`Error::Refused`] (another body under the same gid, an unusable field, ..), [`Error::GaveUp`], or
    /// [`Error::InvalidTransaction`] for a mistake in building it.
    pub async fn submit<P: PatternKind>(&self, transaction: &Transaction<P>) -> Result<Answer, Error> {
        self.create(&transaction.document()?).await
    }

    /// As [`Self::submit`], then waits until it is settled, needs a person (`parked`), or `wait` is over (rounded up to
    /// whole seconds). Look at [`Answer::settled`]: a transaction that is not settled yet goes on.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_and_wait<P: PatternKind>(
        &self,
        transaction: &Transaction<P>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let document = transaction.document()?;
        self.until_settled(post(TRANSACTIONS, &document)?, wait).await
    }

    /// Opens a transaction: its branches are registered, tried and decided through the handle. Branches it already
    /// has are registered with it.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn open<P: Openable>(&self, transaction: Transaction<P>) -> Result<Open<P>, Error> {
        let mut document = transaction.document()?;
        document.open = true;
        let answer = self.create(&document).await?;
        Ok(Open::new(self.clone(), answer.gid))
    }

    /// Decides an open transaction: yes.
    ///
    /// # Errors
    /// [`Error::Refused`] with `TX0008` when it is rolling or rolled back; otherwise as [`Self::submit`].
    pub async fn commit(&self, gid: &Gid) -> Result<Answer, Error> {
        self.inner.transport.send(&empty_post(transaction_path(gid, "/commit"))).await
    }

    /// As [`Self::commit`], then waits as [`Self::submit_and_wait`] does.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_and_wait(&self, gid: &Gid, wait: Duration) -> Result<Answer, Error> {
        self.until_settled(empty_post(transaction_path(gid, "/commit")), wait).await
    }

    /// Rolls a transaction back. Possible until it is decided; the reason, if there is one, is recorded and shown. Refused
    /// with `TX0008` when the transaction is committing or committed.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
    /// let answer = client.abort(&gid, "the customer changed their mind").await?;
    /// println!("{} is {}", answer.gid, answer.status);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort<'a>(&self, gid: &Gid, reason: impl Into<Option<&'a str>>) -> ApiRequest<Answer> {
        let body = Abort { reason: reason.into().map(str::to_owned) };
        ApiRequest::new(self, Method::POST, transaction_path(gid, "/abort")).body(&body)
    }

    /// As [`Self::abort`], then waits as [`Self::submit_and_wait`] does.
    ///
    /// # Errors
    /// As [`Self::abort`].
    pub async fn abort_and_wait(&self, gid: &Gid, reason: &str, wait: Duration) -> Result<Answer, Error> {
        let body = Abort { reason: Some(reason.to_owned()) };
        self.until_settled(post(transaction_path(gid, "/abort"), &body)?, wait).await
    }

    /// A transaction in full. Refused with `TX0009` when there is no such transaction.
    pub fn get(&self, gid: &Gid) -> ApiRequest<TransactionView> {
        ApiRequest::new(self, Method::GET, transaction_path(gid, ""))
    }

    /// The base URL of the coordinator that is asked next, without a `/` at its end.
    pub fn address(&self) -> &str {
        self.inner.transport.address()
    }

    /// Registers a branch on an open transaction. Repeating it with the same branch changes nothing.
    pub(crate) async fn register(&self, gid: &Gid, branch: &BranchDocument) -> Result<Answer, Error> {
        self.inner.transport.send(&post(transaction_path(gid, "/branches"), branch)?).await
    }

    /// Says where an instance of a participant is; repeated before its TTL ends, it is a heartbeat. Repeated on
    /// transport errors for as long as `retry_for`. `Registration` does this in the background.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn register_participant(
        &self,
        instance: &RegisterParticipant,
        retry_for: Duration,
    ) -> Result<Registered, Error> {
        self.inner.transport.send_within(&post(resolve::PARTICIPANTS, instance)?, retry_for).await
    }

    /// Takes an instance of a participant away, so that no more calls go there.
    ///
    /// # Errors
    /// [`Error::Refused`] with `TX0018` when there is no such instance; otherwise as [`Self::submit`].
    pub async fn deregister_participant(
        &self,
        name: &str,
        base_url: &str,
        retry_for: Duration,
    ) -> Result<(), Error> {
        let path = resolve::instance_path(name, base_url)?;
        let request = Request { method: Method::DELETE, path, body: None, wait_secs: None };
        self.inner.transport.tell_within(&request, retry_for).await
    }

    async fn create(&self, document: &CreateTransaction) -> Result<Answer, Error> {
        self.inner.transport.send(&post(TRANSACTIONS, document)?).await
    }

    /// Repeats a command, asking the coordinator to wait each time, until the transaction is settled or time is up.
    async fn until_settled(&self, mut request: Request, wait: Duration) -> Result<Answer, Error> {
        let transport = &self.inner.transport;
        let began = Stopwatch::start();
        let mut last: Option<Answer> = None;
        let mut polls = 0;
        loop {
            polls += 1;
            request.wait_secs = whole_seconds(wait.saturating_sub(began.elapsed()));
            let asked_at = Stopwatch::start();
            let answer = match (transport.send::<Answer>(&request).await, last.take()) {
                (Ok(answer), _) => answer,
                // It was accepted, so it goes on without us; time may still be left to hear the end.
                (Err(error), Some(earlier)) if error.is_transient() => earlier,
                (Err(error), _) => return Err(error),
            };
            let remaining = wait.saturating_sub(began.elapsed());
            if answer.settled || answer.parked || remaining.is_zero() {
                return Ok(answer);
            }
            // An answer that came at once means that nobody waited for us: do not ask in a tight loop.
            if asked_at.elapsed() < Duration::from_millis(500) {
                tokio::time::sleep(transport.patience.pause(polls).min(remaining)).await;
            }
            last = Some(answer);
        }
    }
}

/// What to ask for in `Prefer: wait`, rounded up; nothing when no time is left.
fn whole_seconds(time: Duration) -> Option<u64> {
    let seconds = u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    (seconds > 0).then_some(seconds.min(WAIT_SECS_MAX))
}

/// A fresh gid: a UUIDv7, so that gids sort by time.
fn new_gid() -> Gid {
    let text = uuid::Uuid::now_v7().to_string();
    Gid::parse(&text).expect("the text of a UUID is within the grammar of gids")
}

/// The path of one transaction, with what follows it.
fn transaction_path(gid: &Gid, rest: &str) -> String {
    format!("{TRANSACTIONS}/{gid}{rest}")
}

fn get(path: String) -> Request {
    Request { method: Method::GET, path, body: None, wait_secs: None }
}

fn empty_post(path: String) -> Request {
    Request { method: Method::POST, path, body: None, wait_secs: None }
}

fn post<T: Serialize>(path: impl Into<String>, document: &T) -> Result<Request, Error> {
    let body = serde_json::to_vec(document).map_err(|error| Error::invalid("document", error))?;
    Ok(Request { method: Method::POST, path: path.into(), body: Some(body), wait_secs: None })
}

/// Parses `http(s)://host[:port][/prefix]`.
fn base_url(text: &str) -> Result<Url, Error> {
    let invalid = |reason: String| Error::InvalidUrl { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it must begin with http:// or https://".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it must not have a query or fragment".into()));
    }
    Ok(url)
}
