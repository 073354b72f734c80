//! The types of the dtm dialect. Its words exist only here, in `api/dtm` of the server, and in `dispatch/classify`.
//!
//! - [`TransRequest`] and [`BranchRequest`]: parsed requests of dtm's clients.
//! - [`Terms`]: the settings that a transaction of this dialect keeps in the journal for its calls and answers.
//! - [`gid_of`]: turns a gid of dtm, which is free text, into a gid of Trine.

mod ids;
mod request;
mod terms;

pub use ids::gid_of;
pub use request::{BranchRequest, Step, TransOptions, TransRequest};
pub use terms::{CallProtocol, Terms, TransType};

/// Words for the status of a transaction and of a branch's op.
pub mod status {
    /// The initiator has not decided yet.
    pub const PREPARED: &str = "prepared";
    /// Running, or committing.
    pub const SUBMITTED: &str = "submitted";
    /// Rolling back.
    pub const ABORTING: &str = "aborting";
    /// Committed. Of an op: done.
    pub const SUCCEED: &str = "succeed";
    /// Rolled back. Of an op: refused.
    pub const FAILED: &str = "failed";
}

/// The three outcomes, as words in bodies.
pub mod result {
    /// The op took effect, or the request was carried out.
    pub const SUCCESS: &str = "SUCCESS";
    /// A business "no", or a request that the transaction's state does not allow.
    pub const FAILURE: &str = "FAILURE";
    /// Not finished: ask again.
    pub const ONGOING: &str = "ONGOING";
}

/// Words for ops.
pub mod op {
    /// saga: the action; message: the delivery; xa: phase one; workflow: a step.
    pub const ACTION: &str = "action";
    /// saga: undo the action.
    pub const COMPENSATE: &str = "compensate";
    /// tcc: reserve.
    pub const TRY: &str = "try";
    /// tcc: turn the reservation into the effect.
    pub const CONFIRM: &str = "confirm";
    /// tcc: give the reservation back.
    pub const CANCEL: &str = "cancel";
    /// xa and workflow: commit the branch.
    pub const COMMIT: &str = "commit";
    /// xa and workflow: roll the branch back.
    pub const ROLLBACK: &str = "rollback";
    /// message: the check of the initiator.
    pub const MSG: &str = "msg";
}

/// The branch id of calls that concern no branch: checks and workflow callbacks.
pub const NO_BRANCH: &str = "00";
