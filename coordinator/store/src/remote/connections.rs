//! Connections to a database server, kept for one purpose: at most so many, opened when needed, dropped after trouble.
//!
//! A URL may name several servers of one cluster; a connection is made to the first that may be written to. Every piece
//! of work has a deadline: a server that vanished without a word does not hold its callers for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{Client, ClientError};
use super::safety;
use super::target::{self, Target};
use trine_clock::Stopwatch;

/// A connection unused for longer may have been closed by the server or by something in between: it is not trusted.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// A connection unused for so long is tried, where it is to be kept.
const WARM_AFTER: Duration = Duration::from_secs(4);
/// How long one may take to say that it lives.
const WARM_TIMEOUT: Duration = Duration::from_secs(3);
/// How long somebody waits for a place, where not waiting is an answer, too.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that nobody uses.
#[derive(Debug)]
struct Idle<C> {
    client: C,
    since: Stopwatch,
    /// How many servers had been condemned when it was made.
    made_at: u64,
}

/// Connections for one purpose.
#[derive(Debug)]
pub(super) struct Connections<C: Client> {
    target: Arc<Target<C::Address>>,
    places: Semaphore,
    connections_max: u32,
    /// Longest time for one piece of work.
    timeout: Duration,
    /// How long a place is waited for; for ever where there is one user, whose work is never given up.
    place_timeout: Option<Duration>,
    /// Whose small writes settle what is read here; none where what is read is no promise.
    settles: Option<String>,
    /// Whether the server is looked at before each piece of work.
    judges: bool,
    idle: Mutex<Vec<Idle<C>>>,
    closed: AtomicBool,
}

impl<C: Client> Connections<C> {
    pub(super) fn new(target: &Arc<Target<C::Address>>, connections_max: usize, timeout: Duration) -> Self {
        Self {
            target: Arc::clone(target),
            places: Semaphore::new(connections_max),
            connections_max: u32::try_from(connections_max).unwrap_or(u32::MAX),
            timeout,
            place_timeout: Some(PLACE_TIMEOUT),
            settles: None,
            judges: false,
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Waits for a place as long as it takes.
    pub(super) fn patient(mut self) -> Self {
        self.place_timeout = None;
        self
    }

    /// What is read here is answered, so it must be as safe as what was acknowledged.
    ///
    /// A commit whose acknowledgement never came, because a synchronous standby was away and the session was ended or
    /// the server restarted, is visible all the same, and gone when that standby is promoted. A small write of our own
    /// is acknowledged only when everything before it is with the standby, too.
    pub(super) fn settling(mut self, name: &str) -> Self {
        self.settles = C::READS_NEED_SETTLING.then(|| name.to_owned());
        self
    }

    /// The server is looked at before each piece of work: it may have become unfit since the connection was made. Then no
    /// connection is used any more, for whatever purpose, that was made before.
    pub(super) fn judging(mut self) -> Self {
        self.judges = true;
        self
    }

    /// A connection that answered not long ago, or a new one. Waits for a place.
    pub(super) async fn lease(&self) -> Result<Lease<'_, C>, ClientError> {
        let waiting = self.places.acquire();
        let place = match self.place_timeout {
            None => waiting.await,
            Some(limit) => tokio::time::timeout(limit, waiting).await.map_err(|_| ClientError::Crowded)?,
        };
        let place = place.map_err(|_| ClientError::Closed)?;
        if self.closed.load(Ordering::SeqCst) {
            return Err(ClientError::Closed);
        }
        let found = self.idle().pop();
        let made_at = self.target.condemned.load(Ordering::SeqCst);
        if let Some(idle) = found
            && idle.since.elapsed() < IDLE_MAX
            && idle.made_at == made_at
        {
            return Ok(Lease { client: idle.client, made_at, reused: true, home: self, _place: place });
        }
        let client = target::connect::<C>(&self.target).await?;
        Ok(Lease { client, made_at, reused: false, home: self, _place: place })
    }

    /// Makes sure that a connection is open and answers, unless all are in use: then there is one.
    pub(super) async fn warm(&self) -> Result<(), ClientError> {
        let made_at = self.target.condemned.load(Ordering::SeqCst);
        let fresh = self
            .idle()
            .last()
            .is_some_and(|idle| idle.since.elapsed() < WARM_AFTER && idle.made_at == made_at);
        if fresh || self.places.available_permits() == 0 {
            return Ok(());
        }
        let mut lease = self.lease().await?;
        if lease.reused {
            let answer = tokio::time::timeout(WARM_TIMEOUT, lease.client.query(C::texts().alive, &[])).await;
            if !matches!(answer, Ok(Ok(_))) {
                drop(lease);
                lease = self.lease().await?;
            }
        }
        lease.give_back();
        Ok(())
    }

    /// Runs `work`, which may be run twice: when a connection that lay idle turns out to be dead, a new one is tried.
    pub(super) async fn run<T>(
        &self,
        work: impl for<'c> Fn(&'c mut C) -> futures_util::future::BoxFuture<'c, Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let mut lease = self.lease().await?;
        let mut result = self.in_time(self.work_on(&mut lease, &work)).await;
        if let Err(ClientError::Sql(error)) = &result
            && lease.reused
            && !matches!(error, sqlx::Error::Database(_))
        {
            // Its neighbours have most likely died with it.
            drop(lease);
            self.idle().clear();
            lease = self.lease().await?;
            result = self.in_time(self.work_on(&mut lease, &work)).await;
        }
        if let Err(ClientError::Unfit(_)) = &result {
            self.target.condemned.fetch_add(1, Ordering::SeqCst);
        }
        if result.is_ok() || result.as_ref().is_err_and(C::survives) {
            lease.give_back();
        }
        result
    }

    async fn work_on<T>(
        &self,
        lease: &mut Lease<'_, C>,
        work: &impl for<'c> Fn(&'c mut C) -> futures_util::future::BoxFuture<'c, Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let client = &mut lease.client;
        if self.judges && lease.reused {
            safety::judge(&client.inspect().await?, &self.target.allowed)?;
        }
        let sessions = self.target.sessions.load(Ordering::SeqCst);
        if let Some(name) = &self.settles
            && self.target.settled.load(Ordering::SeqCst) < sessions
        {
            client.execute(C::texts().settle, &[name.as_str().into()]).await?;
            self.target.settled.fetch_max(sessions, Ordering::SeqCst);
        }
        work(client).await
    }

    /// Waits for `work` as long as the deadline allows.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(ClientError::slow(timeout)))
    }

    /// The server was not as good as its word: the next connection tries another one first, if there is one.
    pub(super) fn look_elsewhere(&self) {
        if self.target.addresses.len() > 1 {
            self.target.last_good.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for what is under way and closes everything.
    pub(super) async fn close(&self) {
        // From now on whoever waits for a place is turned away; what is under way has its own deadline.
        self.closed.store(true, Ordering::SeqCst);
        let all = tokio::time::timeout(self.timeout, self.places.acquire_many(self.connections_max)).await;
        self.places.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle());
        for Idle { client, .. } in idle {
            client.close().await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes sure that a connection of each is open. Where `lanes` get none the `others` get none either, and nobody waits for that.
pub(super) async fn warm_all<'a, C: Client>(
    lanes: impl Iterator<Item = &'a Connections<C>>,
    others: [&'a Connections<C>; 2],
) -> Result<(), ClientError> {
    let mut all = Ok(());
    for connections in lanes {
        all = connections.warm().await.and(all);
    }
    all?;
    for connections in others {
        connections.warm().await?;
    }
    Ok(())
}

/// A connection in use. Dropped without [`Lease::give_back`], it is closed, which undoes what it had begun.
#[derive(Debug)]
pub(super) struct Lease<'a, C: Client> {
    pub(super) client: C,
    made_at: u64,
    /// It was used before: the server may have closed it meanwhile.
    pub(super) reused: bool,
    home: &'a Connections<C>,
    _place: SemaphorePermit<'a>,
}

impl<C: Client> Lease<'_, C> {
    /// Keeps the connection for the next one. Call it when no database transaction is open on it.
    pub(super) fn give_back(self) {
        if !self.home.closed.load(Ordering::SeqCst) {
            let Self { client, made_at, .. } = self;
            self.home.idle().push(Idle { client, since: Stopwatch::start(), made_at });
        }
    }
}
