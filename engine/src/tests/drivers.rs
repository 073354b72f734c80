//! Every state that two coordinators can bring one saga into, when it is exposed ahead.
//!
//! Two real [`Shard`]s share a journal with compare-and-append. Either may be the owner, and the former owner need not know that
//! it has been replaced. Calls are on their way, delayed or given up, and arrive late; appends fail doubtfully and land late.
//! From each state every next step is taken, and a state that was met before is not followed again, so that everything within
//! the bounds is seen: the rules of law L13 each break an invariant here when they are left out.
//!
//! `cargo test -p trine-engine drivers -- --nocapture` prints how many states there were.

mod participants;
mod steps;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};

use trine_protocol::Pattern;

use super::trace::declared;
use crate::spec::{Draft, Exposure};
use steps::{Fault, Step};
use world::World;

/// Hashes what is written to it.
#[derive(Default)]
struct Hashing(DefaultHasher);

impl std::fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn hash(world: &World) -> u64 {
    let mut hashing = Hashing::default();
    write!(hashing, "{world:?}").expect("a hash takes every text");
    hashing.0.finish()
}

/// Goes from state to state until there is no new one. Returns how many there were, and how often each thing was met.
fn explore(branches: &str, faults: &[Fault]) -> (usize, BTreeMap<&'static str, usize>) {
    let draft = Draft { exposure: Exposure::Ahead, ..declared(Pattern::Saga, branches) };
    let start = World::new(draft, faults);
    let (mut seen, mut met) = (BTreeSet::from([hash(&start)]), BTreeMap::new());
    let mut open: Vec<(World, Vec<Step>)> = vec![(start, Vec::new())];
    while let Some((world, path)) = open.pop() {
        let steps = world.steps();
        if !steps.iter().any(|step| !step.is_fault()) {
            world.check_end().unwrap_or_else(|broken| fail(&world, &path, &broken));
        }
        for step in steps {
            let mut next = world.clone();
            let mut path = path.clone();
            path.push(step);
            next.step(step, &mut met);
            next.check().unwrap_or_else(|broken| fail(&next, &path, &broken));
            if seen.insert(hash(&next)) {
                open.push((next, path));
            }
        }
    }
    eprintln!("{branches}, {faults:?}: {} states, {met:?}", seen.len());
    (seen.len(), met)
}

fn fail(world: &World, path: &[Step], broken: &str) -> ! {
    panic!("{broken} after {path:?}\n{}", world.journal());
}

/// Explores pairs of faults; each of `wanted` must have been met.
fn explore_all(pairs: &[[Fault; 2]], wanted: &[&str], states_min: usize) {
    let mut states = 0;
    let mut met = BTreeMap::<&str, usize>::new();
    for faults in pairs {
        let (found, here) = explore("a b<a", faults);
        states += found;
        here.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
    }
    for what in wanted {
        assert!(met.contains_key(what), "no state met: {what}");
    }
    assert!(states >= states_min, "only {states} states");
}

#[test]
fn every_history_of_two_drivers_of_a_saga_is_whole_or_undone() {
    use Fault::{Abort, Adopt, Crash, Refuse};
    let pairs = [[Adopt, Abort], [Adopt, Refuse], [Adopt, Adopt], [Adopt, Crash]];
    let wanted = ["conflict", "hanging", "narrowed", "not narrowed", "repeated", "taken over", "told early"];
    explore_all(&pairs, &wanted, 70_000);
}

#[test]
fn every_history_of_a_driver_that_lost_its_memory_is_whole_or_undone() {
    use Fault::{Abort, Crash, Delay, DoubtLate, DoubtWritten, Panic, Refuse};
    let doubts = [DoubtWritten, DoubtLate].into_iter().flat_map(|doubt| [[doubt, Abort], [doubt, Refuse]]);
    let losses = [Crash, Panic].into_iter().flat_map(|loss| [[loss, Abort], [loss, Refuse], [loss, Delay]]);
    let pairs: Vec<[Fault; 2]> = doubts.chain(losses).collect();
    let wanted =
        ["conflict", "hanging", "late write landed", "narrowed", "not narrowed", "repeated", "taken over"];
    explore_all(&pairs, &wanted, 60_000);
}
