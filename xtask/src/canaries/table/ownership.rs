//! Canaries that break the rules of ownership.

use super::{Canary, FLOW, OUTBOX, OWNERSHIP, READING, SCHEDULE, SLOT};

pub(super) const CANARIES: &[Canary] = &[
    Canary {
        law: "own",
        breaks: "a foreign transaction makes calls",
        file: SCHEDULE,
        replace: "if !resident.is_owned() {",
        with: "if !resident.is_owned() && resident.under_way.len() > 1_000 {",
    },
    Canary {
        law: "own",
        breaks: "time moves a foreign transaction",
        file: SCHEDULE,
        replace: "if self.slots.resident(gid).is_some_and(Resident::is_owned)
            && self.feed",
        with: "if self.slots.resident(gid).is_some()
            && self.feed",
    },
    Canary {
        law: "own",
        breaks: "an answer that waited for a read is recorded though it is foreign",
        file: FLOW,
        replace: "if !owned && message.answers().is_some() {",
        with: "if !owned && matches!(message, Message::NotSent { .. }) {",
    },
    Canary {
        law: "own",
        breaks: "an answer for a foreign transaction reads it again",
        file: OWNERSHIP,
        replace: "if message.answers().is_some() {",
        with: "if matches!(message, Message::NotSent { .. }) {",
    },
    Canary {
        law: "own",
        breaks: "a deadline passes by a clock that cannot be believed",
        file: SCHEDULE,
        replace: "if self.distrusts_time {\n            return;",
        with: "if false {\n            return;",
    },
    Canary {
        law: "own",
        breaks: "a check is made on old knowledge",
        file: SCHEDULE,
        replace: "if resident.calls_on_old_knowledge(&self.options, self.distrusts_time, now) {",
        with: "if resident.calls_on_old_knowledge(&self.options, self.distrusts_time, now) && now < resident.fresh_at {",
    },
    Canary {
        law: "own",
        breaks: "a foreign transaction is answered for from memory",
        file: FLOW,
        replace: "resident.is_owned() && !resident.is_outdated_for(",
        with: "!resident.is_outdated_for(",
    },
    Canary {
        law: "own",
        breaks: "a command is answered from a read that is older",
        file: READING,
        replace: "ReadStage::Started { late } => late.push(message),",
        with: "ReadStage::Started { .. } => self.messages.push(message),",
    },
    Canary {
        law: "own",
        breaks: "a foreign transaction that was moved does not write its row",
        file: SCHEDULE,
        replace: "found.owned.then(|| indexed(",
        with: "true.then(|| indexed(",
    },
    Canary {
        law: "own",
        breaks: "a foreign transaction that was moved is not driven",
        file: FLOW,
        replace: "resident.moved();",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "nobody looks whether a foreign transaction has ended",
        file: SCHEDULE,
        replace: "!resident.is_owned() && !resident.waiters.is_empty()",
        with: "!resident.is_owned() && resident.waiters.len() > 1_000",
    },
    Canary {
        law: "own",
        breaks: "a command is answered from memory however old that is",
        file: OWNERSHIP,
        replace: "!self.is_flushed() || self.outdated_at(options).is_none_or(",
        with: "self.outdated_at(options).is_some() || self.outdated_at(options).is_none_or(",
    },
    Canary {
        law: "own",
        breaks: "nobody looks whether others have ended what is driven here",
        file: OWNERSHIP,
        replace: "let waited_for = self.is_owned() && !self.waiters.is_empty();",
        with: "let waited_for = self.is_owned() && self.waiters.len() > 1_000;",
    },
    Canary {
        law: "own",
        breaks: "who waits for what was written long ago is not looked for again",
        file: FLOW,
        replace: "            self.set_timer_at(gid, refresh_at);
",
        with: "            let _ = refresh_at;
",
    },
    Canary {
        law: "own",
        breaks: "who waits is forgotten when a transaction is read again",
        file: OWNERSHIP,
        replace: "Reading { waiters, acknowledged_seq, time, ..Reading::that_must_come_back() }",
        with: "Reading { acknowledged_seq, time, ..Reading::that_must_come_back() }",
    },
    Canary {
        law: "own",
        breaks: "what was durable is forgotten when a transaction is read again, so that a journal that went back goes on",
        file: OWNERSHIP,
        replace: "Reading { messages, waiters, must_come_back, acknowledged_seq, time, ..Reading::default() }",
        with: "Reading { messages, waiters, must_come_back, acknowledged_seq: acknowledged_seq.min(0), time, ..Reading::default() }",
    },
    Canary {
        law: "own",
        breaks: "a lapse keeps everything",
        file: OWNERSHIP,
        replace: "for gid in self.slots.residents() {",
        with: "for gid in self.slots.residents().into_iter().take(0) {",
    },
    Canary {
        law: "own",
        breaks: "a read that is older than a lapse is believed",
        file: OWNERSHIP,
        replace: "reading.owned_may_be_stale = true",
        with: "reading.owned_may_be_stale = false",
    },
    Canary {
        law: "own",
        breaks: "a read that is older than an adoption is believed",
        file: OWNERSHIP,
        replace: "reading.foreign_may_be_stale = true;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "what is adopted while it is read is given up when the read fails",
        file: OWNERSHIP,
        replace: "                reading.must_come_back = true;
",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "a lapse overlooks what is being written",
        file: OWNERSHIP,
        replace: "resident.ownership = Ownership::RereadAfterFlush;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "calls leave after a lapse that a batch in flight withheld",
        file: OUTBOX,
        replace: "withheld.gid != *gid || withheld.call().is_none()",
        with: "withheld.gid != *gid || withheld.release.is_some()",
    },
    Canary {
        law: "own",
        breaks: "what is written after a lapse is not claimed",
        file: OWNERSHIP,
        replace: "self.indexed = None;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "what is adopted back is believed not to have moved",
        file: OWNERSHIP,
        replace: "Some(Slot::Resident(_)) => self.read_again(gid),
            Some(Slot::Reading(_))",
        with: "Some(Slot::Resident(resident)) if resident.is_owned() => {}
            Some(Slot::Resident(_)) => self.read_again(gid),
            Some(Slot::Reading(_))",
    },
    Canary {
        law: "own",
        breaks: "a call of a transaction that left is forgotten, and made twice",
        file: SCHEDULE,
        replace: "self.keep_released(gid, left.under_way);",
        with: "drop(left);",
    },
    Canary {
        law: "own",
        breaks: "a call that ended while its transaction was gone is waited for",
        file: SLOT,
        replace: "        slot.left_earlier_mut().remove(&key);",
        with: "        if !matches!(slot, Slot::Resident(_)) {
            slot.left_earlier_mut().remove(&key);
        }",
    },
];
