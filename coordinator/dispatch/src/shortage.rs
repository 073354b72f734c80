//! Tells whether an error of the operating system is a shortage of this process or machine: files, memory or ports. Then the
//! call never left, and the participant has no part in the failure.

use std::error::Error;
use std::io;

use super::answer::Unreached;

/// Too many open files in this process, and on this machine. The same numbers on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// No buffers for sockets.
const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
/// No local port, or no memory for now.
const EAGAIN: i32 = if cfg!(target_os = "linux") { 11 } else { 35 };

/// What this process or machine ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// In words.
    pub(super) what: &'static str,
    /// False: the error may have another cause. If a version of IP is switched off, its addresses give the same error as a
    /// shortage of ports, and that does not pass.
    pub(super) is_certain: bool,
}

/// What there was not enough of; none: the error has another cause.
pub(super) fn of(error: &io::Error) -> Option<Shortage> {
    let certain = |what| Some(Shortage { what, is_certain: true });
    let ports = Some(Shortage { what: "free local ports", is_certain: false });
    match error.kind() {
        io::ErrorKind::OutOfMemory => return certain("memory"),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => return ports,
        _ => {}
    }
    match error.raw_os_error()? {
        EMFILE => certain("open files (see `ulimit -n`)"),
        ENFILE => certain("open files on this machine"),
        ENOBUFS => certain("buffers for sockets"),
        EAGAIN => ports,
        _ => None,
    }
}

/// The same of an error that may wrap one of the operating system's.
pub(super) fn within(error: &(dyn Error + 'static)) -> Option<Shortage> {
    let Some(io) = error.downcast_ref::<io::Error>() else { return within(error.source()?) };
    // An I/O error shows the cause of what it wraps, not what it wraps.
    of(io).or_else(|| within(io.get_ref()?))
}

impl Shortage {
    /// Why a call did not leave.
    pub(super) fn unreached(self, host: &str) -> Unreached {
        let words = format!("this coordinator is short of {} and could not connect to {host}", self.what);
        if self.is_certain { Unreached::Held(words) } else { Unreached::NotSent(words) }
    }
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
