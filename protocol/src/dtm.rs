//! The dtm dialect: what its clients say, in types. Its words exist here, in the coordinator's `api/dtm` and in
//! `dispatch/classify`, and nowhere else.
//!
//! Here are requests as their clients mean them ([`TransRequest`], [`BranchRequest`]), the [`Terms`] a transaction of this
//! dialect carries through the journal for its calls and answers, and how its free identifiers become ours ([`gid_of`]).
//! What happens to a transaction is the engine's, what an answer looks like on the wire is the coordinator's.

mod ids;
mod request;
mod terms;
pub mod workflow;

pub use ids::gid_of;
pub use request::{BranchRequest, Step, TransOptions, TransRequest};
pub use terms::{CallProtocol, Terms, TransType};

/// Words for where a transaction stands, and for where an op of a branch stands.
pub mod status {
    /// The initiator is still at it.
    pub const PREPARED: &str = "prepared";
    /// Going forward, or decided yes.
    pub const SUBMITTED: &str = "submitted";
    /// Decided no.
    pub const ABORTING: &str = "aborting";
    /// Settled: it happened.
    pub const SUCCEED: &str = "succeed";
    /// Settled: it did not.
    pub const FAILED: &str = "failed";
}

/// The three outcomes, as words in bodies.
pub mod result {
    /// It took effect.
    pub const SUCCESS: &str = "SUCCESS";
    /// A business "no", or a request that does not fit the transaction's state.
    pub const FAILURE: &str = "FAILURE";
    /// Ask again.
    pub const ONGOING: &str = "ONGOING";
}

/// Words for ops.
pub mod op {
    /// saga and message: do it; xa: phase one; workflow: a step.
    pub const ACTION: &str = "action";
    /// saga: undo it.
    pub const COMPENSATE: &str = "compensate";
    /// tcc: reserve.
    pub const TRY: &str = "try";
    /// tcc: make it last.
    pub const CONFIRM: &str = "confirm";
    /// tcc: give it back.
    pub const CANCEL: &str = "cancel";
    /// xa and workflow: make it last.
    pub const COMMIT: &str = "commit";
    /// xa and workflow: undo it.
    pub const ROLLBACK: &str = "rollback";
    /// Asking the initiator of a message.
    pub const MSG: &str = "msg";
}

/// The branch id of calls that concern no branch: checks and workflow callbacks.
pub const NO_BRANCH: &str = "00";
