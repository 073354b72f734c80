//! The role of each op in its branch: the same for SQL and for Redis.

use trine_protocol::Op;

/// The role of an op in its branch, and the other ops that the barrier must look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Makes the effect.
    Forward,
    /// Makes the effect of `forward` permanent, unless `undo` undid that effect.
    Confirm { forward: Op, undo: Op },
    /// Undoes the effect of `forward`, unless `confirm` made that effect permanent.
    Undo { forward: Op, confirm: Option<Op> },
}

impl Role {
    /// The role of an op; a check has none.
    pub(crate) fn of(op: Op) -> Option<Self> {
        Some(match op {
            Op::Action | Op::Try | Op::Prepare | Op::Deliver => Self::Forward,
            Op::Confirm => Self::Confirm { forward: Op::Try, undo: Op::Cancel },
            Op::Commit => Self::Confirm { forward: Op::Prepare, undo: Op::Rollback },
            Op::Compensate => Self::Undo { forward: Op::Action, confirm: None },
            Op::Cancel => Self::Undo { forward: Op::Try, confirm: Some(Op::Confirm) },
            Op::Rollback => Self::Undo { forward: Op::Prepare, confirm: Some(Op::Commit) },
            Op::Check => return None,
        })
    }
}
