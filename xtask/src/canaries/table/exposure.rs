//! Canaries that break the rules of sagas exposed ahead (law L13), of progress that waits for other records, and of ends that are
//! told when they are certain.

use super::{APPLY, Canary, OUTBOX, RESIDENT, SCHEDULE};

const MEMORY: &str = "engine/src/shard/memory.rs";
const CERTAIN: &str = "engine/src/transaction/certain.rs";

/// Where a memory that reads a journal is made.
const READ: &str = "memory: memory.map_or_else(Memory::default, |(_, memory)| memory),";
/// Where the records of a memory are made.
const ADVANCE: &str = "self.transaction.advance(events, own_now, self.memory.owed.as_ref(), &mut records);";
/// Where a memory is dropped whose records are lost or doubtful.
const LOST: &str = "let mut reading = self.forget(KnownTime { lead_ms, is_adopted: false }, outbox);";
/// Where a memory is kept over a read.
const KEPT: &str = "reading.memory.filter(|(known_seq, _)| found.owned && *known_seq == seq);";

pub(super) const CANARIES: &[Canary] = &[
    Canary {
        law: "L13",
        breaks: "a rollback undoes only branches whose calls have left, and not those whose calls are withheld",
        file: RESIDENT,
        replace: ADVANCE,
        with: "let has_left = |at: u32| {
            let released = |(key, stage): (&CallKey, &CallStage)| {
                key.branch == Some(at) && *stage == CallStage::Released
            };
            self.transaction.branches()[at as usize].forward.attempts > 0
                || matches!(input, Input::Answer(key, _) if key.branch == Some(at))
                || self.under_way.iter().any(released)
        };
        let owed = self.memory.owed.clone();
        let left = owed.map(|owed| owed.into_iter().filter(|at| has_left(*at)).collect::<BTreeSet<u32>>());
        self.transaction.advance(events, own_now, left.as_ref(), &mut records);",
    },
    Canary {
        law: "L13",
        breaks: "a memory that was read knows which branches were owed",
        file: RESIDENT,
        replace: READ,
        with: "memory: memory.map_or_else(
                || {
                    let mut memory = Memory::default();
                    memory.owed = Memory::of_creation(&found.transaction).owed;
                    memory
                },
                |(_, memory)| memory,
            ),",
    },
    Canary {
        law: "L13",
        breaks: "a memory that read a creation alone knows which branches were owed",
        file: RESIDENT,
        replace: READ,
        with: "memory: memory.map_or_else(
                || {
                    let mut memory = Memory::default();
                    memory.owed = Memory::of_creation(&found.transaction).owed.filter(|_| seq == 1);
                    memory
                },
                |(_, memory)| memory,
            ),",
    },
    Canary {
        law: "L13",
        breaks: "what was called is believed to be known after a doubtful append",
        file: RESIDENT,
        replace: LOST,
        with: "let mut this = self;
        let memory = (this.durable_seq, std::mem::take(&mut this.memory));
        let mut reading = this.forget(KnownTime { lead_ms, is_adopted: false }, outbox);
        reading.memory = Some(memory);",
    },
    Canary {
        law: "L13",
        breaks: "what was called is believed to be known after a read that found records of others",
        file: RESIDENT,
        replace: KEPT,
        with: "reading.memory.filter(|(known_seq, _)| *known_seq <= seq);",
    },
    Canary {
        law: "L13",
        breaks: "a new driver appends nothing before its first call",
        file: SCHEDULE,
        replace: "if !agenda.calls.is_empty() && self.must_take_over() {",
        with: "if agenda.calls.len() > 1_000 && self.must_take_over() {",
    },
    Canary {
        law: "L13",
        breaks: "the creator appends nothing before its first call after a doubtful append",
        file: RESIDENT,
        replace: KEPT,
        with: "reading.memory.filter(|(known_seq, _)| found.owned && *known_seq == seq).or_else(|| {
            let mut memory = Memory::of_creation(&found.transaction);
            memory.owed = None;
            (found.owned && reading.acknowledged_seq > 0).then_some((seq, memory))
        });",
    },
    Canary {
        law: "L4",
        breaks: "after a lapse, calls of a saga that is exposed ahead leave before the write that claims it",
        file: "engine/src/shard/ownership.rs",
        replace: "self.decided_seq = self.transaction.seq();",
        with: "self.decided_seq = self.decided_seq.min(self.transaction.seq());",
    },
    Canary {
        law: "L13",
        breaks: "the first record of a new driver waits for other records",
        file: RESIDENT,
        replace: "let is_lazy = !is_new_driver && ",
        with: "let is_lazy = (!is_new_driver || records.len() < 1_000) && ",
    },
    Canary {
        law: "L13",
        breaks: "what is exposed ahead is exposed when it is owed",
        file: APPLY,
        replace: "Status::Running if self.started && self.is_exposed_ahead() => {",
        with: "Status::Running if self.started && self.is_exposed_ahead() && self.seq == 0 => {",
    },
    Canary {
        law: "L4",
        breaks: "a call of a saga exposed ahead does not wait for the creation",
        file: RESIDENT,
        replace: "        resident.decided_seq = resident.transaction.seq();
",
        with: "",
    },
    Canary {
        law: "L4",
        breaks: "a call of a saga exposed ahead does not wait for what was decided since the creation",
        file: RESIDENT,
        replace: "            self.decided_seq = self.transaction.seq();
",
        with: "",
    },
    Canary {
        law: "L4",
        breaks: "a call is made that a later record of its batch takes back",
        file: SCHEDULE,
        replace: "if self.is_forming(cx.outbox) {",
        with: "if self.is_forming(cx.outbox) && self.under_way.len() > 1_000 {",
    },
    Canary {
        law: "fence",
        breaks: "a call is fenced with the record that it relies on",
        file: OUTBOX,
        replace: "call.fence = durable_seq;",
        with: "call.fence = self.relies_on.min(durable_seq);",
    },
    Canary {
        law: "lazy",
        breaks: "progress waits for other records for ever",
        file: OUTBOX,
        replace: "self.next_timer().into_iter().chain(self.seal_at(false)).min()",
        with: "self.next_timer()",
    },
    Canary {
        law: "lazy",
        breaks: "somebody waits for a record that waits for others",
        file: OUTBOX,
        replace: "self.pressing.insert(withheld.gid.clone());",
        with: "",
    },
    Canary {
        law: "lazy",
        breaks: "an attempt of a tcc that was in vain waits for other records",
        file: MEMORY,
        replace: "self.spec().terms.is_none() && matches!(outcome, Outcome::Done { .. })",
        with: "self.spec().terms.is_none() && !matches!(outcome, Outcome::Refused { .. })",
    },
    Canary {
        law: "told",
        breaks: "an end is told before its decision is durable",
        file: CERTAIN,
        replace: "decision_seq <= durable_seq",
        with: "decision_seq <= durable_seq.max(u64::MAX)",
    },
    Canary {
        law: "told",
        breaks: "what rolls back is forced to commit",
        file: CERTAIN,
        replace: "(Status::RollingBack, ForceTo::Committed) => true,",
        with: "(Status::RollingBack, ForceTo::Committed) => false,",
    },
    Canary {
        law: "told",
        breaks: "what commits is forced to roll back",
        file: CERTAIN,
        replace: "(Status::Committing, ForceTo::RolledBack) => self.spec.terms.is_none(),",
        with: "(Status::Committing, ForceTo::RolledBack) => self.spec.terms.is_some(),",
    },
];
