//! Transactions whose journal cannot be read. Such a transaction is left alone: no calls, no appends. The others go on. It is
//! counted until its journal can be read again. The pauses between reads grow, because the sweep finds it due each second and
//! would otherwise read it each second.
//!
//! Only transactions that this coordinator has tried to read since its start are known here. `trine check` finds the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trine_protocol::Gid;

use crate::metrics::Metrics;
use trine_clock::Stopwatch;

/// Most damaged transactions that are remembered.
const KNOWN_MAX: usize = 100_000;
/// Pause after the first read, and the longest pause. Each read doubles the pause.
const LOOK_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// The damaged transactions known to this coordinator. Clones share them.
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

    /// A journal was read, and it is damaged. Logged at the first read, the second, the fourth, and so on.
    pub fn met(&self, gid: &Gid, why: &dyn fmt::Display) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX && !known.contains_key(gid) {
            tracing::error!(%gid, %why, "a journal cannot be read; it is not counted, because too many damaged ones are known already");
            return;
        }
        let entry =
            known.entry(gid.clone()).or_insert_with(|| Known { looked: Stopwatch::start(), looks: 0 });
        // Clients may make the lane read the journal at any time. Only a read that was due doubles the pause.
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

    /// A journal could be read, or is gone.
    pub fn well(&self, gid: &Gid) {
        let mut known = self.known();
        // Every healthy read comes here, so the common case (nothing is damaged) must not search the map.
        if !known.is_empty() && known.remove(gid).is_some() {
            tracing::info!(%gid, "the journal of this transaction can be read again, or was deleted");
            self.count(&known);
        }
    }

    /// Whether the transaction is known to be damaged, and its next read is not due yet.
    pub(super) fn is_left_alone(&self, gid: &Gid) -> bool {
        self.known().get(gid).is_some_and(|known| known.looked.elapsed() < pause(known.looks))
    }

    /// Number of damaged transactions.
    pub fn len(&self) -> u64 {
        self.known().len() as u64
    }

    /// Whether no damaged transaction is known.
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
    fn a_damaged_transaction_is_left_alone_and_counted_until_it_can_be_read() {
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
    fn pauses_between_reads_of_a_damaged_journal_grow_up_to_a_limit() {
        assert_eq!([1, 2, 3, 9, u32::MAX].map(|looks| pause(looks).as_secs()), [30, 60, 120, 600, 600]);
    }
}
