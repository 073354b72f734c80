//! Every short history of one transaction.
//!
//! A real [`Shard`] runs against the model store and the model participants. Whatever can happen next is a list, and
//! every path through these lists is taken: every order of answers, commits and time, with at most one of each fault
//! (crash, lost answer, late execution, refusal, failed or doubtful commit, abort) and at most `faults_max` in one
//! history. Safety is checked at every step; at its end each history must have settled, whole or undone, and what
//! arrives even later must change nothing.
//!
//! `cargo test -p trine-engine histories -- --nocapture` prints how many there were and what they met.

mod checks;
mod initiator;
mod steps;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use trine_protocol::Pattern;

use super::exhaust::Exhaust;
use super::trace::{declared, open};
use crate::spec::{Draft, Exposure, FinishOrder, Spec};
use world::World;

/// A transaction whose histories are enumerated, twice: with few faults in every order of everything else, and with
/// more faults, at every point, while everything else keeps one order.
struct Case {
    name: &'static str,
    spec: Arc<Spec>,
    faults_in_every_order: usize,
    faults_in_one_order: usize,
    /// Fewer histories than that would mean that the enumeration has lost some.
    histories_min: u64,
    /// Situations that must have come up, beside [`MET_ALWAYS`].
    met: &'static [&'static str],
}

/// Which of the two enumerations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Orders,
    Faults,
}

impl Case {
    fn new(name: &'static str, draft: Draft, faults: (usize, usize), histories_min: u64) -> Self {
        let spec = Arc::new(draft.build().unwrap());
        let (faults_in_every_order, faults_in_one_order) = faults;
        Self { name, spec, faults_in_every_order, faults_in_one_order, histories_min, met: &UNDOING }
    }
}

/// How often each situation came up.
type Tally = BTreeMap<&'static str, u64>;

/// The fewest histories of each case, in the order of the tests.
const HISTORIES_MIN: [u64; 8] = [22_000, 25_000, 37_000, 30_000, 15_000, 33_000, 120_000, 80_000];

const _: () = {
    let [a, b, c, d, e, f, g, h] = HISTORIES_MIN;
    assert!(a + b + c + d + e + f + g + h >= 100_000, "together there are at least 100,000 histories");
};

/// What every case must meet.
const MET_ALWAYS: [&str; 15] = [
    "abort accepted",
    "answer lost after execution",
    "answer lost without execution",
    "batch found to have been written",
    "batch found to have been lost",
    "batch written after it was read back",
    "commit failed",
    "committed",
    "conflict with another coordinator",
    "crash",
    "crash while a batch is written",
    "duplicate execution",
    "late answer",
    "rolled back",
    "waiter told the end",
];

fn run(case: &Case) {
    let mut tally = Tally::new();
    let mut histories = 0;
    for depth in [Depth::Orders, Depth::Faults] {
        let mut exhaust = Exhaust::default();
        while exhaust.next() {
            World::new(case, depth, &mut exhaust, &mut tally).run();
            histories += 1;
        }
    }
    let summary: Vec<String> = tally.iter().map(|(what, times)| format!("{what} {times}")).collect();
    eprintln!("{}: {histories} histories, all whole or undone ({})", case.name, summary.join(", "));
    for what in MET_ALWAYS.iter().chain(case.met) {
        assert!(tally.contains_key(what), "{}: no history met: {what}", case.name);
    }
    assert!(histories >= case.histories_min, "{}: only {histories} histories", case.name);
}

const UNDOING: [&str; 4] = ["empty undoing", "hanging", "refusal", "refusal, then a duplicate takes effect"];

#[test]
fn every_history_of_a_saga_in_sequence_is_whole_or_undone() {
    run(&Case::new("saga, sequence of 3", declared(Pattern::Saga, "a b<a c<b"), (2, 2), HISTORIES_MIN[0]));
}

#[test]
fn every_history_of_a_saga_graph_is_whole_or_undone() {
    run(&Case::new("saga, graph of 3", declared(Pattern::Saga, "a b<a c<a"), (1, 2), HISTORIES_MIN[1]));
}

#[test]
fn every_history_of_a_saga_in_sequence_exposed_ahead_is_whole_or_undone() {
    let draft = Draft { exposure: Exposure::Ahead, ..declared(Pattern::Saga, "a b<a c<b") };
    run(&Case::new("saga ahead, sequence of 3", draft, (2, 2), HISTORIES_MIN[6]));
}

#[test]
fn every_history_of_a_saga_graph_exposed_ahead_is_whole_or_undone() {
    let draft = Draft { exposure: Exposure::Ahead, ..declared(Pattern::Saga, "a b<a c<a") };
    run(&Case::new("saga ahead, graph of 3", draft, (1, 2), HISTORIES_MIN[7]));
}

#[test]
fn every_history_of_a_tcc_is_whole_or_undone() {
    run(&Case::new("tcc of 2", declared(Pattern::Tcc, "a b"), (1, 2), HISTORIES_MIN[2]));
}

#[test]
fn every_history_of_a_two_phase_is_whole_or_undone() {
    run(&Case::new("two_phase of 2", declared(Pattern::TwoPhase, "a b"), (1, 2), HISTORIES_MIN[3]));
}

#[test]
fn every_history_of_a_tcc_that_is_finished_one_by_one_is_whole_or_undone_in_order() {
    let draft = Draft { finish_order: FinishOrder::LastToFirst, ..declared(Pattern::Tcc, "a b") };
    run(&Case::new("tcc of 2, one by one", draft, (1, 2), HISTORIES_MIN[5]));
}

#[test]
fn every_history_of_a_message_is_whole_or_undone() {
    let met = &["check said no", "check said yes", "submission accepted"];
    let case = Case::new("message to 2", open(Pattern::Message, "a b"), (1, 2), HISTORIES_MIN[4]);
    run(&Case { met, ..case });
}
