//! Where registered participants are: what is known of their instances, and whose turn it is.
//!
//! The server tells the directory what the registry holds: all of it at once ([`Refresh`]), or one instance at a time
//! ([`Directory::put`], [`Directory::remove`]). The directory itself reads and stores nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use trine_protocol::Timestamp;
use trine_protocol::v1::{Participant, ParticipantInstance};

use trine_clock::Stopwatch;

/// Names of participants and their live instances. Shared: whoever reads or changes the registry
/// tells the directory, and calls look names up in the directory.
#[derive(Debug, Default)]
pub struct Directory {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    names: HashMap<String, Entry>,
    instances: usize,
    /// All of it was read once.
    is_whole: bool,
    /// Changes since the oldest refresh that is under way began: they are newer than what it reads.
    changes: Vec<Change>,
    refreshes: usize,
}

/// Base URLs, and how long each lives.
#[derive(Debug, Default)]
struct Entry {
    instances: BTreeMap<String, Life>,
    /// Counts picks; shared with the entry's successors, so that a refresh does not start the round again.
    next: Arc<AtomicUsize>,
}

/// Until when an instance lives. The store's clock says how long that is when it is told, and this process carries that on:
/// setting a clock neither ends a registration nor draws it out.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// As its registration says.
    expires_at: Timestamp,
    /// How long it lived on when it was told.
    left_ms: u64,
    told: Stopwatch,
    /// All ops of the instance run behind a barrier, as its registration says.
    guarded: bool,
}

impl Life {
    fn told(left_ms: u64, expires_at: Timestamp, guarded: bool) -> Self {
        Self { expires_at, left_ms, told: Stopwatch::start(), guarded }
    }

    /// Of an instance as it was read at `at`; `known`: what was known of it before.
    fn read(one: &ParticipantInstance, at: Timestamp, known: Option<Self>) -> Self {
        known.filter(|known| known.expires_at == one.expires_at).unwrap_or_else(|| {
            let whole_ms = one.expires_at.millis_since(one.registered_at);
            Self::told(one.expires_at.millis_since(at).min(whole_ms), one.expires_at, one.guarded)
        })
    }

    fn left_ms(&self) -> u64 {
        self.left_ms.saturating_sub(self.told.elapsed_ms())
    }
}

#[derive(Debug, Clone)]
enum Change {
    Put { name: String, base_url: String, life: Life },
    Remove { name: String, base_url: Option<String> },
}

/// Why a name has no live instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoInstance {
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
        /// The name of the participant.
        name: String,
        /// When the last one lapsed, unless it was deleted.
        since: Option<Timestamp>,
    },
}

/// A reading of the whole registry that is under way. Changes that are told meanwhile are newer than what it finds.
#[derive(Debug)]
pub struct Refresh<'a>(&'a Directory);

impl Refresh<'_> {
    /// Replaces everything that was known before it began. `at`: when it was read, by the store's clock.
    pub fn found(self, at: Timestamp, participants: Vec<Participant>) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut known.names);
        known.instances = participants.iter().map(|participant| participant.instances.len()).sum();
        let names = participants.into_iter().map(|participant| {
            let before = old.get(&participant.name);
            let next = before.map(|entry| entry.next.clone()).unwrap_or_default();
            let instances = participant.instances.into_iter().map(|one| {
                let known = before.and_then(|entry| entry.instances.get(&one.base_url)).copied();
                let life = Life::read(&one, at, known);
                (one.base_url, life)
            });
            (participant.name, Entry { instances: instances.collect(), next })
        });
        known.names = names.collect();
        for change in known.changes.clone() {
            known.apply(change);
        }
        known.is_whole = true;
    }
}

impl Drop for Refresh<'_> {
    fn drop(&mut self) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.refreshes -= 1;
        if known.refreshes == 0 {
            known.changes = Vec::new();
        }
    }
}

impl Directory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Call it before the registry is read.
    pub fn refresh(&self) -> Refresh<'_> {
        self.known.write().unwrap_or_else(PoisonError::into_inner).refreshes += 1;
        Refresh(self)
    }

    /// An instance was registered, or lives on; `at`: when, by the store's clock. `guarded`: as its registration says.
    pub fn put(&self, name: &str, base_url: &str, at: Timestamp, expires_at: Timestamp, guarded: bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let life = Life::told(expires_at.millis_since(at), expires_at, guarded);
        known.change(Change::Put { name: name.to_owned(), base_url: base_url.to_owned(), life });
    }

    /// An instance was removed, or all of a name.
    pub fn remove(&self, name: &str, base_url: Option<&str>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.change(Change::Remove { name: name.to_owned(), base_url: base_url.map(str::to_owned) });
    }

    /// Whether the registry was read at least once.
    pub fn is_whole(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).is_whole
    }

    /// Whether the name was ever registered; its instances may have lapsed.
    pub fn knows(&self, name: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).names.contains_key(name)
    }

    /// Whether the participant has live instances, and all of them run their ops behind a barrier.
    pub fn is_guarded(&self, name: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = known.names.get(name) else { return false };
        let mut alive = entry.instances.values().filter(|life| life.left_ms() > 0).peekable();
        alive.peek().is_some() && alive.all(|life| life.guarded)
    }

    /// Whether the instance is registered; it may have lapsed.
    pub fn has(&self, name: &str, base_url: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.names.get(name).is_some_and(|entry| entry.instances.contains_key(base_url))
    }

    /// Instances of all names, those that have lapsed and are not forgotten yet included.
    pub fn instances(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).instances
    }

    /// The URL of `path` at the instance whose turn it is.
    pub(super) fn resolve(&self, name: &str, path: &str) -> Result<String, NoInstance> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.names.get(name).ok_or_else(|| NoInstance::NeverRegistered(name.to_owned()))?;
        let turn = entry.next.fetch_add(1, Ordering::Relaxed);
        let alive = || entry.instances.iter().filter(|(_, life)| life.left_ms() > 0);
        let count = alive().count();
        let (base_url, _) =
            turn.checked_rem(count).and_then(|index| alive().nth(index)).ok_or_else(|| {
                NoInstance::NoneAlive {
                    name: name.to_owned(),
                    since: entry.instances.values().map(|life| life.expires_at).max(),
                }
            })?;
        Ok(format!("{}{path}", base_url.trim_end_matches('/')))
    }
}

impl Known {
    fn change(&mut self, change: Change) {
        if self.refreshes > 0 {
            self.changes.push(change.clone());
        }
        self.apply(change);
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put { name, base_url, life } => {
                let entry = self.names.entry(name).or_default();
                let is_new = entry.instances.insert(base_url, life).is_none();
                self.instances += usize::from(is_new);
            }
            Change::Remove { name, base_url } => {
                let Some(entry) = self.names.get_mut(&name) else { return };
                let before = entry.instances.len();
                entry.instances.retain(|url, _| base_url.as_ref().is_some_and(|base_url| url != base_url));
                self.instances -= before - entry.instances.len();
                if entry.instances.is_empty() {
                    self.names.remove(&name);
                }
            }
        }
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
                guarded: false,
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
        directory.refresh().found(
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
        directory.refresh().found(NOW, two());
        assert_eq!(resolve(&directory), "http://a:1/reserve");
        directory.refresh().found(NOW, two());
        assert_eq!(resolve(&directory), "http://b:1/reserve");
    }

    #[test]
    fn a_name_without_live_instances_and_an_unknown_name_read_differently() {
        let directory = Directory::new();
        assert!(!directory.knows("stock"));
        assert!(resolve(&directory).starts_with("no participant is registered as `stock`"));
        directory.refresh().found(NOW, vec![participant("stock", &[("http://a:1", 1_000)])]);
        assert!(directory.knows("stock"));
        assert!(
            resolve(&directory)
                .starts_with("no live instance of participant `stock` since 1970-01-01T00:00:01.000Z;")
        );
        directory.refresh().found(NOW, vec![participant("stock", &[])]);
        assert!(resolve(&directory).starts_with("no live instance of participant `stock`"));
    }

    #[test]
    fn setting_the_clock_neither_ends_a_registration_nor_draws_it_out() {
        let hour_ms = 3_600_000;
        let (now, until) =
            (Timestamp::from_millis(2 * hour_ms), Timestamp::from_millis(2 * hour_ms + 60_000));
        let registered = || vec![participant("stock", &[("http://a:1", until.millis())])];
        for set_to in [hour_ms, 3 * hour_ms].map(Timestamp::from_millis) {
            for is_told in [false, true] {
                let directory = Directory::new();
                if is_told {
                    directory.put("stock", "http://a:1", now, until, false);
                } else {
                    directory.refresh().found(now, registered());
                }
                directory.refresh().found(set_to, registered());
                // Another instance's heartbeat says what time it is now.
                directory.put("orders", "http://o:1", set_to, set_to.plus_millis(60_000), false);
                assert_eq!(resolve(&directory), "http://a:1/reserve", "set to {set_to}");
                let known = directory.known.read().unwrap();
                let left_ms = known.names["stock"].instances["http://a:1"].left_ms();
                assert!(left_ms <= 60_000, "set to {set_to}: {left_ms}");
            }
        }
    }

    #[test]
    fn one_instance_is_put_and_removed_without_touching_the_others() {
        let directory = Directory::new();
        directory.refresh().found(NOW, vec![participant("stock", &[("http://a:1", 90_000)])]);
        directory.put("stock", "http://b:1", NOW, Timestamp::from_millis(90_000), false);
        directory.put("stock", "http://b:1", NOW, Timestamp::from_millis(95_000), false);
        assert_eq!(directory.instances(), 2);
        assert_eq!(
            (resolve(&directory), resolve(&directory)),
            ("http://a:1/reserve".into(), "http://b:1/reserve".into())
        );
        directory.remove("stock", Some("http://a:1"));
        assert_eq!((resolve(&directory), directory.instances()), ("http://b:1/reserve".into(), 1));
        directory.remove("stock", None);
        assert!(!directory.knows("stock") && directory.instances() == 0);
    }

    #[test]
    fn a_participant_is_guarded_if_all_of_its_live_instances_are() {
        let directory = Directory::new();
        let until = Timestamp::from_millis(90_000);
        assert!(!directory.is_guarded("stock"), "nobody knows it");
        directory.put("stock", "http://a:1", NOW, until, true);
        directory.put("stock", "http://lapsed:1", NOW, NOW, false);
        assert!(directory.is_guarded("stock"), "a lapsed instance gets no calls");
        directory.put("stock", "http://b:1", NOW, until, false);
        assert!(!directory.is_guarded("stock"));
        directory.put("stock", "http://b:1", NOW, until, true);
        assert!(directory.is_guarded("stock"));
        directory.remove("stock", Some("http://a:1"));
        directory.remove("stock", Some("http://b:1"));
        assert!(!directory.is_guarded("stock"), "no instance lives");
        let mut read = participant("stock", &[("http://a:1", 90_000)]);
        read.instances[0].guarded = true;
        directory.refresh().found(NOW, vec![read]);
        assert!(directory.is_guarded("stock"));
        directory.refresh().found(NOW, vec![participant("stock", &[("http://a:1", 91_000)])]);
        assert!(!directory.is_guarded("stock"), "it was renewed without the word");
    }

    #[test]
    fn a_change_is_not_undone_by_a_reading_that_had_begun_before_it() {
        let directory = Directory::new();
        let reading = directory.refresh();
        directory.put("new", "http://n", NOW, Timestamp::from_millis(90_000), false);
        directory.remove("gone", Some("http://g"));
        reading.found(NOW, vec![participant("gone", &[("http://g", 90_000)])]);
        assert!(directory.has("new", "http://n") && !directory.knows("gone"));
        directory.refresh().found(NOW, Vec::new());
        assert!(!directory.knows("new") && directory.instances() == 0);
    }
}
