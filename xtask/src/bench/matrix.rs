//! The scenario `shapes`: every shape, waited for and not, over both APIs, in the closed and in the open loop.

use super::Bench;
use super::load::Pace;
use super::report::Report;
use super::rows::Contender;
use super::shape::Shape;
use super::subject::{Dialect, Work};

/// The open loop starts this share of what the closed loop reached.
const OPEN_SHARE: f64 = 0.5;

pub(super) fn shapes(bench: &Bench) -> Result<Report, String> {
    let initiators = bench.initiators();
    let mut report = Report::new("shapes", &format!("{initiators} initiators, {}", bench.store.name()));
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    let trine = bench.start_trine("shapes")?;
    let mut add = |work: Work, contenders: &[Contender<'_>]| {
        let rows = bench.in_turn(contenders, &[&participant], bench.short_seconds)?;
        report.add_rows(&work.to_string(), &rows);
        Ok::<f64, String>(rows.get(1).map_or(0.0, |row| row.per_second()))
    };
    let mut reached = 0.0;
    for shape in
        [Shape::Saga(5), Shape::Graph, Shape::Tcc(2), Shape::TwoPhase(2), Shape::Message(1), Shape::Saga(2)]
    {
        let work = Work::closed(shape, initiators);
        reached = add(work.clone(), &bench.against_null(&null, &trine, &work))?;
    }
    let saga = Work::closed(Shape::Saga(2), initiators);
    // The last shape above is this saga, so the rate is one that it can stand.
    let open = Work { pace: Pace::PerSecond((reached * OPEN_SHARE).round().max(1.0)), ..saga.clone() };
    add(open.clone(), &bench.against_null(&null, &trine, &open))?;
    let not_waited = Work { waited: false, ..saga.clone() };
    add(not_waited.clone(), &bench.in_modes(&trine, &not_waited))?;
    for shape in [Shape::Saga(2), Shape::Message(1)] {
        let dtm = Work { dialect: Dialect::Dtm, ..Work::closed(shape, initiators) };
        add(dtm.clone(), &bench.against_null(&null, &trine, &dtm))?;
    }
    Ok(report)
}

impl Bench {
    /// Initiators where the scenario does not vary them.
    pub(super) fn initiators(&self) -> usize {
        match self.work.pace {
            Pace::Initiators(count) => count,
            Pace::PerSecond(_) => 64,
        }
    }
}
