//! The error of a call with an old fence: its coordinator no longer owns the transaction.

use trine_protocol::Op;

/// A call with a lower fence than its branch has seen. The call had no effect.
///
/// A handler may return this error, or any error that has it among its sources: [`Participant`](crate::Participant) then answers
/// 412. The coordinator takes 412 as *unknown*. The coordinator that owns the transaction calls with a fence that passes.
///
/// ```
/// use trine_sdk::Fenced;
/// use trine_sdk::barrier::BarrierError;
///
/// /// Whether an error of the barrier means that a newer call was here.
/// fn is_overtaken(error: &BarrierError) -> bool {
///     matches!(error, BarrierError::Fenced(Fenced { fence, highest, .. }) if fence < highest)
/// }
/// # assert!(!is_overtaken(&BarrierError::Interrupted));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op} of {gid}/{branch} carries fence {fence}, the branch has seen {highest}")]
#[non_exhaustive]
pub struct Fenced {
    /// The gid of the transaction.
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
