//! A method's address, in the forms that connecting and asking need. The grammar of targets is in the protocol crate.

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use reqwest::Url;
use rustls::pki_types::ServerName;
use trine_protocol::GrpcMethod;

/// Where a call goes.
#[derive(Debug, Clone)]
pub(in crate::dispatch) struct Destination {
    origin: String,
    host: String,
    name: String,
    port: u16,
    tls: Option<ServerName<'static>>,
    uri: Uri,
}

impl Destination {
    /// The address of a method; an error says why there is none.
    pub(in crate::dispatch) fn of(method: GrpcMethod<'_>) -> Result<Self, String> {
        let scheme = if method.tls { Scheme::HTTPS } else { Scheme::HTTP };
        // Hosts are spelt as in URLs, and two spellings of one host are one host.
        let url =
            Url::parse(&format!("{scheme}://{}", method.authority)).map_err(|error| error.to_string())?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("it names no host and port".into());
        };
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let host = format!("{host}:{port}");
        let broken = |error: &dyn std::fmt::Display| error.to_string();
        let tls = method.tls.then(|| ServerName::try_from(name.clone())).transpose();
        let authority = Authority::try_from(host.as_str()).map_err(|error| broken(&error))?;
        let path = PathAndQuery::try_from(method.path).map_err(|error| broken(&error))?;
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        Ok(Self {
            origin: format!("{}://{host}", if method.tls { "grpcs" } else { "grpc" }),
            tls: tls.map_err(|error| broken(&error))?,
            uri: uri.map_err(|error| broken(&error))?,
            host,
            name,
            port,
        })
    }

    /// Scheme, host and port.
    pub(in crate::dispatch) fn origin(&self) -> &str {
        &self.origin
    }

    /// `host:port`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The host by itself, an address of version 6 without brackets.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whom the certificate must be for, when there has to be one.
    pub(super) fn tls(&self) -> Option<&ServerName<'static>> {
        self.tls.as_ref()
    }

    /// What is asked for.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}
