//! What operators do: replay, force, and looking at participants and coordinators.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use reqwest::Method;
use trine_protocol::v1::{
    Answer, CoordinatorList, Force as ForceDocument, ForceOutcome, ParticipantList, Replay as ReplayDocument,
    ReplayMany, ReplayManyAnswer, Replayed,
};
use trine_protocol::{BranchId, Gid, Pattern, Status};

use super::history::Records;
use super::list::List;
use super::request::ApiRequest;
use super::watch::Watch;
use super::{Client, Error, resolve};

impl Client {
    /// Lists transactions, newest first. See [`List`] for filters and an example.
    pub fn list(&self) -> List {
        List::new(self)
    }

    /// Everything that happened to a transaction, every attempt included. See [`Records`] for pages and an example.
    pub fn history(&self, gid: &Gid) -> Records {
        Records::new(self, gid)
    }

    /// Follows a transaction live. See [`Watch`] for an example.
    pub fn watch(&self, gid: &Gid) -> Watch {
        Watch::new(self, gid)
    }

    /// Sets a parked transaction going again, and makes what waits for a retry due now. See [`Replay`].
    pub fn replay(&self, gid: &Gid) -> Replay {
        Replay { client: self.clone(), gid: gid.clone(), document: ReplayDocument::default() }
    }

    /// Sets every parked transaction going again that matches the filters. See [`ReplayParked`].
    pub fn replay_parked(&self) -> ReplayParked {
        ReplayParked { client: self.clone(), document: ReplayMany::default() }
    }

    /// Settles a transaction by an operator's word. See [`Force`].
    pub fn force(&self, gid: &Gid, outcome: ForceOutcome, reason: impl Into<String>) -> Force {
        let document = ForceDocument { outcome, reason: reason.into(), by: None };
        Force { client: self.clone(), gid: gid.clone(), document }
    }

    /// The participants that registered, and where their instances are.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
    /// for participant in client.participants().await?.participants {
    ///     let alive = participant.instances.iter().filter(|instance| instance.alive).count();
    ///     println!("{}: {alive} instances are alive", participant.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn participants(&self) -> ApiRequest<ParticipantList> {
        ApiRequest::new(self, Method::GET, resolve::PARTICIPANTS)
    }

    /// Forgets one instance of a participant, or all of them. An instance that still runs registers again. Refused with
    /// `TX0018` when there is no such instance.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
    /// client.forget_participant("inventory", Some("http://10.0.0.7:7002")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_participant(&self, name: &str, base_url: Option<&str>) -> ApiRequest<()> {
        let request = ApiRequest::new_or(self, Method::DELETE, resolve::participant_path(name));
        match base_url {
            Some(url) => request.query("base_url", url),
            None => request,
        }
    }

    /// The coordinators that share the store: who is alive, and how many unfinished transactions each owns.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
    /// for coordinator in client.coordinators().await?.coordinators {
    ///     println!("{}: {} unfinished", coordinator.name, coordinator.unfinished);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn coordinators(&self) -> ApiRequest<CoordinatorList> {
        ApiRequest::new(self, Method::GET, "/v1/admin/coordinators")
    }

    /// A request for which this client has no method.
    ///
    /// ```no_run
    /// use trine_sdk::client::Method;
    ///
    /// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
    /// let ready: serde_json::Value = client.request(Method::GET, "/readyz").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<T>(&self, method: Method, path: impl Into<String>) -> ApiRequest<T> {
        ApiRequest::new(self, method, path)
    }
}

/// A replay of one transaction. Awaiting it sends it. Made by [`Client::replay`].
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
/// let replayed = client.replay(&gid).await?;
/// println!("{} goes on: {}", replayed.gid, replayed.status);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is replayed before it is awaited"]
pub struct Replay {
    client: Client,
    gid: Gid,
    document: ReplayDocument,
}

impl Replay {
    /// Only this branch.
    pub fn branch(mut self, branch: BranchId) -> Self {
        self.document.branch = Some(branch);
        self
    }

    /// The request.
    pub fn request(&self) -> ApiRequest<Replayed> {
        let path = format!("/v1/admin/transactions/{}/replay", self.gid);
        ApiRequest::new(&self.client, Method::POST, path).body(&self.document)
    }
}

/// A replay of every parked transaction that matches all filters. Awaiting it sends it. Made by
/// [`Client::replay_parked`].
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
/// let answer = client.replay_parked().host("inventory").await?;
/// println!("{} of {} go on", answer.replayed, answer.matched);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is replayed before it is awaited"]
pub struct ReplayParked {
    client: Client,
    document: ReplayMany,
}

impl ReplayParked {
    /// Only with this pattern.
    pub fn pattern(mut self, pattern: Pattern) -> Self {
        self.document.pattern = Some(pattern);
        self
    }

    /// Only with this status.
    pub fn status(mut self, status: Status) -> Self {
        self.document.status = Some(status);
        self
    }

    /// Only with a branch at this `host[:port]` or participant.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.document.host = Some(host.into());
        self
    }

    /// Only with this label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.document.label = Some(format!("{key}={value}"));
        self
    }

    /// At most this many (default and most: 10,000).
    pub fn limit(mut self, transactions: u32) -> Self {
        self.document.limit = Some(transactions);
        self
    }

    /// The request.
    pub fn request(&self) -> ApiRequest<ReplayManyAnswer> {
        ApiRequest::new(&self.client, Method::POST, "/v1/admin/replay").body(&self.document)
    }
}

/// Settles a transaction by an operator's word: no participant is called any more, and the reason is kept for ever.
/// Awaiting it sends it. Made by [`Client::force`].
///
/// ```no_run
/// use trine_sdk::v1::ForceOutcome;
///
/// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
/// client.force(&gid, ForceOutcome::RolledBack, "settled by hand, ticket 4711").by("anna").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is settled before it is awaited"]
pub struct Force {
    client: Client,
    gid: Gid,
    document: ForceDocument,
}

impl Force {
    /// Who decided it; recorded beside the reason.
    pub fn by(mut self, name: impl Into<String>) -> Self {
        self.document.by = Some(name.into());
        self
    }

    /// The request.
    pub fn request(&self) -> ApiRequest<Answer> {
        let path = format!("/v1/admin/transactions/{}/force", self.gid);
        ApiRequest::new(&self.client, Method::POST, path).body(&self.document)
    }
}

macro_rules! awaited {
    ($($name:ident => $answer:ty),*) => {$(
        impl IntoFuture for $name {
            type Output = Result<$answer, Error>;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                self.request().into_future()
            }
        }
    )*};
}

awaited!(Replay => Replayed, ReplayParked => ReplayManyAnswer, Force => Answer);
