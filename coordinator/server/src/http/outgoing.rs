//! The body of an answer on its way out: within the budget, in pieces that a slow client can fetch.
//!
//! Each piece of a large part is a copy. A slice would share the memory of the whole part and keep all of it until the client
//! has fetched the last piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::budget::{Budget, FREE_BYTES, Held, Pace};

const PIECE_BYTES: usize = FREE_BYTES;

/// There was no room for a later part of an answer. The answer breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the bodies of other answers use up the memory there is for bodies")]
struct NoRoom;

/// An answer of known size. It holds `held` until it is fetched.
pub(super) fn whole(body: Body, held: Held) -> Body {
    let hint = body.size_hint();
    let leaving = Leaving { body, rest: Bytes::new(), held: Some(held), paying: None };
    Body::new(Sized { hint, parts: Box::pin(leaving.into_stream()) })
}

/// An answer of unknown size: each of its large parts waits for room.
pub(super) fn streamed(body: Body, budget: Budget, pace: Pace) -> Body {
    let hint = body.size_hint();
    let leaving = Leaving { body, rest: Bytes::new(), held: None, paying: Some((budget, pace)) };
    Body::new(Sized { hint, parts: Box::pin(leaving.into_stream()) })
}

struct Leaving {
    body: Body,
    /// The rest of the part that is being sent.
    rest: Bytes,
    held: Option<Held>,
    /// None if the room for the whole answer is held already.
    paying: Option<(Budget, Pace)>,
}

impl Leaving {
    fn into_stream(self) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> + Send {
        stream::try_unfold(self, |mut leaving| async move {
            let next = leaving.next().await?;
            Ok(next.map(|frame| (frame, leaving)))
        })
    }

    async fn next(&mut self) -> Result<Option<Frame<Bytes>>, BoxError> {
        if let Some(piece) = self.piece() {
            return Ok(Some(piece));
        }
        let Some(frame) = self.body.frame().await else { return Ok(None) };
        let bytes = match frame?.into_data() {
            Ok(bytes) => bytes,
            // Trailers.
            Err(other) => return Ok(Some(other)),
        };
        if bytes.len() <= PIECE_BYTES {
            return Ok(Some(Frame::data(bytes)));
        }
        if let Some((budget, pace)) = &self.paying {
            self.held = Some(budget.answer(bytes.len(), false, pace).await.ok_or(NoRoom)?);
        }
        self.rest = bytes;
        Ok(self.piece())
    }

    fn piece(&mut self) -> Option<Frame<Bytes>> {
        if self.rest.is_empty() {
            return None;
        }
        let len = self.rest.len().min(PIECE_BYTES);
        let piece = Bytes::copy_from_slice(&self.rest[..len]);
        self.rest.advance(len);
        if self.rest.is_empty() {
            // An empty slice of the part would still keep the part in memory.
            self.rest = Bytes::new();
            if self.paying.is_some() {
                self.held = None;
            }
        }
        Some(Frame::data(piece))
    }
}

type Parts = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, BoxError>> + Send>>;

/// A body of frames that keeps the size which the original body announced.
struct Sized {
    hint: SizeHint,
    parts: Parts,
}

impl HttpBody for Sized {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.parts.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(exact), Some(data)) = (self.hint.exact(), frame.data_ref())
        {
            self.hint = SizeHint::with_exact(exact.saturating_sub(data.len() as u64));
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
