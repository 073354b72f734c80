//! The command line: the arguments, the work and the output of each command. Commands read and change transactions over HTTP,
//! as any other client does. Only `serve`, `dev`, `migrate` and `check` open a store, and only `xa` a participant's database.
//! No command decides anything about a transaction.

mod args;
mod check;
mod client;
mod coordinators;
#[cfg(feature = "demo")]
mod dev;
mod failure;
mod health;
mod human;
mod local;
mod output;
mod participants;
mod serve;
mod table;
mod tx;
mod xa;

pub use args::Cli;
pub use failure::{Exit, Failure};
pub use output::report;

use args::Command;

/// Does what the command line asks.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    // Before any file is written: a database that may not grow is to be told, not to end the process.
    trine_store::outlive_file_limit().map_err(|error| Failure::bad(format!("no signals: {error}")))?;
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        #[cfg(feature = "demo")]
        Command::Dev(args) => dev::run(args).await,
        Command::Tx(args) => tx::run(args).await,
        Command::Participants(args) => participants::run(args).await,
        Command::Coordinators(remote) => coordinators::run(remote).await,
        Command::Xa(args) => xa::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Config(args) => local::config(&args),
        Command::Migrate(args) => local::migrate(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Openapi => local::openapi(),
    }
}
