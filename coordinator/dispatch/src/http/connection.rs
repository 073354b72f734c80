//! One HTTP/1.1 connection.
//!
//! The call that uses a connection does the connection's work: neither a task nor a channel between threads lies between them.
//! Nobody works on an unused connection. If its peer has closed it, the next request finds out before a byte of it leaves.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::connect::Transport;
use crate::decode::Body;

/// Largest head of an answer. Without a bound of ours the client holds 400 KiB for each call.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

pub(super) type Message = Request<Full<Bytes>>;
/// Does the work of a connection, and has to be polled.
type Driver = http1::Connection<TokioIo<Box<dyn Transport>>, Full<Bytes>>;

/// A request that got no answer. If it provably never left, it comes back.
pub(super) struct Undelivered {
    pub(super) error: hyper::Error,
    pub(super) request: Option<Message>,
}

/// A connection that one call uses at a time.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None: closed. In a box, because a connection is moved from the pool to a call and back.
    driver: Option<Box<Driver>>,
}

impl Connection {
    /// HTTP over a transport. Nothing is sent yet.
    pub(super) async fn over(transport: Box<dyn Transport>) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        // Requests are small: one buffer costs less than the vectored write of two.
        builder.max_buf_size(HEAD_BYTES_MAX).writev(false);
        let (sender, driver) = builder.handshake(TokioIo::new(transport)).await?;
        let mut driver = Some(Box::new(driver));
        // A connection that has never been driven does not count as free, and could not be kept if no call needs it now.
        drive(&mut driver, &mut Context::from_waker(Waker::noop()));
        Ok(Self { sender, driver })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Message) -> Result<Response<Incoming>, Undelivered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        let answered = poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        });
        answered.await.map_err(|mut error| {
            let request = error.take_message();
            Undelivered { error: error.into_error(), request }
        })
    }

    /// Reads a body up to the bound and not a frame further.
    pub(super) async fn read(&mut self, mut body: Incoming, bytes_max: usize) -> hyper::Result<Body> {
        let mut bytes = Vec::new();
        while let Some(frame) = self.frame(&mut body).await {
            let Ok(chunk) = frame?.into_data() else { continue };
            let room = bytes_max - bytes.len();
            if chunk.len() > room {
                bytes.extend_from_slice(&chunk[..room]);
                return Ok(Body::Cut(bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Body::Whole(bytes))
    }

    async fn frame(&mut self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        poll_fn(|cx| {
            // A connection reads no further than its body is asked for, so asking comes first.
            let asked = Pin::new(&mut *body).poll_frame(cx);
            if asked.is_ready() {
                return asked;
            }
            drive(&mut self.driver, cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }

    /// Whether another request can be sent. False while a request or an answer is unfinished, and once the peer has closed.
    pub(super) fn is_free(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Closes the connection with the farewell that TLS prescribes. A peer that takes no bytes now is not waited for.
    pub(super) fn close(self) {
        let Self { sender, mut driver } = self;
        drop(sender);
        drive(&mut driver, &mut Context::from_waker(Waker::noop()));
    }
}

/// Does the work of a connection that can be done now. Errors reach the request or the body that they concern.
fn drive(driver: &mut Option<Box<Driver>>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
        *driver = None;
    }
}
