//! File descriptors: how many this process may have open, and how many of them clients may take.
//!
//! A process that has none left can neither call participants nor reach its store, so connections of clients must not take
//! them all. No socket and no file is opened here.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the store, the log, the runtime and listeners.
const KEPT_FOR_ITSELF: usize = 40;
/// More than this is needed nowhere.
const PLENTY: u64 = 1 << 20;

/// How many descriptors the process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// When it was looked at first.
    pub(crate) found: usize,
    /// After it was raised as far as it can be.
    pub(crate) raised: usize,
}

/// Raises the soft limit to the hard one: the soft one is often 1024, which says nothing about the machine.
pub(crate) fn raise() -> Limit {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(PLENTY);
    let soft = limit.current.unwrap_or(PLENTY);
    // A hard limit without end is not tried out: some systems refuse it as a soft one.
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

/// What clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Connections of each listener.
    pub(crate) connections_max: usize,
    /// Connections above that, for health.
    pub(crate) reserved_max: usize,
}

/// At most half of the descriptors that are not kept are for clients; the rest is for calls to participants.
pub(crate) fn share(limit: usize, wanted: Share, listeners: usize) -> Share {
    let spare = limit.saturating_sub(KEPT_FOR_ITSELF) / 2;
    let reserved_max = wanted.reserved_max.min(spare / 4).max(1);
    let connections_max =
        wanted.connections_max.min(spare.saturating_sub(reserved_max) / listeners.max(1)).max(1);
    Share { connections_max, reserved_max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_take_what_calls_and_the_store_need() {
        let wanted = Share { connections_max: 4_096, reserved_max: 16 };
        for (limit, listeners, connections_max, reserved_max) in [
            (1 << 20, 2, 4_096, 16),
            (1_024, 2, 238, 16),
            (256, 2, 46, 16),
            (64, 2, 4, 3),
            (64, 1, 9, 3),
            (20, 2, 1, 1),
        ] {
            let share = share(limit, wanted, listeners);
            assert_eq!(share, Share { connections_max, reserved_max }, "{limit}");
            let taken = share.connections_max * listeners + share.reserved_max;
            assert!(limit < 64 || taken * 2 + KEPT_FOR_ITSELF <= limit, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap_or(PLENTY).min(PLENTY);
        // So little lower that no other test notices.
        setrlimit(Resource::Nofile, Rlimit { current: Some(hard - 1), maximum: limit.maximum }).unwrap();
        let raised = raise();
        assert_eq!((raised.found as u64, raised.raised as u64), (hard - 1, hard));
        assert_eq!(raise().found, raised.raised);
    }
}
