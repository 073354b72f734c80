//! Targets that are gRPC methods: `grpc://host:port/package.Service/Method`, or `grpcs://` over TLS.

use super::TargetError;

/// Plaintext HTTP/2 with prior knowledge.
const PLAIN: &str = "grpc";
/// HTTP/2 over TLS.
const TLS: &str = "grpcs";

/// A target that is a gRPC method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcMethod<'a> {
    /// Over TLS.
    pub tls: bool,
    /// `host:port`, as it was written.
    pub authority: &'a str,
    /// `/package.Service/Method`.
    pub path: &'a str,
}

impl<'a> GrpcMethod<'a> {
    /// Splits a target that passed [`check`]. None if it is no gRPC target.
    pub(super) fn of(target: &'a str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://")?;
        let tls = is_tls(scheme)?;
        let (authority, path) = rest.split_at(rest.find('/')?);
        Some(Self { tls, authority, path })
    }
}

/// Whether a gRPC scheme means TLS. None for other schemes.
pub(super) fn is_tls(scheme: &str) -> Option<bool> {
    if scheme.eq_ignore_ascii_case(TLS) {
        return Some(true);
    }
    scheme.eq_ignore_ascii_case(PLAIN).then_some(false)
}

/// Checks the text behind `grpc://`, beyond the rules of every URL.
pub(super) fn check(rest: &str) -> Result<(), TargetError> {
    if rest.contains(['?', '#']) {
        return Err(TargetError::Query);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    // gRPC has no usual port. A missing port is a mistake, and with a default Trine would call a wrong port for ever.
    let (host, port) = authority.rsplit_once(':').ok_or(TargetError::Port)?;
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(TargetError::Port);
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host.is_empty() || (bracketed.is_none() && host.contains([':', '[', ']'])) {
        return Err(TargetError::Host);
    }
    let (service, method) =
        path.strip_prefix('/').and_then(|path| path.split_once('/')).ok_or(TargetError::Method)?;
    if service.split('.').all(is_identifier) && is_identifier(method) {
        Ok(())
    } else {
        Err(TargetError::Method)
    }
}

/// A name of the protobuf language.
fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
