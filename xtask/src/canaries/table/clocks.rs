//! Canaries that let the wall clock decide how long something waits.

use super::{Canary, RESIDENT, SCHEDULE};

const WALL: &str = "engine/src/shard/wall.rs";

pub(super) const CANARIES: &[Canary] = &[
    Canary {
        law: "time",
        breaks: "what is read again takes the time that the wall clock shows",
        file: WALL,
        replace: "Some(lead_ms) => lead_ms,",
        with: "Some(_) => self.wall.lead_ms(),",
    },
    Canary {
        law: "time",
        breaks: "waits of a journal that ends in the future are as long as that is away",
        file: WALL,
        replace: "lead_ms.max(difference(newest, steady))",
        with: "lead_ms.min(difference(newest, steady).abs().max(lead_ms))",
    },
    Canary {
        law: "time",
        breaks: "a time that was shown twice is always taken for the first showing",
        file: WALL,
        replace: "!self.left.contains(found.transaction.gid())",
        with: "!self.left.is_empty() || self.left.is_empty()",
    },
    Canary {
        law: "time",
        breaks: "what left memory before the clock was set comes back when its row says",
        file: WALL,
        replace: "return era.lead_ms;",
        with: "return self.lead_ms();",
    },
    Canary {
        law: "time",
        breaks: "timers are set by the wall clock",
        file: SCHEDULE,
        replace: "agenda.wake_at.map(|own| self.steady(own))",
        with: "agenda.wake_at",
    },
    Canary {
        law: "time",
        breaks: "what waits by a clock that was set leaves memory, and its row is believed",
        file: RESIDENT,
        replace: "(never || self.keeps_wall_time(&cx.times.wall))",
        with: "self.own(cx.now) <= Timestamp::MAX",
    },
    Canary {
        law: "time",
        breaks: "a new transaction is written down by steady time",
        file: RESIDENT,
        replace: "let wall_now = cx.times.wall.at(cx.now);",
        with: "let wall_now = cx.now;",
    },
];
