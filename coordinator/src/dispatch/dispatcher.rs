//! [`Dispatcher`]: where a call goes, over which protocol, and with whose leave. Here, and only here, HTTP and gRPC are
//! told apart.
//!
//! Not here: what either looks like on the wire (`http`, `grpc`).

use std::sync::{Arc, Once};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::Url;
use trine_engine::{Answer, Call, CallReport, Outcome};
use trine_protocol::Target;

use super::directory::Unresolved;
use super::hosts::{Hosts, NoPlace};
use super::text::clean;
use super::{Caller, Directory, Options, Returned, grpc, http, manner};
use crate::clock::Stopwatch;

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct DispatcherError(#[from] reqwest::Error);

/// Calls participants over HTTP and gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    http: http::Client,
    grpc: grpc::Client,
    hosts: Arc<Hosts>,
    directory: Arc<Directory>,
}

/// How long a call to a participant without a live instance waits before it looks again, before jitter.
const NOBODY_THERE_MS: u64 = 2_000;

/// What a target stands for now.
enum Destination {
    Http(Url),
    Grpc(grpc::Destination),
}

/// A target that stands for nothing.
enum Nowhere {
    /// It will again, once an instance registers.
    Now(String),
    /// Until a person does something.
    Ever(String),
}

/// An answer that arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) status_code: u16,
    pub(super) outcome: Outcome,
    /// What an operator should know about it.
    pub(super) error: Option<String>,
}

/// A call that failed before there was anything to classify.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status_code: Option<u16>,
    pub(super) error: String,
}

impl Dispatcher {
    /// A dispatcher with its own connections. Named targets are resolved in `directory`.
    pub fn new(options: Options, directory: Arc<Directory>) -> Result<Self, DispatcherError> {
        install_tls();
        let (http, grpc) = (http::Client::new(&options)?, grpc::Client::new(&options));
        Ok(Self { http, grpc, hosts: Hosts::new(options), directory })
    }

    async fn make(self, call: Call) -> Returned {
        let unmade = |error| Returned::Answer(answer(Err(Failed { status_code: None, error }), 0));
        let manner = match manner::of(&call) {
            Ok(manner) => manner,
            Err(error) => return unmade(error),
        };
        let destination = match self.locate(&call.target) {
            Ok(destination) => destination,
            // Nothing was asked of anybody, so nothing is counted: the participant's instances may be about to
            // register again, after a restart of theirs or ours.
            Err(Nowhere::Now(error)) => {
                let retry_after_ms = fastrand::u64(NOBODY_THERE_MS / 2..=NOBODY_THERE_MS);
                tracing::debug!(gid = %call.gid, op = %call.op(), %error, retry_after_ms, "the call waits");
                return Returned::NotSent { retry_after_ms, reason: clean(&error) };
            }
            Err(Nowhere::Ever(error)) => {
                let heard = answer(Err(Failed { status_code: None, error }), 0);
                // No retry mends a target. The dialect's are repeated all the same, as dtm does.
                let outcome = if call.terms.is_none() { Outcome::ClientError } else { Outcome::Unknown };
                return Returned::Answer(Answer { outcome, ..heard });
            }
        };
        let origin = destination.origin();
        let _place = match self.hosts.enter(&origin).await {
            Ok(place) => place,
            Err(NoPlace { retry_after_ms }) => {
                tracing::debug!(gid = %call.gid, op = %call.op(), host = %origin, retry_after_ms, "no place at the host");
                let reason =
                    clean(&format!("no place at {origin}: it has all the calls under way that it may have"));
                return Returned::NotSent { retry_after_ms, reason };
            }
        };
        let stopwatch = Stopwatch::start();
        let end = match destination {
            Destination::Http(url) => self.http.exchange(&call, &*manner, url).await,
            Destination::Grpc(method) => self.grpc.exchange(&call, &*manner, &method).await,
        };
        let answer = answer(end, stopwatch.elapsed_ms());
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

    /// What a target stands for now.
    fn locate(&self, target: &Target) -> Result<Destination, Nowhere> {
        let broken = |why: &str| Nowhere::Ever(format!("the branch's URL cannot be called: {why}"));
        if let Some(method) = target.grpc() {
            return grpc::Destination::of(method).map(Destination::Grpc).map_err(|why| broken(&why));
        }
        let text = match target.participant() {
            Some((name, path)) => self.directory.resolve(name, path).map_err(|error| match error {
                Unresolved::NoneAlive(_) => Nowhere::Now(error.to_string()),
                Unresolved::NeverRegistered(_) => Nowhere::Ever(clean(&error.to_string())),
            })?,
            None => target.as_str().to_owned(),
        };
        let url = Url::parse(&text).map_err(|error| broken(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(broken("it is not http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(broken("it carries a user name or password"));
        }
        Ok(Destination::Http(url))
    }
}

impl Caller for Dispatcher {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        self.clone().make(call).boxed()
    }
}

impl Destination {
    /// Whose places a call takes: scheme, host and port.
    fn origin(&self) -> String {
        match self {
            Self::Http(url) => url.origin().ascii_serialization(),
            Self::Grpc(method) => method.origin().to_owned(),
        }
    }
}

pub(super) fn answer(end: Result<Heard, Failed>, duration_ms: u64) -> Answer {
    let (outcome, status_code, error) = match end {
        Ok(heard) => (heard.outcome, Some(heard.status_code), heard.error),
        Err(failed) => (Outcome::Unknown, failed.status_code, Some(failed.error)),
    };
    let report = CallReport { status_code, duration_ms, error };
    Answer { outcome, report, random_permille: fastrand::u32(0..=1_000) }
}

/// Both clients take the process's TLS provider, and are built with none without it.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that somebody has installed one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}
