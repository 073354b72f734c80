//! What participants did, with the rules of a barrier: an op takes effect once, an undo of what never ran is noted, and
//! what comes after its undo has no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Every participant's memory. Clones are the same book.
#[derive(Clone)]
pub(super) struct Book(Arc<Mutex<Entries>>);

struct Entries {
    random: fastrand::Rng,
    /// Branches of a transaction and what became of them.
    branches: BTreeMap<(String, String), Branch>,
    /// Local transactions of messages: committed, or never to be.
    locals: BTreeMap<String, bool>,
}

#[derive(Default)]
struct Branch {
    /// Ops that took effect, each once.
    effects: BTreeSet<String>,
    /// It was undone, or will have no effect.
    undone: bool,
}

/// How an op is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    Success,
    Failure,
    Ongoing,
    Broken,
}

fn undoes(op: &str) -> bool {
    matches!(op, "compensate" | "cancel" | "rollback")
}

impl Book {
    pub(super) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(Entries { random, branches: BTreeMap::new(), locals: BTreeMap::new() })))
    }

    fn state(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("no participant panics")
    }

    /// How long a participant thinks, in milliseconds.
    pub(super) fn delay_ms(&self) -> u64 {
        self.state().random.u64(0..30)
    }

    /// Does an op, unless luck has it otherwise: some fail before, some after it took effect.
    pub(super) fn act(&self, gid: &str, branch: &str, op: &str) -> Reply {
        let luck = self.state().random.u8(..);
        match luck {
            0..12 => return Reply::Broken,
            12..24 => return Reply::Ongoing,
            24.. => {}
        }
        if gid.ends_with("-refused") && op == "action" && branch == "02" && gid.starts_with("saga") {
            return Reply::Failure;
        }
        self.effect(gid, branch, op);
        if luck < 36 { Reply::Broken } else { Reply::Success }
    }

    /// An op takes effect, if it still may.
    pub(super) fn effect(&self, gid: &str, branch: &str, op: &str) {
        let mut state = self.state();
        let branch = state.branches.entry((gid.to_owned(), branch.to_owned())).or_default();
        if undoes(op) {
            branch.undone = true;
        } else if !branch.undone {
            branch.effects.insert(op.to_owned());
        }
    }

    /// The local transaction of a message commits, unless the check has ruled that out.
    pub(super) fn commit_local(&self, gid: &str) -> bool {
        *self.state().locals.entry(gid.to_owned()).or_insert(true)
    }

    /// Whether it has committed; if not, it never will.
    pub(super) fn close_local(&self, gid: &str) -> bool {
        *self.state().locals.entry(gid.to_owned()).or_insert(false)
    }

    /// A branch whose end is to be checked, whether it was called or not.
    pub(super) fn expect(&self, gid: &str, branch: &str) {
        self.state().branches.entry((gid.to_owned(), branch.to_owned())).or_default();
    }

    /// The branches of a transaction that ended are all in effect, or none is.
    pub(super) fn check(&self, gid: &str, succeeded: bool) {
        let kind = gid.split('-').next().unwrap_or_default();
        let decisive = match kind {
            "tcc" => "confirm",
            "xa" => "commit",
            _ => "action",
        };
        for ((_, id), branch) in self.state().branches.iter().filter(|((of, _), _)| of == gid) {
            let took_effect = branch.effects.contains(decisive);
            if succeeded {
                assert!(took_effect, "{gid} succeeded, and {decisive} of {id} never took effect");
                assert!(!branch.undone, "{gid} succeeded, and {id} was undone");
            } else {
                let left =
                    if kind == "tcc" || kind == "xa" { took_effect } else { took_effect && !branch.undone };
                assert!(!left, "{gid} failed, and {decisive} of {id} is still in effect");
                let reserved = branch.effects.contains("try") && !branch.undone;
                assert!(!reserved, "{gid} failed, and {id} is still reserved");
            }
        }
    }
}
