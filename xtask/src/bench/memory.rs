//! The scenario `memory`: the release server idle, and with 10,000 waiting transactions.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Expect, Load, Until};
use super::{Bench, Report};
use crate::process::Memory;
use crate::server::Server;

const WAITING: u32 = 10_000;
const SETTLING: Duration = Duration::from_secs(5);

/// Starts one server for the idle figure and the open transactions, and a fresh one for the delayed sagas.
pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let participant = bench.start_participant()?;
    let open = json!({"pattern": "tcc", "open": true, "options": {"deadline": "1h"}, "branches": []});
    let delayed = json!({
        "pattern": "saga",
        "options": {"start_delay": "1h"},
        "branches": [{
            "id": "stock",
            "action": format!("{}/stock/reserve", participant.url),
            "compensate": format!("{}/stock/release", participant.url),
            "payload": {"sku": "A-1", "quantity": 2},
        }],
    });
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (kind, body) in [("open tcc", open), ("delayed saga", delayed)] {
        let trine = bench.start_trine(&format!("memory-{}", kind.replace(' ', "-")))?;
        rows.push((format!("{kind}: at start"), trine.process.memory()?));
        rows.push((format!("{kind}: idle for 5 s"), settled(&trine)?));
        errors.extend(fill(bench, &trine, body)?);
        rows.push((format!("{kind}: {WAITING} waiting"), trine.process.memory()?));
        rows.push((format!("{kind}: {WAITING} waiting for 5 s"), settled(&trine)?));
    }
    Ok(report(&rows, errors))
}

/// Memory after a pause in which the server may give back what it no longer needs.
fn settled(trine: &Server) -> Result<Memory, String> {
    // The length of the pause is part of what is measured: see the row "waiting for 5 s".
    thread::sleep(SETTLING);
    trine.process.memory()
}

fn fill(bench: &Bench, trine: &Server, body: Value) -> Result<Vec<String>, String> {
    let load = Load {
        url: format!("{}/v1/transactions", trine.url),
        body,
        initiators: bench.initiators,
        until: Until::Count(WAITING),
        expect: Expect::Accepted,
        pause_ms: 0,
    };
    let outcome = bench.run_load(&load, &[])?.outcome;
    eprintln!("{:.0} waiting transactions accepted in {:.1} s", outcome.done, outcome.seconds);
    Ok(outcome.errors)
}

fn report(rows: &[(String, Memory)], errors: Vec<String>) -> Report {
    let mut text =
        format!("memory of the release server\n{:<36}{:>14}{:>14}\n", "", "resident MB", "peak MB");
    let mut figures = Vec::new();
    for (what, memory) in rows {
        let (resident, peak) = (megabytes(memory.resident), megabytes(memory.peak));
        text += &format!("{what:<36}{resident:>14.1}{peak:>14.1}\n");
        figures.push(json!({"what": what, "resident_bytes": memory.resident, "peak_bytes": memory.peak}));
    }
    Report {
        name: "memory",
        text,
        json: json!({"waiting": WAITING, "figures": figures}),
        ratio: None,
        errors,
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_shows_megabytes_and_keeps_bytes() {
        let rows = [("idle".to_owned(), Memory { resident: 12_500_000, peak: 13_000_000 })];
        let report = report(&rows, Vec::new());
        assert!(report.text.contains("12.5"), "{}", report.text);
        assert_eq!(report.json["figures"][0]["peak_bytes"], 13_000_000);
    }
}
