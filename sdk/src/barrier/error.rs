//! The errors of the SQL barriers and of XA branches.

use std::time::Duration;

use trine_protocol::{Gid, Op};

use crate::{Conflict, Fenced};

/// Why the barrier did not run an op, or does not know how the op ended. To the coordinator each of them is *unknown*, except
/// that a conflict parks the branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The database failed.
    #[error("the barrier's database failed")]
    Database(#[from] sqlx::Error),
    /// The branch has seen a higher fence. A coordinator that no longer owns the transaction sent this call, or a newer call
    /// overtook it. The call has no effect. [`Participant`](crate::Participant) answers it with 412.
    #[error("the call is fenced off")]
    Fenced(#[source] Fenced),
    /// The gid and branch are on record from another journal, or with another payload. The call has no effect.
    /// [`Participant`](crate::Participant) answers it with 412 and `Trine-Conflict`, and the coordinator parks the branch.
    #[error("the call is of another transaction with the same gid")]
    Conflict(#[source] Conflict),
    /// A confirm or commit found no effect to make permanent: the try or prepare did not run, was refused, or was undone. The
    /// coordinator does not cause this. Either an initiator committed without trying, or the ops of the branch use different
    /// databases, or rows of the barrier were deleted too early.
    #[error("{op} of {gid}/{branch}: there is no {forward} on record to make permanent")]
    NothingToConfirm {
        /// The gid of the transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The op that was asked for.
        op: Op,
        /// The op that should have come before.
        forward: Op,
    },
    /// A cancel or rollback found the branch already confirmed or committed.
    #[error("{op} of {gid}/{branch}: its effect was already made permanent")]
    AlreadyPermanent {
        /// The gid of the transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The op that was asked for.
        op: Op,
    },
    /// A check of this message was answered "not committed" before. The local transaction must be rolled back.
    #[error("message {0} was reported as not committed; its local transaction came too late")]
    AlreadyAnswered(Gid),
    /// A local transaction with this gid has committed before. This one must be rolled back.
    #[error("the local transaction of message {0} has committed before")]
    AlreadyRecorded(Gid),
    /// The time to keep rows is shorter than [`KEEP_MIN`](super::KEEP_MIN).
    #[error(
        "rows must be kept for at least {least:?}, not {asked:?}: a call that comes later than that takes effect again"
    )]
    KeptTooShort {
        /// The time that was asked for.
        asked: Duration,
        /// The shortest time that is allowed.
        least: Duration,
    },
    /// PostgreSQL prepares no transactions. Set `max_prepared_transactions` to the number of XA branches that may be prepared at
    /// once, and restart the server.
    #[error("PostgreSQL prepares no transactions: set max_prepared_transactions above 0 and restart it")]
    PreparedTransactionsOff,
    /// The op belongs to another method. A check is for [`Barrier::check`](super::Barrier::check). An XA branch has prepare,
    /// commit and rollback, each with its own method.
    #[error("{0} is not an op that can be done here")]
    NotABranchOp(Op),
    /// The op's row is missing or cannot be read. If it is missing after the body ran, the database rolled back under the body.
    #[error("the barrier's row for {0} is damaged")]
    Damaged(String),
    /// The body panicked, or the runtime is shutting down. The effects of the body are rolled back.
    #[error("the op was interrupted")]
    Interrupted,
}
