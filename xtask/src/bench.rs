//! `cargo xtask bench`: how fast the release server is, what it costs, and how it stands hardship.
//!
//! Speed is reported as a ratio to a null coordinator in the same run, because absolute figures of a shared machine
//! mean little. Here are the options, the builds and the output; the scenarios are modules below, and `targets` compares their
//! figures with the project's targets. The programs that carry the load are binaries of this package. All traffic stays on
//! 127.0.0.1. docs/performance.md has the method and the results.

mod adoption;
mod curves;
mod delayed;
mod disk;
mod http;
mod isolation;
mod load;
mod matrix;
mod memory;
mod options;
mod overload;
mod peers;
mod report;
mod rows;
mod servers;
mod settled;
mod shape;
mod stores;
mod subject;
mod targets;
mod throughput;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use options::Options;
use options::{Peer, Scenario};
use report::Report;
use servers::{Product, Store};
use shape::Exposure;
use subject::Work;

use crate::run::{self, cargo};
use crate::server::{self, Build, Scratch, Server};

/// The binaries under test, what is measured, and a directory for what they write.
struct Bench {
    root: PathBuf,
    target: PathBuf,
    trine: PathBuf,
    /// Where the helper programs are.
    programs: PathBuf,
    scratch: Scratch,
    /// Few rounds, and small numbers of transactions.
    quick: bool,
    rounds: u32,
    /// Length of a round of the scenario `throughput`.
    seconds: f64,
    /// Length of a round in the scenarios that have many.
    short_seconds: f64,
    work: Work,
    store: Store,
    peers: Vec<Peer>,
    /// How many settled transactions the scenario `settled` has in its store, ascending; empty: its default.
    settled: Vec<u64>,
    /// The modes of sagas that are measured: the name of the row, and what the body says.
    modes: Vec<(&'static str, Option<Exposure>)>,
    databases: RefCell<BTreeMap<Product, Rc<Server>>>,
}

type Run = fn(&Bench) -> Result<Report, String>;

/// The scenarios in the order in which they run.
const SCENARIOS: [(Scenario, Run); 12] = [
    (Scenario::Throughput, throughput::run),
    (Scenario::Shapes, matrix::shapes),
    (Scenario::Initiators, curves::initiators),
    (Scenario::Branches, curves::branches),
    (Scenario::Stores, stores::run),
    (Scenario::Delayed, delayed::run),
    (Scenario::Isolation, isolation::run),
    (Scenario::Overload, overload::run),
    (Scenario::Adoption, adoption::run),
    (Scenario::Memory, memory::run),
    (Scenario::InFlight, curves::in_flight),
    (Scenario::Settled, settled::run),
];

/// Builds what is needed, runs the scenarios, and prints and draws what they found.
pub(crate) fn bench(root: &Path, options: &Options) -> Result<(), String> {
    let mut bench = Bench::prepare(root, options)?;
    bench.modes = options.modes(&bench)?;
    let mut reports = Vec::new();
    for (scenario, run) in SCENARIOS {
        if options.wants(scenario) {
            reports.push(run(&bench).map_err(|error| format!("{scenario:?}: {error}"))?);
        }
    }
    report::publish(&bench, &reports, options)?;
    report::judge(&reports, options.min_ratio)
}

impl Bench {
    fn prepare(root: &Path, options: &Options) -> Result<Self, String> {
        let target = run::target_directory(root)?;
        let programs = target.join("release");
        let trine = server::trine(root, &target, options.server.as_deref(), Build::Release)?;
        // A build of its own: together with the coordinator's, its features would be the helpers' features.
        let helpers = ["bench-load", "bench-null", "bench-participant", "bench-store", "bench-draw"];
        let helpers = helpers.iter().flat_map(|name| ["--bin", name]);
        let build = ["build", "--release", "--locked", "-p", "xtask", "--features", "bench"];
        run::run(cargo(root, build).args(helpers))?;
        let (rounds, seconds, short_seconds) = if options.quick { (3, 5.0, 0.7) } else { (5, 15.0, 5.0) };
        Ok(Self {
            root: root.to_path_buf(),
            scratch: Scratch::new(&target, "bench")?,
            target,
            trine,
            programs,
            quick: options.quick,
            rounds,
            seconds,
            short_seconds,
            work: options.work(),
            store: options.store.clone(),
            peers: options.peers.clone(),
            settled: options.settled.clone(),
            modes: Vec::new(),
            databases: RefCell::default(),
        })
    }

    /// `few` in a quick run, `many` otherwise.
    fn sized(&self, few: u64, many: u64) -> u64 {
        if self.quick { few } else { many }
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

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
