//! What comes into a lane from outside: commands and readers through one queue, news about ownership through another.

use tokio::sync::oneshot;
use trine_engine::{Command, ReplyOn, Snapshot};
use trine_protocol::Gid;

use super::SubmitError;

/// Receives the answer to a command.
pub(super) type Reply = oneshot::Sender<Result<Snapshot, SubmitError>>;

/// What waits in front of a lane.
#[derive(Debug)]
pub(super) enum Arrival {
    Command(Admission),
    /// Somebody is about to read the journal of this gid. `written` is signalled when the journal has everything that the lane
    /// has decided so far.
    Reader {
        gid: Gid,
        written: oneshot::Sender<()>,
    },
}

/// A command on its way into a lane.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gid: Gid,
    pub(super) command: Command,
    pub(super) reply_on: ReplyOn,
    pub(super) reply: Reply,
}

/// News about the transactions that this coordinator owns.
#[derive(Debug)]
pub(super) enum OwnershipNews {
    /// Load these transactions of ours; `done` is signalled when they are loaded. `just_adopted`: they come from another
    /// coordinator, so read also those that are in memory.
    BringIn { gids: Vec<Gid>, just_adopted: bool, done: oneshot::Sender<()> },
    /// Our heartbeat has lapsed, so others may own what is in memory. `done` is signalled when the lane no longer acts on its
    /// old memory.
    Lapsed { done: oneshot::Sender<()> },
}

/// Signals the senders of news.
pub(super) fn signal(to_signal: Vec<oneshot::Sender<()>>) {
    for sender in to_signal {
        // An error means that the sender no longer waits.
        let _ = sender.send(());
    }
}
