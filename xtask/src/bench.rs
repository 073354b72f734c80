//! `cargo xtask bench`: how fast the release server is, whether a dead participant slows the others, and how much
//! memory it takes.
//!
//! Speed is reported as a ratio to a null coordinator in the same run, because absolute figures of a shared machine
//! mean little. Here are the options, the builds and the printing; the scenarios are modules below. The programs that
//! carry the load are binaries of this package. All traffic stays on 127.0.0.1.

mod disk;
mod isolation;
mod load;
mod memory;
mod servers;
mod throughput;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::run::{self, cargo};
use crate::server::{self, Build, Scratch};

/// What to measure, and how thoroughly.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum, default_value_t = Scenario::Throughput)]
    scenario: Scenario,
    /// Three rounds of five seconds instead of five rounds of fifteen
    #[arg(long)]
    quick: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Fail when the ratio is lower
    #[arg(long, value_name = "RATIO")]
    min_ratio: Option<f64>,
    /// Concurrent initiators
    #[arg(long, default_value_t = 64)]
    initiators: usize,
    /// Keep the journal there instead of in a new SQLite file: an empty database of a server you run
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Measure this `trine` binary instead of building one
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Scenario {
    /// Two-branch sagas, waited for, against a null coordinator
    Throughput,
    /// The same on a healthy participant while another one hangs
    Isolation,
    /// Idle, and with 10,000 waiting transactions
    Memory,
    /// All of these
    All,
}

/// The binaries under test, and a directory for what they write.
struct Bench {
    trine: PathBuf,
    /// Where the helper programs are.
    programs: PathBuf,
    scratch: Scratch,
    rounds: u32,
    seconds: u32,
    initiators: usize,
    store: Option<String>,
}

/// What a scenario found.
struct Report {
    name: &'static str,
    text: String,
    json: Value,
    ratio: Option<f64>,
    /// Requests that were not answered as expected; a figure with errors in it is not a figure.
    errors: Vec<String>,
}

/// Builds what is needed, runs the scenario and prints what it found.
pub(crate) fn bench(root: &Path, options: &Options) -> Result<(), String> {
    let bench = Bench::prepare(root, options)?;
    let mut reports = Vec::new();
    for (scenario, run) in [
        (Scenario::Throughput, throughput::run as fn(&Bench) -> Result<Report, String>),
        (Scenario::Isolation, isolation::run),
        (Scenario::Memory, memory::run),
    ] {
        if options.scenario == scenario || options.scenario == Scenario::All {
            reports.push(run(&bench)?);
        }
    }
    print(&reports, options.json);
    judge(&reports, options.min_ratio)
}

impl Bench {
    fn prepare(root: &Path, options: &Options) -> Result<Self, String> {
        let target = run::target_directory(root)?;
        let programs = target.join("release");
        let trine = server::trine(root, &target, options.server.as_deref(), Build::Release)?;
        // A build of its own: together with the coordinator's, its features would be the helpers' features.
        let helpers = ["--bin", "bench-load", "--bin", "bench-null", "--bin", "bench-participant"];
        let build = ["build", "--release", "--locked", "-p", "xtask", "--features", "bench"];
        run::run(cargo(root, build).args(helpers))?;
        let scratch = Scratch::new(&target, "bench")?;
        let (rounds, seconds) = if options.quick { (3, 5) } else { (5, 15) };
        let (initiators, store) = (options.initiators, options.store.clone());
        Ok(Self { trine, programs, scratch, rounds, seconds, initiators, store })
    }
}

fn print(reports: &[Report], as_json: bool) {
    if as_json {
        let all: Map<String, Value> =
            reports.iter().map(|report| (report.name.to_owned(), report.json.clone())).collect();
        println!("{:#}", json!(all));
        return;
    }
    for report in reports {
        println!("{}", report.text);
    }
}

/// An error when requests failed or the first ratio is below the wanted one.
fn judge(reports: &[Report], min_ratio: Option<f64>) -> Result<(), String> {
    let errors: Vec<String> = reports
        .iter()
        .flat_map(|report| report.errors.iter().map(move |error| format!("{}: {error}", report.name)))
        .collect();
    if !errors.is_empty() {
        return Err(format!("not every request was answered as expected:\n  {}", errors.join("\n  ")));
    }
    let Some(wanted) = min_ratio else { return Ok(()) };
    let Some(ratio) = reports.iter().find_map(|report| report.ratio) else {
        return Err("this scenario has no ratio to compare with --min-ratio".to_owned());
    };
    if ratio < wanted {
        Err(format!("the ratio is {ratio:.3}, at least {wanted} was asked for"))
    } else {
        Ok(())
    }
}

/// The middle value; the mean of the two middle ones of an even number.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ratio: Option<f64>, errors: &[&str]) -> Report {
        let errors = errors.iter().map(ToString::to_string).collect();
        Report { name: "x", text: String::new(), json: Value::Null, ratio, errors }
    }

    #[test]
    fn a_ratio_below_the_wanted_one_fails() {
        assert!(judge(&[report(Some(0.31), &[])], Some(0.3)).is_ok());
        assert!(judge(&[report(Some(0.29), &[])], Some(0.3)).is_err());
        assert!(judge(&[report(Some(0.29), &[])], None).is_ok());
        assert!(judge(&[report(None, &[])], Some(0.3)).is_err());
    }

    #[test]
    fn an_unexpected_answer_fails_whatever_the_ratio() {
        let error = judge(&[report(Some(1.0), &["503: busy (7 times)"])], None).unwrap_err();
        assert!(error.contains("x: 503: busy (7 times)"), "{error}");
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
