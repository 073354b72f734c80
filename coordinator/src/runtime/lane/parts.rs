//! What a lane is made of, and what comes through its doors.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use trine_engine::{Command, ReplyOn, Snapshot};
use trine_protocol::Gid;

use crate::dispatch::Caller;
use crate::metrics::Metrics;
use crate::runtime::watch::Hub;
use crate::runtime::{Options, SubmitError};
use crate::store::Store;

pub(super) type Reply = oneshot::Sender<Result<Snapshot, SubmitError>>;

/// A command at the lane's door.
#[derive(Debug)]
pub(in crate::runtime) struct Admission {
    pub(in crate::runtime) gid: Gid,
    pub(in crate::runtime) command: Command,
    pub(in crate::runtime) reply_on: ReplyOn,
    pub(in crate::runtime) reply: Reply,
}

/// What changes in who owns what.
#[derive(Debug)]
pub(in crate::runtime) enum Adoption {
    /// Transactions that belong in memory. `done` is told when they are there.
    Wanted { gids: Vec<Gid>, done: oneshot::Sender<()> },
    /// Transactions taken over from others, where they may have moved. `done` is told when they are in memory.
    Claimed { gids: Vec<Gid>, done: oneshot::Sender<()> },
    /// Others may own what is in memory. `done` is told when nothing of it is acted on any more.
    Lapsed { done: oneshot::Sender<()> },
}

/// What a lane is made of.
#[derive(Debug)]
pub(in crate::runtime) struct Parts {
    pub(in crate::runtime) index: usize,
    pub(in crate::runtime) options: Options,
    pub(in crate::runtime) store: Arc<dyn Store>,
    pub(in crate::runtime) caller: Arc<dyn Caller>,
    pub(in crate::runtime) metrics: Metrics,
    pub(in crate::runtime) hub: Hub,
    pub(in crate::runtime) residents: Arc<AtomicU64>,
    pub(in crate::runtime) stop: CancellationToken,
}
