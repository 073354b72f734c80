//! The figures of a load: latencies in a histogram, and unexpected answers by what they said.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde_json::{Value, json};

/// Kinds of unexpected answers that are counted separately; the rest is counted together.
const ERROR_KINDS_MAX: usize = 10;
/// Latencies are kept in microseconds with three digits, up to ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;
const DIGITS: u8 = 3;

pub(crate) struct Seen {
    latencies_us: Histogram<u64>,
    busy: u64,
    errors: BTreeMap<String, u64>,
}

impl Seen {
    pub(crate) fn new() -> Result<Self, CreationError> {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)?;
        Ok(Self { latencies_us, busy: 0, errors: BTreeMap::new() })
    }

    pub(crate) fn expected(&mut self, latency: Duration) {
        self.latencies_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn busy(&mut self) {
        self.busy += 1;
    }

    pub(crate) fn error(&mut self, what: String) {
        let known = self.errors.contains_key(&what) || self.errors.len() < ERROR_KINDS_MAX;
        *self.errors.entry(if known { what } else { "others".to_owned() }).or_default() += 1;
    }

    pub(crate) fn report(&self, took: Duration) -> Value {
        let done = self.latencies_us.len();
        json!({
            "done": done,
            "seconds": took.as_secs_f64(),
            "per_second": done as f64 / took.as_secs_f64(),
            "p50_ms": self.quantile_ms(0.50),
            "p90_ms": self.quantile_ms(0.90),
            "p99_ms": self.quantile_ms(0.99),
            "p999_ms": self.quantile_ms(0.999),
            "busy": self.busy,
            "errors": self.errors,
        })
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies_us.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_throughput_come_from_the_latencies() {
        let mut seen = Seen::new().unwrap();
        for latency_us in 1..=1000 {
            seen.expected(Duration::from_micros(latency_us));
        }
        let report = seen.report(Duration::from_secs(2));
        assert_eq!((&report["done"], &report["per_second"]), (&json!(1000), &json!(500.0)));
        assert_eq!([&report["p50_ms"], &report["p999_ms"]], [&json!(0.5), &json!(0.999)]);
    }

    #[test]
    fn answers_that_are_not_wanted_have_no_latency() {
        let mut seen = Seen::new().unwrap();
        seen.busy();
        seen.error("502".to_owned());
        let report = seen.report(Duration::from_secs(1));
        assert_eq!(
            (&report["done"], &report["busy"], &report["errors"]["502"]),
            (&json!(0), &json!(1), &json!(1))
        );
    }

    #[test]
    fn many_kinds_of_errors_are_counted_together() {
        let mut seen = Seen::new().unwrap();
        for number in 0..ERROR_KINDS_MAX + 5 {
            seen.error(number.to_string());
        }
        assert_eq!(seen.report(Duration::from_secs(1))["errors"]["others"], 5);
    }
}
