//! The loss of a lane's memory after a panic, and the reading of everything again.

use std::sync::Arc;

use tokio::sync::oneshot;
use trine_engine::{Message, Shard, Wall};
use trine_protocol::Gid;

use super::super::door::OwnershipNews;
use super::super::lane_of;
use super::Lane;
use crate::recovery;

/// Number of panics after which a gid is quarantined.
const PANICS_MAX: u32 = 3;

impl Lane {
    pub(super) fn lose_memory(&mut self, culprit: Option<Gid>, detail: &str) {
        self.parts.metrics.lane_panicked();
        // Completions of the old memory are recognised by their generation and ignored.
        self.generation += 1;
        self.shard = Shard::new(self.parts.options.shard);
        // Only the present lead of the clock. Earlier leads are left out, because nobody knows any more which records were
        // written under which of them.
        let lead_ms = self.parts.clock.follow().borrow().lead_ms();
        self.shard.handle_clock(Wall::new(lead_ms));
        // The old memory's calls are still under way. Without this the new shard would make them a second time.
        for (gid, key) in &self.calls_out {
            self.shard.handle_under_way(gid, *key);
        }
        // Dropping a sender answers `Lost`: the command may have become durable or not.
        self.tickets.clear();
        self.readers.clear();
        self.refill = true;
        // A new shard trusts the time until it is told otherwise; `now` tells it if needed.
        self.trusts_time = true;
        let Some(gid) = culprit else {
            tracing::error!(lane = self.parts.index, detail, "a lane panicked; its memory is read again");
            return;
        };
        let panics = self.panics.entry(gid.clone()).or_default();
        *panics += 1;
        tracing::error!(lane = self.parts.index, %gid, panics = *panics, detail, "a lane panicked; its memory is read again");
        // More than the limit: writing the quarantine record panicked as well. Then not even the journal can hold the mark.
        if *panics > PANICS_MAX {
            tracing::error!(%gid, "the quarantine could not be recorded either; left alone until the next start");
            self.banned.insert(gid);
        } else if *panics == PANICS_MAX {
            let detail = format!("brought its lane down {PANICS_MAX} times: {detail}");
            self.handle(Message::Quarantine { gid, detail });
        }
    }

    /// Reads the unfinished transactions of this lane again. They go through the lane's own queue, chunk by chunk, so that the lane
    /// serves other messages meanwhile.
    pub(super) fn start_refill(&self) {
        let (store, again, banned) =
            (Arc::clone(&self.parts.store), self.again_in.clone(), self.banned.clone());
        let (lane, lanes) = (self.parts.index, self.parts.store.lanes_max().max(1));
        let stop = self.parts.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mine = |gid: &Gid| lane_of(gid, lanes) == lane && !banned.contains(gid);
            recovery::for_each_unfinished(&*store, recovery::ANY_TIME, |gids| {
                let (done, loaded) = oneshot::channel();
                let gids = gids.into_iter().filter(mine).collect();
                let news = OwnershipNews::BringIn { gids, just_adopted: false, done };
                let sent = again.send(news).is_ok();
                async move {
                    if sent {
                        let _ = loaded.await;
                    }
                }
            })
            .await;
        }));
    }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}
