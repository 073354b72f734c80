//! What makes a spec, and what an unusable one is told.

use std::sync::Arc;

use expect_test::{Expect, expect};
use trine_protocol::Pattern::{Message, Saga, Tcc, TwoPhase, Workflow};
use trine_protocol::errors::Code;
use trine_protocol::limits::{AFTER_MAX, BRANCHES_MAX};

use super::trace::{branch, declared, open, target};
use crate::spec::{Draft, SpecErrorKind};

fn refused(draft: Draft, expect: Expect) {
    expect.assert_eq(&draft.build().unwrap_err().to_string());
}

#[test]
fn a_declared_transaction_needs_branches_and_an_open_one_does_not() {
    refused(
        declared(Saga, ""),
        expect![
            "branches: a transaction that is not open needs at least one branch; set `open` to register branches later"
        ],
    );
    assert!(open(Tcc, "").build().is_ok());
}

#[test]
fn branches_have_a_limit() {
    let many = |n: usize| (0..n).map(|i| format!("b{i} ")).collect::<String>();
    assert!(declared(Saga, &many(BRANCHES_MAX)).build().is_ok());
    refused(declared(Saga, &many(BRANCHES_MAX + 1)), expect!["branches: more than 1000 branches"]);
}

#[test]
fn dependencies_have_a_limit() {
    let ids: Vec<String> = (0..=AFTER_MAX).map(|i| format!("b{i}")).collect();
    let join = |n: usize| format!("{} last<{}", ids.join(" "), ids[..n].join(","));
    assert!(declared(Saga, &join(AFTER_MAX)).build().is_ok());
    refused(declared(Saga, &join(AFTER_MAX + 1)), expect!["branches[101].after: has more than 100 entries"]);
}

#[test]
fn branch_ids_are_unique() {
    refused(declared(Saga, "a b a"), expect!["branches[2].id: branch id a is used twice"]);
}

#[test]
fn dependencies_exist_and_are_no_cycle() {
    refused(
        declared(Saga, "a b<z"),
        expect!["branches[1].after: names z, which is not a branch of this transaction"],
    );
    refused(
        declared(Saga, "a<a"),
        expect!["branches[0].after: branch a waits for itself, directly or through others"],
    );
    refused(
        declared(Saga, "a b<d c<b d<c"),
        expect!["branches[1].after: branch b waits for itself, directly or through others"],
    );
    assert!(declared(Saga, "c<b b<a a").build().is_ok(), "the order of branches is free");
}

#[test]
fn only_saga_and_message_branches_are_ordered() {
    refused(
        declared(Tcc, "a b<a"),
        expect![
            "branches[1].after: tcc branches run in parallel; only saga and message branches take `after`"
        ],
    );
    refused(
        declared(TwoPhase, "a b<a"),
        expect![
            "branches[1].after: two_phase branches run in parallel; only saga and message branches take `after`"
        ],
    );
    assert!(declared(Message, "a b<a").build().is_ok());
}

#[test]
fn a_branch_has_the_targets_its_pattern_calls() {
    let without = |pattern, forget: fn(&mut crate::spec::BranchSpec)| {
        let mut draft = declared(pattern, "a");
        forget(Arc::make_mut(&mut draft.branches[0]));
        draft
    };
    refused(
        without(Saga, |b| b.forward = None),
        expect!["branches[0].action: a saga branch needs `action` (or `url`)"],
    );
    refused(
        without(Message, |b| b.forward = None),
        expect!["branches[0].deliver: a message branch needs `deliver` (or `url`)"],
    );
    refused(
        without(Tcc, |b| b.forward = None),
        expect!["branches[0].try: a tcc branch needs `try` (or `url`)"],
    );
    refused(
        without(Tcc, |b| b.on_commit = None),
        expect!["branches[0].confirm: a tcc branch needs `confirm` (or `url`)"],
    );
    refused(
        without(Tcc, |b| b.on_rollback = None),
        expect!["branches[0].cancel: a tcc branch needs `cancel` (or `url`)"],
    );
    refused(
        without(TwoPhase, |b| b.on_commit = None),
        expect!["branches[0].commit: a two_phase branch needs `commit` (or `url`)"],
    );
    assert!(
        without(Saga, |b| b.on_rollback = None).build().is_ok(),
        "a saga branch may have nothing to undo"
    );
}

#[test]
fn the_initiator_of_an_open_tcc_or_two_phase_drives_the_forward_op_itself() {
    for pattern in [Tcc, TwoPhase] {
        let mut draft = open(pattern, "a");
        Arc::make_mut(&mut draft.branches[0]).forward = None;
        assert!(draft.build().is_ok());
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    refused(open(Saga, "a"), expect!["open: a saga cannot be open; only tcc, two_phase and message can"]);
    refused(
        Draft { check: None, ..open(Message, "a") },
        expect![
            "check: an open message or workflow needs a `check` target, for when its initiator falls silent"
        ],
    );
    refused(
        Draft { check: Some(target("check")), ..declared(Message, "a") },
        expect!["check: only an open message or workflow takes a `check`"],
    );
    refused(
        Draft { check: Some(target("check")), ..open(Tcc, "a") },
        expect!["check: only an open message or workflow takes a `check`"],
    );
    refused(
        Draft { deadline_ms: Some(1), ..declared(Message, "a") },
        expect![
            "options.deadline: a message is never rolled back after it is submitted, and a workflow ends itself: no deadline"
        ],
    );
    refused(
        Draft { start_delay_ms: 1, ..open(Tcc, "a") },
        expect![
            "options.start_delay: an open transaction starts when it is committed; it takes no start delay"
        ],
    );
}

#[test]
fn a_workflow_is_open_and_declares_no_branches() {
    for draft in [declared(Workflow, ""), open(Workflow, "a")] {
        refused(
            draft,
            expect!["open: a workflow is always open, and its branches are its own: it records progress"],
        );
    }
}

#[test]
fn codes_on_the_wire_are_stable() {
    assert_eq!(SpecErrorKind::TooManyBranches.code(), Code::TooManyBranches);
    assert_eq!(SpecErrorKind::NoBranches.code(), Code::InvalidField);
}

#[test]
fn a_branch_knows_where_each_of_its_ops_goes() {
    use trine_protocol::Op;
    let branch = branch(Tcc, "a");
    assert_eq!(branch.target(Tcc, Op::Try), branch.forward.as_ref());
    assert_eq!(branch.target(Tcc, Op::Confirm), branch.on_commit.as_ref());
    assert_eq!(branch.target(Tcc, Op::Cancel), branch.on_rollback.as_ref());
    assert_eq!(branch.target(Tcc, Op::Action), None);
}
