//! Random transactions of every pattern and shape.

use fastrand::Rng;
use trine_engine::{
    BranchSpec, CallPolicy, Digest, Draft, Exposure, FinishOrder, OnExhausted, Payload, RetryPolicy,
    SharedPolicy, Spec,
};
use trine_protocol::{BranchId, Gid, Op, Pattern, Target};

/// Gids that a careless store would confuse: prefixes of each other, and gids that differ only in case.
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

/// A branch of the pattern that may wait for earlier ones. In another dialect it may leave targets out.
fn branch(rng: &mut Rng, pattern: Pattern, number: usize, dialect: bool) -> BranchSpec {
    let ordered = matches!(pattern, Pattern::Saga | Pattern::Message);
    let after = (0..number).filter(|_| ordered && rng.u8(..) < 96).map(branch_id).collect();
    // No limit, or one that rolls back. A limit that parks would need an operator before the transaction can settle.
    let max_attempts = (pattern != Pattern::Message && rng.u8(..) < 64).then_some(2);
    let on_exhausted = if max_attempts.is_some() { OnExhausted::RollBack } else { OnExhausted::Park };
    let retry = RetryPolicy { max_attempts, ..RetryPolicy::default() };
    let mut has_target = || !(dialect && rng.u8(..) < 48);
    let mut branch = BranchSpec {
        id: branch_id(number),
        forward: has_target().then(|| target(Op::forward(pattern))),
        on_commit: Op::on_commit(pattern).filter(|_| has_target()).map(target),
        on_rollback: Op::on_rollback(pattern).filter(|_| has_target()).map(target),
        payload: Payload::from("{}"),
        after,
        call: CallPolicy { retry, on_exhausted, ..CallPolicy::default() }.into(),
        digest: Digest::default(),
    };
    if dialect && rng.bool() {
        branch.call = SharedPolicy::with_forward(*branch.call, forward_call(rng));
    }
    branch
}

/// A few repetitions without a pause.
fn forward_call(rng: &mut Rng) -> CallPolicy {
    let max_attempts = Some(rng.u32(1..=3));
    let retry = RetryPolicy { initial_ms: 0, max_interval_ms: 0, max_attempts, ..RetryPolicy::default() };
    let on_exhausted = OnExhausted::RollBack;
    CallPolicy { retry, on_exhausted, ongoing_counts: rng.bool(), ..CallPolicy::default() }
}

fn finish_order(rng: &mut Rng, pattern: Pattern) -> FinishOrder {
    match rng.u8(..3) {
        0 if matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) => FinishOrder::FirstToLast,
        1 if matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) => FinishOrder::LastToFirst,
        _ => FinishOrder::Parallel,
    }
}

/// Two of three sagas in the native dialect are exposed ahead.
fn exposure(rng: &mut Rng, pattern: Pattern, dialect: bool) -> Exposure {
    let ahead = pattern == Pattern::Saga && !dialect && rng.u8(..3) > 0;
    if ahead { Exposure::Ahead } else { Exposure::Exact }
}

fn workflow(rng: &mut Rng) -> Draft {
    Draft {
        open: true,
        check: Some(target(Op::Check)),
        check_after_ms: rng.u64(2_000..20_000),
        check_call: CallPolicy { ongoing_ms: rng.u64(500..20_000), ..CallPolicy::default() }.into(),
        ..Draft::new(Pattern::Workflow)
    }
}

/// A transaction to run.
pub(crate) fn spec(rng: &mut Rng) -> Spec {
    // Twice as many sagas as others: they are exposed ahead or exactly.
    let pattern = *Pattern::ALL.get(rng.usize(..=Pattern::ALL.len())).unwrap_or(&Pattern::Saga);
    let draft = if pattern == Pattern::Workflow { workflow(rng) } else { branches(rng, pattern) };
    draft.build().unwrap_or_else(|error| unreachable!("the workload builds what can be built: {error}"))
}

/// A draft with branches that the coordinator calls.
fn branches(rng: &mut Rng, pattern: Pattern) -> Draft {
    let dialect = rng.u8(..) < 64;
    let open = (pattern != Pattern::Saga || dialect) && rng.bool();
    let branches = (0..rng.usize(1..=4)).map(|number| branch(rng, pattern, number, dialect).into()).collect();
    let silent = open && pattern != Pattern::Message;
    Draft {
        open,
        branches,
        check: (open && pattern == Pattern::Message && !(dialect && rng.bool())).then(|| target(Op::Check)),
        // If the initiator dies, only the deadline ends an open transaction.
        deadline_ms: (silent || (pattern != Pattern::Message && rng.u8(..) < 64)).then_some(20_000),
        start_delay_ms: if !open && rng.u8(..) < 32 { 1_000 } else { 0 },
        finish_order: finish_order(rng, pattern),
        exposure: exposure(rng, pattern, dialect),
        terms: dialect.then(|| "another".into()),
        ..Draft::new(pattern)
    }
}
