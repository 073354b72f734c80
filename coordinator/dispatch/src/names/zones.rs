//! Permits to ask name servers: a few at a time per zone, and a bounded number in all.
//!
//! Names that could not be resolved lately get a quarter of all look-ups at most, so that thousands of them do not keep names
//! waiting that are asked for the first time.
//!
//! Names that end in the same two labels are one zone; below a registry such as `co.uk`, in the same three. A zone that did not
//! answer several look-ups in a row gets one look-up at a time until it answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most look-ups for names that failed lately, and most in one zone, as a part of all that may be under way.
const PART: usize = 4;
/// After so many without an answer a zone is taken for silent.
const SILENT_AFTER: u32 = 4;
/// With so many zones on the list, those that nobody asks in are forgotten.
const ZONES_MAX: usize = 1_000;

/// All zones.
#[derive(Debug)]
pub(super) struct Zones {
    places: Arc<Semaphore>,
    /// Permits for names that failed lately. Such names wait here first, and not in the line of names that are asked for the
    /// first time.
    repeats: Arc<Semaphore>,
    part: usize,
    zones: Mutex<HashMap<String, Arc<Zone>>>,
}

#[derive(Debug)]
struct Zone {
    places: Arc<Semaphore>,
    /// One permit: for the look-up that finds out whether a silent zone answers again.
    probe: Arc<Semaphore>,
    unanswered: AtomicU32,
}

/// A permit for one look-up. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    zone: Arc<Zone>,
    _permits: [OwnedSemaphorePermit; 2],
    _repeat: Option<OwnedSemaphorePermit>,
}

/// Why a name may not be looked up now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLookup {
    /// Too many look-ups are under way.
    Full,
    /// The zone has not answered for some look-ups in a row, and is being asked again.
    Silent,
}

impl Zones {
    pub(super) fn new(lookups_max: usize) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        let part = (lookups_max / PART).max(1);
        Self { places: places(lookups_max), repeats: places(part), part, zones: Mutex::default() }
    }

    /// Waits for a permit, at most this long for each bound. `is_repeat`: the name could not be resolved lately.
    pub(super) async fn enter(
        &self,
        name: &str,
        is_repeat: bool,
        limit: Duration,
    ) -> Result<Place, NoLookup> {
        let in_time = async |places: &Arc<Semaphore>| {
            let asked = tokio::time::timeout(limit, Arc::clone(places).acquire_owned()).await;
            asked.ok().and_then(Result::ok).ok_or(NoLookup::Full)
        };
        let zone = self.zone(name);
        let own = if zone.unanswered.load(Ordering::Relaxed) >= SILENT_AFTER {
            Arc::clone(&zone.probe).try_acquire_owned().map_err(|_| NoLookup::Silent)?
        } else {
            in_time(&zone.places).await?
        };
        let repeat = if is_repeat { Some(in_time(&self.repeats).await?) } else { None };
        let shared = in_time(&self.places).await?;
        Ok(Place { zone, _permits: [own, shared], _repeat: repeat })
    }

    fn zone(&self, name: &str) -> Arc<Zone> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if zones.len() >= ZONES_MAX {
            zones.retain(|_, zone| Arc::strong_count(zone) > 1);
        }
        let zone = zones.entry(last_labels(name)).or_insert_with(|| {
            let places = |count| Arc::new(Semaphore::new(count));
            let (places, probe) = (places(self.part), places(1));
            Arc::new(Zone { places, probe, unanswered: AtomicU32::new(0) })
        });
        Arc::clone(zone)
    }
}

impl Place {
    /// The zone was asked, and answered or not.
    pub(super) fn ended(self, answered: bool) {
        if answered {
            self.zone.unanswered.store(0, Ordering::Relaxed);
        } else {
            self.zone.unanswered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn last_labels(name: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut labels = name.rsplit('.');
    let (top, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    // Everybody's names end in these two. The list of all such registries is long and changes; this finds nearly all.
    let is_registry = top.len() == 2 && (1..=3).contains(&second.len());
    let count = if is_registry { 3 } else { 2 };
    let from = name.rmatch_indices('.').nth(count - 1).map_or(0, |(at, _)| at + 1);
    name[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_full_zone_leaves_others_their_places() {
        let zones = Zones::new(64);
        let mut held = Vec::new();
        for n in 0..16 {
            held.push(zones.enter(&format!("{n}.slow.example"), false, LIMIT).await.unwrap());
        }
        assert!(
            zones.enter("one-more.slow.example", false, LIMIT).await.is_err_and(|why| why == NoLookup::Full)
        );
        zones.enter("b.well.example", false, LIMIT).await.unwrap();
        zones.enter("localdomain", false, LIMIT).await.unwrap();
        drop(held);
        zones.enter("one-more.slow.example", false, LIMIT).await.unwrap();
    }

    #[test]
    fn a_zone_is_what_one_owner_has() {
        for (name, zone) in [
            ("api.partner.example", "partner.example"),
            ("a.b.Partner.example.", "partner.example"),
            ("api.partner.co.uk", "partner.co.uk"),
            ("partner.com.br", "partner.com.br"),
            ("partner.de", "partner.de"),
            ("orders.shop.svc.cluster.local", "cluster.local"),
            ("stock", "stock"),
            ("", ""),
        ] {
            assert_eq!(last_labels(name), zone, "{name}");
        }
    }

    #[tokio::test]
    async fn a_silent_zone_is_asked_one_look_up_at_a_time_until_it_answers() {
        let zones = Zones::new(64);
        for n in 0..SILENT_AFTER {
            zones.enter(&format!("{n}.a.slow.example."), false, LIMIT).await.unwrap().ended(false);
        }
        let probe = zones.enter("b.slow.EXAMPLE", false, LIMIT).await.unwrap();
        assert!(zones.enter("c.slow.example", false, LIMIT).await.is_err_and(|why| why == NoLookup::Silent));
        probe.ended(true);
        let both = (
            zones.enter("b.slow.example", false, LIMIT).await,
            zones.enter("c.slow.example", false, LIMIT).await,
        );
        assert!(both.0.is_ok() && both.1.is_ok());
    }

    #[tokio::test]
    async fn names_that_failed_lately_leave_first_time_names_their_look_ups() {
        let zones = Zones::new(64);
        let mut held = Vec::new();
        for n in 0..16 {
            held.push(zones.enter(&format!("partner{n}.example"), true, LIMIT).await.unwrap());
        }
        assert!(zones.enter("one-more.example", true, LIMIT).await.is_err_and(|why| why == NoLookup::Full));
        for n in held.len()..64 {
            held.push(zones.enter(&format!("first{n}.example"), false, LIMIT).await.unwrap());
        }
        assert!(zones.enter("stock.example", false, LIMIT).await.is_err_and(|why| why == NoLookup::Full));
    }
}
