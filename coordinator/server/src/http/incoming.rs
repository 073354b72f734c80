//! The body of a request on its way in: bounded in size, by the budget, and in time.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use super::budget::Room;

/// Why the rest of a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It has, or announces, more bytes than the limit.
    #[error("the body has more bytes than this coordinator reads")]
    TooLarge,
    /// It ended early.
    #[error("the body ended before it was complete")]
    CutShort,
    /// It is not in the encoding that its headers name.
    #[error("the body is not the gzip that `Content-Encoding` says it is")]
    Garbled,
    /// It took too long.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The bodies of other requests hold the whole budget.
    #[error("the bodies of other requests use up the memory there is for bodies")]
    NoRoom,
}

struct Arriving {
    body: Incoming,
    room: Room,
    deadline: Deadline,
}

/// The end of the time for a body. Most bodies are there at once, so the timer is made when one is waited for.
struct Deadline {
    at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    async fn passed(&mut self) {
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.at))).await;
    }
}

/// Wraps a body in its bounds. Nothing is read before the handler asks for the first bytes, so a client that waits for
/// `100 Continue` does not send a body that is refused by its header.
pub(super) fn bounded(body: Incoming, room: Room, bytes_max: usize, timeout: Duration) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Body::from_stream(stream::iter([Err::<Bytes, _>(BodyFault::TooLarge)]));
    }
    let arriving = Arriving { body, room, deadline: Deadline { at: Instant::now() + timeout, timer: None } };
    Body::from_stream(stream::try_unfold(arriving, |mut arriving| async move {
        let next = arriving.next().await?;
        Ok::<_, BodyFault>(next.map(|bytes| (bytes, arriving)))
    }))
}

impl Arriving {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = self.deadline.passed() => return Err(BodyFault::TooSlow),
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers of requests are ignored.
            if let Ok(bytes) = frame.map_err(|_| BodyFault::CutShort)?.into_data() {
                if !self.room.grow(bytes.len()).await {
                    return Err(BodyFault::NoRoom);
                }
                return Ok(Some(bytes));
            }
        }
    }
}
