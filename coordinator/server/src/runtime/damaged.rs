//! Transactions whose journal cannot be read. Each is left alone, whatever becomes of the others: nothing is called for it,
//! nothing is appended to it. It is counted until it can be read again, and looked at again ever less often, so that a sweep
//! that finds it due each second does not read it each second.
//!
//! Known from reads alone, so it is what this coordinator has met since it started: `trine check` finds the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trine_protocol::Gid;

use crate::metrics::Metrics;
use trine_clock::Stopwatch;

/// Damaged transactions that are kept in mind. A store with more than that has other troubles.
const KNOWN_MAX: usize = 100_000;
/// How long one is left alone after the first look, and at most: each look doubles it.
const LOOK_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// What is known of damage. Clones know the same.
#[derive(Debug, Clone)]
pub struct Damaged(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Mutex<BTreeMap<Gid, Known>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Known {
    looked: Stopwatch,
    looks: u32,
}

impl Damaged {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner { known: Mutex::default(), metrics }))
    }

    /// A journal was read and cannot be understood. Said once, and again when it was looked at twice as often.
    pub fn met(&self, gid: &Gid, why: &dyn fmt::Display) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX && !known.contains_key(gid) {
            tracing::error!(%gid, %why, "a journal cannot be read, and so many others that this one is not kept in mind");
            return;
        }
        let entry =
            known.entry(gid.clone()).or_insert_with(|| Known { looked: Stopwatch::start(), looks: 0 });
        let is_due = entry.looks == 0 || entry.looked.elapsed() >= pause(entry.looks);
        if is_due {
            *entry = Known { looked: Stopwatch::start(), looks: entry.looks.saturating_add(1) };
            if entry.looks.is_power_of_two() {
                tracing::error!(
                    %gid, %why,
                    "the journal of this transaction cannot be read: it is left alone until that is mended (TX0021)"
                );
            }
        }
        self.count(&known);
    }

    /// A journal was read, or is not there any more.
    pub fn well(&self, gid: &Gid) {
        let mut known = self.known();
        if !known.is_empty() && known.remove(gid).is_some() {
            tracing::info!(%gid, "the journal of this transaction can be read again, or was deleted");
            self.count(&known);
        }
    }

    /// Whether it is known to be damaged, and was looked at not long ago.
    pub(super) fn is_left_alone(&self, gid: &Gid) -> bool {
        self.known().get(gid).is_some_and(|known| known.looked.elapsed() < pause(known.looks))
    }

    /// How many are known.
    pub fn len(&self) -> u64 {
        self.known().len() as u64
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Gid, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, known: &BTreeMap<Gid, Known>) {
        self.0.metrics.damaged(known.len() as u64);
    }
}

fn pause(looks: u32) -> Duration {
    let (first, longest) = LOOK_AGAIN_AFTER;
    first.saturating_mul(1 << looks.saturating_sub(1).min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_left_alone_and_counted_until_it_can_be_read() {
        let metrics = Metrics::new();
        let damaged = Damaged::new(metrics.clone());
        let (one, two) = (Gid::parse("one").unwrap(), Gid::parse("two").unwrap());
        for gid in [&one, &two, &one] {
            damaged.met(gid, &"seq 3");
        }
        assert!(damaged.is_left_alone(&one) && damaged.is_left_alone(&two));
        assert!(metrics.render().contains("trine_damaged_transactions 2"));
        damaged.well(&one);
        assert!(!damaged.is_left_alone(&one) && damaged.len() == 1);
        assert!(metrics.render().contains("trine_damaged_transactions 1"));
    }

    #[test]
    fn it_is_looked_at_ever_less_often_and_never_given_up() {
        assert_eq!([1, 2, 3, 9, u32::MAX].map(|looks| pause(looks).as_secs()), [30, 60, 120, 600, 600]);
    }
}
