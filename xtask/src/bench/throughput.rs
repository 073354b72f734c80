//! The scenario `throughput`: sagas with two branches, on Trine and on a coordinator that makes the same calls and records nothing.

use std::fmt::Write;

use serde_json::{Value, json};

use super::load::Round;
use super::{Bench, Report, disk, median};

const WARM_UP_SECONDS: u32 = 1;

/// Alternates rounds of both, so that a disturbance of the machine affects both.
pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let trine = bench.start_trine("throughput")?;
    for coordinator in [&null, &trine] {
        bench.saga_round(coordinator, &participant, WARM_UP_SECONDS)?;
    }
    let (mut of_null, mut of_trine) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        of_null.push(bench.saga_round(&null, &participant, bench.seconds)?);
        of_trine.push(bench.saga_round(&trine, &participant, bench.seconds)?);
        let rate = |rounds: &[Round]| rounds.last().map_or(0.0, |round| round.outcome.per_second);
        eprintln!("round {round}: null {:.0}/s, trine {:.0}/s", rate(&of_null), rate(&of_trine));
    }
    Ok(report(bench, &of_null, &of_trine, disk::durable_write_ms(bench)?))
}

fn report(bench: &Bench, null: &[Round], trine: &[Round], durable_write_ms: f64) -> Report {
    let (of_null, of_trine) = (Summary::of(null), Summary::of(trine));
    let ratio = of_trine.per_second / of_null.per_second.max(0.001);
    let mut text = format!(
        "throughput: two-branch saga, waited for, {} initiators, medians of {} rounds of {} s\n",
        bench.initiators, bench.rounds, bench.seconds
    );
    text += &Summary::header();
    text += &of_null.row("null");
    text += &of_trine.row("trine");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "ratio trine/null: {ratio:.3}");
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let _ = writeln!(
        text,
        "{processors} processors; a durable write of one page takes {durable_write_ms:.2} ms here"
    );
    let json = json!({
        "initiators": bench.initiators, "rounds": bench.rounds, "seconds": bench.seconds,
        "null": of_null.json(), "trine": of_trine.json(), "ratio": ratio,
        "processors": processors, "durable_write_ms": durable_write_ms,
    });
    let errors = [null, trine].concat().into_iter().flat_map(|round| round.outcome.errors).collect();
    Report { name: "throughput", text, json, ratio: Some(ratio), errors }
}

/// Medians over the rounds of one coordinator.
pub(super) struct Summary {
    pub(super) per_second: f64,
    /// Of each round, for a reader who wants to see the spread.
    rounds_per_second: Vec<f64>,
    p50_ms: f64,
    p99_ms: f64,
    /// Processor microseconds per transaction, by process.
    cpu_us: Vec<(&'static str, f64)>,
    processors_busy: f64,
}

impl Summary {
    pub(super) fn of(rounds: &[Round]) -> Self {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        let names = rounds.first().into_iter().flat_map(|round| round.cpu.iter().map(|(name, _)| *name));
        let cpu_us = names.map(|name| {
            let figures = rounds.iter().flat_map(Round::cpu_us_per_transaction);
            (name, median(figures.filter(|(other, _)| *other == name).map(|(_, figure)| figure)))
        });
        Self {
            per_second: of(|round| round.outcome.per_second),
            rounds_per_second: rounds.iter().map(|round| round.outcome.per_second).collect(),
            p50_ms: of(|round| round.outcome.p50_ms),
            p99_ms: of(|round| round.outcome.p99_ms),
            cpu_us: cpu_us.collect(),
            processors_busy: of(Round::processors_busy),
        }
    }

    pub(super) fn header() -> String {
        format!(
            "{:<12}{:>10}{:>10}{:>10}   {:<42}{:>16}\n",
            "", "tx/s", "p50 ms", "p99 ms", "CPU µs per transaction", "processors busy"
        )
    }

    pub(super) fn row(&self, name: &str) -> String {
        let cpu: Vec<String> =
            self.cpu_us.iter().map(|(name, figure)| format!("{name} {figure:.0}")).collect();
        format!(
            "{name:<12}{:>10.0}{:>10.2}{:>10.2}   {:<42}{:>16.2}\n",
            self.per_second,
            self.p50_ms,
            self.p99_ms,
            cpu.join(", "),
            self.processors_busy
        )
    }

    pub(super) fn json(&self) -> Value {
        let cpu: serde_json::Map<String, Value> =
            self.cpu_us.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect();
        json!({
            "per_second": self.per_second, "rounds_per_second": self.rounds_per_second, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms,
            "cpu_us_per_transaction": cpu, "processors_busy": self.processors_busy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Outcome;

    #[test]
    fn a_summary_holds_the_medians_of_its_rounds() {
        let round = |done: f64| Round {
            outcome: Outcome {
                done,
                seconds: 1.0,
                per_second: done,
                p50_ms: 1.0,
                p99_ms: 2.0,
                errors: Vec::new(),
            },
            cpu: vec![("load", 0.001 * done), ("coordinator", 1.0)],
        };
        let summary = Summary::of(&[round(100.0), round(500.0), round(200.0)]);
        assert_eq!(summary.per_second, 200.0);
        assert_eq!(summary.cpu_us, [("load", 1000.0), ("coordinator", 5000.0)]);
        assert!(summary.row("trine").contains("load 1000, coordinator 5000"));
    }
}
