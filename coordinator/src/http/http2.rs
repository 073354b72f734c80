//! One connection of HTTP/2.
//!
//! The library bounds neither the handshake, nor the wait for a request, nor what the bodies of many streams come to in
//! memory.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt as _;

use super::{HEADER_BYTES_MAX, Stopping};

/// Requests at once on a connection; a client waits with further ones.
const STREAMS_MAX: u32 = 200;
/// Bodies that are put together at once for a connection; further ones wait in their streams' windows.
const BODIES_MAX: usize = 8;
/// What a stream may send before anybody reads it.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Streams that wait must not take the window from those that are read.
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// In the extensions of each request: whoever puts a body together in memory takes a place while it is incomplete.
#[derive(Debug, Clone)]
pub(crate) struct BodyPlaces(Arc<Semaphore>);

impl BodyPlaces {
    /// Room for so many.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits for a place. It is free again when what is returned is dropped.
    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Until the client leaves, the shutdown begins or nothing has been asked for a time. Then it is told to go (which loses no
/// request of it), and once there is nothing left to answer it has as long again.
pub(super) async fn serve(
    stream: TokioIo<TcpStream>,
    router: Router,
    idle_max: Duration,
    stopping: Stopping,
) -> hyper::Result<()> {
    let under_way = watch::Sender::new(0);
    let idle = under_way.subscribe();
    let places = BodyPlaces::new(BODIES_MAX);
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(places.clone());
        let (asked, router) = (Asked::new(&under_way), router.clone());
        async move {
            let answered: Result<Response<_>, Infallible> = router.oneshot(request).await;
            drop(asked);
            answered
        }
    });
    let mut served = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(idle_max)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES_MAX)
            .serve_connection(stream, TowerToHyperService::new(service))
    );
    tokio::select! {
        served = served.as_mut() => return served,
        () = stopping.begun.cancelled() => {}
        () = no_request_for(idle_max, idle.clone()) => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        served = served => served,
        () = no_request_for(idle_max, idle) => Ok(()),
    }
}

/// A request that has no answer yet.
struct Asked(watch::Sender<usize>);

impl Asked {
    fn new(under_way: &watch::Sender<usize>) -> Self {
        under_way.send_modify(|count| *count += 1);
        Self(under_way.clone())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Resolves when for so long no request came and none was under way.
async fn no_request_for(time: Duration, mut under_way: watch::Receiver<usize>) {
    // It fails when nobody can ask any more.
    while under_way.wait_for(|count| *count == 0).await.is_ok() {
        if tokio::time::timeout(time, under_way.changed()).await.is_err() {
            return;
        }
    }
}
