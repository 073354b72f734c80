//! Wakes the followers of a transaction. A wake-up is only a hint: followers read new records from the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use trine_protocol::Gid;

type Watched = Mutex<HashMap<Gid, (Arc<Notify>, usize)>>;

/// The followers of all transactions.
#[derive(Debug, Clone, Default)]
pub(super) struct Hub {
    watched: Arc<Watched>,
    /// Number of followers. While it is 0, a batch costs a lane one atomic load and no lock.
    count: Arc<AtomicUsize>,
}

impl Hub {
    pub(super) fn watch(&self, gid: &Gid) -> Watch {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (notify, followers) = watched.entry(gid.clone()).or_default();
        *followers += 1;
        self.count.fetch_add(1, Ordering::Relaxed);
        Watch { gid: gid.clone(), notify: Arc::clone(notify), hub: self.clone() }
    }

    /// New records of these gids are durable.
    pub(super) fn notify<'a>(&self, gids: impl Iterator<Item = &'a Gid>) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for gid in gids {
            if let Some((notify, _)) = watched.get(gid) {
                // `notify_waiters` wakes all that wait now. `notify_one` leaves a permit for a follower that is reading the
                // store at this moment. If several are reading, one gets the permit and the others find the records by polling.
                notify.notify_waiters();
                notify.notify_one();
            }
        }
    }
}

/// One follower of a transaction.
#[derive(Debug)]
pub struct Watch {
    gid: Gid,
    notify: Arc<Notify>,
    hub: Hub,
}

impl Watch {
    /// Resolves at the next wake-up.
    pub async fn changed(&mut self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.hub.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, followers)) = watched.get_mut(&self.gid) {
            *followers -= 1;
            if *followers == 0 {
                watched.remove(&self.gid);
            }
        }
        self.hub.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_that_is_not_waiting_yet_is_woken_all_the_same() {
        let hub = Hub::default();
        let gid = Gid::parse("g").unwrap();
        let mut watch = hub.watch(&gid);
        hub.notify([&gid].into_iter());
        watch.changed().await;
        drop(watch);
        assert_eq!(hub.count.load(Ordering::Relaxed), 0);
        assert!(hub.watched.lock().unwrap().is_empty());
    }
}
