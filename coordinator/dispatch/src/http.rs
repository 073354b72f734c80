//! One attempt over HTTP/1.1.
//!
//! The client does nothing by itself: it follows no redirect, uses no proxy of the environment, decompresses nothing, and
//! repeats a request only if the request provably never left. Bodies are read up to a bound. The call's timeout covers the
//! whole exchange, the body included.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower::Service;
use trine_engine::Call;

use super::Options;
use super::answer::{Classified, FailedAttempt, NoAnswer, Unreached};
use super::connect::{Dialer, Transport};
use super::decode::Body;
use super::location::Location;
use super::names::Names;
use super::sockets::Sockets;
use super::text::clean;
use super::transport::{self, Stage};
use super::wire_dialect::WireDialect;
use trine_clock as clock;

/// Largest head of an answer. Without a bound of ours the client holds 400 KiB for each call.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// The `User-Agent` of every call.
const AGENT: &str = concat!("trine/", env!("CARGO_PKG_VERSION"));

/// Calls over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(legacy::Client<Connector, Full<Bytes>>);

impl Client {
    /// A client with its own connections.
    pub(super) fn new(options: &Options, names: Names, sockets: Sockets) -> Self {
        let limit = Duration::from_millis(options.connect_timeout_ms);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(options.idle_timeout_ms))
            .pool_max_idle_per_host(options.idle_per_host_max)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(Connector(Dialer::new(names, sockets, limit, &[])));
        Self(client)
    }

    /// One request and its whole answer, within the call's timeout.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        dialect: &dyn WireDialect,
        location: &Location,
    ) -> Result<Classified, NoAnswer> {
        let host = location.address().host();
        let failed = |status_code, error: String| {
            NoAnswer::Failed(FailedAttempt { status_code, error: clean(&error) })
        };
        let request = dialect.ask_http(call, location).map_err(|error| failed(None, error))?;
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let connection = capture_connection(&mut request);
        let mut stage = Stage::Send;
        let limit = Duration::from_millis(call.timeout_ms);
        let work = self.send_and_read(request, dialect.body_bytes_max(), &mut stage);
        let result = tokio::time::timeout(limit, work).await;
        let status_code = match stage {
            Stage::Send => None,
            Stage::Body { status } => Some(status),
        };
        match result {
            Ok(Ok((response, body))) => {
                let status = response.status().as_u16();
                let body = body.decoded(response.headers(), dialect.body_bytes_max());
                Ok(dialect.read_http(call, status, response.headers(), &body, clock::now()))
            }
            Ok(Err(Broken::Sending(error))) => {
                let unreached = transport::find::<Unreached>(&error).cloned().map(NoAnswer::from);
                Err(unreached.unwrap_or_else(|| failed(None, transport::failure(stage, host, &error))))
            }
            Ok(Err(Broken::Reading(error))) => {
                Err(failed(status_code, transport::failure(stage, host, &error)))
            }
            Err(_) if never_left(&connection) => {
                Err(failed(None, transport::unconnected(host, call.timeout_ms)))
            }
            Err(_) => Err(failed(status_code, transport::timeout(stage, host, call.timeout_ms))),
        }
    }

    async fn send_and_read(
        &self,
        request: Request<Full<Bytes>>,
        body_bytes_max: usize,
        stage: &mut Stage,
    ) -> Result<(Response<()>, Body), Broken> {
        let response = self.0.request(request).await.map_err(Broken::Sending)?;
        *stage = Stage::Body { status: response.status().as_u16() };
        let (head, body) = response.into_parts();
        let body = read(body, body_bytes_max).await.map_err(Broken::Reading)?;
        Ok((Response::from_parts(head, ()), body))
    }
}

/// Where an exchange broke.
enum Broken {
    Sending(legacy::Error),
    Reading(hyper::Error),
}

/// Whether a request never had a connection to be sent on.
fn never_left(connection: &CaptureConnection) -> bool {
    connection.connection_metadata().is_none()
}

/// Reads a body up to the bound and not a frame further.
async fn read(mut body: Incoming, bytes_max: usize) -> Result<Body, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        let room = bytes_max - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Body::Cut(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(bytes))
}

/// Makes the client's connections.
#[derive(Debug, Clone)]
struct Connector(Dialer);

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Transport>>;
    type Error = Unreached;
    type Future = BoxFuture<'static, Result<Self::Response, Unreached>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        async move {
            // What the client asks for is the origin of a location, so the error never comes up.
            let location = Location::of(&uri.to_string()).map_err(Unreached::Failed)?;
            Ok(TokioIo::new(dialer.connect(location.address()).await?.transport))
        }
        .boxed()
    }
}
