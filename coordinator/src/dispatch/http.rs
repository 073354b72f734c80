//! [`HttpCaller`]: one attempt over HTTP/1.1.
//!
//! Nothing the client could do by itself is left on: no redirects, no proxies from the environment, no repeats, no
//! decompression. Bodies are read up to a bound, and the call's timeout covers all of it, the body included.

use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::{Client, ClientBuilder, Method, Request, Response, Url, redirect, retry};
use trine_engine::{Answer, Call, CallReport, Outcome};
use trine_protocol::Target;
use trine_protocol::limits::OUTPUT_BYTES_MAX;

use super::classify::{Body, classify};
use super::directory::Unresolved;
use super::hosts::{Hosts, NoPlace};
use super::text::clean;
use super::transport::{self, Stage};
use super::{Caller, Directory, Options, Returned, request};
use crate::clock::{self, Stopwatch};

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct HttpCallerError(#[from] reqwest::Error);

/// Calls participants over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpCaller {
    client: Client,
    hosts: Arc<Hosts>,
    directory: Arc<Directory>,
}

/// How long a call to a participant without a live instance waits before it looks again, before jitter.
const NOBODY_THERE_MS: u64 = 2_000;

/// A target that stands for no URL.
enum Nowhere {
    /// It will again, once an instance registers.
    Now(String),
    /// Until a person does something.
    Ever(String),
}

/// A call that failed before there was anything to classify.
struct Failed {
    status_code: Option<u16>,
    error: String,
}

impl HttpCaller {
    /// A caller with its own connections. Named targets are resolved in `directory`.
    pub fn new(options: Options, directory: Arc<Directory>) -> Result<Self, HttpCallerError> {
        install_tls();
        Ok(Self { client: client(&options)?, hosts: Hosts::new(options), directory })
    }

    async fn make(self, call: Call) -> Returned {
        let url = match self.locate(&call.target) {
            Ok(url) => url,
            // Nothing was asked of anybody, so nothing is counted: the participant's instances may be about to
            // register again, after a restart of theirs or ours.
            Err(Nowhere::Now(error)) => {
                let retry_after_ms = fastrand::u64(NOBODY_THERE_MS / 2..=NOBODY_THERE_MS);
                tracing::debug!(gid = %call.gid, op = %call.op(), %error, retry_after_ms, "the call waits");
                return Returned::NotSent { retry_after_ms };
            }
            Err(Nowhere::Ever(error)) => {
                return Returned::Answer(failed(Failed { status_code: None, error }, 0));
            }
        };
        let origin = url.origin().ascii_serialization();
        let _place = match self.hosts.enter(&origin).await {
            Ok(place) => place,
            Err(NoPlace { retry_after_ms }) => {
                tracing::debug!(gid = %call.gid, op = %call.op(), host = %origin, retry_after_ms, "no place at the host");
                return Returned::NotSent { retry_after_ms };
            }
        };
        let stopwatch = Stopwatch::start();
        let answer = match self.exchange(&call, url).await {
            Ok((status, outcome, error)) => answer(
                outcome,
                CallReport { status_code: Some(status), duration_ms: stopwatch.elapsed_ms(), error },
            ),
            Err(failure) => failed(failure, stopwatch.elapsed_ms()),
        };
        tracing::debug!(
            gid = %call.gid,
            op = %call.op(),
            attempt = call.key.attempt,
            host = %origin,
            outcome = %answer.outcome.kind(),
            duration_ms = answer.report.duration_ms,
            "call ended"
        );
        Returned::Answer(answer)
    }

    /// The URL a target stands for now.
    fn locate(&self, target: &Target) -> Result<Url, Nowhere> {
        let text = match target.participant() {
            Some((name, path)) => {
                self.directory.resolve(name, path, clock::now()).map_err(|error| match error {
                    Unresolved::NoneAlive(_) => Nowhere::Now(error.to_string()),
                    Unresolved::NeverRegistered(_) => Nowhere::Ever(clean(&error.to_string())),
                })?
            }
            None => target.as_str().to_owned(),
        };
        let broken = |why: &str| Nowhere::Ever(format!("the branch's URL cannot be called: {why}"));
        let url = Url::parse(&text).map_err(|error| broken(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(broken("it is not http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(broken("it carries a user name or password"));
        }
        Ok(url)
    }

    /// One request and its whole answer, within the call's timeout.
    async fn exchange(&self, call: &Call, url: Url) -> Result<(u16, Outcome, Option<String>), Failed> {
        let host = host(&url);
        let request = prepare(call, url).map_err(|error| Failed { status_code: None, error })?;
        let mut stage = Stage::Send;
        let limit = Duration::from_millis(call.timeout_ms);
        let result = tokio::time::timeout(limit, self.send_and_read(request, &mut stage)).await;
        let status_code = match stage {
            Stage::Send => None,
            Stage::Body { status } => Some(status),
        };
        match result {
            Ok(Ok((response, body))) => {
                let status = response.status().as_u16();
                let (outcome, error) = classify(call.op(), status, response.headers(), &body, clock::now());
                Ok((status, outcome, error))
            }
            Ok(Err(error)) => Err(Failed { status_code, error: transport::failure(stage, &host, error) }),
            Err(_) => Err(Failed { status_code, error: transport::timeout(stage, &host, call.timeout_ms) }),
        }
    }

    async fn send_and_read(
        &self,
        request: Request,
        stage: &mut Stage,
    ) -> Result<(Response, Body), reqwest::Error> {
        let mut response = self.client.execute(request).await?;
        *stage = Stage::Body { status: response.status().as_u16() };
        let body = read(&mut response).await?;
        Ok((response, body))
    }
}

impl Caller for HttpCaller {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        self.clone().make(call).boxed()
    }
}

/// Reads a body up to the bound and not a chunk further.
async fn read(response: &mut Response) -> Result<Body, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = OUTPUT_BYTES_MAX - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Body::Cut(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(bytes))
}

fn prepare(call: &Call, url: Url) -> Result<Request, String> {
    let mut request = Request::new(Method::POST, url);
    *request.headers_mut() =
        request::headers(call).map_err(|error| format!("the call's headers cannot be built: {error}"))?;
    *request.body_mut() = Some(request::body(call).into());
    Ok(request)
}

/// `host:port` for error texts.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn failed(failure: Failed, duration_ms: u64) -> Answer {
    let Failed { status_code, error } = failure;
    answer(Outcome::Unknown, CallReport { status_code, duration_ms, error: Some(error) })
}

fn answer(outcome: Outcome, report: CallReport) -> Answer {
    Answer { outcome, report, random_permille: fastrand::u32(0..=1_000) }
}

fn client(options: &Options) -> Result<Client, reqwest::Error> {
    builder(options).build().or_else(|error| {
        // Images without a certificate store are common, and plain HTTP needs none.
        tracing::warn!(%error, "no trusted certificates were found: calls to https:// targets will fail");
        builder(options).tls_certs_only([]).build()
    })
}

fn builder(options: &Options) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("trine/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        .pool_idle_timeout(Duration::from_millis(options.idle_timeout_ms))
        .pool_max_idle_per_host(options.idle_per_host_max)
}

/// The client takes the process's TLS provider, and builds none without it.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that somebody has installed one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}
