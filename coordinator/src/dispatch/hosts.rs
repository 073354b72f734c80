//! Places at hosts: how many calls may be under way at each, and for how long others wait in line.
//!
//! Every host has its own places and its own line, so a host that hangs fills only its own. A host is forgotten as
//! soon as nobody is under way at it or waits for it. Not here: connections, which the HTTP client keeps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;

/// Rest for a call that was turned away, before jitter.
const TURNED_AWAY_MS_MIN: u64 = 250;
const TURNED_AWAY_MS_MAX: u64 = 10_000;

/// Places at all hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hosts: HashMap<String, Host>,
    /// Calls under way or waiting, everywhere.
    calls: usize,
}

#[derive(Debug)]
struct Host {
    places: Arc<Semaphore>,
    /// Calls under way or waiting here.
    calls: usize,
    /// Calls turned away since a place was last given back: grows only while the host is stuck.
    turned_away: u64,
}

/// One of a host's places. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    // The order matters: the place is free before the host may be forgotten.
    _permit: OwnedSemaphorePermit,
    _entry: Entry,
}

/// Being counted at a host, in line or in place.
#[derive(Debug)]
struct Entry {
    hosts: Arc<Hosts>,
    key: String,
}

/// No place in time: ask again after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPlace {
    pub(super) retry_after_ms: u64,
}

impl Hosts {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default() })
    }

    /// Waits, not longer than the options say, for a place at a host.
    pub(super) async fn enter(self: &Arc<Self>, key: &str) -> Result<Place, NoPlace> {
        let (places, entry) = self.line_up(key)?;
        let wait = Duration::from_millis(self.options.queue_wait_ms);
        match tokio::time::timeout(wait, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit, _entry: entry }),
            // Nobody closes the semaphore; if somebody did, there would be no place either.
            Ok(Err(_)) | Err(_) => Err(self.turn_away(key)),
        }
    }

    fn line_up(self: &Arc<Self>, key: &str) -> Result<(Arc<Semaphore>, Entry), NoPlace> {
        let mut state = self.lock();
        // The sum bounds the lines in front of hosts; a host that has places free takes a call whatever lines stand
        // elsewhere.
        let under_way = state.hosts.get(key).map_or(0, |host| host.calls);
        if state.calls >= self.options.calls_max && under_way >= self.options.per_host_max {
            return Err(NoPlace { retry_after_ms: jittered(TURNED_AWAY_MS_MIN) });
        }
        let host = state.hosts.entry(key.to_owned()).or_insert_with(|| Host {
            places: Arc::new(Semaphore::new(self.options.per_host_max)),
            calls: 0,
            turned_away: 0,
        });
        if host.calls >= self.options.per_host_max.saturating_add(self.options.queue_len_max) {
            return Err(host.turn_away());
        }
        host.calls += 1;
        let places = host.places.clone();
        state.calls += 1;
        drop(state);
        Ok((places, Entry { hosts: self.clone(), key: key.to_owned() }))
    }

    fn turn_away(&self, key: &str) -> NoPlace {
        let mut state = self.lock();
        state
            .hosts
            .get_mut(key)
            .map_or(NoPlace { retry_after_ms: jittered(TURNED_AWAY_MS_MIN) }, Host::turn_away)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters are changed in one step each: a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lock().hosts.len()
    }

    /// Calls at a host, under way or waiting.
    #[cfg(test)]
    pub(super) fn calls_at(&self, key: &str) -> usize {
        self.lock().hosts.get(key).map_or(0, |host| host.calls)
    }
}

impl Host {
    /// A longer rest the more were turned away: a host that hangs is not asked about by thousands every second.
    fn turn_away(&mut self) -> NoPlace {
        self.turned_away = self.turned_away.saturating_add(1);
        let rest_ms = TURNED_AWAY_MS_MIN.saturating_add(self.turned_away).min(TURNED_AWAY_MS_MAX);
        NoPlace { retry_after_ms: jittered(rest_ms) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.hosts.lock();
        state.calls = state.calls.saturating_sub(1);
        let Some(host) = state.hosts.get_mut(&self.key) else { return };
        host.calls = host.calls.saturating_sub(1);
        host.turned_away = 0;
        if host.calls == 0 {
            state.hosts.remove(&self.key);
        }
    }
}

/// Between one half and three halves of it.
fn jittered(base_ms: u64) -> u64 {
    base_ms / 2 + fastrand::u64(0..=base_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(per_host_max: usize, queue_len_max: usize, queue_wait_ms: u64) -> Arc<Hosts> {
        Hosts::new(Options { per_host_max, queue_len_max, queue_wait_ms, ..Options::default() })
    }

    #[tokio::test]
    async fn a_full_line_turns_away_at_once() {
        let hosts = hosts(1, 0, 3_600_000);
        let place = hosts.enter("a").await.unwrap();
        let no_place = hosts.enter("a").await.unwrap_err();
        assert!((TURNED_AWAY_MS_MIN / 2..=2 * TURNED_AWAY_MS_MIN).contains(&no_place.retry_after_ms));
        drop(place);
        hosts.enter("a").await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_in_line_gets_the_next_place() {
        let hosts = hosts(1, 1, 3_600_000);
        let place = hosts.enter("a").await.unwrap();
        let waiting = tokio::spawn({
            let hosts = hosts.clone();
            async move { hosts.enter("a").await }
        });
        while hosts.calls_at("a") < 2 {
            tokio::task::yield_now().await;
        }
        hosts.enter("a").await.unwrap_err();
        drop(place);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_wait_for_a_place_ends() {
        let hosts = hosts(1, 1, 1);
        let _place = hosts.enter("a").await.unwrap();
        hosts.enter("a").await.unwrap_err();
        assert_eq!(hosts.calls_at("a"), 1, "who was turned away is not counted");
    }

    #[tokio::test]
    async fn a_full_host_leaves_others_their_places() {
        let hosts = hosts(1, 0, 3_600_000);
        let _place = hosts.enter("a").await.unwrap();
        hosts.enter("a").await.unwrap_err();
        hosts.enter("b").await.unwrap();
    }

    #[tokio::test]
    async fn all_hosts_together_are_bounded() {
        let hosts = Hosts::new(Options { calls_max: 2, per_host_max: 1, ..Options::default() });
        let places = (hosts.enter("a").await.unwrap(), hosts.enter("b").await.unwrap());
        // No more lines; but a host that is free serves.
        hosts.enter("a").await.unwrap_err();
        hosts.enter("c").await.unwrap();
        drop(places);
        hosts.enter("a").await.unwrap();
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten() {
        let hosts = hosts(1, 0, 3_600_000);
        for n in 0..1_000 {
            hosts.enter(&format!("host-{n}")).await.unwrap();
        }
        assert_eq!(hosts.known(), 0);
        let place = hosts.enter("a").await.unwrap();
        hosts.enter("a").await.unwrap_err();
        assert_eq!(hosts.known(), 1);
        drop(place);
        assert_eq!((hosts.known(), hosts.lock().calls), (0, 0));
    }

    #[tokio::test]
    async fn the_more_are_turned_away_the_longer_they_rest() {
        let hosts = hosts(1, 0, 3_600_000);
        let place = hosts.enter("a").await.unwrap();
        let mut last = NoPlace { retry_after_ms: 0 };
        for _ in 0..20_000 {
            last = hosts.enter("a").await.unwrap_err();
        }
        assert!((TURNED_AWAY_MS_MAX / 2..=2 * TURNED_AWAY_MS_MAX).contains(&last.retry_after_ms), "{last:?}");
        drop(place);
        let _place = hosts.enter("a").await.unwrap();
        let first = hosts.enter("a").await.unwrap_err();
        assert!(first.retry_after_ms <= 2 * TURNED_AWAY_MS_MIN, "{first:?}");
    }
}
