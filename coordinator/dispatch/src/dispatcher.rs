//! [`Dispatcher`] takes a call through all steps: dialect, target, place, name, connection, request. This is the only file
//! that tells HTTP from gRPC.
//!
//! Not here: what a call looks like on the wire (`http`, `grpc`).

use std::sync::{Arc, Once};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use trine_engine::{Answer, Call, Outcome};
use trine_protocol::{JournalId, Target};

use super::address::Address;
use super::answer::{FailedAttempt, NoAnswer, Unreached, report};
use super::dtm;
use super::held::Held;
use super::hosts::{Hosts, Key, NoPlace};
use super::location::{self, Location, Locations};
use super::names::Names;
use super::native::Native;
use super::sockets::Sockets;
use super::text::clean;
use super::wire_dialect::WireDialect;
use super::{Caller, Directory, Options, Returned, grpc, http};
use trine_clock::Stopwatch;

/// Calls participants over HTTP and gRPC. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dispatcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: http::Client,
    grpc: grpc::Client,
    names: Names,
    hosts: Arc<Hosts>,
    held: Held,
    directory: Arc<Directory>,
    locations: Locations,
    native: Arc<Native>,
}

/// Longest pause before a call that did not leave is offered again.
const RETRY_PAUSE_MS_MAX: u64 = 2_000;

/// Where a target leads now.
enum Destination {
    Http(Arc<Location>),
    Grpc(grpc::Destination),
}

/// Why a target cannot be resolved.
enum Unresolvable {
    /// Until an instance registers.
    NoInstance(String),
    /// Until a person corrects the target.
    BadTarget(String),
}

impl Dispatcher {
    /// A dispatcher with its own connections. Named targets are resolved in `directory`; calls come from `journal`.
    pub fn new(options: Options, directory: Arc<Directory>, journal: JournalId) -> Self {
        install_tls();
        let names = Names::of(&options);
        let sockets = Sockets::new(options.connections_max);
        let http = http::Client::new(&options, names.clone(), sockets.clone());
        let grpc = grpc::Client::new(&options, names.clone(), sockets);
        let native = Arc::new(Native::new(&journal));
        let (hosts, held, locations) = (Hosts::new(options), Held::default(), Locations::default());
        Self(Arc::new(Inner { http, grpc, names, hosts, held, directory, locations, native }))
    }
}

impl Inner {
    async fn make(self: Arc<Self>, call: Call) -> Returned {
        let failed = |error| report(Err(FailedAttempt { status_code: None, error }), 0);
        let not_sent = |reason: String| {
            let retry_after_ms = retry_pause_ms();
            tracing::debug!(gid = %call.gid, op = %call.op(), %reason, retry_after_ms, "the call was not sent");
            Returned::NotSent { retry_after_ms, reason }
        };
        let dialect = match dialect_of(&call, &self.native) {
            Ok(dialect) => dialect,
            Err(error) => return Returned::Answer(failed(error)),
        };
        let destination = match self.locate(&call.target) {
            Ok(destination) => destination,
            // Nothing was asked of anybody, so nothing is counted: the participant's instances may be about to
            // register again, after a restart of theirs or ours.
            Err(Unresolvable::NoInstance(error)) => return not_sent(clean(&error)),
            Err(Unresolvable::BadTarget(error)) => {
                // No retry mends a target. Calls in the dtm dialect are repeated all the same, as dtm does.
                let outcome = if call.terms.is_none() { Outcome::ClientError } else { Outcome::Unknown };
                return Returned::Answer(Answer { outcome, ..failed(error) });
            }
        };
        let key = destination.key(&call.target);
        let _place = match self.hosts.enter(&key).await {
            Ok(place) => place,
            Err(NoPlace { retry_after_ms, full }) => {
                return self.hold(&call, clean(&full.in_words(&key)), retry_after_ms);
            }
        };
        // Before the call's own timeout begins: the participant is not to blame for a slow name server.
        let address = destination.address();
        if let Err(error) = self.names.resolve(address.name()).await {
            return match error.unreached(address.host()) {
                Unreached::Held(reason) => self.hold(&call, clean(&reason), retry_pause_ms()),
                Unreached::NotSent(reason) | Unreached::Failed(reason) => not_sent(clean(&reason)),
            };
        }
        let stopwatch = Stopwatch::start();
        let end = match &destination {
            Destination::Http(location) => self.http.exchange(&call, &*dialect, location).await,
            Destination::Grpc(method) => self.grpc.exchange(&call, &*dialect, method).await,
        };
        let end = match end {
            Ok(classified) => Ok(classified),
            Err(NoAnswer::Failed(failed)) => Err(failed),
            Err(NoAnswer::NotSent(reason)) => return not_sent(reason),
            Err(NoAnswer::Held(reason)) => return self.hold(&call, reason, retry_pause_ms()),
        };
        let answer = report(end, stopwatch.elapsed_ms());
        tracing::debug!(
            gid = %call.gid,
            op = %call.op(),
            attempt = call.key.attempt,
            host = %key.host,
            outcome = %answer.outcome.kind(),
            duration_ms = answer.report.duration_ms,
            "call ended"
        );
        Returned::Answer(answer)
    }

    /// Holds a call back: this coordinator lacks a place, a look-up, a descriptor or memory. The participant has no part in that.
    fn hold(&self, call: &Call, reason: String, retry_after_ms: u64) -> Returned {
        tracing::debug!(gid = %call.gid, op = %call.op(), %reason, retry_after_ms, "the call was held back");
        self.held.note(&reason);
        Returned::Held { retry_after_ms, reason }
    }

    /// Where a target leads now.
    fn locate(&self, target: &Target) -> Result<Destination, Unresolvable> {
        let broken = |why: &str| Unresolvable::BadTarget(format!("the branch's URL cannot be called: {why}"));
        if let Some(method) = target.grpc() {
            return grpc::Destination::of(method).map(Destination::Grpc).map_err(|why| broken(&why));
        }
        let location = match target.participant() {
            Some((name, path)) => self.locations.of(&self
                .directory
                .resolve(name, path)
                .map_err(|error| Unresolvable::NoInstance(error.to_string()))?),
            None => self.locations.of(target.as_str()),
        };
        location.map(Destination::Http).map_err(|why| broken(&why))
    }
}

impl Caller for Dispatcher {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        Arc::clone(&self.0).make(call).boxed()
    }
}

impl Destination {
    /// Whose places a call to this target takes: those of a participant, or of what begins with the same first segment of the
    /// path, of a gRPC method with the same service.
    fn key(&self, target: &Target) -> Key {
        let (host, first_segment) = match self {
            Self::Http(location) => (Arc::clone(location.origin()), Arc::clone(location.first_segment())),
            Self::Grpc(method) => {
                (method.origin().into(), location::first_segment(method.uri().path()).into())
            }
        };
        let service = target.participant().map_or(first_segment, |(name, _)| name.into());
        Key { host, service }
    }

    fn address(&self) -> &Address {
        match self {
            Self::Http(location) => location.address(),
            Self::Grpc(method) => method.address(),
        }
    }
}

fn retry_pause_ms() -> u64 {
    fastrand::u64(RETRY_PAUSE_MS_MAX / 2..=RETRY_PAUSE_MS_MAX)
}

/// The dialect of a call, by the terms that its transaction carries; `native` if there are none. Nothing after this choice asks
/// which dialect it is.
pub(super) fn dialect_of(call: &Call, native: &Arc<Native>) -> Result<Arc<dyn WireDialect>, String> {
    match &call.terms {
        None => Ok(Arc::clone(native) as _),
        Some(terms) => match dtm::Dialect::of(terms) {
            Some(dialect) => Ok(Arc::new(dialect)),
            None => Err("the transaction's terms cannot be read, so nothing was sent; \
                was it created by a newer version of the coordinator?"
                .into()),
        },
    }
}

/// Installs the TLS provider of the process. Both clients use it, and cannot be built without one.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that a provider is installed already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}
