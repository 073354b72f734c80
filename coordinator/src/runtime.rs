//! Lanes: one task and one journal writer each, driving the transactions whose gid hashes to them.
//!
//! [`Handle`] is the one way in for commands. The lanes decide nothing themselves: that is `trine_engine::Shard`.

use trine_engine::{Command, Rejection, ReplyOn, Snapshot};
use trine_protocol::Gid;

/// Why a command got no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Decided: no. Durable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much is in flight; nothing was done.
    #[error("too much is in flight")]
    Busy {
        /// Try again after.
        retry_after_ms: u64,
    },
    /// No longer taking anything in; nothing was done.
    #[error("shutting down")]
    ShuttingDown,
    /// The lane lost its memory while the command was in it: it may have been done. Repeating it is safe.
    #[error("the outcome of the command is not known; repeat it unchanged")]
    Lost,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Submits a command and waits for its durable answer. Dropping the future does not undo the command.
    pub async fn submit(
        &self,
        gid: Gid,
        command: Command,
        reply_on: ReplyOn,
    ) -> Result<Snapshot, SubmitError> {
        let _ = (gid, command, reply_on);
        Err(SubmitError::ShuttingDown)
    }

    /// Resolves each time new records of the gid may be durable. Spurious wake-ups happen; poll the journal as well.
    pub fn watch(&self, gid: &Gid) -> Watch {
        let _ = gid;
        Watch {}
    }
}

/// Wakes those who follow one transaction.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// Waits for the next wake-up.
    pub async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }
}
