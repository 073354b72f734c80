//! The scenario `isolation`: a participant that hangs must not slow transactions that do not use it.

use super::Bench;
use super::http;
use super::load::{Pace, Until};
use super::report::Report;
use super::rows::Row;
use super::shape::Shape;
use super::subject::{Round, Subject, Work};
use super::throughput::ratio;
use crate::server::Server;

const PARTICIPANTS: usize = 10;
/// Transactions at the tenth participant when a round begins.
const PILE: u64 = 500;
/// Further ones each second of the round.
const TRICKLE_PER_SECOND: f64 = 10.0;

/// Rounds in which the tenth participant answers, and rounds in which it hangs, in turn and on one server. What is measured is
/// the transactions at the other nine.
pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let work = Work::closed(Shape::Saga(2), bench.initiators()).with(bench.modes[0].1);
    let mut report = Report::new(
        "isolation",
        &format!(
            "{work}, at nine participants; {PILE} transactions at a tenth, and {TRICKLE_PER_SECOND} more each second, {}",
            bench.store.name()
        ),
    );
    let participants = (0..PARTICIPANTS).map(|_| bench.start_participant()).collect::<Result<Vec<_>, _>>()?;
    let trine = bench.start_trine("isolation")?;
    let mut rows =
        ["none hangs", "one of ten hangs"].map(|name| Row { name: name.to_owned(), rounds: Vec::new() });
    for number in 1..=bench.rounds {
        for (row, hangs) in rows.iter_mut().zip([false, true]) {
            let (round, errors) = round(bench, &trine, &participants, &work, hangs)?;
            eprintln!("round {number}, {}: {:.0}/s", row.name, round.outcome.per_second);
            row.rounds.push(round);
            report.errors.extend(errors);
        }
    }
    report.add_rows("the nine", &rows);
    let ratio = ratio(&rows[1], &rows[0]);
    report.add_line(&format!("ratio one of ten hangs/none hangs: {ratio:.3}"));
    report.ratio = Some(ratio);
    report.add_figure("isolation", ratio);
    Ok(report)
}

/// One round. Afterwards the tenth participant answers, and everything is settled.
fn round(
    bench: &Bench,
    trine: &Subject,
    participants: &[Server],
    work: &Work,
    hangs: bool,
) -> Result<(Round, Vec<String>), String> {
    let (nine, tenth) = participants.split_at(PARTICIPANTS - 1);
    let nine: Vec<&Server> = nine.iter().collect();
    let tenth = &tenth[0];
    if hangs {
        http::get(&format!("{}/switch/hang", tenth.url))?;
    }
    let beside = Work { waited: false, pace: Pace::Initiators(16), ..work.clone() };
    let (pile, _) = bench.run_load(&trine.load(&beside, &[tenth], Until::Count(PILE))?)?;
    let beside = Work { pace: Pace::PerSecond(TRICKLE_PER_SECOND), ..beside };
    // The process is killed on drop, long before these seconds are over.
    let for_ever = Until::Seconds(bench.short_seconds * 10.0 + 60.0);
    let mut trickle = bench.start_load(&trine.load(&beside, &[tenth], for_ever)?)?;
    let round = bench.round(trine, work, &nine, Until::Seconds(bench.short_seconds))?;
    trickle.ensure_running()?;
    drop(trickle);
    http::get(&format!("{}/switch/answer", tenth.url))?;
    trine.wait_until_settled()?;
    Ok((round, pile.errors))
}
