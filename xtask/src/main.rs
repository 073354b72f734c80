//! Trine's developer commands: `cargo xtask --help` lists them.
//!
//! Here is the command line; each command is in the module of its name. The programs that `bench` starts are binaries
//! of their own under `src/bin/`.

mod bench;
mod canaries;
mod clients;
mod fuzz;
mod mysql;
mod process;
mod run;
mod server;
mod setup;
mod tidy;
mod verify;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trine's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need and this machine lacks
    Setup {
        /// Install cargo-deny too (takes minutes to build)
        #[arg(long)]
        deny: bool,
        /// Install schemathesis too, into the target directory
        #[arg(long)]
        schemathesis: bool,
    },
    /// Run every check a change has to pass; writes nothing that git tracks
    Verify,
    /// Format, and repair what clippy can repair
    Fix,
    /// Run the tests; arguments after `--` go to `cargo test`
    Test {
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Check the house rules that neither the compiler nor clippy knows
    Tidy,
    /// Check licences, sources and advisories of the dependencies with cargo-deny
    Deny,
    /// Fuzz the API with schemathesis; no answer may be a 5xx
    Fuzz(fuzz::Options),
    /// Break the engine's laws one at a time and see that its tests notice
    Canaries(canaries::Options),
    /// Measure speed, cost and hardship of the release server
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), String> {
    let root = run::root()?;
    match command {
        Command::Setup { deny, schemathesis } => {
            setup::setup(&root)?;
            if deny {
                setup::install_cargo_deny(&root)?;
            }
            if schemathesis {
                println!("{}", setup::schemathesis(&root)?.display());
            }
            Ok(())
        }
        Command::Verify => verify::verify(&root),
        Command::Fix => verify::fix(&root),
        Command::Test { args } => verify::test(&root, &args),
        Command::Tidy => tidy::run(&root),
        Command::Deny => verify::deny(&root),
        Command::Fuzz(options) => fuzz::fuzz(&root, &options),
        Command::Canaries(options) => canaries::run(&root, &options),
        Command::Bench(options) => bench::bench(&root, &options),
    }
}
