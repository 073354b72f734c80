//! `trine-sim`: runs seeds of the simulation and says how to repeat the one that fails.

use std::process::ExitCode;

use clap::Parser;
use trine_sim::{Verdict, run};

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
    let mut sum = Verdict::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let verdict = std::panic::catch_unwind(|| run(seed))
            .unwrap_or_else(|_| Err("the engine panicked, see above".to_owned()));
        match verdict {
            Ok(verdict) => sum.add(&verdict),
            Err(violation) => {
                eprintln!("{violation}\nSEED={seed} cargo run -p trine-sim -- --seeds 1");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} seeds, all safe and settled ({sum})", options.seeds);
    ExitCode::SUCCESS
}
