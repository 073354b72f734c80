//! The two inputs of a lane from outside: commands, and changes of ownership.

use tokio::sync::oneshot;
use trine_engine::{Command, ReplyOn, Snapshot};
use trine_protocol::Gid;

use super::SubmitError;

/// Receives the answer to a command.
pub(super) type Reply = oneshot::Sender<Result<Snapshot, SubmitError>>;

/// A command on its way into a lane.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gid: Gid,
    pub(super) command: Command,
    pub(super) reply_on: ReplyOn,
    pub(super) reply: Reply,
}

/// A change of ownership.
#[derive(Debug)]
pub(super) enum Adoption {
    /// Transactions to load. `done` is signalled when they are loaded. `taken` says that they were adopted from another
    /// coordinator, so what memory has of them may be old.
    Wanted { gids: Vec<Gid>, taken: bool, done: oneshot::Sender<()> },
    /// Our heartbeat has lapsed, so others may own what is in memory. `done` is signalled when the lane no longer acts on its
    /// old memory.
    Lapsed { done: oneshot::Sender<()> },
}

/// Signals the senders of ownership changes.
pub(super) fn tell(adopters: Vec<oneshot::Sender<()>>) {
    for adopter in adopters {
        // An error means that the sender no longer waits.
        let _ = adopter.send(());
    }
}
