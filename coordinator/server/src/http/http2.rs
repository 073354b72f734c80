//! One HTTP/2 connection. The limits on the handshake and on idle time are here, because the library has none.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use super::front::Front;
use super::{HEADER_BYTES_MAX, Patient, Shutdown};

/// Most requests at once on a connection. The client holds further ones back.
const STREAMS_MAX: u32 = 200;
/// Bytes that a stream may send before they are read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams together. Bodies are read as they arrive, or refused, so no stream blocks the window for long.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until the client leaves, the shutdown begins, or the connection is idle for too long. Then the client is told to go
/// (GOAWAY loses no request). When the last request is answered, the client has the same time again to close.
pub(super) async fn serve(
    stream: Patient,
    front: Arc<Front>,
    idle_max: Duration,
    shutdown: Shutdown,
) -> hyper::Result<()> {
    let under_way = watch::Sender::new(0);
    let idle = under_way.subscribe();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (asked, front) = (Asked::new(&under_way), Arc::clone(&front));
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
        () = shutdown.begun.cancelled() => {}
        () = no_request_for(idle_max, idle.clone()) => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        served = served => served,
        () = no_request_for(idle_max, idle) => Ok(()),
    }
}

/// Counts a request until it is answered.
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

/// Resolves when no request has been under way for `time`.
async fn no_request_for(time: Duration, mut under_way: watch::Receiver<usize>) {
    // An error means that no further request can come.
    while under_way.wait_for(|count| *count == 0).await.is_ok() {
        if tokio::time::timeout(time, under_way.changed()).await.is_err() {
            return;
        }
    }
}
