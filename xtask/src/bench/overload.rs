//! The scenario `overload`: twice the rate that the server can sustain. What it accepts must keep its latency, and the rest must be
//! told to come again.

use super::Bench;
use super::load::{Pace, Until};
use super::report::Report;
use super::rows::Contender;
use super::shape::Shape;
use super::subject::Work;

/// Initiators that find the sustainable rate.
const INITIATORS: usize = 256;
/// How the initiators describe a connection that was cut before its answer.
const CUT: &str = "no answer: Connection reset";

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let closed = Work::closed(Shape::Saga(2), INITIATORS).with(bench.modes[0].1);
    let mut report =
        Report::new("overload", &format!("{}, waited for, {}", closed.shape, bench.store.name()));
    let participant = bench.start_participant()?;
    let trine = bench.start_trine("overload")?;
    // Long rounds: a backlog must have the time to grow.
    let seconds = 3.0 * bench.short_seconds;
    let found = bench.round(&trine, &closed, &[&participant], Until::Seconds(seconds))?;
    let rate = found.outcome.per_second.round().max(1.0);
    report.add_line(&format!("sustainable: {rate:.0}/s, found with {INITIATORS} initiators"));
    let at = |share: f64| Work { pace: Pace::PerSecond(rate * share), busy_allowed: true, ..closed.clone() };
    let contenders =
        [Contender::new("half of it", &trine, at(0.5)), Contender::new("twice", &trine, at(2.0))];
    let rows = bench.in_turn(&contenders, &[&participant], seconds)?;
    report.add_rows("open loop, accepted transactions", &rows);
    // A connection above the server's bound may be cut. This is a refusal, too, and is shown.
    let (cut, errors) = std::mem::take(&mut report.errors).into_iter().partition(|error| error.contains(CUT));
    report.errors = errors;
    let cut: Vec<String> = cut;
    for connections in cut {
        report.add_line(&format!("refused at {connections}"));
    }
    let busy = rows[1].of(|round| round.outcome.busy / (round.outcome.busy + round.outcome.done).max(1.0));
    report.add_line(&format!("refused as busy at twice the rate: {:.1} %", busy * 100.0));
    report.add_line(&format!(
        "p99 at twice the rate / at half: {:.1}",
        rows[1].p99_ms() / rows[0].p99_ms().max(0.001)
    ));
    Ok(report)
}
