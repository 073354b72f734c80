//! A method's address, in the forms that connecting and asking need. The grammar of targets is in the protocol crate.

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use trine_protocol::GrpcMethod;
use url::Url;

use crate::address::Address;

/// Where a call goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    origin: String,
    address: Address,
    uri: Uri,
}

impl Destination {
    /// The address of a method; an error says why there is none.
    pub(crate) fn of(method: GrpcMethod<'_>) -> Result<Self, String> {
        let scheme = if method.tls { Scheme::HTTPS } else { Scheme::HTTP };
        // Hosts are spelt as in URLs, and two spellings of one host are one host.
        let url =
            Url::parse(&format!("{scheme}://{}", method.authority)).map_err(|error| error.to_string())?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("it names no host and port".into());
        };
        let address = Address::of(host, port, method.tls)?;
        let broken = |error: &dyn std::fmt::Display| error.to_string();
        let authority = Authority::try_from(address.host()).map_err(|error| broken(&error))?;
        let path = PathAndQuery::try_from(method.path).map_err(|error| broken(&error))?;
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        Ok(Self {
            origin: format!("{}://{}", if method.tls { "grpcs" } else { "grpc" }, address.host()),
            uri: uri.map_err(|error| broken(&error))?,
            address,
        })
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// `host:port`.
    pub(super) fn host(&self) -> &str {
        self.address.host()
    }

    /// What is asked for.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}
