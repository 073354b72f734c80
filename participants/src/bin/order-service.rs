//! The order service as a program. Its code is in `trine_participants::order`.

use std::process::ExitCode;

use clap::Parser;
use trine_participants::cli::{self, Flags};
use trine_participants::order::Service;

/// The order service of Trine's tour
#[derive(Debug, Parser)]
#[command(name = "order-service", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse().flags, Service::NAME, 7001, Service::start).await
}
