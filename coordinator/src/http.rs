//! The accept loop: what stands between a listening socket and a router.
//!
//! It bounds what a client can hold: connections, the time to send a header, and the time a drain may take. TLS is not
//! here, and no route is known here. (`axum::serve` installs no timer, so a client that never finishes its header
//! would stay for ever and a graceful shutdown would wait for it.)

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

/// Size of the read buffer; a header that is still incomplete when it is full is answered 431.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// After an accept that failed for want of file descriptors or memory: retrying at once would spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bounds of the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a client may take over a request's header; an idle kept-alive connection is closed after as long.
    pub header_timeout: Duration,
    /// Connections at once. Further ones wait in the kernel's bounded backlog until one ends.
    pub connections_max: usize,
    /// How long requests in flight get to finish once the shutdown has begun; then their connections are cut.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
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
            let watcher = graceful.watcher();
            connections.spawn(connection(stream, place, router.clone(), options.header_timeout, watcher));
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time; cutting them off");
    }
    connections.shutdown().await;
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
    header_timeout: Duration,
    watcher: Watcher,
) {
    // Answers are small and complete; waiting for more bytes to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Clients that vanish or send rubbish are their own affair.
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}

#[cfg(test)]
mod tests;
