//! Transactions to run: of every pattern and shape.

use fastrand::Rng;
use trine_engine::{BranchSpec, CallPolicy, Digest, Draft, OnExhausted, Payload, RetryPolicy, Spec};
use trine_protocol::{BranchId, Gid, Op, Pattern, Target};

/// Gids that a careless store would confuse: prefixes, and letters that differ in case alone.
pub(crate) fn gid(number: usize) -> Gid {
    let text = match number % 3 {
        0 => format!("order-{}", number / 3),
        1 => format!("Order-{}", number / 3),
        _ => format!("order-{}-1", number / 3),
    };
    Gid::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

fn target(op: Op) -> Target {
    let text = format!("http://participant/{op}");
    Target::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

fn branch_id(number: usize) -> BranchId {
    let text = format!("b{number}");
    BranchId::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// A branch of the pattern that may wait for earlier ones.
fn branch(rng: &mut Rng, pattern: Pattern, number: usize) -> BranchSpec {
    let ordered = matches!(pattern, Pattern::Saga | Pattern::Message);
    let after = (0..number).filter(|_| ordered && rng.u8(..) < 96).map(branch_id).collect();
    // No limit, or a generous one that rolls back: a limit that parks would need an operator to settle.
    let max_attempts = (pattern != Pattern::Message && rng.u8(..) < 64).then_some(2);
    let on_exhausted = if max_attempts.is_some() { OnExhausted::RollBack } else { OnExhausted::Park };
    let retry = RetryPolicy { max_attempts, ..RetryPolicy::default() };
    BranchSpec {
        id: branch_id(number),
        forward: Some(target(Op::forward(pattern))),
        on_commit: Op::on_commit(pattern).map(target),
        on_rollback: Op::on_rollback(pattern).map(target),
        payload: Payload::from("{}"),
        after,
        call: CallPolicy { retry, on_exhausted, ..CallPolicy::default() },
        forward_call: None,
        digest: Digest::default(),
    }
}

/// Patterns whose branches the coordinator calls.
const PATTERNS: [Pattern; 4] = [Pattern::Saga, Pattern::Tcc, Pattern::TwoPhase, Pattern::Message];

/// A transaction to run.
pub(crate) fn spec(rng: &mut Rng) -> Spec {
    let pattern = PATTERNS[rng.usize(..PATTERNS.len())];
    let open = pattern != Pattern::Saga && rng.bool();
    let branches = (0..rng.usize(1..=4)).map(|number| branch(rng, pattern, number)).collect();
    let silent = open && pattern != Pattern::Message;
    let draft = Draft {
        open,
        branches,
        check: (open && pattern == Pattern::Message).then(|| target(Op::Check)),
        // An initiator that dies leaves an open transaction to its deadline.
        deadline_ms: (silent || (pattern != Pattern::Message && rng.u8(..) < 64)).then_some(20_000),
        start_delay_ms: if !open && rng.u8(..) < 32 { 1_000 } else { 0 },
        ..Draft::new(pattern)
    };
    draft.build().unwrap_or_else(|error| unreachable!("the workload builds what can be built: {error}"))
}
