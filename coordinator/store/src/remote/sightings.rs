//! What this coordinator has seen of the heartbeats of the others.
//!
//! The age of a heartbeat by the database's clock does not tell who is gone. When that clock leaps ahead, every coordinator
//! looks silent; when it is set back, the last heartbeat of a dead coordinator lies in the future. So this process looks
//! again and again whether the row of another coordinator has changed, and measures by its own steady time for how long it
//! has not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trine_clock::Stopwatch;

/// A heartbeat as it stands in the coordinator's row. Two heartbeats of one process are never the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heartbeat {
    pub(super) incarnation: String,
    pub(super) at: i64,
}

/// The last heartbeat that was seen of each coordinator, and the time since it was first seen.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<BTreeMap<String, (Heartbeat, Stopwatch)>>);

impl Sightings {
    /// Notes the heartbeats of all other coordinators as just read. Coordinators that are not among them are forgotten.
    pub(super) fn note<'a>(&self, found: impl Iterator<Item = (&'a str, &'a Heartbeat)>) {
        let mut seen = self.lock();
        let mut noted = BTreeMap::new();
        for (name, heartbeat) in found {
            // Compared for being the same and not for being later: after the database's clock was set back, a new
            // heartbeat is the smaller number.
            let earlier = seen.remove(name).filter(|(earlier, _)| earlier == heartbeat);
            let sighting = earlier.unwrap_or_else(|| (heartbeat.clone(), Stopwatch::start()));
            noted.insert(name.to_owned(), sighting);
        }
        *seen = noted;
    }

    /// For how long this heartbeat has been seen as the last one of the coordinator. None if the coordinator was never
    /// noted.
    pub(super) fn silent_for(&self, name: &str, heartbeat: &Heartbeat) -> Option<Duration> {
        let seen = self.lock();
        let (earlier, since) = seen.get(name)?;
        // A heartbeat that has changed since it was noted is a new one.
        Some(if earlier == heartbeat { since.elapsed() } else { Duration::ZERO })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Heartbeat, Stopwatch)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(incarnation: &str, at: i64) -> Heartbeat {
        Heartbeat { incarnation: incarnation.to_owned(), at }
    }

    #[test]
    fn a_coordinator_is_silent_since_its_row_was_first_seen_as_it_is() {
        let seen = Sightings::default();
        let (first, second, restarted) = (heartbeat("a", 7), heartbeat("a", 8), heartbeat("b", 8));
        assert_eq!(seen.silent_for("one", &first), None, "it was never looked at");
        seen.note([("one", &first), ("two", &first)].into_iter());
        let until_now = seen.silent_for("one", &first).unwrap();
        seen.note([("one", &first)].into_iter());
        assert!(seen.silent_for("one", &first).unwrap() >= until_now, "the second look does not begin anew");
        assert_eq!(seen.silent_for("two", &first), None, "it is not there any more");
        assert_eq!(
            seen.silent_for("one", &second),
            Some(Duration::ZERO),
            "it has beaten since the last look"
        );
        seen.note([("one", &second)].into_iter());
        assert_eq!(seen.silent_for("one", &restarted), Some(Duration::ZERO), "another process has the name");
    }
}
