//! Counting of calls to participants.

use trine_protocol::{Op, OutcomeKind};

use super::Metrics;
use super::labels::{HELD, NOT_SENT};

impl Metrics {
    /// A call was answered, or its outcome is unknown.
    pub fn call_ended(&self, op: Op, outcome: OutcomeKind, took_s: f64) {
        self.inner.called(op, outcome.as_str()).inc();
        self.inner.call_seconds(op).observe(took_s);
    }

    /// This coordinator held a call back.
    pub fn call_held(&self, op: Op) {
        self.inner.called(op, HELD).inc();
    }

    /// A call could not be sent.
    pub fn call_not_sent(&self, op: Op) {
        self.inner.called(op, NOT_SENT).inc();
    }
}
