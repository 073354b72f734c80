//! The scenario `isolation`: a participant that hangs for ever must not slow transactions that do not use it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::load::{Expect, Load, Round, Until};
use super::throughput::Summary;
use super::{Bench, Report};
use crate::server::Server;

/// Transactions that hang when the second measurement begins.
const HANGING: u32 = 500;
/// Pause between further ones during the measurement.
const TRICKLE_PAUSE_MS: u64 = 100;

/// Measures a healthy participant alone, then while transactions pile up on a dead one. Same server, same run.
pub(super) fn run(bench: &Bench) -> Result<Report, String> {
    let (healthy, dead) = (bench.start_participant()?, bench.start_participant()?);
    let trine = bench.start_trine("isolation")?;
    bench.saga_round(&trine, &healthy, 1)?;
    let alone = rounds(bench, &trine, &healthy, "alone")?;

    let pile = bench.run_load(&hanging(&trine, &dead, Until::Count(HANGING), 0), &[])?;
    let trickle_seconds = bench.rounds * bench.seconds + 60;
    // The process is killed on drop, long before these seconds are over.
    let mut trickle =
        bench.start_load(&hanging(&trine, &dead, Until::Seconds(trickle_seconds), TRICKLE_PAUSE_MS))?;
    let beside = rounds(bench, &trine, &healthy, "beside a dead participant")?;
    trickle.ensure_running()?;
    drop(trickle);

    let mut report = report(bench, &alone, &beside);
    report.errors.extend(pile.outcome.errors);
    Ok(report)
}

fn rounds(bench: &Bench, trine: &Server, participant: &Server, what: &str) -> Result<Vec<Round>, String> {
    let mut rounds = Vec::new();
    for number in 1..=bench.rounds {
        let round = bench.saga_round(trine, participant, bench.seconds)?;
        eprintln!("{what}, round {number}: {:.0}/s", round.outcome.per_second);
        rounds.push(round);
    }
    Ok(rounds)
}

/// Initiators of transactions whose only branch never answers.
fn hanging(trine: &Server, dead: &Server, until: Until, pause_ms: u64) -> Load {
    let branch = json!({"id": "stuck", "action": format!("{}/hang", dead.url), "compensate": format!("{}/hang", dead.url)});
    Load {
        url: format!("{}/v1/transactions", trine.url),
        body: json!({"pattern": "saga", "branches": [branch]}),
        initiators: if pause_ms == 0 { 16 } else { 1 },
        until,
        expect: Expect::Accepted,
        pause_ms,
    }
}

fn report(bench: &Bench, alone: &[Round], beside: &[Round]) -> Report {
    let (of_alone, of_beside) = (Summary::of(alone), Summary::of(beside));
    let ratio = of_beside.per_second / of_alone.per_second.max(0.001);
    let mut text = format!(
        "isolation: {} initiators on a healthy participant, alone and beside {HANGING} transactions that hang on \
         another\nand {:.0} more each second, medians of {} rounds of {} s\n",
        bench.initiators,
        1000.0 / TRICKLE_PAUSE_MS as f64,
        bench.rounds,
        bench.seconds
    );
    text += &Summary::header();
    text += &of_alone.row("alone");
    text += &of_beside.row("beside");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "ratio beside/alone: {ratio:.3}");
    let json: Value = json!({
        "initiators": bench.initiators, "rounds": bench.rounds, "seconds": bench.seconds, "hanging": HANGING,
        "alone": of_alone.json(), "beside": of_beside.json(), "ratio": ratio,
    });
    let errors = [alone, beside].concat().into_iter().flat_map(|round| round.outcome.errors).collect();
    Report { name: "isolation", text, json, ratio: Some(ratio), errors }
}
