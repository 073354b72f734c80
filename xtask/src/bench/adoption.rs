//! The scenario `adoption`: a coordinator is killed with many unfinished transactions, and its successor of the same name settles
//! them. The same number of fresh transactions is the measure.

use std::time::{Duration, Instant};

use serde_json::json;

use super::http::{self, Counters};
use super::load::{Pace, Until};
use super::report::Report;
use super::shape::Shape;
use super::subject::{Subject, Work};
use super::{Bench, median};
use crate::server::Server;
use crate::wait::wait_for;

const NAME: &str = "bench";
/// Rounds of this scenario; each one is long.
const ROUNDS: usize = 3;
const SETTLE_WITHIN: Duration = Duration::from_secs(900);

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let count = bench.sized(3_000, 100_000);
    let work =
        Work { waited: false, ..Work::closed(Shape::Saga(2), bench.initiators()) }.with(bench.modes[0].1);
    let mut report = Report::new("adoption", &format!("{count} x {}, {}", work.shape, bench.store.name()));
    let participant = bench.start_participant()?;
    let (mut fresh, mut adopted, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=ROUNDS {
        fresh.push(run_fresh(bench, &participant, &work, count, number)?);
        let (took, until_first) = adopt(bench, &participant, &work, count, number)?;
        eprintln!("round {number}: {:.1} s fresh, {took:.1} s adopted", fresh[number - 1]);
        adopted.push(took);
        first.push(until_first);
    }
    let (fresh, adopted, first) = (median(fresh), median(adopted), median(first));
    let ratio = adopted / fresh.max(0.001);
    report.add_line(&format!("{fresh:.2} s from the first request until {count} fresh ones are settled"));
    report.add_line(&format!(
        "{adopted:.2} s from the start of the successor until all are settled, the first after {first:.2} s"
    ));
    report.add_line(&format!("ratio adopted/fresh: {ratio:.3}"));
    report.json.insert(
        "adoption".to_owned(),
        json!({"count": count, "fresh_seconds": fresh, "adopted_seconds": adopted, "first_after_seconds": first, "ratio": ratio}),
    );
    report.ratio = Some(ratio);
    report.add_figure("adoption", ratio);
    Ok(report)
}

fn run_fresh(
    bench: &Bench,
    participant: &Server,
    work: &Work,
    count: u64,
    number: usize,
) -> Result<f64, String> {
    let trine = bench.start_trine(&format!("fresh {number}"))?;
    let begun = Instant::now();
    accept(bench, &trine, participant, work, count)?;
    settled(&trine, count)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds until everything is settled, and until the first transaction is.
fn adopt(
    bench: &Bench,
    participant: &Server,
    work: &Work,
    count: u64,
    number: usize,
) -> Result<(f64, f64), String> {
    let (store, database) = bench.database(&bench.store, &format!("adopted {number}"))?;
    let trine = bench.start_trine_at(&store, database.clone(), Some(NAME))?;
    http::get(&format!("{}/switch/hang", participant.url))?;
    accept(bench, &trine, participant, work, count)?;
    // Dropping it kills it at once.
    drop(trine);
    http::get(&format!("{}/switch/answer", participant.url))?;
    let begun = Instant::now();
    let successor = bench.start_trine_at(&store, database, Some(NAME))?;
    settled(&successor, 1)?;
    let first = begun.elapsed().as_secs_f64();
    settled(&successor, count)?;
    Ok((begun.elapsed().as_secs_f64(), first))
}

fn accept(
    bench: &Bench,
    trine: &Subject,
    participant: &Server,
    work: &Work,
    count: u64,
) -> Result<(), String> {
    let work = Work { pace: Pace::Initiators(bench.initiators()), ..work.clone() };
    let (outcome, _) = bench.run_load(&trine.load(&work, &[participant], Until::Count(count))?)?;
    if outcome.errors.is_empty() { Ok(()) } else { Err(outcome.errors.join("; ")) }
}

/// Waits until so many transactions have been settled since the coordinator's start.
fn settled(trine: &Subject, count: u64) -> Result<(), String> {
    wait_for(SETTLE_WITHIN, || {
        let settled = Counters::of(&trine.url)?.settled;
        let missing = || format!("{settled} of {count} transactions are settled");
        Ok((settled >= count as f64).then_some(()).ok_or_else(missing))
    })
}
