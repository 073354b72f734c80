//! Scenarios that vary one number, and whose results are drawn: initiators, branches, transactions in flight.

use serde_json::{Value, json};

use super::load::{Expect, Load, Pace, Until};
use super::report::Report;
use super::rows::Row;
use super::shape::Shape;
use super::subject::{Subject, Work};
use super::throughput::ratio;
use super::{Bench, disk};
use crate::server::Server;

/// Points of a curve by the name of their row: x, throughput, p99.
pub(super) struct Curve {
    name: &'static str,
    axis: &'static str,
    lines: Vec<(String, Vec<[f64; 3]>)>,
}

impl Curve {
    pub(super) fn new(name: &'static str, axis: &'static str) -> Self {
        Self { name, axis, lines: Vec::new() }
    }

    pub(super) fn add(&mut self, x: f64, rows: &[Row]) {
        for row in rows {
            let point = [x, row.per_second(), row.p99_ms()];
            match self.lines.iter_mut().find(|(name, _)| *name == row.name) {
                Some((_, points)) => points.push(point),
                None => self.lines.push((row.name.clone(), vec![point])),
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let lines = self.lines.iter().map(|(name, points)| json!({"name": name, "points": points}));
        json!({"name": self.name, "axis": self.axis, "lines": lines.collect::<Vec<_>>()})
    }
}

/// From one initiator, who sees the latency, to 256, who share every durable write.
pub(super) fn initiators(bench: &Bench) -> Result<Report, String> {
    let mut report = Report::new("initiators", &format!("sagas waited for, {}", bench.store.name()));
    let mut curve = Curve::new("initiators", "initiators");
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let trine = bench.start_trine("initiators")?;
    for initiators in [1, 16, 64, 256] {
        let work = Work::closed(Shape::Saga(2), initiators);
        let contenders = bench.against_null(&null, &trine, &work);
        let rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
        curve.add(initiators as f64, &rows);
        report.add_rows(&work.to_string(), &rows);
        let (null, trine) = (&rows[0], &rows[1]);
        if initiators == 64 {
            report.ratio = Some(ratio(trine, null));
            report.add_figure("saga2-64", ratio(trine, null));
            report.add_figure("p99-64", trine.p99_ms() / null.p99_ms().max(0.001));
            let cpu = trine.cpu_us("coordinator").zip(null.cpu_us("coordinator"));
            report.figures.extend(cpu.map(|(trine, null)| ("processor", trine / null)));
            report.figures.extend(trine.syncs().map(|syncs| ("syncs-64", syncs)));
        }
        if initiators == 256 {
            report.add_figure("saga2-256", ratio(trine, null));
            report.figures.extend(trine.syncs().map(|syncs| ("syncs-256", syncs)));
        }
    }
    let work = Work::closed(Shape::Saga(5), 1);
    let write_ms = disk::durable_write_ms(bench)?;
    let rows =
        bench.in_turn(&bench.against_null(&null, &trine, &work), &[&participant], bench.short_seconds)?;
    report.add_rows(&work.to_string(), &rows);
    // Of the writes before and after, the faster ones: a disturbance would make Trine look better.
    let write_ms = write_ms.min(disk::durable_write_ms(bench)?);
    let above = rows[1].p50_ms() - rows[0].p50_ms() - 2.0 * write_ms;
    report.add_figure("saga5-1", above);
    report.curves.push(curve.json());
    Ok(report)
}

/// Each branch of a saga is one more call, and in the exact mode one more durable round.
pub(super) fn branches(bench: &Bench) -> Result<Report, String> {
    let initiators = bench.initiators();
    let mut report = Report::new("branches", &format!("{initiators} initiators, {}", bench.store.name()));
    let mut curve = Curve::new("branches", "branches of the saga");
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let trine = bench.start_trine("branches")?;
    let counts: &[usize] = if bench.quick { &[1, 3, 10] } else { &[1, 2, 5, 10] };
    for &count in counts {
        let work = Work::closed(Shape::Saga(count), initiators);
        let contenders = bench.against_null(&null, &trine, &work);
        let rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
        curve.add(count as f64, &rows);
        report.add_rows(&work.to_string(), &rows);
    }
    report.curves.push(curve.json());
    Ok(report)
}

/// Throughput while other transactions wait in memory.
pub(super) fn in_flight(bench: &Bench) -> Result<Report, String> {
    let work = Work::closed(Shape::Saga(2), bench.initiators());
    let mut report =
        Report::new("in-flight", &format!("{work}, beside waiting transactions, {}", bench.store.name()));
    let mut curve = Curve::new("in-flight", "waiting transactions in memory");
    let participant = bench.start_participant()?;
    let trine = bench.start_trine("in flight")?;
    let mut waiting = 0;
    for wanted in [1_000, 10_000, bench.sized(20_000, 100_000)] {
        report.errors.extend(bench.fill(&trine, &participant, wanted - waiting)?);
        waiting = wanted;
        let rows = bench.in_turn(&bench.in_modes(&trine, &work), &[&participant], bench.short_seconds)?;
        curve.add(wanted as f64, &rows);
        report.add_rows(&format!("{wanted} waiting"), &rows);
    }
    report.curves.push(curve.json());
    Ok(report)
}

impl Bench {
    /// Creates transactions of two branches with payloads of 200 bytes that wait in memory. Their delay is shorter than the time
    /// after which an idle transaction leaves memory.
    pub(super) fn fill(
        &self,
        trine: &Subject,
        participant: &Server,
        count: u64,
    ) -> Result<Vec<String>, String> {
        // 200 bytes with the key and the quotes.
        let payload = json!({"text": "x".repeat(189)});
        let mut body = Shape::Saga(2).native(&participant.url, None, &payload);
        body["options"]["start_delay"] = json!("4m 30s");
        let load = Load {
            url: format!("{}/v1/transactions", trine.url),
            bodies: vec![body],
            pace: Pace::Initiators(64),
            until: Until::Count(count),
            expect: Expect::Accepted,
            busy_allowed: false,
        };
        let (outcome, _) = self.run_load(&load)?;
        eprintln!("{:.0} waiting transactions accepted in {:.1} s", outcome.done, outcome.seconds);
        Ok(outcome.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Outcome;
    use crate::bench::subject::Round;

    #[test]
    fn rows_of_one_name_make_one_line() {
        let row = |name: &str, per_second| Row {
            name: name.to_owned(),
            rounds: vec![Round { outcome: Outcome { per_second, ..Outcome::default() }, ..Round::default() }],
        };
        let mut curve = Curve::new("c", "axis");
        curve.add(1.0, &[row("null", 10.0), row("trine", 5.0)]);
        curve.add(64.0, &[row("null", 20.0), row("trine", 8.0)]);
        let lines = curve.json()["lines"].clone();
        assert_eq!(lines[0]["points"], json!([[1.0, 10.0, 0.0], [64.0, 20.0, 0.0]]));
        assert_eq!(lines[1]["name"], "trine");
    }
}
