//! Metrics of the coordinator's own health: lapses, clocks, and dropped lines of the log.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::{FloatGauge, Labels};
use crate::telemetry;

/// Counted at heartbeats.
#[derive(Default)]
pub(super) struct FitnessMetrics {
    pub(super) lapses: Counter,
    pub(super) gave_up: Counter,
    pub(super) clock_leaps: Counter,
    clock_skew_seconds: FloatGauge,
    clock_set: Family<Labels<1>, Counter>,
}

/// Directions in which the wall clock can be set.
const DIRECTIONS: [&str; 2] = ["forward", "back"];

impl FitnessMetrics {
    pub(super) fn clock_skew(&self, skew_ms: i64) {
        let seconds = Duration::from_millis(skew_ms.unsigned_abs()).as_secs_f64();
        self.clock_skew_seconds.set(if skew_ms < 0 { -seconds } else { seconds });
    }

    pub(super) fn clock_set(&self, by_ms: i64) {
        self.clock_set.get_or_create(&[("direction", DIRECTIONS[usize::from(by_ms < 0)])]).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "lapses",
            "Times this coordinator was silent for so long that others may have taken over what it owned",
            self.lapses.clone(),
        );
        registry.register(
            "gave_up",
            "Times this coordinator let the others take over because its lanes could not work",
            self.gave_up.clone(),
        );
        registry.register_with_unit(
            "clock_skew",
            "How far this machine's clock is ahead of the store's (behind: negative), as of the last heartbeat",
            Unit::Seconds,
            self.clock_skew_seconds.clone(),
        );
        registry.register(
            "clock_leaps",
            "Times the store's clock moved in a way that the passing of time does not explain",
            self.clock_leaps.clone(),
        );
        for direction in DIRECTIONS {
            drop(self.clock_set.get_or_create(&[("direction", direction)]));
        }
        registry.register(
            "clock_set",
            "Times the wall clock was set by more than a second, or the machine slept",
            self.clock_set.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Lines of the log that were not written because nobody read them fast enough",
            telemetry::dropped(),
        );
    }
}
