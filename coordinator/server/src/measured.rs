//! Counts what another caller does. Not here: anything that changes a call or its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use trine_dispatch::{Caller, Returned};
use trine_engine::Call;

use crate::metrics::Metrics;

/// A caller whose calls are counted by op and outcome.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    caller: Arc<dyn Caller>,
    metrics: Metrics,
}

impl Measured {
    /// Counts the calls of `caller`.
    pub(crate) fn new(caller: Arc<dyn Caller>, metrics: Metrics) -> Self {
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

#[cfg(test)]
mod tests {
    use trine_dispatch::on_paper;
    use trine_protocol::{Op, OutcomeKind};

    use super::*;

    /// Answers an action, finds nobody for a try, and has no room for anything else.
    #[derive(Debug)]
    struct Scripted;

    impl Caller for Scripted {
        fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
            let reason = String::new();
            let returned = match call.op() {
                Op::Action => Returned::Answer(on_paper::heard(&call, 200, "")),
                Op::Try => Returned::NotSent { retry_after_ms: 1, reason },
                _ => Returned::Held { retry_after_ms: 1, reason },
            };
            std::future::ready(returned).boxed()
        }
    }

    #[tokio::test]
    async fn calls_are_counted_by_op_and_outcome() {
        let metrics = Metrics::new();
        let measured = Measured::new(Arc::new(Scripted), metrics.clone());
        for op in [Op::Action, Op::Try, Op::Compensate] {
            measured.call(on_paper::call(op)).await;
        }
        let text = metrics.render();
        let counted =
            [(Op::Action, OutcomeKind::Done.as_str()), (Op::Try, "not_sent"), (Op::Compensate, "held")];
        for (op, outcome) in counted {
            assert!(
                text.contains(&format!(r#"trine_calls_total{{op="{op}",outcome="{outcome}"}} 1"#)),
                "{text}"
            );
        }
        assert!(text.contains(r#"trine_call_seconds_count{op="action"} 1"#), "{text}");
    }
}
