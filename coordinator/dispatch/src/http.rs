//! One attempt over HTTP/1.1.
//!
//! The client does nothing by itself: it follows no redirect, uses no proxy of the environment, decompresses nothing, and
//! repeats a request only if the request provably never left. Bodies are read up to a bound. The call's timeout covers the
//! whole exchange, the body included.
//!
//! Inside: one connection and the work on it (`connection`), and the connections that no call uses (`pool`).

mod connection;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::Full;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderValue, USER_AGENT};
use hyper::{Response, Uri};
use trine_engine::Call;

use super::Options;
use super::address::Address;
use super::answer::{Classified, FailedAttempt, NoAnswer, Unreached};
use super::connect::Dialer;
use super::decode::Body;
use super::location::Location;
use super::names::Names;
use super::sockets::Sockets;
use super::text::clean;
use super::transport::{self, Stage};
use super::wire_dialect::WireDialect;
use connection::{Connection, Message, Undelivered};
use pool::{Pool, Taken};
use trine_clock as clock;

/// The `User-Agent` of every call.
const AGENT: &str = concat!("trine/", env!("CARGO_PKG_VERSION"));

/// Calls over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    dialer: Dialer,
    pool: Arc<Pool>,
}

impl Client {
    /// A client with its own connections.
    pub(super) fn new(options: &Options, names: Names, sockets: Sockets) -> Self {
        let limit = Duration::from_millis(options.connect_timeout_ms);
        let idle_timeout = Duration::from_millis(options.idle_timeout_ms);
        Self {
            dialer: Dialer::new(names, sockets, limit, &[]),
            pool: Pool::new(idle_timeout, options.idle_per_host_max),
        }
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
        *request.uri_mut() = in_origin_form(request.uri());
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(HOST).or_insert_with(|| location.host_header().clone());
        let mut stage = Stage::Connect;
        let limit = Duration::from_millis(call.timeout_ms);
        let work = self.send_and_read(request, location, dialect.body_bytes_max(), &mut stage);
        let result = tokio::time::timeout(limit, work).await;
        let status_code = match stage {
            Stage::Connect | Stage::Send => None,
            Stage::Body { status } => Some(status),
        };
        match result {
            Ok(Ok((response, body))) => {
                let status = response.status().as_u16();
                let body = body.decoded(response.headers(), dialect.body_bytes_max());
                Ok(dialect.read_http(call, status, response.headers(), &body, clock::now()))
            }
            Ok(Err(Broken::Unreached(unreached))) => Err(unreached.into()),
            Ok(Err(Broken::Http(error))) => Err(failed(status_code, transport::failure(stage, host, &error))),
            Err(_) => Err(failed(status_code, transport::timeout(stage, host, call.timeout_ms))),
        }
    }

    async fn send_and_read(
        &self,
        request: Message,
        location: &Location,
        body_bytes_max: usize,
        stage: &mut Stage,
    ) -> Result<(Response<()>, Body), Broken> {
        let (mut connection, response) = self.deliver(request, location, stage).await?;
        *stage = Stage::Body { status: response.status().as_u16() };
        let (head, body) = response.into_parts();
        let body = connection.read(body, body_bytes_max).await.map_err(Broken::Http)?;
        // What is left of a longer body is not read, so nothing else can be read from the connection.
        if matches!(body, Body::Whole(_)) {
            self.pool.give(location.origin(), connection);
        }
        Ok((Response::from_parts(head, ()), body))
    }

    /// Sends the request. If an unused connection turns out to be closed before a byte left, the next one is tried.
    async fn deliver(
        &self,
        mut request: Message,
        location: &Location,
        stage: &mut Stage,
    ) -> Result<(Connection, Response<hyper::body::Incoming>), Broken> {
        loop {
            *stage = Stage::Connect;
            let (mut connection, is_new) = self.connection(location).await?;
            *stage = Stage::Send;
            match connection.send(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(Undelivered { request: Some(unsent), .. }) if !is_new => request = unsent,
                Err(Undelivered { error, .. }) => return Err(Broken::Http(error)),
            }
        }
    }

    /// A connection for one call, and whether it is a new one.
    async fn connection(&self, location: &Location) -> Result<(Connection, bool), Broken> {
        let in_line = match self.pool.take(location.origin()) {
            Taken::Idle(connection) => return Ok((connection, false)),
            Taken::InLine(in_line) => in_line,
        };
        let connecting = Box::pin(connect(self.dialer.clone(), location.address().clone()));
        match select(in_line, connecting).await {
            Either::Left((Ok(connection), connecting)) => {
                // The connection that was begun serves the next call.
                let (pool, origin) = (Arc::clone(&self.pool), Arc::clone(location.origin()));
                tokio::spawn(async move {
                    if let Ok(connection) = connecting.await {
                        pool.give(&origin, connection);
                    }
                });
                Ok((connection, false))
            }
            // The pool drops no waiting call. If it did, the call would use the connection that it has begun.
            Either::Left((Err(_), connecting)) => Ok((connecting.await?, true)),
            Either::Right((connected, _)) => Ok((connected?, true)),
        }
    }
}

/// Why an exchange has no answer.
enum Broken {
    Unreached(Unreached),
    Http(hyper::Error),
}

async fn connect(dialer: Dialer, address: Address) -> Result<Connection, Broken> {
    let connected = dialer.connect(&address).await.map_err(Broken::Unreached)?;
    Connection::over(connected.transport).await.map_err(Broken::Http)
}

/// The target of a request as HTTP/1.1 writes it to a server: path and query.
fn in_origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map(|what| Uri::from(what.clone())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
