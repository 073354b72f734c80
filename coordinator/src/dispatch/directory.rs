//! Where registered participants are: a snapshot of their instances, and whose turn it is.
//!
//! The snapshot comes from elsewhere ([`Directory::replace`]); nothing is read or kept here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use trine_protocol::Timestamp;
use trine_protocol::v1::{Participant, ParticipantInstance};

use crate::clock::Stopwatch;

/// Names of participants and their live instances. Shared: whoever reads the registry replaces it, calls resolve in it.
#[derive(Debug, Default)]
pub struct Directory {
    names: RwLock<Arc<Snapshot>>,
}

/// What was read, and since when: who lives is judged by the store's clock, which this process carries on.
#[derive(Debug)]
struct Snapshot {
    names: HashMap<String, Entry>,
    read: Stopwatch,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { names: HashMap::new(), read: Stopwatch::start() }
    }
}

#[derive(Debug)]
struct Entry {
    instances: Vec<Instance>,
    /// Counts picks; shared with the entry's successors, so that a refresh does not start the round again.
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Instance {
    base_url: String,
    /// As its registration says.
    expires_at: Timestamp,
    /// How long it lives from when it was read: setting a clock neither ends a registration nor draws it out.
    left_ms: u64,
}

impl Instance {
    fn read(one: ParticipantInstance, at: Timestamp, name: &str, old: &Snapshot) -> Self {
        let (base_url, expires_at) = (one.base_url, one.expires_at);
        let known = |old: &&Self| old.base_url == base_url && old.expires_at == expires_at;
        let known = old.names.get(name).and_then(|entry| entry.instances.iter().find(known));
        let left_ms = match known {
            Some(known) => known.left_ms.saturating_sub(old.read.elapsed_ms()),
            None => expires_at.millis_since(at).min(expires_at.millis_since(one.registered_at)),
        };
        Self { base_url, expires_at, left_ms }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// Nobody ever registered it.
    #[error(
        "no participant is registered as `{0}`; start the service, or correct the name in the branch's target"
    )]
    NeverRegistered(String),
    /// All of its instances lapsed.
    #[error(
        "no live instance of participant `{name}`{}; it is called again once an instance registers or sends a heartbeat",
        .since.map(|at| format!(" since {at}")).unwrap_or_default()
    )]
    NoneAlive {
        /// Whose.
        name: String,
        /// When the last one lapsed, unless it was deleted.
        since: Option<Timestamp>,
    },
}

impl Directory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces everything that is known. `at`: when it was read, by the store's clock.
    pub fn replace(&self, at: Timestamp, participants: Vec<Participant>) {
        let old = self.snapshot();
        let names = participants.into_iter().map(|participant| {
            let next = old.names.get(&participant.name).map(|entry| entry.next.clone()).unwrap_or_default();
            let read = |one| Instance::read(one, at, &participant.name, &old);
            let instances = participant.instances.into_iter().map(read).collect();
            (participant.name, Entry { instances, next })
        });
        let snapshot = Snapshot { names: names.collect(), read: Stopwatch::start() };
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// Whether the name was ever registered; its instances may have lapsed.
    pub fn knows(&self, name: &str) -> bool {
        self.snapshot().names.contains_key(name)
    }

    /// The URL of `path` at the instance whose turn it is.
    pub(super) fn resolve(&self, name: &str, path: &str) -> Result<String, Unresolved> {
        let snapshot = self.snapshot();
        let passed_ms = snapshot.read.elapsed_ms();
        let entry = snapshot.names.get(name).ok_or_else(|| Unresolved::NeverRegistered(name.to_owned()))?;
        let turn = entry.next.fetch_add(1, Ordering::Relaxed);
        let alive = || entry.instances.iter().filter(|one| one.left_ms > passed_ms);
        let count = alive().count();
        let instance = turn.checked_rem(count).and_then(|index| alive().nth(index)).ok_or_else(|| {
            Unresolved::NoneAlive {
                name: name.to_owned(),
                since: entry.instances.iter().map(|one| one.expires_at).max(),
            }
        })?;
        Ok(format!("{}{path}", instance.base_url.trim_end_matches('/')))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        // A poisoned lock still holds a whole snapshot: writers only swap it.
        self.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
pub(super) fn participant(name: &str, instances: &[(&str, u64)]) -> Participant {
    use trine_protocol::v1::ParticipantInstance;
    Participant {
        name: name.into(),
        instances: instances
            .iter()
            .map(|(base_url, expires_at)| ParticipantInstance {
                base_url: (*base_url).into(),
                registered_at: Timestamp::from_millis(0),
                expires_at: Timestamp::from_millis(*expires_at),
                alive: true,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn resolve(directory: &Directory) -> String {
        directory.resolve("stock", "/reserve").unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn live_instances_take_turns_and_lapsed_ones_are_skipped() {
        let directory = Directory::new();
        directory.replace(
            NOW,
            vec![participant(
                "stock",
                &[("http://a:1", 90_000), ("http://b:1/v2/", 1_000), ("http://c:1/v2/", 90_000)],
            )],
        );
        let picks: Vec<_> = (0..4).map(|_| resolve(&directory)).collect();
        assert_eq!(
            picks,
            ["http://a:1/reserve", "http://c:1/v2/reserve", "http://a:1/reserve", "http://c:1/v2/reserve"]
        );
    }

    #[test]
    fn a_refresh_does_not_start_the_round_again() {
        let directory = Directory::new();
        let two = || vec![participant("stock", &[("http://a:1", 90_000), ("http://b:1", 90_000)])];
        directory.replace(NOW, two());
        assert_eq!(resolve(&directory), "http://a:1/reserve");
        directory.replace(NOW, two());
        assert_eq!(resolve(&directory), "http://b:1/reserve");
    }

    #[test]
    fn a_name_without_live_instances_and_an_unknown_name_read_differently() {
        let directory = Directory::new();
        assert!(!directory.knows("stock"));
        assert!(resolve(&directory).starts_with("no participant is registered as `stock`"));
        directory.replace(NOW, vec![participant("stock", &[("http://a:1", 1_000)])]);
        assert!(directory.knows("stock"));
        assert!(
            resolve(&directory)
                .starts_with("no live instance of participant `stock` since 1970-01-01T00:00:01.000Z;")
        );
        directory.replace(NOW, vec![participant("stock", &[])]);
        assert!(resolve(&directory).starts_with("no live instance of participant `stock`"));
    }

    #[test]
    fn setting_the_clock_neither_ends_a_registration_nor_draws_it_out() {
        let hour_ms = 3_600_000;
        let registered = || vec![participant("stock", &[("http://a:1", 2 * hour_ms + 60_000)])];
        for set_to in [hour_ms, 3 * hour_ms] {
            let directory = Directory::new();
            directory.replace(Timestamp::from_millis(2 * hour_ms), registered());
            directory.replace(Timestamp::from_millis(set_to), registered());
            assert_eq!(resolve(&directory), "http://a:1/reserve", "set to {set_to}");
            let left_ms = directory.snapshot().names["stock"].instances[0].left_ms;
            assert!(left_ms <= 60_000, "set to {set_to}: {left_ms}");
        }
    }
}
