//! Why the barrier could not let an op happen.

use std::time::Duration;

use trine_protocol::{Gid, Op};

use crate::{Conflict, Fenced};

/// Why the barrier could not let an op happen. To the coordinator every one of them is *unknown*; a conflict parks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The database failed.
    #[error("the barrier's database failed")]
    Database(#[from] sqlx::Error),
    /// The call came after one with a higher fence: a coordinator that has lost the transaction sent it, or it was
    /// overtaken on its way. It has no effect. [`Participant`](crate::Participant) answers it with 412.
    #[error("the call is fenced off")]
    Fenced(#[source] Fenced),
    /// The gid and branch are on record from another journal, or with another payload. The call has no effect.
    /// [`Participant`](crate::Participant) answers it with 412 and `Trine-Conflict`, and the coordinator parks the branch.
    #[error("the call is of another transaction with the same gid")]
    Conflict(#[source] Conflict),
    /// A confirm or commit found no effect of try or prepare to make permanent: it was never made, was refused, or was
    /// undone. The coordinator never asks for that by itself: an initiator committed without trying, the ops of the
    /// branch use different databases, or barrier rows were deleted too early.
    #[error("{op} of {gid}/{branch}: there is no {forward} on record to make permanent")]
    NothingToConfirm {
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The op that was asked for.
        op: Op,
        /// The op that should have come before.
        forward: Op,
    },
    /// An undo found the branch already confirmed or committed.
    #[error("{op} of {gid}/{branch}: its effect was already made permanent")]
    AlreadyPermanent {
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The op that was asked for.
        op: Op,
    },
    /// A check of this message was answered "not committed" before: the local transaction must be rolled back.
    #[error("message {0} was reported as not committed; its local transaction came too late")]
    AlreadyAnswered(Gid),
    /// A local transaction with this gid has committed before: this one must be rolled back.
    #[error("the local transaction of message {0} has committed before")]
    AlreadyRecorded(Gid),
    /// Rows are to be kept longer than this; see [`KEEP_MIN`](super::KEEP_MIN).
    #[error(
        "rows must be kept for at least {least:?}, not {asked:?}: a call that comes later than that takes effect again"
    )]
    KeptTooShort {
        /// What was asked for.
        asked: Duration,
        /// What is allowed.
        least: Duration,
    },
    /// PostgreSQL prepares no transactions: set `max_prepared_transactions` above 0 (and as high as XA branches may be
    /// prepared at once) and restart it.
    #[error("PostgreSQL prepares no transactions: set max_prepared_transactions above 0 and restart it")]
    PreparedTransactionsOff,
    /// The op does not belong here: a check is for [`Barrier::check`](super::Barrier::check), and an XA branch has
    /// prepare, commit and rollback, each with a method of its own.
    #[error("{0} is not an op that can be done here")]
    NotABranchOp(Op),
    /// A row of the barrier does not read as one.
    #[error("the barrier's row for {0} is damaged")]
    Damaged(String),
    /// The body panicked, or the runtime is shutting down. Its effects are rolled back.
    #[error("the op was interrupted")]
    Interrupted,
}
