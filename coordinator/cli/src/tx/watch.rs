//! `trine tx watch`: the live stream, line by line, until the transaction is settled.

use trine_protocol::v1::TransactionView;
use trine_protocol::{Gid, Status};
use trine_sdk::Client;

use super::history;
use super::show::because;
use crate::client::failure;
use crate::failure::Failure;
use crate::output;

/// Prints events until there will be no more; rolled back is a failure.
pub(super) async fn run(client: &Client, gid: &Gid, json: bool) -> Result<(), Failure> {
    let tell = |_: &_| eprintln!("the stream broke off; waiting for the coordinator to come back");
    let mut watch = client.watch(gid).on_break(tell);
    if json {
        while let Some(event) = watch.next_json().await.map_err(|error| failure(client, &error))? {
            output::line(&event)?;
        }
    } else {
        let mut started_at = None;
        while let Some(event) = watch.next().await.map_err(|error| failure(client, &error))? {
            output::line(&history::line(&event, *started_at.get_or_insert(event.at)))?;
        }
    }
    watch.settled().map_or(Ok(()), |view| finish(view, json))
}

fn finish(view: &TransactionView, json: bool) -> Result<(), Failure> {
    let committed = view.status == Status::Committed;
    if !json {
        let cause = view.cause.as_ref().map(|cause| format!(" ({})", because(cause))).unwrap_or_default();
        output::line(&format!("{} is {}{cause}", view.gid, view.status))?;
    }
    if committed { Ok(()) } else { Err(Failure::said()) }
}
