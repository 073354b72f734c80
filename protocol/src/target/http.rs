//! Checks for URLs and for paths at participants. Both go out byte for byte, so a character that cannot be in a request line is
//! refused.

use std::net::Ipv6Addr;

use super::TargetError;

/// Printable characters that HTTP clients do not send unencoded.
const UNSENDABLE: [char; 5] = ['"', '<', '>', '`', '\\'];
/// How often a path is decoded to see where it leads. Each proxy and the server may decode it once.
const DECODINGS: usize = 3;

/// Checks the text behind `http://`.
pub(super) fn check_url(rest: &str) -> Result<(), TargetError> {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    check_authority(authority)?;
    check_path(path)
}

/// Checks a host with an optional port.
fn check_authority(authority: &str) -> Result<(), TargetError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').ok_or(TargetError::Authority)?)),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let is_name =
        |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let host_is_good = if authority.starts_with('[') {
        host.parse::<Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && is_name(host)
    };
    let port_is_good =
        port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    if host_is_good && port_is_good { Ok(()) } else { Err(TargetError::Authority) }
}

/// Checks a path and a query.
pub(super) fn check_path(path: &str) -> Result<(), TargetError> {
    if let Some(bad) = path.chars().find(|c| UNSENDABLE.contains(c)) {
        return Err(TargetError::Character(bad));
    }
    if path.contains('#') { Err(TargetError::Fragment) } else { Ok(()) }
}

/// Checks that a path does not lead out of its base path, even if proxies on the way decode it several times.
pub(super) fn stays_inside(path: &str) -> Result<(), TargetError> {
    let mut path = path.split('?').next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..=DECODINGS {
        // Some servers remove the text after a semicolon first, so `..;x` counts as `..`.
        let mut segments = path.split(|b| matches!(b, b'/' | b'\\'));
        if segments.any(|segment| segment.split(|b| *b == b';').next() == Some(b"..")) {
            return Err(TargetError::Outside);
        }
        path = decoded(&path);
    }
    Ok(())
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path);
    while let Some((first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}
