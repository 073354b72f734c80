//! Whether this machine, or this process, had not what a connection needs: then the call never left, and says nothing of
//! whom it was for.

use std::error::Error;
use std::io;

/// Too many open files in this process, and on this machine. The same numbers on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// No buffers for sockets.
const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
/// No local port, or no memory for now.
const EAGAIN: i32 = if cfg!(target_os = "linux") { 11 } else { 35 };

/// What there was not enough of, in words; none: the error has another cause.
pub(super) fn of(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::OutOfMemory => return Some("memory"),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => return Some("free local ports"),
        _ => {}
    }
    match error.raw_os_error()? {
        EMFILE => Some("open files (see `ulimit -n`)"),
        ENFILE => Some("open files on this machine"),
        ENOBUFS => Some("buffers for sockets"),
        EAGAIN => Some("free local ports"),
        _ => None,
    }
}

/// The same of an error that may wrap one of the operating system's.
pub(super) fn within(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let Some(io) = error.downcast_ref::<io::Error>() else { return within(error.source()?) };
    // An I/O error shows the cause of what it wraps, not what it wraps.
    of(io).or_else(|| within(io.get_ref()?))
}

/// Why a call did not leave.
pub(super) fn in_words(host: &str, what: &str) -> String {
    format!("this coordinator is short of {what} and could not connect to {host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_from_what_the_host_answers_for() {
        for number in [EMFILE, ENFILE, ENOBUFS, 12, 99] {
            assert!(of(&io::Error::from_raw_os_error(number)).is_some(), "{number}");
        }
        // Refused, timed out, unreachable, reset, not permitted.
        for number in [111, 110, 113, 101, 104, 1] {
            assert_eq!(of(&io::Error::from_raw_os_error(number)), None, "{number}");
        }
        let wrapped = io::Error::other(io::Error::from_raw_os_error(EMFILE));
        assert_eq!(within(&wrapped), of(&io::Error::from_raw_os_error(EMFILE)));
    }
}
