//! `trine tx`: which subcommand is which module, and the paths they share.

pub(crate) mod history;
mod list;
mod operate;
pub(crate) mod show;
mod watch;

use trine_protocol::Gid;

use super::args::{Tx, TxCommand};
use super::client::Client;
use super::failure::Failure;
use super::output;

/// Where transactions are.
pub(crate) const TRANSACTIONS: &str = "/v1/transactions";

/// Does what one `trine tx` asks.
pub(crate) async fn run(args: Tx) -> Result<(), Failure> {
    let client = Client::new(&args.remote.url)?;
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

/// The path of one transaction, with what follows it.
fn path(gid: &Gid, rest: &str) -> String {
    format!("{TRANSACTIONS}/{gid}{rest}")
}

/// The API's JSON as it came, on a line of its own.
pub(crate) fn print_json(body: &str) -> Result<(), Failure> {
    output::line(body.trim_end())
}
