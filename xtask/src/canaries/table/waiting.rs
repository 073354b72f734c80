//! Canaries that break the rules of failing calls: answers that no retry mends, calls that cannot be sent, and clients that wait.

use super::{APPLY, Canary, DECIDE, RESIDENT, RULES, SCHEDULE};

const WAITING: &str = "engine/src/transaction/waiting.rs";
const STANDING: &str = "engine/src/transaction/effects_left.rs";

pub(super) const CANARIES: &[Canary] = &[
    Canary {
        law: "vain",
        breaks: "answers that no retry mends are repeated for ever",
        file: RULES,
        replace: "trouble.client_errors >= policy.retry.client_error_attempts",
        with: "trouble.client_errors > policy.retry.client_error_attempts",
    },
    Canary {
        law: "vain",
        breaks: "client errors that do not follow each other are added up",
        file: APPLY,
        replace: "if *outcome == Outcome::ClientError { errors } else { 0 }",
        with: "if *outcome == Outcome::ClientError { errors } else { errors - 1 }",
    },
    Canary {
        law: "vain",
        breaks: "time in which no coordinator tried is held against a participant",
        file: WAITING,
        replace: "tried_ms >= NOT_SENT_PARKS_AFTER_MS && limit_ms",
        with: "lasted_ms >= NOT_SENT_PARKS_AFTER_MS && limit_ms",
    },
    Canary {
        law: "vain",
        breaks: "every call that could not be sent is a record",
        file: WAITING,
        replace: "lasted_ms >= 2 * known.told_at.millis_since(known.since)",
        with: "lasted_ms >= known.told_at.millis_since(known.since)",
    },
    Canary {
        law: "vain",
        breaks: "calls this coordinator holds back count as not sent",
        file: SCHEDULE,
        replace: "calls.unsent.clear();",
        with: "",
    },
    Canary {
        law: "vain",
        breaks: "an op that is ongoing is asked as often as it likes",
        file: DECIDE,
        replace: "asked_ms.max(patience_ms)",
        with: "asked_ms.max(patience_ms.min(1))",
    },
    Canary {
        law: "vain",
        breaks: "who waits is not told that a transaction has parked",
        file: RESIDENT,
        replace: "if settled || self.transaction.parked().is_some() {",
        with: "if settled {",
    },
    Canary {
        law: "vain",
        breaks: "what nothing undid is said to be undone",
        file: STANDING,
        replace: "&& !refused && !branch.finish().is_done()",
        with: "&& !refused && !branch.finish().is_done() && branch.spec.on_rollback.is_some()",
    },
];
