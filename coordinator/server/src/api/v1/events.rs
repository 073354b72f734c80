//! The live history of a transaction: Server-Sent Events.
//!
//! Each stream reads the journal at its own pace. It holds a bounded number of events that its client has not fetched yet, and
//! reads further ones later. So a slow client takes little memory and holds nobody up. The stream ends when the
//! transaction has settled or the coordinator stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State as Ext;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use trine_engine::{Event, Record};
use trine_protocol::Gid;

use super::super::ApiState;
use super::super::params::{GidPath, last_event_id};
use super::super::problem::Refusal;
use super::to_wire;
use crate::runtime::Watch;

/// The fields of one Server-Sent Event. Only for the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it is described, never built: axum writes the fields")]
struct StreamedEvent {
    /// The `seq` of the event.
    id: String,
    /// The name of the event.
    event: String,
    /// A `HistoryEvent` as JSON text.
    data: String,
}

/// Follow a transaction live.
///
/// Begins with the history so far, or after `Last-Event-ID`; each event's id is its `seq`, its name that of the event, its
/// data a `HistoryEvent`. Ends when the transaction has settled; a client that reconnects after that gets 204, which tells
/// it to stop.
#[utoipa::path(
    get,
    path = "/v1/transactions/{gid}/events",
    operation_id = "followTransaction",
    tag = "transactions",
    params(
        ("gid" = Gid, Path, description = "The transaction"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Begin after the event with this id", minimum = 0, maximum = 9_007_199_254_740_991u64),
    ),
    responses(
        (status = 200, description = "A stream; the data of each event is a HistoryEvent", content_type = "text/event-stream", body = StreamedEvent),
        (status = 204, description = "It has settled and every event has been seen"),
    )
)]
pub(super) async fn events(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let seen = last_event_id(&headers)?;
    // Watch first, then read: a record that becomes durable in between wakes the stream.
    let watch = state.handle.watch(&gid);
    let records = state.records(&gid).await?;
    let Some(last) = records.last() else { return Err(Refusal::not_found(&gid)) };
    if settles(last) && last.seq <= seen {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut follower =
        Follower { state, gid, watch, seen, ready: VecDeque::new(), has_more: false, ended: false };
    follower.take(&records);
    drop(records);
    Ok(Sse::new(follower.into_stream()).keep_alive(KeepAlive::default()).into_response())
}

/// Whether a record is its transaction's last.
fn settles(record: &Record) -> bool {
    matches!(
        record.event,
        Event::Committed | Event::RolledBack | Event::Finished { .. } | Event::Forced { .. }
    )
}

struct Follower {
    state: Arc<ApiState>,
    gid: Gid,
    watch: Watch,
    /// The seq of the newest record that the stream has taken.
    seen: u64,
    ready: VecDeque<SseEvent>,
    /// The last read did not reach the end of the journal.
    has_more: bool,
    /// The stream reads no more.
    ended: bool,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            if !self.has_more {
                self.wait().await;
            }
            if self.state.shutdown.is_cancelled() {
                return None;
            }
            match self.state.queries.records(self.gid.clone(), self.seen).await {
                Ok(records) => self.take(&records),
                // The store may be back at the next read, so keep the connection open.
                Err(error) if error.is_transient() => {
                    tracing::debug!(gid = %self.gid, %error, "a live stream could not read");
                    self.has_more = false;
                }
                Err(error) => {
                    self.state.handle.damaged().met(&self.gid, &error);
                    return None;
                }
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.watch.changed() => {}
            () = tokio::time::sleep(self.state.limits.events_poll) => {}
            () = self.state.shutdown.cancelled() => {}
        }
    }

    fn take(&mut self, records: &[Record]) {
        let (mut bytes, seen) = (0, self.seen);
        self.has_more = false;
        for record in records.iter().filter(|record| record.seq > seen) {
            if bytes >= self.state.limits.events_ahead_bytes_max {
                self.has_more = true;
                return;
            }
            let event = to_wire::history_event(record);
            // A document of plain fields: writing it cannot fail. Outputs are compact, so there is no line break in it.
            let data = serde_json::to_string(&event).unwrap_or_default();
            bytes += data.len();
            let id = event.seq.to_string();
            self.ready.push_back(SseEvent::default().id(id).event(event.event.as_str()).data(data));
            self.seen = record.seq;
            self.ended = settles(record);
        }
    }
}
