//! The inventory service as a program. Its code is in `trine_participants::inventory`.

use std::process::ExitCode;

use clap::Parser;
use trine_participants::cli::{self, Flags};
use trine_participants::inventory::Service;

/// The inventory service of Trine's tour
#[derive(Debug, Parser)]
#[command(name = "inventory-service", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse().flags, Service::NAME, 7002, Service::start).await
}
