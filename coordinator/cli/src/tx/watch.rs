//! `trine tx watch`: the live stream, line by line, until the transaction is settled. A stream that breaks off is
//! continued where it ended.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Response;
use trine_protocol::v1::{HistoryEvent, TransactionView};
use trine_protocol::{Gid, Status, Timestamp};

use super::history;
use super::show::because;
use crate::client::{Client, Query};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::sse::Parser;
use trine_clock::Stopwatch;

/// A coordinator that is restarted is back sooner than this.
const RECONNECT_WITHIN: Duration = Duration::from_secs(60);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// What has been printed so far.
#[derive(Debug, Default)]
struct Seen {
    seq: Option<u64>,
    started_at: Option<Timestamp>,
}

/// Prints events until there will be no more; rolled back is a failure.
pub(super) async fn run(client: &Client, gid: &Gid, json: bool) -> Result<(), Failure> {
    let path = super::path(gid, "/events");
    let mut seen = Seen::default();
    let mut stream = client.stream(&path, None).await?;
    loop {
        follow(client, stream, &mut seen, json).await?;
        let view: TransactionView = match client.get(&super::path(gid, ""), &Query::new()).await {
            Ok(body) => client.read(&body)?,
            Err(failure) if failure.exit() == Exit::Unreachable => {
                eprintln!("the stream broke off; waiting for the coordinator to come back");
                stream = reconnect(client, &path, &seen).await?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if view.settled && seen.seq >= Some(view.seq) {
            return finish(&view, json);
        }
        stream = reconnect(client, &path, &seen).await?;
    }
}

/// Prints what a stream brings until it ends, whoever ended it.
async fn follow(client: &Client, stream: Response, seen: &mut Seen, json: bool) -> Result<(), Failure> {
    let mut parser = Parser::default();
    let mut pieces = stream.bytes_stream();
    // A piece that does not come is an end like any other: what is missing is asked for again.
    while let Some(Ok(piece)) = pieces.next().await {
        let messages =
            parser.feed(&piece).map_err(|error| Failure::unreachable(format!("the stream: {error}")))?;
        for message in messages {
            let event: HistoryEvent = client.read(&message.data)?;
            if Some(event.seq) <= seen.seq {
                continue;
            }
            seen.seq = Some(event.seq);
            let started_at = *seen.started_at.get_or_insert(event.at);
            output::line(&if json { message.data } else { history::line(&event, started_at) })?;
        }
    }
    Ok(())
}

async fn reconnect(client: &Client, path: &str, seen: &Seen) -> Result<Response, Failure> {
    let waiting = Stopwatch::start();
    loop {
        tokio::time::sleep(RECONNECT_PAUSE).await;
        match client.stream(path, seen.seq).await {
            Err(failure) if failure.exit() == Exit::Unreachable && waiting.elapsed() < RECONNECT_WITHIN => {}
            result => return result,
        }
    }
}

fn finish(view: &TransactionView, json: bool) -> Result<(), Failure> {
    let committed = view.status == Status::Committed;
    if !json {
        let cause = view.cause.as_ref().map(|cause| format!(" ({})", because(cause))).unwrap_or_default();
        output::line(&format!("{} is {}{cause}", view.gid, view.status))?;
    }
    if committed { Ok(()) } else { Err(Failure::said()) }
}
