//! `trine-sim`: runs seeds of the simulation, and prints how to repeat one that fails.

use std::panic::UnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use trine_sim::{PackVerdict, Verdict, run, run_pack};

/// Runs seeds of Trine's simulation.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first one
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (mut alone, mut packs) = (Verdict::default(), PackVerdict::default());
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let done = guarded(|| run(seed)).map(|verdict| alone.add(&verdict));
        let done = done.and_then(|()| guarded(|| run_pack(seed)).map(|verdict| packs.add(&verdict)));
        if let Err(violation) = done {
            eprintln!("{violation}\nSEED={seed} cargo run -p trine-sim -- --seeds 1");
            return ExitCode::FAILURE;
        }
    }
    println!("{} seeds, all safe and settled", options.seeds);
    println!("one coordinator: {alone}");
    println!("several coordinators: {packs}");
    ExitCode::SUCCESS
}

fn guarded<T>(run: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    std::panic::catch_unwind(run).unwrap_or_else(|_| Err("the engine panicked, see above".to_owned()))
}
