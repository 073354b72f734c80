//! Divides the file descriptors of the process between clients, calls to participants, and the rest.
//!
//! A process without free descriptors cannot call participants, reach its store or accept a connection. So neither
//! clients nor calls may take all of them. No socket and no file is opened here.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for the store, the log, the runtime and listeners.
const KEPT_FOR_ITSELF: usize = 40;
/// More descriptors than this are never needed.
const PLENTY: u64 = 1 << 20;

/// The limit of open descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The soft limit at start.
    pub(crate) found: usize,
    /// The soft limit after it was raised.
    pub(crate) raised: usize,
}

/// Raises the soft limit to the hard one. The soft limit is often 1024, whatever the machine can do.
pub(crate) fn raise() -> Limit {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(PLENTY);
    let soft = limit.current.unwrap_or(PLENTY);
    // Some systems refuse an infinite soft limit.
    let wanted = hard.min(PLENTY).max(soft);
    let mut now = soft;
    if wanted > soft {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
            Ok(()) => now = wanted,
            Err(error) => tracing::warn!(%error, soft, hard, "the limit of file descriptors was not raised"),
        }
    }
    let counted = |descriptors: u64| usize::try_from(descriptors).unwrap_or(usize::MAX);
    Limit { found: counted(soft), raised: counted(now) }
}

/// Each look-up of a name has up to two sockets.
const SOCKETS_PER_LOOKUP: usize = 2;
/// Look-ups get at most this fraction of the calls' half.
const LOOKUPS_PART: usize = 16;

/// The shares of clients and calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Connections of each listener.
    pub(crate) connections_max: usize,
    /// Further connections of each listener, for health.
    pub(crate) reserved_max: usize,
    /// Connections to participants, for all hosts together.
    pub(crate) outgoing_max: usize,
    /// Look-ups of names under way.
    pub(crate) lookups_max: usize,
}

/// The listeners that share the descriptors for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Listeners for clients.
    pub(crate) listeners: usize,
    /// Listeners with seats for health, with or without ordinary connections.
    pub(crate) with_seats: usize,
}

/// Divides the descriptors: after [`KEPT_FOR_ITSELF`], at most half are for clients, and at most half for calls.
pub(crate) fn share(limit: usize, wanted: Share, listening: Listening) -> Share {
    let Listening { listeners, with_seats } = listening;
    let half = limit.saturating_sub(KEPT_FOR_ITSELF) / 2;
    let reserved_max = wanted.reserved_max.min(half / 4 / with_seats.max(1)).max(1);
    let for_clients = half.saturating_sub(reserved_max * with_seats);
    let connections_max = wanted.connections_max.min(for_clients / listeners.max(1)).max(1);
    let lookups_max = wanted.lookups_max.min(half / LOOKUPS_PART).max(1);
    let for_calls = half.saturating_sub(lookups_max * SOCKETS_PER_LOOKUP);
    let outgoing_max = wanted.outgoing_max.min(for_calls).max(1);
    Share { connections_max, reserved_max, outgoing_max, lookups_max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_calls_leave_each_other_and_the_store_what_they_need() {
        let wanted =
            Share { connections_max: 4_096, reserved_max: 16, outgoing_max: 1 << 20, lookups_max: 64 };
        for (limit, listeners, with_seats, figures) in [
            (1 << 20, 2, 1, (4_096, 16, 524_140, 64)),
            (1_024, 2, 1, (238, 16, 432, 30)),
            (1_024, 2, 2, (230, 16, 432, 30)),
            (256, 2, 1, (46, 16, 96, 6)),
            (64, 2, 1, (4, 3, 10, 1)),
            (64, 1, 1, (9, 3, 10, 1)),
            (20, 2, 1, (1, 1, 1, 1)),
        ] {
            let share = share(limit, wanted, Listening { listeners, with_seats });
            let Share { connections_max, reserved_max, outgoing_max, lookups_max } = share;
            assert_eq!((connections_max, reserved_max, outgoing_max, lookups_max), figures, "{limit}");
            let clients = connections_max * listeners + reserved_max * with_seats;
            let calls = outgoing_max + lookups_max * SOCKETS_PER_LOOKUP;
            assert!(limit < 64 || clients + calls + KEPT_FOR_ITSELF <= limit, "{limit}: {share:?}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap_or(PLENTY).min(PLENTY);
        // Only one lower, so that no other test notices.
        setrlimit(Resource::Nofile, Rlimit { current: Some(hard - 1), maximum: limit.maximum }).unwrap();
        let raised = raise();
        assert_eq!((raised.found as u64, raised.raised as u64), (hard - 1, hard));
        assert_eq!(raise().found, raised.raised);
    }
}
