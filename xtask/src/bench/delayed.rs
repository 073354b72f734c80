//! The scenario `delayed`: PostgreSQL behind a proxy that holds each request for some milliseconds, as a slow disk or a
//! synchronous standby would hold a commit. Trine sends each batch in one request.

use super::Bench;
use super::report::Report;
use super::shape::Shape;
use super::subject::Work;
use super::throughput::ratio;

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let mut report = Report::new("delayed", "PostgreSQL, each request to the database held back");
    let participant = bench.start_participant()?;
    let null = bench.start_null(&participant)?;
    for write_ms in [2, 5] {
        let trine = bench.start_delayed(write_ms)?;
        for (shape, initiators) in [(Shape::Saga(2), 64), (Shape::Saga(5), 1)] {
            let work = Work::closed(shape, initiators);
            let contenders = bench.against_null(&null, &trine, &work);
            let rows = bench.in_turn(&contenders, &[&participant], bench.short_seconds)?;
            report.add_rows(&format!("{write_ms} ms: {work}"), &rows);
            if initiators == 1 {
                let above = rows[1].p50_ms() - rows[0].p50_ms();
                report.add_line(&format!("p50 above that of null: {above:.2} ms"));
                if write_ms == 5 {
                    report.add_figure("saga5-delayed", above);
                }
            } else {
                report.ratio = report.ratio.or(Some(ratio(&rows[1], &rows[0])));
            }
        }
    }
    Ok(report)
}
