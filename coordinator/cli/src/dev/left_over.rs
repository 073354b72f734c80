//! What an earlier run left unfinished: found in its journal before the coordinator starts, followed once it runs.

use std::time::Duration;

use trine_protocol::v1::TransactionSummary;
use trine_protocol::{Gid, Status};

use crate::client::ask;
use crate::failure::Failure;
use crate::human::{ago, span};
use crate::output;
use crate::tx::show;
use trine_clock::{self as clock, Stopwatch};
use trine_sdk::Client;
use trine_store::{self as store, Filter};

/// More are not named one by one.
const SHOWN_MAX: usize = 20;
/// How long the tour waits for them; then they go on behind its back.
const FOLLOW_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Statuses that are not final.
pub(super) const UNSETTLED: [Status; 4] =
    [Status::Open, Status::Running, Status::Committing, Status::RollingBack];

/// What the store holds that is not settled, newest first.
pub(super) async fn read(url: &str) -> Result<Vec<TransactionSummary>, Failure> {
    let unusable =
        |error: &dyn std::fmt::Display| Failure::bad(error.to_string()).hint("another folder with --dir");
    let store = store::open(&store::Options::new(url, "dev-look")).await.map_err(|error| unusable(&error))?;
    let filter = Filter { statuses: UNSETTLED.to_vec(), ..Filter::default() };
    let found = store.list(filter, None, SHOWN_MAX).await;
    let closed = store.close().await;
    let page = found.map_err(|error| unusable(&error))?;
    closed.map_err(|error| unusable(&error))?;
    Ok(page.transactions)
}

/// Says what was found, and how each of it ends. `trine` gives the command line that a reader can paste.
pub(super) async fn follow(
    client: &Client,
    trine: impl Fn(&str) -> String,
    found: &[TransactionSummary],
    restarted: Stopwatch,
) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let now = clock::now();
    let what = if found.len() == 1 { "1 unfinished transaction" } else { "unfinished transactions" };
    output::line(&format!("\nFound {what} in the journal, from before this start. Driving on:"))?;
    for one in found {
        let parked = one
            .parked
            .as_ref()
            .map(|cause| format!(", parked: {}", show::parked_because(cause)))
            .unwrap_or_default();
        let age = ago(one.created_at, now);
        output::line(&format!("  {} ({}, accepted {age}) was {}{parked}", one.gid, one.pattern, one.status))?;
    }
    for one in found.iter().filter(|one| one.parked.is_none()) {
        let text = match settle(client, &one.gid, restarted).await? {
            Some(status) => format!("is {status}, {} after the restart", span(restarted.elapsed_ms())),
            None => format!("is still under way; {}", trine(&format!("tx show {}", one.gid))),
        };
        output::line(&format!("  {} {text}", one.gid))?;
    }
    Ok(())
}

async fn settle(client: &Client, gid: &Gid, since: Stopwatch) -> Result<Option<Status>, Failure> {
    loop {
        let view = ask(client, client.get(gid)).await?;
        if view.settled {
            return Ok(Some(view.status));
        }
        if view.parked.is_some() || since.elapsed() > FOLLOW_WITHIN {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
