//! From names to addresses, for every call alike. Asynchronous: a name server that does not answer holds no thread.
//!
//! All calls that ask for one name share one look-up. Addresses are kept for as long as the name server says, and for a
//! while longer when the name server fails. A name that was not found is not asked for again at once. Every look-up has a time
//! limit, and each zone has few look-ups under way ([`zones`]), so that a slow zone does not hold up the others.
//!
//! Inside: asking name servers and the hosts file (`source`), and who may ask (`zones`). Not here: connecting.

mod source;
#[cfg(test)]
pub(super) mod test_server;
#[cfg(test)]
mod tests;
mod zones;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::answer::Unreached;
use source::Source;
use trine_clock::Stopwatch;
use zones::{NoLookup, Zones};

/// Most names that are remembered. Targets come from clients, so there is no end of names by itself.
const NAMES_MAX: usize = 10_000;
/// An answer is kept at least this long, whatever the name server says, and at most for the other.
const KEPT_MIN: Duration = Duration::from_secs(1);
const KEPT_MAX: Duration = Duration::from_secs(300);
/// How long an answer that has run out is used while the name server does not give another one.
const STALE_MAX: Duration = Duration::from_secs(3_600);
/// How long a call with such an answer waits for a new one.
const STALE_WAIT: Duration = Duration::from_millis(300);
/// Pause after the first failed look-up; doubled after each that follows.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_DOUBLINGS_MAX: u32 = 4;

/// The addresses of a name; at least one.
pub(super) type Addresses = Arc<[IpAddr]>;

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// A name server says so.
    Missing,
    /// No name server answered.
    Late,
    /// A name server failed, or could not be asked.
    Failed(String),
    /// No name server was asked, because this coordinator lacks a look-up, a descriptor or memory.
    Held(String),
}

/// Bounds and times of [`Names`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    /// Longest time one look-up may take.
    limit: Duration,
    /// Whom to ask; none: whom the operating system's configuration names.
    servers: Vec<SocketAddr>,
    /// Most look-ups under way.
    lookups_max: usize,
    /// How long an answer is kept at least.
    kept_min: Duration,
}

/// The resolver. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: Duration,
    kept_min: Duration,
    source: Source,
    zones: Zones,
    entries: Mutex<HashMap<String, Entry>>,
}

/// What is remembered of a name.
#[derive(Debug, Default)]
struct Entry {
    known: Option<Known>,
    failed: Option<FailedLookup>,
    looking: Option<Looking>,
}

#[derive(Debug, Clone)]
struct Known {
    addresses: Addresses,
    since: Stopwatch,
    kept: Duration,
}

#[derive(Debug, Clone)]
struct FailedLookup {
    error: Unresolved,
    since: Stopwatch,
    in_a_row: u32,
}

/// A look-up under way, for all who wait for it.
type Looking = Shared<BoxFuture<'static, Result<Addresses, Unresolved>>>;

/// What is remembered when a call asks.
enum Remembered {
    /// No look-up is needed.
    End(Result<Addresses, Unresolved>),
    /// One is under way; meanwhile there may be an answer that has run out.
    Looking(Looking, Option<Addresses>),
}

impl Names {
    /// As a dispatcher's options say.
    pub(super) fn of(options: &super::Options) -> Self {
        let limit = Duration::from_millis(options.name_timeout_ms);
        let (servers, lookups_max) = (options.name_servers.clone(), options.lookups_max);
        Self::new(Options { limit, servers, lookups_max, kept_min: KEPT_MIN })
    }

    fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            limit: options.limit,
            kept_min: options.kept_min,
            source: Source::new(options.servers, options.limit),
            zones: Zones::new(options.lookups_max),
            entries: Mutex::default(),
        }))
    }

    /// The addresses of a name, or of an address written out: itself.
    pub(super) async fn resolve(&self, name: &str) -> Result<Addresses, Unresolved> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok([address].into());
        }
        match self.remembered(name) {
            Remembered::End(end) => end,
            Remembered::Looking(looking, None) => looking.await,
            Remembered::Looking(looking, Some(stale)) => {
                match tokio::time::timeout(STALE_WAIT, looking).await {
                    Ok(Err(Unresolved::Missing)) => Err(Unresolved::Missing),
                    Ok(Ok(addresses)) => Ok(addresses),
                    Ok(Err(_)) | Err(_) => Ok(stale),
                }
            }
        }
    }

    fn remembered(&self, name: &str) -> Remembered {
        let mut entries = self.0.lock();
        if entries.len() >= NAMES_MAX && !entries.contains_key(name) {
            make_room(&mut entries);
        }
        let entry = entries.entry(name.to_owned()).or_default();
        if let Some(known) = entry.known.as_ref().filter(|known| known.since.elapsed() < known.kept) {
            return Remembered::End(Ok(known.addresses.clone()));
        }
        let stale = entry.known.as_ref().filter(|known| known.since.elapsed() < STALE_MAX);
        let stale = stale.map(|known| known.addresses.clone());
        if let Some(failed) = entry.failed.as_ref().filter(|failed| failed.since.elapsed() < failed.rest()) {
            return Remembered::End(stale.ok_or_else(|| failed.error.clone()));
        }
        // One that is over without having been noted has panicked.
        let under_way = entry.looking.as_ref().filter(|looking| looking.peek().is_none()).cloned();
        let looking = under_way.unwrap_or_else(|| self.look_up(name));
        entry.looking = Some(looking.clone());
        Remembered::Looking(looking, stale)
    }

    /// The look-up runs in a task of its own: it ends, and its result is noted, also when no call waits any more.
    fn look_up(&self, name: &str) -> Looking {
        let (tell, told) = oneshot::channel();
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        tokio::spawn(async move {
            let found = inner.ask(&name).await;
            // Nobody waits any more, or somebody does: it is noted either way.
            drop(tell.send(inner.note(&name, found)));
        });
        let panicked = || Unresolved::Failed("the look-up panicked".into());
        told.map(move |told| told.unwrap_or_else(|_| Err(panicked()))).boxed().shared()
    }
}

impl Inner {
    async fn ask(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), Unresolved> {
        if let Some(found) = self.source.at_hand(name) {
            return Ok((found, self.kept_min));
        }
        let is_repeat = self.lock().get(name).is_some_and(|entry| entry.failed.is_some());
        let place = match self.zones.enter(name, is_repeat, self.limit).await {
            Ok(place) => place,
            // The name has failed, and the last look-ups of its zone have: so would this one.
            Err(NoLookup::Silent) if is_repeat => return Err(Unresolved::Late),
            Err(NoLookup::Silent | NoLookup::Full) => {
                return Err(Unresolved::Held("too many look-ups are under way".into()));
            }
        };
        let asked = tokio::time::timeout(self.limit, self.source.ask(name)).await;
        let found = asked.unwrap_or(Err(Unresolved::Late));
        place.ended(found != Err(Unresolved::Late));
        found
    }

    fn note(
        &self,
        name: &str,
        found: Result<(Vec<IpAddr>, Duration), Unresolved>,
    ) -> Result<Addresses, Unresolved> {
        let mut entries = self.lock();
        let entry = entries.entry(name.to_owned()).or_default();
        entry.looking = None;
        match found {
            // Nothing was learnt of the name.
            Err(Unresolved::Held(why)) => Err(Unresolved::Held(why)),
            Ok((addresses, kept)) => {
                let addresses: Addresses = addresses.into();
                let kept = kept.clamp(self.kept_min, KEPT_MAX);
                entry.failed = None;
                entry.known = Some(Known { addresses: addresses.clone(), since: Stopwatch::start(), kept });
                Ok(addresses)
            }
            Err(error) => {
                if error == Unresolved::Missing {
                    entry.known = None;
                }
                let in_a_row = entry.failed.as_ref().map_or(0, |failed| failed.in_a_row).saturating_add(1);
                tracing::debug!(name, ?error, in_a_row, "a name could not be resolved");
                entry.failed =
                    Some(FailedLookup { error: error.clone(), since: Stopwatch::start(), in_a_row });
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Each change leaves an entry that can be used: a panic elsewhere does no harm.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FailedLookup {
    /// How long the name server is left alone.
    fn rest(&self) -> Duration {
        REST_MIN * 2_u32.pow(self.in_a_row.saturating_sub(1).min(REST_DOUBLINGS_MAX))
    }
}

/// Forgets what can be found out again.
fn make_room(entries: &mut HashMap<String, Entry>) {
    let is_fresh =
        |entry: &Entry| entry.known.as_ref().is_some_and(|known| known.since.elapsed() < known.kept);
    entries.retain(|_, entry| entry.looking.is_some() || is_fresh(entry));
    if entries.len() >= NAMES_MAX {
        entries.retain(|_, entry| entry.looking.is_some());
    }
}

impl Unresolved {
    /// Why a call to a host did not leave.
    pub(super) fn unreached(&self, host: &str) -> Unreached {
        let words = self.in_words(host);
        if matches!(self, Self::Held(_)) { Unreached::Held(words) } else { Unreached::NotSent(words) }
    }

    /// In words for an operator; the host is what the call was for.
    fn in_words(&self, host: &str) -> String {
        match self {
            Self::Missing => {
                format!("the name of {host} does not exist; check the target, or the name server")
            }
            Self::Late => {
                format!("the name of {host} could not be resolved in time; is its name server well?")
            }
            Self::Failed(why) => format!("the name of {host} could not be resolved ({why})"),
            Self::Held(why) => format!("the name of {host} was not looked up: {why}"),
        }
    }
}
