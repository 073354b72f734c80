//! Why there was no usable answer, in words for an operator. Not here: answers that arrived whole (`classify`).
//!
//! Error texts never contain a URL, because its query may hold a secret.

use std::error::Error;
use std::io;

use super::text::clean;

/// Where a call stood when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before there was a connection.
    Connect,
    /// Before the answer's status.
    Send,
    /// After the status, before the end of the body.
    Body {
        /// The status that had arrived.
        status: u16,
    },
}

/// The call took longer than it may.
pub(super) fn timeout(stage: Stage, host: &str, timeout_ms: u64) -> String {
    clean(&match stage {
        Stage::Connect => unconnected(host, timeout_ms),
        Stage::Send => format!("no answer from {host} within {timeout_ms} ms; it may have run"),
        Stage::Body { status } => {
            format!(
                "{host} answered HTTP {status}, but its body did not end within {timeout_ms} ms; it may have run"
            )
        }
    })
}

/// The call's time was up before there was a connection.
pub(super) fn unconnected(host: &str, timeout_ms: u64) -> String {
    clean(&format!("no connection to {host} within {timeout_ms} ms"))
}

/// It took too long to connect.
pub(super) fn slow(host: &str) -> String {
    clean(&format!("cannot connect to {host} in time"))
}

/// TCP failed.
pub(super) fn unreachable(host: &str, error: &io::Error) -> String {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{host} refuses connections; is it running?"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("there is no route to {host}")
        }
        _ => format!("cannot connect to {host}"),
    };
    clean(&format!("{what} ({error})"))
}

/// TLS failed.
pub(super) fn untrusted(host: &str, error: &io::Error) -> String {
    let what = if find::<rustls::Error>(error).is_some() {
        format!("no trusted TLS connection to {host}")
    } else {
        format!("{host} closed the connection during the TLS handshake")
    };
    clean(&format!("{what} ({})", chain(error)))
}

/// The connection broke, or what came over it is not HTTP.
pub(super) fn failure(stage: Stage, host: &str, error: &(dyn Error + 'static)) -> String {
    let what = match stage {
        Stage::Connect | Stage::Send => sending(host, error),
        Stage::Body { status } => format!("{host} answered HTTP {status}, but its body broke off"),
    };
    clean(&format!("{what} ({})", chain(error)))
}

fn sending(host: &str, error: &(dyn Error + 'static)) -> String {
    if let Some(http) = find::<hyper::Error>(error) {
        if http.is_incomplete_message() {
            return format!("{host} closed the connection before it answered; it may have run");
        }
        if http.is_parse_too_large() {
            return format!(
                "the head of the answer of {host} is too large (64 KiB, 100 headers); it may have run"
            );
        }
        if http.is_parse() {
            return format!("what {host} answered is not HTTP; it may have run");
        }
    }
    format!("the call to {host} broke off; it may have run")
}

/// The first error of a kind in the chain of causes.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error shows the cause of what it wraps, not what it wraps.
        if let Some(found) = error.downcast_ref::<io::Error>().and_then(inner).and_then(find::<E>) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn inner(error: &io::Error) -> Option<&(dyn Error + 'static)> {
    error.get_ref().map(|inner| inner as &(dyn Error + 'static))
}

/// Every cause, outermost first; causes that repeat the one before are left out.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !words.ends_with(&next) {
            words.push_str(": ");
            words.push_str(&next);
        }
        cause = error.source();
    }
    words
}
