//! One HTTP/2 connection per host.
//!
//! All calls to a host share its connection. When a call on a connection times out or breaks, new calls get another
//! connection, because the peer may be gone; pings would tell, but gRPC servers punish them. Calls that are already on the old
//! connection go on to their end. A connection that nobody uses for a while is closed. Not here: how many calls a host may have.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hyper::Response;
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};

use super::connect::{Driver, PROTOCOL, Sender, connect};
use super::{Destination, Message};
use crate::answer::Unreached;
use crate::connect::Dialer;
use crate::names::Names;
use crate::sockets::Sockets;

/// Resolves once the connection is there, or why it is not; for all who wait for it.
type Ready = Shared<BoxFuture<'static, Result<Sender, Unreached>>>;

/// The connections to all hosts. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    connect_timeout: Duration,
    idle_timeout: Duration,
    dialer: Dialer,
    state: Arc<Mutex<Pool>>,
}

#[derive(Default)]
struct Pool {
    /// By origin.
    slots: HashMap<String, Slot>,
    /// Tells a connection from its successor at the same host.
    last_id: u64,
}

struct Slot {
    id: u64,
    ready: Ready,
    /// Leases.
    uses: watch::Sender<usize>,
}

/// The use of a connection by one call.
pub(super) struct Lease {
    sender: Sender,
    entry: Entry,
}

/// Being counted among a connection's users, or among those who wait for it.
struct Entry {
    connections: Connections,
    origin: String,
    id: u64,
    uses: watch::Sender<usize>,
    /// A request is or was on it, and nothing good is known of it.
    doubtful: bool,
}

/// A request that got no answer.
pub(super) struct Undelivered {
    pub(super) error: hyper::Error,
    /// False: it provably never left.
    pub(super) may_have_left: bool,
}

impl Connections {
    pub(super) fn new(options: &super::Options, names: Names, sockets: Sockets) -> Self {
        let keeps = options.idle_per_host_max > 0;
        let connect_timeout = Duration::from_millis(options.connect_timeout_ms);
        Self {
            connect_timeout,
            idle_timeout: Duration::from_millis(if keeps { options.idle_timeout_ms } else { 0 }),
            dialer: Dialer::new(names, sockets, connect_timeout, &[PROTOCOL]),
            state: Arc::default(),
        }
    }

    /// The use of the connection to a host; it is made when there is none. An error says in words why not.
    pub(super) async fn lease(&self, destination: &Destination) -> Result<Lease, Unreached> {
        let (mut entry, ready) = self.reserve(destination);
        let sender = ready.await?;
        // Not while it is waited for: who gives up waiting leaves it to the next.
        entry.doubtful = true;
        Ok(Lease { sender, entry })
    }

    fn reserve(&self, destination: &Destination) -> (Entry, Ready) {
        let mut state = self.lock();
        let Pool { slots, last_id } = &mut *state;
        let slot = slots.entry(destination.origin().to_owned()).or_insert_with(|| {
            *last_id += 1;
            self.open(*last_id, destination.clone())
        });
        slot.uses.send_modify(|uses| *uses += 1);
        let entry = Entry {
            connections: self.clone(),
            origin: destination.origin().to_owned(),
            id: slot.id,
            uses: slot.uses.clone(),
            doubtful: false,
        };
        (entry, slot.ready.clone())
    }

    /// A task of its own connects and then moves the connection: it goes on when the call that began it is dropped.
    fn open(&self, id: u64, destination: Destination) -> Slot {
        let (tell, told) = oneshot::channel();
        let uses = watch::Sender::new(0);
        let (connections, watched) = (self.clone(), uses.clone());
        tokio::spawn(async move {
            match connect(destination.address(), &connections.dialer, connections.connect_timeout).await {
                Ok((sender, driver)) => {
                    // Nobody waits any more when the first call was dropped; the next one may use it.
                    drop(tell.send(Ok(sender)));
                    connections.drive(driver, id, destination.origin(), &watched).await;
                    connections.forget(destination.origin(), id);
                }
                // First forgotten, then told: who hears of it and tries again makes a new attempt.
                Err(unreached) => {
                    connections.forget(destination.origin(), id);
                    drop(tell.send(Err(unreached)));
                }
            }
        });
        let panicked = || Unreached::Failed("the attempt to connect panicked".into());
        let ready = told.map(move |told| told.unwrap_or_else(|_| Err(panicked())));
        Slot { id, ready: ready.boxed().shared(), uses }
    }

    /// Until it closes, or nobody has used it for long enough.
    async fn drive(&self, driver: Driver, id: u64, origin: &str, uses: &watch::Sender<usize>) {
        let mut driver = std::pin::pin!(driver);
        loop {
            tokio::select! {
                end = &mut driver => {
                    if let Err(error) = end {
                        tracing::debug!(%error, host = origin, "a gRPC connection ended");
                    }
                    return;
                }
                () = unused_for(self.idle_timeout, uses) => {
                    if self.forget_unused(origin, id, uses) {
                        return;
                    }
                }
            }
        }
    }

    /// Under the lock that leases are taken under, so that none is taken in between.
    fn forget_unused(&self, origin: &str, id: u64, uses: &watch::Sender<usize>) -> bool {
        let mut state = self.lock();
        let unused = *uses.borrow() == 0;
        if unused {
            state.remove(origin, id);
        }
        unused
    }

    fn forget(&self, origin: &str, id: u64) {
        self.lock().remove(origin, id);
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // Each change is one step: a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hosts with a connection in use or kept.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lock().slots.len()
    }
}

impl Pool {
    fn remove(&mut self, origin: &str, id: u64) {
        if self.slots.get(origin).is_some_and(|slot| slot.id == id) {
            self.slots.remove(origin);
        }
    }
}

impl Lease {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Message) -> Result<Response<Incoming>, Undelivered> {
        self.sender.try_send_request(request).await.map_err(|mut error| {
            let may_have_left = error.take_message().is_none();
            Undelivered { error: error.into_error(), may_have_left }
        })
    }

    /// Gives a connection back on which everything went well.
    pub(super) fn good(mut self) {
        self.entry.doubtful = false;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.doubtful {
            self.connections.forget(&self.origin, self.id);
        }
        self.uses.send_modify(|uses| *uses -= 1);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("hosts", &self.lock().slots.len()).finish_non_exhaustive()
    }
}

/// Resolves when there has been no user for that long.
async fn unused_for(idle: Duration, uses: &watch::Sender<usize>) {
    let mut changes = uses.subscribe();
    loop {
        // The sender is borrowed, so neither wait ends for its being gone.
        if changes.wait_for(|uses| *uses == 0).await.is_err() {
            return;
        }
        if tokio::time::timeout(idle, changes.changed()).await.is_err() {
            return;
        }
    }
}
