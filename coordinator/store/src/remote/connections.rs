//! Connections to a database server that are kept for one purpose, such as one lane, or the reads of requests.
//!
//! Work leases a connection and gives it back only when the connection is in a known state; every other connection is
//! closed. All work has a deadline, because a server that has vanished does not answer at all.
//!
//! Why this is not `deadpool` or `bb8`: both take back a connection that is dropped, while here a drop must close it,
//! because it may be inside a database transaction; and neither can wait, when closing, for the work that is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{Client, ClientError};
use super::safety;
use super::target::{self, Target};
use trine_clock::Stopwatch;

/// A connection that was idle for longer is closed: the server, or a proxy in between, may have dropped it silently.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// After so long an idle connection is tested, where one is to be kept open. Shorter than [`IDLE_MAX`].
const WARM_AFTER: Duration = Duration::from_secs(4);
/// How long a connection may take to answer that test.
const WARM_TIMEOUT: Duration = Duration::from_secs(3);
/// How long work waits for a free connection, where its caller can be told that there is none.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Idle<C> {
    client: C,
    since: Stopwatch,
    /// [`Target::condemned`] when the connection was made.
    made_at: u64,
}

#[derive(Debug)]
pub(super) struct Connections<C: Client> {
    target: Arc<Target<C::Address>>,
    /// One permit for each connection that may be in use. First come, first served.
    places: Semaphore,
    connections_max: u32,
    /// The longest time for one piece of work.
    timeout: Duration,
    /// How long work waits for a place. None: without end.
    place_timeout: Option<Duration>,
    /// See [`Self::settling`]: the name of the coordinator.
    settles: Option<String>,
    /// See [`Self::judging`].
    judges: bool,
    /// The connection that was used last is the next to be used, so that the others become old and are closed.
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

    /// Work waits for a place without end. For a lane, which has one piece of work at a time and never gives it up.
    pub(super) fn patient(mut self) -> Self {
        self.place_timeout = None;
        self
    }

    /// What is read here is answered to others, so it must be as safe as what the server has acknowledged.
    ///
    /// A commit can be visible without having been acknowledged: while a synchronous standby was away, the session of the
    /// commit was ended, or the server was restarted. If that standby is promoted, the commit is gone. So before the first
    /// read after a new session, a small write of our own is made. The server acknowledges that write only when the standby
    /// has it, and then the standby has everything before it, too.
    pub(super) fn settling(mut self, name: &str) -> Self {
        self.settles = C::READS_NEED_SETTLING.then(|| name.to_owned());
        self
    }

    /// The server's settings are inspected before each piece of work, because they may change while a connection lasts. When
    /// the server has become unfit, all connections to it are closed, those for other purposes as well.
    pub(super) fn judging(mut self) -> Self {
        self.judges = true;
        self
    }

    /// A connection that was in use not long ago, or a new one. Waits for a place.
    pub(super) async fn lease(&self) -> Result<Lease<'_, C>, ClientError> {
        let waiting = self.places.acquire();
        let place = match self.place_timeout {
            None => waiting.await,
            Some(limit) => tokio::time::timeout(limit, waiting).await.map_err(|_| ClientError::Crowded)?,
        };
        let place = place.map_err(|_| ClientError::Closed)?;
        // `close` takes all places before it closes the semaphore. Work that got a place in between is turned away here.
        if self.closed.load(Ordering::SeqCst) {
            return Err(ClientError::Closed);
        }
        let found = self.idle().pop();
        // Read before the connection is made: if the server is condemned meanwhile, the new connection counts as an old one.
        let made_at = self.target.condemned.load(Ordering::SeqCst);
        // Otherwise the idle connection is dropped, which closes it. One from before the condemnation may still lead to
        // the server that must not be written to.
        if let Some(idle) = found
            && idle.since.elapsed() < IDLE_MAX
            && idle.made_at == made_at
        {
            return Ok(Lease { client: idle.client, made_at, reused: true, home: self, _place: place });
        }
        let client = target::connect::<C>(&self.target).await?;
        Ok(Lease { client, made_at, reused: false, home: self, _place: place })
    }

    /// Makes sure that a connection is open and answers. Where all are in use, there is one.
    pub(super) async fn warm(&self) -> Result<(), ClientError> {
        let made_at = self.target.condemned.load(Ordering::SeqCst);
        // A connection from before the condemnation is never leased again, so it does not count as open.
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
                // Dropped, and so closed, before another one is made: there may be only one place.
                drop(lease);
                lease = self.lease().await?;
            }
        }
        lease.give_back();
        Ok(())
    }

    /// Runs `work`. When a connection that had been idle turns out to be dead, `work` is run again on a new one, so it must
    /// be harmless to run twice.
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
            // An error of the server would come again. Any other error may mean that the connection died while it was idle.
            // Whatever ended this connection has most likely ended the other idle ones, too.
            drop(lease);
            self.idle().clear();
            lease = self.lease().await?;
            result = self.in_time(self.work_on(&mut lease, &work)).await;
        }
        // Counted for the whole target: lanes do not inspect the server, and their idle connections must not be used
        // either.
        if let Err(ClientError::Unfit(_)) = &result {
            self.target.condemned.fetch_add(1, Ordering::SeqCst);
        }
        // Otherwise the drop closes the connection: a database transaction may be open on it, or a statement still
        // running.
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
        // A new connection was inspected when it was made.
        if self.judges && lease.reused {
            safety::judge(&client.inspect().await?, &self.target.allowed)?;
        }
        // Read before the settling write: a session that is made after this is not settled by that write.
        let sessions = self.target.sessions.load(Ordering::SeqCst);
        if let Some(name) = &self.settles
            && self.target.settled.load(Ordering::SeqCst) < sessions
        {
            client.execute(C::texts().settle, &[name.as_str().into()]).await?;
            // Not `store`: another task may have noted a greater number meanwhile. A smaller one in its place would
            // cause a settling write that is not needed.
            self.target.settled.fetch_max(sessions, Ordering::SeqCst);
        }
        work(client).await
    }

    /// Waits for `work` until the deadline. The connection is then in an unknown state and must not be given back.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(ClientError::slow(timeout)))
    }

    /// The next connection is made to another server of the URL, if there is one. Called after a doubtful commit:
    /// this server may be failing.
    pub(super) fn look_elsewhere(&self) {
        if self.target.addresses.len() > 1 {
            // Only a hint where to begin, so no order is needed: `connect` tries all servers, wherever it begins.
            self.target.last_good.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for the work under way, then closes everything.
    pub(super) async fn close(&self) {
        // From now on no work gets a place. The work under way ends by its own deadline.
        self.closed.store(true, Ordering::SeqCst);
        // Closing goes on when the time is over: a server that hangs must not keep the process from stopping.
        let all = tokio::time::timeout(self.timeout, self.places.acquire_many(self.connections_max)).await;
        self.places.close();
        // The places go back only now: work that waits for one has been refused by then.
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

/// Keeps a connection of each open. If `lanes` get none, `others` would get none either, so they are not tried.
pub(super) async fn warm_all<'a, C: Client>(
    lanes: impl Iterator<Item = &'a Connections<C>>,
    others: [&'a Connections<C>; 2],
) -> Result<(), ClientError> {
    let mut all = Ok(());
    for connections in lanes {
        // Every lane is tried, also after an error: one lane without a connection must not leave the others without.
        all = connections.warm().await.and(all);
    }
    all?;
    for connections in others {
        connections.warm().await?;
    }
    Ok(())
}

/// A connection in use. If this is dropped without [`Lease::give_back`], the connection is closed, and the server rolls back
/// what was begun on it.
#[derive(Debug)]
pub(super) struct Lease<'a, C: Client> {
    pub(super) client: C,
    made_at: u64,
    /// The connection was idle before, so the server may have closed it.
    pub(super) reused: bool,
    home: &'a Connections<C>,
    _place: SemaphorePermit<'a>,
}

impl<C: Client> Lease<'_, C> {
    /// Keeps the connection for the next work. Call this only when no database transaction is open on the connection.
    pub(super) fn give_back(self) {
        // `close` empties `idle` once. Nobody would close a connection that is put there later.
        if !self.home.closed.load(Ordering::SeqCst) {
            let Self { client, made_at, .. } = self;
            self.home.idle().push(Idle { client, since: Stopwatch::start(), made_at });
        }
    }
}
