//! Lanes: one task and one journal writer each, driving the transactions whose gid hashes to them.
//!
//! [`Handle`] is the one way in for commands; [`Lanes`] is what the composition root starts and stops. Nothing is
//! decided here: that is `trine_engine::Shard`. Nothing is known here of SQL or HTTP: those are behind
//! `store::Journal` and `dispatch::Caller`.

mod damaged;
mod door;
mod in_flight;
mod lane;
mod observe;
mod parts;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trine_engine::{Command, Rejection, ReplyOn, ShardOptions, Snapshot};
use trine_protocol::{Gid, Pattern, Timestamp};

use crate::metrics::Metrics;
use crate::skew::{self, StoreClock, Verdict};
use door::{Admission, Adoption};
use lane::Lane;
use parts::Parts;
use trine_clock::{self as clock, Clock};
use trine_dispatch::Caller;
use trine_store::Store;
use trine_store::vitals::Vitals;
use watch::Hub;

pub use damaged::Damaged;
pub use watch::Watch;

/// Bounds of the runtime; each has an answer when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Commands waiting in front of a lane; more are answered `Busy`.
    pub inbox_len_max: usize,
    /// Transactions in a lane's memory; beyond it new ones are answered `Busy`.
    pub residents_max: usize,
    /// Payloads and outputs in a lane's memory, in bytes; beyond it new transactions are answered `Busy`.
    pub resident_bytes_max: usize,
    /// The shard's own knobs. Nothing is refreshed in a store that is not shared.
    pub shard: ShardOptions,
    /// What `Busy` asks the sender to wait.
    pub busy_retry_after_ms: u64,
    /// How long a proof that lanes can write holds.
    pub proof_holds_ms: u64,
    /// How long a lane that stops waits for calls under way; then they are recorded as unknown.
    pub calls_drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inbox_len_max: 10_000,
            residents_max: 200_000,
            resident_bytes_max: 1 << 30,
            shard: ShardOptions { refresh_after_ms: Some(5_000), ..ShardOptions::default() },
            busy_retry_after_ms: 1_000,
            proof_holds_ms: 1_000,
            calls_drain: Duration::ZERO,
        }
    }
}

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
    /// Times that the command would write down come from a clock that is wrong; nothing was done.
    #[error(
        "this machine's clock is {skew} the store's: repeat this at another coordinator, or here when the clock is right"
    )]
    ClockWrong {
        /// By how much, in words.
        skew: String,
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
pub struct Handle {
    lanes: Arc<[LaneSender]>,
    hub: Hub,
    damaged: Damaged,
    clock: Clock,
    closed: Arc<AtomicBool>,
    store_clock: Arc<StoreClock>,
    vitals: Arc<Vitals>,
    busy_retry_after_ms: u64,
}

/// The sending ends of one lane.
#[derive(Debug, Clone)]
struct LaneSender {
    commands: mpsc::Sender<Admission>,
    adoptions: mpsc::Sender<Adoption>,
    residents: Arc<AtomicU64>,
    residents_max: u64,
}

impl Handle {
    /// Submits a command and waits for its durable answer. Dropping the future does not undo the command.
    pub async fn submit(
        &self,
        gid: Gid,
        command: Command,
        reply_on: ReplyOn,
    ) -> Result<Snapshot, SubmitError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(SubmitError::ShuttingDown);
        }
        if stamps_a_time(&command)
            && let Some(skew) = self.wrong_by()
        {
            return Err(SubmitError::ClockWrong { skew });
        }
        let (reply, answer) = oneshot::channel();
        let lane = &self.lanes[lane_of(&gid, self.lanes.len())];
        match lane.commands.try_send(Admission { gid, command, reply_on, reply }) {
            Ok(()) => answer.await.unwrap_or(Err(SubmitError::Lost)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(SubmitError::Busy { retry_after_ms: self.busy_retry_after_ms })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::ShuttingDown),
        }
    }

    /// When a wait that begins now is over, as [`ReplyOn`] has it: in steady time.
    pub fn within(&self, wait: Duration) -> Timestamp {
        self.clock.steady().plus_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// Resolves each time new records of the gid may be durable. Spurious wake-ups happen; poll the journal as well.
    pub fn watch(&self, gid: &Gid) -> Watch {
        self.hub.watch(gid)
    }

    /// Transactions whose journal cannot be read.
    pub fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// Brings transactions into memory that belong there; resolves when they are. Known ones are left as they are.
    pub async fn bring_back(&self, gids: Vec<Gid>) {
        self.hand_over(gids, false).await;
    }

    /// Brings transactions into memory that were taken over from other coordinators; resolves when they are.
    pub async fn adopt(&self, gids: Vec<Gid>) {
        self.hand_over(gids, true).await;
    }

    async fn hand_over(&self, gids: Vec<Gid>, taken: bool) {
        let mut by_lane: Vec<Vec<Gid>> = vec![Vec::new(); self.lanes.len()];
        for gid in gids {
            by_lane[lane_of(&gid, self.lanes.len())].push(gid);
        }
        let adoptions = by_lane.into_iter().zip(self.lanes.iter()).filter(|(gids, _)| !gids.is_empty());
        futures_util::future::join_all(adoptions.map(|(gids, lane)| async move {
            let (done, adopted) = oneshot::channel();
            if lane.adoptions.send(Adoption::Wanted { gids, taken, done }).await.is_ok() {
                // A lane that goes away instead of answering is being restarted or shut down: nothing to wait for.
                let _ = adopted.await;
            }
        }))
        .await;
    }

    /// This coordinator was silent for so long that others may have taken over what it owned. When this resolves, no
    /// lane acts on what it remembers: it reads everything again, and keeps what is still its own.
    pub async fn lapse(&self) {
        futures_util::future::join_all(self.lanes.iter().map(|lane| async move {
            let (done, forgotten) = oneshot::channel();
            if lane.adoptions.send(Adoption::Lapsed { done }).await.is_ok() {
                let _ = forgotten.await;
            }
        }))
        .await;
    }

    /// How far the clock that lanes go by is from the store's. While that is too far, time alone decides nothing here.
    pub fn store_clock(&self) -> &StoreClock {
        &self.store_clock
    }

    /// Why nothing is to be sent here, if that is so.
    pub fn complaint(&self) -> Option<String> {
        self.wrong_by().map(|skew| {
            format!(
                "clock: this machine's clock is {skew} the store's, so no deadline passes here and nothing is deleted; set the \
                 clock (NTP), or the store's"
            )
        })
    }

    /// How far the clock of this machine is from the store's, in words, if nothing may be decided by it.
    fn wrong_by(&self) -> Option<String> {
        let now = clock::now();
        let is_wrong = self.store_clock.judge(now) == Verdict::Wrong;
        is_wrong.then(|| skew::in_words(self.store_clock.skew_ms(now)))
    }

    /// Whether the lanes can do their work.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// Whether every lane could take more transactions into memory.
    pub fn has_room(&self) -> bool {
        let full = |lane: &LaneSender| lane.residents.load(Ordering::Relaxed) >= lane.residents_max;
        !self.lanes.iter().any(full) && !self.closed.load(Ordering::Relaxed)
    }

    /// Transactions in memory, over all lanes.
    pub fn residents(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.residents.load(Ordering::Relaxed)).sum()
    }

    /// Commands waiting in front of lanes.
    pub fn inbox_len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.commands.max_capacity() - lane.commands.capacity()).sum()
    }

    /// From now on every command is answered `ShuttingDown`.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Whether a command writes down when something is to happen. A coordinator that adopts the transaction goes by that time.
fn stamps_a_time(command: &Command) -> bool {
    match command {
        Command::Create(spec) => {
            let is_checked = spec.open && matches!(spec.pattern, Pattern::Message | Pattern::Workflow);
            spec.deadline_ms.is_some() || spec.start_delay_ms > 0 || is_checked
        }
        // The age is counted from a creation, which may have been elsewhere, and the clock says whether it is reached.
        Command::CommitAt { .. } => true,
        Command::Register(_)
        | Command::Commit
        | Command::Look
        | Command::Resume
        | Command::Record(_)
        | Command::Finish { .. }
        | Command::Abort { .. }
        | Command::Replay { .. }
        | Command::Force { .. } => false,
    }
}

/// FNV-1a: the same gid meets the same lane as long as the number of lanes stays.
fn lane_of(gid: &Gid, lanes: usize) -> usize {
    let hash = gid.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % lanes as u64).unwrap_or_default()
}

/// The running lanes.
#[derive(Debug)]
pub struct Lanes {
    handle: Handle,
    stop: CancellationToken,
    hurry: CancellationToken,
    tasks: TaskTracker,
}

impl Lanes {
    /// Starts `store.lanes_max()` lanes. Must be called inside a tokio runtime.
    pub fn start(
        store: &Arc<dyn Store>,
        caller: &Arc<dyn Caller>,
        metrics: &Metrics,
        clock: &Clock,
        mut options: Options,
    ) -> Self {
        if !store.is_shared() {
            options.shard.refresh_after_ms = None;
        }
        let (hub, damaged) = (Hub::default(), Damaged::new(metrics.clone()));
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let store_clock = Arc::<StoreClock>::default();
        let holds = Duration::from_millis(options.proof_holds_ms);
        let vitals = Arc::new(Vitals::new(store.lanes_max().max(1), holds));
        let lanes = (0..store.lanes_max().max(1)).map(|index| {
            let (commands_in, commands) = mpsc::channel(options.inbox_len_max.max(1));
            let (adoptions_in, adoptions) = mpsc::channel(1);
            let residents = Arc::new(AtomicU64::new(0));
            let lane = Lane::new(Parts {
                index,
                options,
                store: Arc::clone(store),
                caller: Arc::clone(caller),
                metrics: metrics.clone(),
                clock: clock.clone(),
                hub: hub.clone(),
                damaged: damaged.clone(),
                residents: Arc::clone(&residents),
                stop: stop.clone(),
                hurry: hurry.clone(),
                store_clock: Arc::clone(&store_clock),
                vitals: Arc::clone(&vitals),
            });
            tasks.spawn(lane.run(commands, adoptions));
            let residents_max = options.residents_max as u64;
            LaneSender { commands: commands_in, adoptions: adoptions_in, residents, residents_max }
        });
        let handle = Handle {
            lanes: lanes.collect(),
            hub: hub.clone(),
            damaged,
            clock: clock.clone(),
            closed: Arc::default(),
            store_clock,
            vitals,
            busy_retry_after_ms: options.busy_retry_after_ms,
        };
        Self { handle, stop, hurry, tasks }
    }

    /// The way in.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// When this is cancelled, lanes that stop wait for no call any more: they record what they know, and leave.
    pub fn hurry(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Stops admitting, lets what is admitted become durable, answers who waits, drops withheld calls (they are
    /// owed, hence made after the next start), waits for calls under way, and resolves when every lane is gone: a few
    /// seconds after `calls_drain` also when the store does not answer.
    pub async fn stop(self) {
        self.handle.close();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
