//! Tells the log that this coordinator holds calls back, at most every 30 s. Not here: the metric that counts every such call.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trine_clock::Stopwatch;

/// The log is told at most once in this time.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// What was held back since the log was told.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Mutex<Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    told: Option<Stopwatch>,
    untold: u64,
}

impl Held {
    /// A call was held back.
    pub(super) fn note(&self, reason: &str) {
        if let Some(calls) = self.count() {
            tracing::warn!(
                calls,
                reason,
                "this coordinator holds calls back; they are offered again, and nothing is given up for it"
            );
        }
    }

    /// How many calls were held back since the last line of the log; none if that line is too recent.
    fn count(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold += 1;
        if state.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        state.told = Some(Stopwatch::start());
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_of_the_first_call_and_not_of_each_that_follows() {
        let held = Held::default();
        assert_eq!(held.count(), Some(1));
        assert!((0..1_000).all(|_| held.count().is_none()));
        held.state.lock().unwrap().told = None;
        assert_eq!(held.count(), Some(1_001));
    }
}
