//! The loss of a coordinator's memory: the process dies, or its shard panics.

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::{Shard, ShardOptions, Wall};

use super::Walk;
use crate::memories::Memories;

impl Walk {
    /// The process dies. Its memory and connections are gone, and its messages under way may or may not arrive.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        self.verdict.crashes += 1;
        if let Some(batch) = self.batch.take()
            && self.rng.bool()
        {
            self.store.append(&batch.records)?;
        }
        for call in std::mem::take(&mut self.calls) {
            match self.rng.u8(..3) {
                0 => drop(self.execute(&call)),
                1 => self.late_calls.push(call),
                _ => {}
            }
        }
        self.shard = Shard::new(ShardOptions::default());
        self.has_lost_time |= self.clock.was_set();
        self.clock = self.clock.restarted();
        self.overtaken = BTreeSet::new();
        self.read_everything();
        Ok(())
    }

    /// The shard panics: its memory is lost. The process, its calls and its write go on.
    pub(super) fn panic(&mut self) -> Result<(), String> {
        self.verdict.panics += 1;
        if let Some(batch) = self.batch.take() {
            if self.late_write.is_none() && self.rng.bool() {
                self.late_write = Some(batch.records);
            } else {
                self.store.append(&batch.records)?;
            }
        }
        self.shard = Shard::new(ShardOptions::default());
        self.shard.handle_clock(Wall::new(self.clock.wall.lead_ms()));
        for call in &self.calls {
            self.shard.handle_under_way(&call.gid, call.key);
        }
        self.has_lost_time |= self.clock.was_set();
        self.read_everything();
        Ok(())
    }

    fn read_everything(&mut self) {
        (self.loads, self.asked, self.memories) = (Vec::new(), BTreeMap::new(), Memories::default());
        let unfinished = self.store.states().filter(|state| !state.status().is_settled());
        for gid in unfinished.map(|state| state.gid().clone()).collect::<Vec<_>>() {
            self.shard.handle_wanted(&gid);
        }
    }
}
