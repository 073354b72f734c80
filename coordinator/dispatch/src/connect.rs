//! Makes connections to addresses, for every protocol. TLS trusts the certificates that the operating system trusts.
//!
//! No byte of a request leaves before there is a connection. An error says whether the host or this coordinator is the cause.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::answer::Unreached;
use super::names::Names;
use super::sockets::{Counted, Sockets};
use super::{shortage, transport};

/// TCP, with or without TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection, and the protocol that was agreed on for it in its TLS handshake.
pub(super) struct Connected {
    pub(super) transport: Box<dyn Transport>,
    pub(super) protocol: Option<Vec<u8>>,
}

/// Connects. Cheap to clone.
#[derive(Clone)]
pub(super) struct Dialer {
    names: Names,
    sockets: Sockets,
    tls: TlsConnector,
    limit: Duration,
}

impl Dialer {
    /// Connects within `limit`, not counting the look-up of a name, which has a limit of its own. In TLS handshakes it
    /// offers `protocols`.
    pub(super) fn new(names: Names, sockets: Sockets, limit: Duration, protocols: &[&[u8]]) -> Self {
        Self { names, sockets, tls: tls(protocols), limit }
    }

    /// A connection to an address.
    pub(super) async fn connect(&self, address: &Address) -> Result<Connected, Unreached> {
        let host = address.host();
        let found = self.names.resolve(address.name()).await;
        let found = found.map_err(|error| error.unreached(host))?;
        let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(*ip, address.port())).collect();
        match tokio::time::timeout(self.limit, self.attempt(address, &addresses)).await {
            Ok(result) => result,
            Err(_) => Err(Unreached::Failed(transport::slow(host))),
        }
    }

    async fn attempt(&self, address: &Address, found: &[SocketAddr]) -> Result<Connected, Unreached> {
        let host = address.host();
        let permit = self.sockets.take(host)?;
        let tcp = dial(host, found, self.limit).await?;
        // Small writes leave at once. Without the option calls are slower and still right.
        drop(tcp.set_nodelay(true));
        let tcp = Counted::new(tcp, permit);
        let Some(name) = address.tls() else {
            return Ok(Connected { transport: Box::new(tcp), protocol: None });
        };
        let stream =
            self.tls.connect(name.clone(), tcp).await.map_err(|error| match shortage::of(&error) {
                Some(short) => short.unreached(host),
                None => Unreached::Failed(transport::untrusted(host, &error)),
            })?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok(Connected { transport: Box::new(stream), protocol })
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("names", &self.names)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Tries every address of the host in turn. Each has a share of the time, so that an address that never answers leaves time
/// for the next.
async fn dial(host: &str, found: &[SocketAddr], limit: Duration) -> Result<TcpStream, Unreached> {
    let share = limit / u32::try_from(found.len()).unwrap_or(u32::MAX).max(1);
    let (mut failed, mut short) = (None, None);
    for address in found {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => match shortage::of(&error) {
                Some(lack) => short = Some(lack.unreached(host)),
                None => failed = Some(Unreached::Failed(transport::unreachable(host, &error))),
            },
            Err(_) => failed = Some(Unreached::Failed(transport::slow(host))),
        }
    }
    // What one address answers for itself is not excused by another that this machine cannot use: version 6 switched off
    // looks like a shortage of addresses.
    Err(failed.or(short).unwrap_or_else(|| Unreached::Failed(transport::slow(host))))
}

fn tls(protocols: &[&[u8]]) -> TlsConnector {
    let mut config = ClientConfig::with_platform_verifier().unwrap_or_else(|error| {
        // Images without a certificate store are common, and plain HTTP and gRPC need none.
        tracing::warn!(%error, "no trusted certificates were found: calls to https:// and grpcs:// targets will fail");
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    });
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}
