//! One connection of HTTP/2.
//!
//! The library bounds neither the handshake nor the wait for a request.

use std::pin::pin;
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use super::front::Front;
use super::patient::Patient;
use super::{HEADER_BYTES_MAX, Stopping};

/// Requests at once on a connection; a client waits with further ones.
const STREAMS_MAX: u32 = 200;
/// What a stream may send before anybody reads it.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What all of them may: bodies are read as they come, or refused, so that none takes the window from others for long.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Until the client leaves, the shutdown begins or nothing has been asked for a time. Then it is told to go (which loses no
/// request of it), and once there is nothing left to answer it has as long again.
pub(super) async fn serve(
    stream: Patient,
    front: Front,
    idle_max: Duration,
    stopping: Stopping,
) -> hyper::Result<()> {
    let under_way = watch::Sender::new(0);
    let idle = under_way.subscribe();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (asked, front) = (Asked::new(&under_way), front.clone());
        async move {
            let answered = front.serve(request).await;
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
            .serve_connection(stream, service)
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
