//! Ports for servers that cannot be told to take port 0.
//!
//! The ports are below the kernel's range for outgoing connections; otherwise such a connection could take the port of a
//! server that is down for a moment. Test processes that run at the same time use a lock for each port: a socket in Linux's
//! abstract namespace, which the kernel removes with its process.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

const FIRST: u16 = 12_000;
/// Outgoing connections begin here unless the kernel says otherwise.
const EPHEMERAL_DEFAULT: u16 = 32_768;
const ATTEMPTS_MAX: u32 = 1_000;

/// A port that no other user of this crate gets while this value lives.
#[derive(Debug)]
pub(crate) struct Reserved {
    port: u16,
    _lock: UnixListener,
}

impl Reserved {
    /// Picks a port at random on which nobody listens.
    pub(crate) fn pick() -> Self {
        let end = ephemeral_begin().max(FIRST + 1_000);
        for _ in 0..ATTEMPTS_MAX {
            let spread = RandomState::new().build_hasher().finish() % u64::from(end - FIRST);
            let port = FIRST + u16::try_from(spread).expect("less than the width of a range of ports");
            let name = SocketAddr::from_abstract_name(format!("trine-testkit-port-{port}"))
                .expect("the name is short and has no NUL");
            let Ok(lock) = UnixListener::bind_addr(&name) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self { port, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {end} after {ATTEMPTS_MAX} attempts");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// A port on which nobody listens. No other call, in this or another process that uses this crate, gets the port before this
/// process ends.
#[must_use]
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<Reserved>> = Mutex::new(Vec::new());
    let reserved = Reserved::pick();
    let port = reserved.port();
    TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(reserved);
    port
}

fn ephemeral_begin() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|begin| begin.parse().ok()).unwrap_or(EPHEMERAL_DEFAULT)
}
