//! `trine tx`: which subcommand is which module.

pub(crate) mod history;
mod list;
mod operate;
pub(crate) mod show;
mod watch;

use super::args::{Tx, TxCommand};
use super::client::connect;
use super::failure::Failure;
use super::output;

/// Does what one `trine tx` asks.
pub(crate) async fn run(args: Tx) -> Result<(), Failure> {
    let client = connect(&args.remote.url)?;
    let json = args.remote.json;
    match args.command {
        TxCommand::List(list) => list::run(&client, &list, json).await,
        TxCommand::Show(one) => show::run(&client, &one.gid, json).await,
        TxCommand::History(one) => history::run(&client, &one.gid, json).await,
        TxCommand::Watch(one) => watch::run(&client, &one.gid, json).await,
        TxCommand::Replay(replay) => operate::replay(&client, replay, json).await,
        TxCommand::Abort(abort) => operate::abort(&client, abort, json).await,
        TxCommand::Force(force) => operate::force(&client, force, json).await,
    }
}

/// The API's JSON as it came, on a line of its own.
pub(crate) fn print_json(body: &str) -> Result<(), Failure> {
    output::line(body.trim_end())
}
