//! The host and port that a call connects to. Not here: what is asked for there.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    name: String,
    port: u16,
    tls: Option<ServerName<'static>>,
}

impl Address {
    /// Of a host as it stands in a URL: a name, or an address, one of version 6 in brackets.
    pub(super) fn of(host: &str, port: u16, tls: bool) -> Result<Self, String> {
        // Two spellings of one host are one host.
        let host = host.to_ascii_lowercase();
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if name.is_empty() {
            return Err("it has no host".into());
        }
        if host.len() != name.len() && name.parse::<IpAddr>().is_err() {
            return Err("what is in its brackets is no address".into());
        }
        let tls = tls.then(|| ServerName::try_from(name.clone())).transpose();
        let tls = tls.map_err(|error| format!("its host can have no certificate: {error}"))?;
        Ok(Self { host: format!("{host}:{port}"), name, port, tls })
    }

    /// `host:port`, an address of version 6 in brackets.
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
}
