//! Entry point of `trine`: the runtime, and how a result becomes an exit code. The commands are in the library.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use trine_cli::{Cli, Failure, report};
use trine_server::telemetry;

/// A transaction takes several hundred small allocations, and many of them are freed on another thread.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long work that nobody waits for any more may hold up the exit.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::bad(format!("no threads to work with: {error}"))),
    };
    let result = runtime.block_on(trine_cli::run(cli));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    telemetry::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}
