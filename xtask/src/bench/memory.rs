//! The scenario `memory`: the release server idle, and with many waiting transactions.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Bench;
use super::http::Counters;
use super::load::Until;
use super::report::Report;
use super::shape::Shape;
use super::subject::{Subject, Work};
use crate::process::Memory;
use crate::wait::wait_for;

const SETTLING: Duration = Duration::from_secs(3);
/// The server counts them every 10 s.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let waiting = bench.sized(10_000, 100_000);
    let mut report = Report::new(
        "memory",
        &format!("{waiting} waiting sagas of 2 with payloads of 200 bytes, {}", bench.store.name()),
    );
    let participant = bench.start_participant()?;
    let trine = bench.start_trine("memory")?;
    let mut rows = vec![("at start".to_owned(), memory(&trine)?)];
    // The memory of connections and of the allocator is there before the transactions are counted.
    let work = Work::closed(Shape::Saga(2), bench.initiators());
    bench.round(&trine, &work, &[&participant], Until::Seconds(bench.short_seconds))?;
    let before = settled(&trine)?;
    rows.push(("after a load, idle".to_owned(), before));
    report.errors.extend(bench.fill(&trine, &participant, waiting)?);
    let residents = residents(&trine, waiting as f64)?;
    let after = settled(&trine)?;
    rows.push((format!("{waiting} waiting"), after));
    let bytes = (after.resident as f64 - before.resident as f64) / residents.max(1.0);
    report.text += &table(&rows);
    report.add_line(&format!("{bytes:.0} bytes for each of {residents:.0} transactions in memory"));
    for (what, memory) in &rows {
        report
            .json
            .insert(what.clone(), json!({"resident_bytes": memory.resident, "peak_bytes": memory.peak}));
    }
    report.json.insert("bytes_per_transaction".to_owned(), json!(bytes));
    report.add_figure("memory", bytes / 1024.0);
    Ok(report)
}

fn memory(trine: &Subject) -> Result<Memory, String> {
    trine.server.as_ref().ok_or("the server is not ours")?.process.memory()
}

/// How many transactions are in memory, once the server has counted all of them.
fn residents(trine: &Subject, wanted: f64) -> Result<f64, String> {
    wait_for(COUNTED_WITHIN, || {
        let residents = Counters::of(&trine.url)?.residents;
        let missing = || format!("only {residents} of {wanted} transactions are in memory");
        Ok((residents >= wanted).then_some(residents).ok_or_else(missing))
    })
}

/// Memory after a pause in which the server may give back what it no longer needs.
fn settled(trine: &Subject) -> Result<Memory, String> {
    // The pause is part of what is measured.
    thread::sleep(SETTLING);
    memory(trine)
}

fn table(rows: &[(String, Memory)]) -> String {
    let mut text = format!("{:<36}{:>14}{:>14}\n", "", "resident MB", "peak MB");
    for (what, memory) in rows {
        let (resident, peak) = (memory.resident as f64 / 1e6, memory.peak as f64 / 1e6);
        text += &format!("{what:<36}{resident:>14.1}{peak:>14.1}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_megabytes() {
        let text = table(&[("idle".to_owned(), Memory { resident: 12_500_000, peak: 13_000_000 })]);
        assert!(text.contains("12.5") && text.contains("13.0"), "{text}");
    }
}
