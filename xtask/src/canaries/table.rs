//! The canaries: each law of ARCHITECTURE.md with ways to break it.

mod clocks;
mod exposure;
mod ownership;
mod rules;
mod waiting;

/// A deliberate bug.
pub(super) struct Canary {
    /// The law it breaks.
    pub(super) law: &'static str,
    /// The description of the bug.
    pub(super) breaks: &'static str,
    pub(super) file: &'static str,
    /// The text to replace. It must be in the file exactly once.
    pub(super) replace: &'static str,
    pub(super) with: &'static str,
}

const TRANSACTION: &str = "engine/src/transaction.rs";
const DECIDE: &str = "engine/src/transaction/decide.rs";
const APPLY: &str = "engine/src/transaction/apply.rs";
const AGENDA: &str = "engine/src/transaction/agenda.rs";
const RULES: &str = "engine/src/transaction/rules.rs";
const SHARD: &str = "engine/src/shard.rs";
const SCHEDULE: &str = "engine/src/shard/schedule.rs";
const OWNERSHIP: &str = "engine/src/shard/ownership.rs";
const READING: &str = "engine/src/shard/reading.rs";
const RESIDENT: &str = "engine/src/shard/resident.rs";
const SLOT: &str = "engine/src/shard/slot.rs";
const OUTBOX: &str = "engine/src/shard/outbox.rs";

/// All canaries.
pub(super) fn canaries() -> impl Iterator<Item = &'static Canary> {
    let more = ownership::CANARIES.iter().chain(rules::CANARIES).chain(clocks::CANARIES);
    CANARIES.iter().chain(more).chain(waiting::CANARIES).chain(exposure::CANARIES)
}

const CANARIES: &[Canary] = &[
    Canary {
        law: "L1",
        breaks: "a gap in the journal is let through",
        file: APPLY,
        replace: "if record.seq != self.seq + 1 {",
        with: "if record.seq <= self.seq {",
    },
    Canary {
        law: "L2",
        breaks: "a repeated abort is refused",
        file: DECIDE,
        replace: "(Status::RollingBack | Status::RolledBack, _) => Ok(Vec::new()),",
        with: "(Status::RollingBack | Status::RolledBack, _) => self.illegal(\"abort\", \"\"),",
    },
    Canary {
        law: "L2",
        breaks: "a creation with another body is taken for a repetition",
        file: DECIDE,
        replace: "Command::Create(_) => Err(Rejection::GidConflict),",
        with: "Command::Create(_) => Ok(Vec::new()),",
    },
    Canary {
        law: "L4",
        breaks: "replies and calls leave before they are durable",
        file: OUTBOX,
        replace: "self.relies_on <= durable_seq",
        with: "self.relies_on <= durable_seq.max(Seq::MAX)",
    },
    Canary {
        law: "L4",
        breaks: "a rejection leaves before what it was decided on is durable",
        file: RESIDENT,
        replace: "let result = decided.map(|changed| Snapshot { changed, ..snapshot(&self.transaction) });",
        with: "let result = decided.map(|changed| Snapshot { changed, ..snapshot(&self.transaction) });
                if result.is_err() {
                    return outbox.reply(ticket, result);
                }",
    },
    Canary {
        law: "L5",
        breaks: "a second batch is sealed while one is in flight",
        file: OUTBOX,
        replace: "if self.sealed.is_some() || self.forming.is_empty() {",
        with: "if self.forming.is_empty() {",
    },
    Canary {
        law: "L6",
        breaks: "memory is kept after a failed commit",
        file: SHARD,
        replace: "let again = self.outbox.forget(&mut sealed, |_| true);",
        with: "let again = self.outbox.forget(&mut sealed, |_| false);",
    },
    Canary {
        law: "L6",
        breaks: "a doubtful commit is taken for a success",
        file: SHARD,
        replace: "        self.failures_in_a_row += 1;
",
        with: "        if !sealed.newest.is_empty() {
            self.flushed(sealed, now);
            return Vec::new();
        }
        self.failures_in_a_row += 1;
",
    },
    Canary {
        law: "L6",
        breaks: "a doubtful commit is taken for a failure, and written again",
        file: SHARD,
        replace: "return reading.ask(&gid, cx.outbox);",
        with: "return reading.not_found(cx);",
    },
    Canary {
        law: "L6",
        breaks: "records built on a lost batch are written",
        file: OUTBOX,
        replace: "self.forming.retain(|record| !again.contains_key(&record.gid));",
        with: "",
    },
    Canary {
        law: "L6",
        breaks: "who waits for the end is forgotten with a lost batch",
        file: RESIDENT,
        replace: "messages.extend(reading.waiters.drain(..).map(|waiter| waiter.message));",
        with: "reading.waiters.clear();",
    },
    Canary {
        law: "L6",
        breaks: "messages of a lost batch are decided again in another order",
        file: RESIDENT,
        replace: "messages.sort_by_key(|arrived| arrived.order);",
        with: "",
    },
    Canary {
        law: "L7",
        breaks: "conflicts are ignored",
        file: SHARD,
        replace: "|gid| conflicts.contains(gid)",
        with: "|gid| conflicts.len() > 1_000 && conflicts.contains(gid)",
    },
    Canary {
        law: "L7",
        breaks: "a conflict of one gid forgets the others of its batch",
        file: SHARD,
        replace: "|gid| conflicts.contains(gid)",
        with: "|_| !conflicts.is_empty()",
    },
    Canary {
        law: "L8",
        breaks: "the answer to any attempt counts",
        file: DECIDE,
        replace: "if progress.attempts + 1 != key.attempt || !progress.is_unsettled() {",
        with: "let key = CallKey { attempt: progress.attempts + 1, ..key };
        if !progress.is_unsettled() {",
    },
    Canary {
        law: "L8",
        breaks: "a second call to a branch starts while one is under way",
        file: SCHEDULE,
        replace: "let busy = next.is_some_and(|(other, _)| other.branch == key.branch);",
        with: "let busy = next.is_some_and(|(other, _)| *other == key);",
    },
    Canary {
        law: "L8",
        breaks: "a call under way is forgotten with its transaction, and made twice",
        file: RESIDENT,
        replace: "(*stage == CallStage::Released).then_some(*key)",
        with: "(*stage == CallStage::Withheld).then_some(*key)",
    },
    Canary {
        law: "L9",
        breaks: "only branches that succeeded are undone",
        file: TRANSACTION,
        replace: "branch.exposed && !branch.read_only && target.is_some()",
        with: "branch.forward.is_done() && !branch.read_only && target.is_some()",
    },
    Canary {
        law: "L9",
        breaks: "the branch that refused is not undone",
        file: TRANSACTION,
        replace: "branch.exposed && !branch.read_only && target.is_some()",
        with: "branch.exposed
            && !matches!(branch.forward.state, OpState::Refused { .. })
            && !branch.read_only
            && target.is_some()",
    },
    Canary {
        law: "saga",
        breaks: "compensations ignore the order of their actions",
        file: AGENDA,
        replace: "ready[dependency as usize] = false;",
        with: "ready[dependency as usize] &= true;",
    },
    Canary {
        law: "tcc",
        breaks: "a deadline passed after the decision rolls back",
        file: DECIDE,
        replace: "let forward = matches!(self.status, Status::Open | Status::Running)",
        with: "let forward = matches!(self.status, Status::Open | Status::Running | Status::Committing)",
    },
    Canary {
        law: "tcc",
        breaks: "an abort after the decision to commit is accepted",
        file: DECIDE,
        replace: "self.illegal(\"abort\", \"; it was decided to commit\")",
        with: "Ok(Vec::new())",
    },
    Canary {
        law: "2pc",
        breaks: "a read-only vote is not left out of phase two",
        file: TRANSACTION,
        replace: "branch.exposed && !branch.read_only && target.is_some()",
        with: "branch.exposed && target.is_some()",
    },
    Canary {
        law: "all",
        breaks: "one branch done is enough to commit",
        file: RULES,
        replace: "let all_done = self.branches.iter().all(|branch| branch.forward.is_done());",
        with: "let all_done = self.branches.iter().any(|branch| branch.forward.is_done());",
    },
    Canary {
        law: "all",
        breaks: "what must follow from an event does not",
        file: TRANSACTION,
        replace: "next.pop_front().or_else(|| self.consequence())",
        with: "next.pop_front()",
    },
    Canary {
        law: "L3",
        breaks: "time that passed before a transaction was loaded is not seen",
        file: RESIDENT,
        replace: "        resident.tick(cx);
",
        with: "",
    },
];
