//! What a call passes on its way out of a lane: [`LivenessGate`], then [`Measured`], then the dispatcher.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use trine_dispatch::{Caller, Dispatcher, Returned};
use trine_engine::Call;

use crate::metrics::Metrics;
use crate::ownership::Liveness;

/// Pause before a held call is tried again.
const HELD_RETRY_MS: u64 = 500;

/// The chain that lanes call. A call that the gate holds back is not counted: the dispatcher never saw it.
pub(crate) fn chain(dispatcher: Dispatcher, metrics: Metrics, liveness: Arc<Liveness>) -> Arc<dyn Caller> {
    let measured = Measured { caller: Arc::new(dispatcher), metrics };
    Arc::new(LivenessGate { caller: Arc::new(measured), liveness })
}

/// Makes no call while [`Liveness::is_cut_off`]: our heartbeat is older than `lapse_after`, we have given up, or another process
/// has our name. Another coordinator may be making the same call, and we could not record the answer.
#[derive(Debug)]
struct LivenessGate {
    caller: Arc<dyn Caller>,
    liveness: Arc<Liveness>,
}

impl Caller for LivenessGate {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        if self.liveness.is_cut_off() {
            let reason = "this coordinator is cut off from its store and makes no calls".to_owned();
            let held = Returned::Held { retry_after_ms: HELD_RETRY_MS, reason };
            return Box::pin(std::future::ready(held));
        }
        self.caller.call(call)
    }
}

/// Counts calls by op and outcome. Calls and answers pass unchanged.
#[derive(Debug, Clone)]
struct Measured {
    caller: Arc<dyn Caller>,
    metrics: Metrics,
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
        let measured = Measured { caller: Arc::new(Scripted), metrics: metrics.clone() };
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
