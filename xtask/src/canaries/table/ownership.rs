//! Ways to break the rules of ownership.

use super::{Canary, FLOW, OWNERSHIP, SCHEDULE};

pub(super) const CANARIES: &[Canary] = &[
    Canary {
        law: "own",
        breaks: "a foreign transaction makes calls",
        file: SCHEDULE,
        replace: "if !resident.owned {",
        with: "if !resident.owned && resident.under_way.len() > 1_000 {",
    },
    Canary {
        law: "own",
        breaks: "time moves a foreign transaction",
        file: SCHEDULE,
        replace: "if self.residents.get(gid).is_some_and(|resident| resident.owned)
            && self.feed",
        with: "if self.residents.contains_key(gid)
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
        replace: "resident.owned && !resident.is_outdated_for(",
        with: "!resident.is_outdated_for(",
    },
    Canary {
        law: "own",
        breaks: "a command is answered from a read that is older",
        file: FLOW,
        replace: "let is_under_way = loading.is_under_way;",
        with: "let is_under_way = false;",
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
        replace: "resident.owned = true;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "nobody looks whether a foreign transaction has ended",
        file: SCHEDULE,
        replace: "!resident.owned && !resident.waiters.is_empty()",
        with: "!resident.owned && resident.waiters.len() > 1_000",
    },
    Canary {
        law: "own",
        breaks: "a command is answered from memory however old that is",
        file: OWNERSHIP,
        replace: "self.unflushed.is_some() || self.outdated_at(options).is_none_or(",
        with: "self.outdated_at(options).is_some() || self.outdated_at(options).is_none_or(",
    },
    Canary {
        law: "own",
        breaks: "nobody looks whether others have ended what is driven here",
        file: OWNERSHIP,
        replace: "let waited_for = self.owned && !self.waiters.is_empty();",
        with: "let waited_for = self.owned && self.waiters.len() > 1_000;",
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
        replace: "Loading { waiters, durable_seq, time, ..Loading::wanted() }",
        with: "Loading { durable_seq, time, ..Loading::wanted() }",
    },
    Canary {
        law: "own",
        breaks: "what was durable is forgotten when a transaction is read again, so that a journal that went back goes on",
        file: OWNERSHIP,
        replace: "let loading = Loading { messages, waiters, wanted, durable_seq, time, ..Loading::default() };",
        with: "let loading = Loading { messages, waiters, wanted, durable_seq: 0, time, ..Loading::default() };",
    },
    Canary {
        law: "own",
        breaks: "a lapse keeps everything",
        file: OWNERSHIP,
        replace: "for gid in gids {",
        with: "for gid in gids.into_iter().take(0) {",
    },
    Canary {
        law: "own",
        breaks: "a read that is older than a lapse is believed",
        file: OWNERSHIP,
        replace: "loading.may_be_lost = true",
        with: "loading.may_be_lost = false",
    },
    Canary {
        law: "own",
        breaks: "a read that is older than an adoption is believed",
        file: OWNERSHIP,
        replace: "loading.may_be_won = true;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "what is adopted while it is read is given up when the read fails",
        file: OWNERSHIP,
        replace: "            loading.wanted = true;
",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "a lapse overlooks what is being written",
        file: OWNERSHIP,
        replace: "resident.unsure = true;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "calls leave after a lapse that a batch in flight withheld",
        file: OWNERSHIP,
        replace: "withheld.gid != *gid || !is_call(&withheld.release)",
        with: "withheld.gid != *gid || is_call(&None) || withheld.release.is_some()",
    },
    Canary {
        law: "own",
        breaks: "what is written after a lapse is not claimed",
        file: OWNERSHIP,
        replace: "resident.indexed = None;",
        with: "",
    },
    Canary {
        law: "own",
        breaks: "what is adopted back is believed not to have moved",
        file: OWNERSHIP,
        replace: "if self.residents.contains_key(gid) {
            self.read_again(gid);",
        with: "if self.drives(gid) {
        } else if self.residents.contains_key(gid) {
            self.read_again(gid);",
    },
    Canary {
        law: "own",
        breaks: "a call of a transaction that left is forgotten, and made twice",
        file: SCHEDULE,
        replace: "self.orphan(gid, left.under_way);",
        with: "drop(left);",
    },
    Canary {
        law: "own",
        breaks: "a call that ended while its transaction was gone is waited for",
        file: OWNERSHIP,
        replace: "}
        if let Some(orphans) = self.orphans.get_mut(gid) {",
        with: "} else if let Some(orphans) = self.orphans.get_mut(gid) {",
    },
];
