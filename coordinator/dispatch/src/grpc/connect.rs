//! From an address to an HTTP/2 connection.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use trine_protocol::limits::OUTPUT_BYTES_MAX;

use super::failure;
use crate::address::Address;
use crate::answer::Unreached;
use crate::connect::{Dialer, Transport};
use crate::{shortage, transport};

/// Bytes of a reply that a server may send before they are read: enough for a message that is kept, and little memory.
const STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
const CONNECTION_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// Largest head or trailers of a reply.
const HEADERS_BYTES_MAX: u32 = 16 * 1_024;
const _: () = assert!(OUTPUT_BYTES_MAX < STREAM_WINDOW_BYTES as usize);

/// The name of HTTP/2 in TLS handshakes.
pub(super) const PROTOCOL: &[u8] = b"h2";

/// Puts requests on a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;
/// Does the work of the connection, and has to be polled.
pub(super) type Driver = Connection<TokioIo<Box<dyn Transport>>, Full<Bytes>, TokioExecutor>;

/// Connects. An error says in words why not.
pub(super) async fn connect(
    address: &Address,
    dialer: &Dialer,
    limit: Duration,
) -> Result<(Sender, Driver), Unreached> {
    let host = address.host();
    let connected = dialer.connect(address).await?;
    if address.tls().is_some() && connected.protocol.as_deref() != Some(PROTOCOL) {
        return Err(Unreached::Failed(failure::no_http2(host)));
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX);
    let handshake = builder.handshake(TokioIo::new(connected.transport));
    match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(match shortage::within(&error) {
            Some(short) => short.unreached(host),
            None => Unreached::Failed(failure::handshake(host, &error)),
        }),
        Err(_) => Err(Unreached::Failed(transport::slow(host))),
    }
}
