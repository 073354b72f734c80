//! What happens to a call of a coordinator that no longer owns the transaction.

use trine_protocol::Op;

/// A call with a lower fence than its branch has seen, which therefore has no effect.
///
/// A handler may return it, or any error that has it among its sources: [`Participant`](crate::Participant) answers 412,
/// which a coordinator takes as *unknown*. Whoever owns the transaction calls with a fence that passes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} of {gid}/{branch} carries fence {fence}, the branch has seen {highest}")]
#[non_exhaustive]
pub struct Fenced {
    /// The transaction.
    pub gid: String,
    /// The branch.
    pub branch: String,
    /// The op that was asked for.
    pub op: Op,
    /// The fence of the call.
    pub fence: u64,
    /// The highest fence the branch has seen.
    pub highest: u64,
}
