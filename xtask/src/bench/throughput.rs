//! The scenario `throughput`: one kind of work, on a coordinator that makes the same calls and records nothing, and on Trine.

use super::Bench;
use super::report::Report;
use super::rows::{Contender, Row};
use super::subject::{Dialect, Subject, Work};

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let trine = bench.start_trine("throughput")?;
    let rows =
        bench.in_turn(&bench.against_null(&null, &trine, &bench.work), &[&participant], bench.seconds)?;
    let heading = format!(
        "{}, {}, medians of {} rounds of {} s",
        bench.work,
        bench.store.name(),
        bench.rounds,
        bench.seconds
    );
    let mut report = Report::new("throughput", &heading);
    report.add_rows(&bench.work.to_string(), &rows);
    for row in &rows[1..] {
        report.add_line(&format!("ratio {}/null: {:.3}", row.name, ratio(row, &rows[0])));
    }
    report.ratio = Some(ratio(&rows[1], &rows[0]));
    Ok(report)
}

/// Throughput of a row divided by that of another.
pub(super) fn ratio(row: &Row, base: &Row) -> f64 {
    row.per_second() / base.per_second().max(0.001)
}

impl Bench {
    /// The null coordinator and Trine in each mode, with the same work. Trine's first mode is the one that targets are for.
    pub(super) fn against_null<'a>(
        &self,
        null: &'a Subject,
        trine: &'a Subject,
        work: &Work,
    ) -> Vec<Contender<'a>> {
        let mut contenders = vec![Contender::new("null", null, work.clone())];
        contenders.extend(self.in_modes(trine, work));
        contenders
    }

    /// Trine in each mode that the work can have.
    pub(super) fn in_modes<'a>(&self, trine: &'a Subject, work: &Work) -> Vec<Contender<'a>> {
        if work.shape.is_saga() && work.dialect == Dialect::Native {
            let modes = self.modes.iter();
            modes.map(|&(name, exposure)| Contender::new(name, trine, work.with(exposure))).collect()
        } else {
            vec![Contender::new("trine", trine, work.clone())]
        }
    }
}
