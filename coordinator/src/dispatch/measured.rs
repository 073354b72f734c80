//! Counts what another caller does. Not here: anything that changes a call or its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use trine_engine::Call;

use super::{Caller, Returned};
use crate::metrics::Metrics;

/// A caller whose calls are counted by op and outcome.
#[derive(Debug, Clone)]
pub struct Measured {
    caller: Arc<dyn Caller>,
    metrics: Metrics,
}

impl Measured {
    /// Counts the calls of `caller`.
    pub fn new(caller: Arc<dyn Caller>, metrics: Metrics) -> Self {
        Self { caller, metrics }
    }
}

impl Caller for Measured {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        let (op, metrics) = (call.op(), self.metrics.clone());
        let returned = self.caller.call(call);
        returned
            .inspect(move |returned| match returned {
                Returned::Answer(answer) => {
                    let took = Duration::from_millis(answer.report.duration_ms);
                    metrics.call_ended(op, answer.outcome.kind(), took.as_secs_f64());
                }
                Returned::NotSent { .. } => metrics.call_not_sent(op),
                Returned::Held { .. } => metrics.call_held(op),
            })
            .boxed()
    }
}
