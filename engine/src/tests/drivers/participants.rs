//! Participants behind a barrier with a fence, as the SDK's.

use trine_protocol::Op;

use crate::event::Outcome;
use crate::spec::Payload;

/// What a participant has on record of its branch.
#[derive(Debug, Clone, Default)]
pub(super) struct Participant {
    forward: Forward,
    undone: bool,
    highest_fence: u64,
    pub(super) effects: u32,
    pub(super) undoings: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Forward {
    #[default]
    None,
    Done,
    Refused,
    /// The undoing came first.
    Blocked,
}

/// What a call led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Effect,
    Again,
    Hanging,
    /// Its fence is older than one that has been here.
    Fenced,
}

impl Participant {
    pub(super) fn execute(&mut self, op: Op, fence: u64, refuses: bool) -> (Came, Outcome) {
        let done = || Outcome::Done { output: Payload::default(), read_only: false };
        let refused = || Outcome::Refused { reason: "no".into() };
        // What is on record is answered again, whatever the fence.
        match (op, self.forward, self.undone) {
            (Op::Action, Forward::Done, _) => return (Came::Again, done()),
            (Op::Action, Forward::Refused, _) => return (Came::Again, refused()),
            (Op::Action, Forward::Blocked, _) => return (Came::Hanging, refused()),
            (Op::Compensate, _, true) => return (Came::Again, done()),
            (_, _, _) => {}
        }
        if fence < self.highest_fence {
            return (Came::Fenced, Outcome::Unknown);
        }
        self.highest_fence = fence;
        if op != Op::Action {
            self.undone = true;
            match self.forward {
                Forward::Done => self.undoings += 1,
                Forward::None => self.forward = Forward::Blocked,
                Forward::Refused | Forward::Blocked => {}
            }
            return (Came::Effect, done());
        }
        if refuses {
            self.forward = Forward::Refused;
            return (Came::Effect, refused());
        }
        self.forward = Forward::Done;
        self.effects += 1;
        (Came::Effect, done())
    }
}
