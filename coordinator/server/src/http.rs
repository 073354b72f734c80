//! The accept loop between a listening socket and a router: HTTP/1.1, or HTTP/2 for gRPC.
//!
//! It bounds the resources of clients: the number of connections, the time to send a header or a body, the time to fetch an
//! answer, the idle time of a connection, the memory of bodies in both directions, and the time of a shutdown. A connection
//! above the limit may still request the health routes. There is no TLS here and no route. (`axum::serve` has no such limits: a
//! client that never finishes its header would stay for ever, and a graceful shutdown would wait for it.)

mod budget;
mod front;
mod http2;
mod incoming;
mod outgoing;
mod reserve;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use front::Front;
use reserve::{Reserve, Seat};
use trine_clock::Stopwatch;

pub(crate) use budget::{AboutHealth, Budget, body_grows, release_body_memory};
pub(crate) use incoming::BodyFault;

/// Size of the read buffer. A header that does not fit is answered 431.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Pause after an accept that failed for lack of file descriptors or memory. Without a pause the loop would spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often failing accepts are logged.
const ACCEPT_SAID_EVERY: Duration = Duration::from_secs(10);
/// Connections above the limit of a listener, for health.
pub(crate) const RESERVED_MAX: usize = 16;
/// Time for the header of the one request of a connection above the limit.
const RESERVED_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Http1,
    /// HTTP/2 from the first byte, as gRPC without TLS does.
    Http2,
}

/// Bounds of the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub wire: Wire,
    /// Time for the header of a request, and the longest idle time of a kept-alive connection. Over HTTP/2 a connection
    /// without a request is idle, whatever else is sent; a connection with requests is pinged after this time.
    pub header_timeout: Duration,
    /// Time for the body of a request to arrive.
    pub body_timeout: Duration,
    pub body_bytes_max: usize,
    /// How long a client may read nothing of its answer. A large answer gets this time for each MiB.
    pub write_timeout: Duration,
    /// Most open connections. Further ones get a seat of the reserve; without a reserve they wait in the kernel's bounded
    /// backlog.
    pub connections_max: usize,
    /// Further connections, for health checks.
    pub reserved_max: usize,
    /// Time for requests in flight to finish after the shutdown has begun. Then their connections are cut.
    pub drain: Duration,
}

/// The routers of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    /// Answers the requests of a connection within the limit.
    pub(crate) all: Router,
    /// Answers the one request of a connection above the limit. None: such connections wait.
    pub(crate) reserved: Option<Router>,
}

/// Serves until `shutdown` is cancelled, then stops accepting, lets requests in flight finish, and returns when the last
/// connection is gone, at the latest after `options.drain`.
pub(crate) async fn serve(
    listener: TcpListener,
    routers: Routers,
    options: Options,
    budget: Budget,
    shutdown: CancellationToken,
) {
    let mut door = Door {
        listener,
        places: Arc::new(Semaphore::new(options.connections_max)),
        reserve: routers.reserved.is_some().then(|| Reserve::new(options.reserved_max)),
        failing: None,
    };
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = door.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else { continue };
        let router = match (&place, &routers.reserved) {
            (Place::Reserved(_), Some(reserved)) => reserved,
            _ => &routers.all,
        };
        let signal = Shutdown { watcher: graceful.watcher(), begun: shutdown.clone() };
        let router = router.clone();
        connections.spawn(connection(stream, place, router, options, budget.clone(), signal));
    }
    drop(door);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time; cutting them off");
    }
    connections.shutdown().await;
}

/// A connection whose writes fail if the client has read nothing for a time.
type Patient = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn patient(stream: TcpStream, write_timeout: Duration) -> Patient {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    TokioIo::new(Box::pin(stream))
}

/// Tells a connection of the shutdown. The shutdown waits until each connection has dropped its own.
struct Shutdown {
    watcher: Watcher,
    begun: CancellationToken,
}

/// The place that a connection occupies.
enum Place {
    /// One of the connections within the limit.
    Ordinary { _permit: OwnedSemaphorePermit },
    /// Above the limit.
    Reserved(Seat),
}

struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    reserve: Option<Reserve>,
    /// Time since the last logged accept failure. None while accepts succeed.
    failing: Option<Stopwatch>,
}

impl Door {
    async fn accept(&mut self) -> Option<(TcpStream, Place)> {
        let Some(reserve) = self.reserve.clone() else {
            // Take a place first, then accept: a connection that is not accepted takes no descriptor.
            let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
            return Some((self.next().await?, Place::Ordinary { _permit: permit }));
        };
        let stream = self.next().await?;
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Some((stream, Place::Ordinary { _permit: permit })),
            // No seat: as many health checks as there are seats are under way. The connection is closed.
            Err(_) => Some((stream, Place::Reserved(reserve.sit_down()?))),
        }
    }

    async fn next(&mut self) -> Option<TcpStream> {
        match self.listener.accept().await {
            Ok((stream, _)) => {
                self.failing = None;
                Some(stream)
            }
            Err(error) => {
                if self.failing.is_none_or(|said| said.elapsed() >= ACCEPT_SAID_EVERY) {
                    tracing::warn!(%error, "connections cannot be accepted; trying again");
                    self.failing = Some(Stopwatch::start());
                }
                tokio::time::sleep(ACCEPT_RETRY).await;
                None
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    place: Place,
    router: Router,
    options: Options,
    budget: Budget,
    shutdown: Shutdown,
) {
    // Answers are small and complete, so delaying them to send fuller packets has no use.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let stream = patient(stream, options.write_timeout);
    let cut = CancellationToken::new();
    let pace = budget::Pace { write_timeout: options.write_timeout, cut: cut.clone() };
    let front = Arc::new(Front {
        router,
        wire: options.wire,
        budget,
        allowance: budget::Allowance::new(),
        answers: budget::Allowance::new(),
        body_bytes_max: options.body_bytes_max,
        body_timeout: options.body_timeout,
        pace,
    });
    let serving = async {
        match (&place, options.wire) {
            (Place::Reserved(seat), _) => serve_one(stream, front, options, seat, shutdown.watcher).await,
            (_, Wire::Http1) => serve_http1(stream, front, options.header_timeout, shutdown.watcher).await,
            (_, Wire::Http2) => http2::serve(stream, front, options.header_timeout, shutdown).await,
        }
    };
    // Clients that vanish or send garbage are no fault of the coordinator, hence debug.
    if let Some(Err(error)) = cut.run_until_cancelled(serving).await {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}

async fn serve_http1(
    stream: Patient,
    front: Arc<Front>,
    header_timeout: Duration,
    watcher: Watcher,
) -> hyper::Result<()> {
    let service = hyper::service::service_fn(move |request| front.clone().serve(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX as usize)
        .serve_connection(stream, service);
    watcher.watch(served).await
}

/// Serves one request of a connection above the limit, and closes the connection.
async fn serve_one(
    stream: Patient,
    front: Arc<Front>,
    options: Options,
    seat: &Seat,
    watcher: Watcher,
) -> hyper::Result<()> {
    let service = hyper::service::service_fn(move |request| {
        seat.asks();
        front.clone().serve(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout.min(RESERVED_HEADER_TIMEOUT))
        .max_buf_size(HEADER_BYTES_MAX as usize)
        .keep_alive(false)
        .serve_connection(stream, service);
    tokio::select! {
        served = watcher.watch(served) => served,
        () = seat.given_away() => Ok(()),
    }
}

#[cfg(test)]
mod tests;
