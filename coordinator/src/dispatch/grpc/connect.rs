//! From an address to an HTTP/2 connection. Whom to trust is what the operating system says, as for https:// targets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use trine_protocol::limits::OUTPUT_BYTES_MAX;

use super::{Destination, failure};

/// What a stream of the server's may send ahead of us: enough for a message we keep, and little to hold.
const STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
const CONNECTION_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// Largest head or trailers of a reply.
const HEADERS_BYTES_MAX: u32 = 16 * 1_024;
const _: () = assert!(OUTPUT_BYTES_MAX < STREAM_WINDOW_BYTES as usize);

/// Puts requests on a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;
/// Moves the connection; has to be polled.
pub(super) type Driver = Connection<TokioIo<Box<dyn Transport>>, Full<Bytes>, TokioExecutor>;

/// TCP, with or without TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// How TLS is spoken to everybody.
pub(super) fn tls() -> TlsConnector {
    let mut config = ClientConfig::with_platform_verifier().unwrap_or_else(|error| {
        // Images without a certificate store are common, and plain gRPC needs none.
        tracing::warn!(%error, "no trusted certificates were found: calls to grpcs:// targets will fail");
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    });
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Connects. An error says in words why not.
pub(super) async fn connect(
    destination: &Destination,
    tls: &TlsConnector,
    limit: Duration,
) -> Result<(Sender, Driver), String> {
    match tokio::time::timeout(limit, attempt(destination, tls, limit)).await {
        Ok(result) => result,
        Err(_) => Err(failure::slow(destination.host())),
    }
}

async fn attempt(
    destination: &Destination,
    tls: &TlsConnector,
    limit: Duration,
) -> Result<(Sender, Driver), String> {
    let host = destination.host();
    let tcp = dial(destination, limit).await?;
    // What is small is sent at once; should it not be possible, it is slower and right all the same.
    drop(tcp.set_nodelay(true));
    let transport: Box<dyn Transport> = match destination.tls() {
        None => Box::new(tcp),
        Some(name) => {
            let stream = tls.connect(name.clone(), tcp).await;
            let stream = stream.map_err(|error| failure::untrusted(host, &error))?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(failure::no_http2(host));
            }
            Box::new(stream)
        }
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX);
    builder.handshake(TokioIo::new(transport)).await.map_err(|error| failure::handshake(host, &error))
}

/// Every address of the host in turn, each with its share of the time: one that swallows packets does not use up all.
async fn dial(destination: &Destination, limit: Duration) -> Result<TcpStream, String> {
    let host = destination.host();
    let found = lookup_host((destination.name(), destination.port())).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| failure::unresolved(host, &error))?.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = failure::slow(host);
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = failure::unreachable(host, &error),
            Err(_) => last = failure::slow(host),
        }
    }
    Err(last)
}
