//! The accept loop: what stands between a listening socket and a router. HTTP/1.1, or HTTP/2 for gRPC.
//!
//! It bounds what a client can hold: connections, the time to send a header, the time a connection may be idle, what one
//! of HTTP/2 may have sent that nobody has used yet, and the time a drain may take. TLS is not here, and no route is known
//! here. (`axum::serve` installs no timer, so a client that never finishes its header
//! would stay for ever and a graceful shutdown would wait for it.)

mod http2;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use http2::BodyPlaces;

/// Size of the read buffer; a header that is still incomplete when it is full is answered 431.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// After an accept that failed for want of file descriptors or memory: retrying at once would spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 from the first byte, as gRPC without TLS does.
    Http2,
}

/// Bounds of the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is spoken.
    pub wire: Wire,
    /// How long a client may take over a request's header; an idle kept-alive connection is closed after as long. Over
    /// HTTP/2 a connection without a request is idle, whatever else is sent; one with requests is asked as often whether
    /// anybody is there.
    pub header_timeout: Duration,
    /// Connections at once. Further ones wait in the kernel's bounded backlog until one ends.
    pub connections_max: usize,
    /// How long requests in flight get to finish once the shutdown has begun; then their connections are cut.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: Wire::default(),
            header_timeout: Duration::from_secs(75),
            connections_max: 10_000,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves until `shutdown` is cancelled, then stops accepting, lets requests in flight finish, and returns when the last
/// connection is gone, at the latest after `options.drain`.
pub async fn serve(listener: TcpListener, router: Router, options: Options, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(options.connections_max.max(1)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        // The place comes before the connection: what is not accepted costs nothing.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        if let Some((stream, place)) = accepted {
            let stopping = Stopping { watcher: graceful.watcher(), begun: shutdown.clone() };
            connections.spawn(connection(stream, place, router.clone(), options, stopping));
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time; cutting them off");
    }
    connections.shutdown().await;
}

/// How a connection learns of the shutdown, which waits for whoever still has this.
struct Stopping {
    watcher: Watcher,
    begun: CancellationToken,
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_RETRY).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    options: Options,
    stopping: Stopping,
) {
    // Answers are small and complete; waiting for more bytes to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let stream = TokioIo::new(stream);
    let served = match options.wire {
        Wire::Http1 => serve_http1(stream, router, options.header_timeout, stopping.watcher).await,
        Wire::Http2 => http2::serve(stream, router, options.header_timeout, stopping).await,
    };
    // Clients that vanish or send rubbish are their own affair.
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}

async fn serve_http1(
    stream: TokioIo<TcpStream>,
    router: Router,
    header_timeout: Duration,
    watcher: Watcher,
) -> hyper::Result<()> {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX as usize)
        .serve_connection(stream, TowerToHyperService::new(router));
    watcher.watch(served).await
}

#[cfg(test)]
mod tests;
