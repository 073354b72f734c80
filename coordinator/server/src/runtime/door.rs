//! What comes in at a lane's door: commands, and news of who owns what.

use tokio::sync::oneshot;
use trine_engine::{Command, ReplyOn, Snapshot};
use trine_protocol::Gid;

use super::SubmitError;

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Result<Snapshot, SubmitError>>;

/// A command at the lane's door.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gid: Gid,
    pub(super) command: Command,
    pub(super) reply_on: ReplyOn,
    pub(super) reply: Reply,
}

/// What changes in who owns what.
#[derive(Debug)]
pub(super) enum Adoption {
    /// Transactions that belong in memory. `done` is told when they are there. `taken`: they were somebody else's, so
    /// what is here of them may be old.
    Wanted { gids: Vec<Gid>, taken: bool, done: oneshot::Sender<()> },
    /// Others may own what is in memory. `done` is told when nothing of it is acted on any more.
    Lapsed { done: oneshot::Sender<()> },
}

/// Tells those who wait for what they handed over.
pub(super) fn tell(adopters: Vec<oneshot::Sender<()>>) {
    for adopter in adopters {
        // One that is gone does not want to know.
        let _ = adopter.send(());
    }
}
