//! Rounds of several coordinators in turn, the medians of each, and the table they are printed in.

use serde_json::{Value, json};

use super::load::Until;
use super::subject::{Round, Subject, Work};
use super::{Bench, median};
use crate::server::Server;

const WARM_UP_SECONDS: f64 = 0.3;

/// One line of a table: this work on this coordinator.
pub(super) struct Contender<'a> {
    pub(super) name: String,
    pub(super) subject: &'a Subject,
    pub(super) work: Work,
}

/// The rounds of one contender.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) rounds: Vec<Round>,
}

impl<'a> Contender<'a> {
    pub(super) fn new(name: impl Into<String>, subject: &'a Subject, work: Work) -> Self {
        Self { name: name.into(), subject, work }
    }
}

impl Bench {
    /// Gives each contender its rounds, in turn: A B A B. So a disturbance of the machine affects all of them.
    pub(super) fn in_turn(
        &self,
        contenders: &[Contender<'_>],
        participants: &[&Server],
        seconds: f64,
    ) -> Result<Vec<Row>, String> {
        let mut rows: Vec<Row> =
            contenders.iter().map(|one| Row { name: one.name.clone(), rounds: Vec::new() }).collect();
        for Contender { subject, work, .. } in contenders {
            self.round(subject, work, participants, Until::Seconds(WARM_UP_SECONDS))?;
        }
        for number in 1..=self.rounds {
            let mut rates = Vec::new();
            for (one, row) in contenders.iter().zip(&mut rows) {
                let round = self.round(one.subject, &one.work, participants, Until::Seconds(seconds))?;
                rates.push(format!("{} {:.0}/s", one.name, round.outcome.per_second));
                row.rounds.push(round);
            }
            eprintln!("round {number}: {}", rates.join(", "));
        }
        Ok(rows)
    }
}

impl Row {
    pub(super) fn of(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    /// The median of a figure that some coordinators do not have.
    pub(super) fn some(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let figures: Vec<f64> = self.rounds.iter().filter_map(figure).collect();
        (!figures.is_empty()).then(|| median(figures))
    }

    pub(super) fn per_second(&self) -> f64 {
        self.of(|round| round.outcome.per_second)
    }

    pub(super) fn p50_ms(&self) -> f64 {
        self.of(|round| round.outcome.p50_ms)
    }

    pub(super) fn p99_ms(&self) -> f64 {
        self.of(|round| round.outcome.p99_ms)
    }

    pub(super) fn cpu_us(&self, name: &str) -> Option<f64> {
        self.some(|round| round.cpu_us(name))
    }

    pub(super) fn syncs(&self) -> Option<f64> {
        self.some(Round::syncs_per_transaction)
    }

    fn batches(&self) -> Option<f64> {
        self.some(|round| Some(round.per_transaction(round.written?.batches)))
    }

    fn records(&self) -> Option<f64> {
        self.some(|round| Some(round.per_transaction(round.written?.records)))
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let errors = self.rounds.iter().flat_map(|round| &round.outcome.errors);
        errors.map(|error| format!("{}: {error}", self.name)).collect()
    }

    pub(super) fn json(&self) -> Value {
        let cpu = ["coordinator", "database", "participant", "load"];
        let cpu = cpu.map(|name| (name.to_owned(), json!(self.cpu_us(name))));
        let written =
            |round: &Round| round.written.map(|written| written.writing / written.batches.max(1.0) * 1e3);
        json!({
            "name": self.name,
            "per_second": self.per_second(),
            "rounds_per_second": self.rounds.iter().map(|round| round.outcome.per_second).collect::<Vec<_>>(),
            "p50_ms": self.p50_ms(), "p90_ms": self.of(|round| round.outcome.p90_ms),
            "p99_ms": self.p99_ms(), "p999_ms": self.of(|round| round.outcome.p999_ms),
            "busy": self.of(|round| round.outcome.busy),
            "cpu_us_per_transaction": serde_json::Map::from_iter(cpu),
            "processors_busy": self.of(Round::processors_busy),
            "batches_per_transaction": self.batches(), "records_per_transaction": self.records(),
            "syncs_per_transaction": self.syncs(), "write_ms": self.some(written),
            "peak_bytes": self.of(|round| round.peak_bytes),
        })
    }

    /// The row of the table. `base` is the row whose throughput this one's is divided by.
    fn line(&self, base: Option<&Self>) -> String {
        let cpu = |name| self.cpu_us(name).map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"));
        let small =
            |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.3}"));
        let ratio = base.map(|base| self.per_second() / base.per_second().max(0.001));
        format!(
            "{:<34}{:>8.0}{:>8}{:>8.2}{:>8.2}{:>8.2}{:>8.1}{:>8}{:>8}{:>8}{:>8}{:>8.2}{:>9}{:>9}{:>9}{:>8.0}\n",
            self.name,
            self.per_second(),
            small(ratio),
            self.p50_ms(),
            self.of(|round| round.outcome.p90_ms),
            self.p99_ms(),
            self.of(|round| round.outcome.p999_ms),
            cpu("coordinator"),
            cpu("database"),
            cpu("participant"),
            cpu("load"),
            self.of(Round::processors_busy),
            small(self.batches()),
            small(self.syncs()),
            small(self.records()),
            self.of(|round| round.peak_bytes) / 1e6,
        )
    }
}

/// The table of these rows; ratios are to the first one.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<34}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}{:>9}{:>8}\n",
        "",
        "tx/s",
        "ratio",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "coord",
        "db",
        "part",
        "load",
        "busy",
        "batches",
        "fsyncs",
        "records",
        "peak MB"
    );
    for row in rows {
        text += &row.line(rows.first());
    }
    text
}

/// What the columns of `table` mean. Printed once.
pub(super) const LEGEND: &str = "\
ratio: throughput divided by that of the first row of its block; coord, db, part, load: processor microseconds per transaction\n\
of coordinator, database server, participants, initiators; busy: processors; batches, fsyncs, records: per transaction; peak MB:\n\
most memory of the coordinator in a round; every figure is the median of its rounds, and the rows of a block had their rounds in turn\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Outcome;

    fn row(name: &str, rates: &[f64]) -> Row {
        let rounds = rates.iter().map(|&rate| Round {
            outcome: Outcome { done: rate, seconds: 1.0, per_second: rate, ..Outcome::default() },
            cpu: vec![("load", 0.001 * rate), ("coordinator", 1.0)],
            ..Round::default()
        });
        Row { name: name.to_owned(), rounds: rounds.collect() }
    }

    #[test]
    fn a_row_holds_the_medians_of_its_rounds() {
        let row = row("trine", &[100.0, 500.0, 200.0]);
        assert_eq!((row.per_second(), row.cpu_us("load")), (200.0, Some(1000.0)));
        assert_eq!(
            (row.cpu_us("coordinator"), row.cpu_us("database"), row.syncs()),
            (Some(5000.0), None, None)
        );
    }

    #[test]
    fn ratios_are_to_the_first_row() {
        let text = table(&[row("null", &[400.0]), row("trine", &[100.0])]);
        let ratios: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(ratios, ["1.000", "0.250"]);
    }
}
