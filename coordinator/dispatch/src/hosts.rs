//! Places at hosts: how many calls may be under way at each, and for how long others wait in line.
//!
//! Several services may stand behind one host, such as a gateway. Each service has its own places and its own line, so a
//! service that hangs fills only its own places. The host bounds the places of all its services together. The last quarter of
//! a host's places is reserved for services that have few, so that services that hang leave room for one that works. When a
//! full host gets a free place, the waiting service with the fewest places gets it. A host without calls is forgotten.
//! Not here: connections, which the clients keep.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Options;

/// Pause of a call that got no place, before jitter.
const TURNED_AWAY_MS_MIN: u64 = 250;
const TURNED_AWAY_MS_MAX: u64 = 10_000;
/// The last 1/`LAST_PART` of a host's places is reserved for services that have fewer than 1/`FEW_PART` of them.
const LAST_PART: usize = 4;
const FEW_PART: usize = 32;
/// Most services that are told apart at one host; all others share one line. Paths come from clients, so without this bound
/// there could be any number.
const SERVICES_MAX: usize = 256;

/// Places at all hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    options: Options,
    state: Mutex<Occupancy>,
}

#[derive(Debug, Default)]
struct Occupancy {
    hosts: HashMap<Arc<str>, Host>,
    /// Calls under way or waiting, everywhere.
    calls: usize,
    /// Numbers the calls that wait, in the order in which they came.
    last_ticket: u64,
}

#[derive(Debug, Default)]
struct Host {
    under_way: usize,
    services: HashMap<Arc<str>, Service>,
}

#[derive(Debug, Default)]
struct Service {
    under_way: usize,
    line: VecDeque<Waiter>,
    /// Calls turned away since a place was last given back: grows only while the service is stuck.
    turned_away: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    tell: oneshot::Sender<Place>,
}

/// Whose places a call takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Scheme, host and port.
    pub(super) host: Arc<str>,
    /// The participant's name, or the first segment of the path.
    pub(super) service: Arc<str>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, service } = self;
        if service.is_empty() || service.starts_with('/') {
            write!(f, "{host}{service}")
        } else {
            write!(f, "participant {service} at {host}")
        }
    }
}

/// One of a service's places, and of its host's. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    hosts: Arc<Hosts>,
    key: Key,
    /// False: it has been given back already, under the lock.
    held: bool,
}

/// A call's position in the line. Dropping it leaves the line.
#[derive(Debug)]
struct InLine {
    hosts: Arc<Hosts>,
    key: Key,
    ticket: u64,
}

/// No place in time: ask again after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPlace {
    pub(super) retry_after_ms: u64,
    pub(super) full: Full,
}

/// The bound that left no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The service's own.
    Service,
    /// Its host's, for all services there.
    Host,
    /// Its host's last places, which are reserved for services that have few.
    Reserved,
    /// All hosts' together.
    Everywhere,
}

impl Full {
    /// Why a call has no place.
    pub(super) fn in_words(self, key: &Key) -> String {
        let host = &key.host;
        match self {
            Self::Service => {
                format!("{key} has as many calls under way as it may have (dispatch.per_service_max)")
            }
            Self::Host => {
                format!("the host {host} has as many calls under way as it may have (dispatch.per_host_max)")
            }
            Self::Reserved => format!(
                "three quarters of the calls that the host {host} may have (dispatch.per_host_max) are under way, and the rest \
                is for services that have few"
            ),
            Self::Everywhere => "as many calls are under way or wait as may (dispatch.calls_max)".into(),
        }
    }
}

/// What asking for a place led to.
enum Asked {
    Given(Place),
    InLine(oneshot::Receiver<Place>, InLine),
}

impl Hosts {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default() })
    }

    /// Waits, not longer than the options say, for a place.
    pub(super) async fn enter(self: &Arc<Self>, key: &Key) -> Result<Place, NoPlace> {
        let (told, in_line) = match self.ask(key)? {
            Asked::Given(place) => return Ok(place),
            Asked::InLine(told, in_line) => (told, in_line),
        };
        let wait = Duration::from_millis(self.options.queue_wait_ms);
        match tokio::time::timeout(wait, told).await {
            Ok(Ok(place)) => Ok(place),
            // Nobody leaves who waits without a word; if somebody did, there would be no place either.
            Ok(Err(_)) | Err(_) => Err(self.turn_away(&in_line.key)),
        }
    }

    fn ask(self: &Arc<Self>, key: &Key) -> Result<Asked, NoPlace> {
        let mut state = self.lock();
        let Occupancy { hosts, calls, last_ticket } = &mut *state;
        // The sum bounds the lines; who finds a place free takes it whatever lines stand elsewhere.
        let crowded = *calls >= self.options.calls_max;
        let host = hosts.entry(Arc::clone(&key.host)).or_default();
        let told_apart = host.services.len() < SERVICES_MAX || host.services.contains_key(&key.service);
        let key = if told_apart { key.clone() } else { Key { service: "".into(), ..key.clone() } };
        let service = host.services.entry(Arc::clone(&key.service)).or_default();
        let full = service.full(host.under_way, &self.options);
        let Some(full) = full else {
            host.under_way += 1;
            service.under_way += 1;
            *calls += 1;
            return Ok(Asked::Given(Place { hosts: Arc::clone(self), key, held: true }));
        };
        if crowded || service.line.len() >= self.options.queue_len_max {
            let no_place = service.turn_away(if crowded { Full::Everywhere } else { full });
            state.tidy(&key);
            return Err(no_place);
        }
        *calls += 1;
        *last_ticket += 1;
        let (ticket, (tell, told)) = (*last_ticket, oneshot::channel());
        service.line.push_back(Waiter { ticket, tell });
        Ok(Asked::InLine(told, InLine { hosts: Arc::clone(self), key, ticket }))
    }

    fn turn_away(&self, key: &Key) -> NoPlace {
        let mut state = self.lock();
        let host = state.hosts.get_mut(&key.host);
        let found = host.and_then(|host| Some((host.under_way, host.services.get_mut(&key.service)?)));
        match found {
            // A place that became free just now was given to somebody else: the service has no more than it may have.
            Some((at_host, service)) => {
                service.turn_away(service.full(at_host, &self.options).unwrap_or(Full::Service))
            }
            None => NoPlace { retry_after_ms: jittered(TURNED_AWAY_MS_MIN), full: Full::Service },
        }
    }

    /// Hands free places of a host to those in line.
    fn hand_out(self: &Arc<Self>, state: &mut Occupancy, name: &Arc<str>) {
        let Occupancy { hosts, calls, .. } = state;
        let Some(host) = hosts.get_mut(name) else { return };
        loop {
            let at_host = host.under_way;
            let in_line = host.services.iter_mut();
            let in_line = in_line.filter(|(_, service)| service.full(at_host, &self.options).is_none());
            let next = in_line
                .filter_map(|(name, service)| {
                    let first = service.line.front()?.ticket;
                    Some((service.under_way, first, name, service))
                })
                .min_by_key(|(under_way, first, ..)| (*under_way, *first));
            let Some((_, _, service_name, service)) = next else { return };
            let Some(waiter) = service.line.pop_front() else { return };
            let key = Key { host: Arc::clone(name), service: Arc::clone(service_name) };
            match waiter.tell.send(Place { hosts: Arc::clone(self), key, held: true }) {
                Ok(()) => {
                    service.under_way += 1;
                    host.under_way += 1;
                }
                // Whoever waited is gone.
                Err(mut place) => {
                    place.held = false;
                    *calls = calls.saturating_sub(1);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        // Counters are changed in one step each: a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lock().hosts.len()
    }

    /// Calls at a service, under way or waiting.
    #[cfg(test)]
    pub(super) fn calls_at(&self, key: &Key) -> usize {
        let state = self.lock();
        let service = state.hosts.get(&key.host).and_then(|host| host.services.get(&key.service));
        service.map_or(0, |service| service.under_way + service.line.len())
    }
}

impl Occupancy {
    /// Forgets a service, and its host, once nobody is there.
    fn tidy(&mut self, key: &Key) {
        let Some(host) = self.hosts.get_mut(&key.host) else { return };
        if host
            .services
            .get(&key.service)
            .is_some_and(|service| service.under_way == 0 && service.line.is_empty())
        {
            host.services.remove(&key.service);
        }
        if host.services.is_empty() {
            self.hosts.remove(&key.host);
        }
    }
}

impl Service {
    /// The bound that leaves no place, at a host with so many calls under way; none: there is a place.
    fn full(&self, at_host: usize, options: &Options) -> Option<Full> {
        let Options { per_host_max, per_service_max, .. } = *options;
        if self.under_way >= per_service_max {
            Some(Full::Service)
        } else if at_host >= per_host_max {
            Some(Full::Host)
        } else {
            is_kept_for_others(at_host, per_host_max, self.under_way).then_some(Full::Reserved)
        }
    }

    /// The pause grows with the number of calls that got no place, so that thousands of calls to a service that hangs do not
    /// come back every second.
    fn turn_away(&mut self, full: Full) -> NoPlace {
        self.turned_away = self.turned_away.saturating_add(1);
        let pause_ms = TURNED_AWAY_MS_MIN.saturating_add(self.turned_away).min(TURNED_AWAY_MS_MAX);
        NoPlace { retry_after_ms: jittered(pause_ms), full }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let mut state = self.hosts.lock();
        state.calls = state.calls.saturating_sub(1);
        if let Some(host) = state.hosts.get_mut(&self.key.host) {
            host.under_way = host.under_way.saturating_sub(1);
            if let Some(service) = host.services.get_mut(&self.key.service) {
                service.under_way = service.under_way.saturating_sub(1);
                service.turned_away = 0;
            }
        }
        self.hosts.hand_out(&mut state, &self.key.host);
        state.tidy(&self.key);
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut state = self.hosts.lock();
        let service =
            state.hosts.get_mut(&self.key.host).and_then(|host| host.services.get_mut(&self.key.service));
        let at = service
            .as_ref()
            .and_then(|service| service.line.iter().position(|one| one.ticket == self.ticket));
        // Not in line any more: a place was given, and is counted as one.
        if let (Some(service), Some(at)) = (service, at) {
            service.line.remove(at);
            state.calls = state.calls.saturating_sub(1);
        }
        state.tidy(&self.key);
    }
}

/// Whether the places left of `max` are reserved for others. `own`: the places of the service or host that asks.
pub(super) fn is_kept_for_others(taken: usize, max: usize, own: usize) -> bool {
    taken >= max - max / LAST_PART && own >= (max / FEW_PART).max(1)
}

/// Between one half and three halves of it.
fn jittered(base_ms: u64) -> u64 {
    base_ms / 2 + fastrand::u64(0..=base_ms)
}

#[cfg(test)]
mod tests;
