//! Lanes: each is one task with one journal writer, and drives the transactions whose gid hashes to it.
//!
//! All commands go through [`Handle`]. The composition root starts and stops [`Lanes`]. Decisions are made in
//! `trine_engine::Shard`; SQL and HTTP are behind `store::Journal` and `dispatch::Caller`.

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
use door::{Admission, Arrival, OwnershipNews};
use lane::Lane;
use parts::Parts;
use trine_clock::{self as clock, Clock};
use trine_dispatch::Caller;
use trine_store::Store;
use trine_store::vitals::Vitals;
use watch::Hub;

pub use damaged::Damaged;
pub use watch::Watch;

/// How long a proof that lanes can write holds in a coordinator.
pub(crate) const PROOF_HOLDS_MS: u64 = 1_000;

/// Bounds of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Commands and readers that wait in front of a lane. Further commands are answered `Busy`, and further readers wait for a place.
    pub inbox_len_max: usize,
    /// Transactions in a lane's memory; beyond this, new ones are answered `Busy`.
    pub residents_max: usize,
    /// Payloads and outputs in a lane's memory, in bytes; beyond this, new transactions are answered `Busy`.
    pub resident_bytes_max: usize,
    /// Options of the shards. `refresh_after_ms` is ignored if the store is not shared.
    pub shard: ShardOptions,
    /// The pause that `Busy` asks for.
    pub busy_retry_after_ms: u64,
    /// How long a proof that lanes can write stays valid.
    pub proof_holds_ms: u64,
    /// How long a stopping lane waits for calls under way. Later ones are recorded as unknown.
    pub calls_drain: Duration,
}

/// Why a command got no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The shard refused the command. If the refusal rests on a state, this state is durable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much is in flight; nothing was done.
    #[error("too much is in flight")]
    Busy {
        /// Pause before the next try.
        retry_after_ms: u64,
    },
    /// The command would record times of a clock that is wrong; nothing was done.
    #[error(
        "this machine's clock is {skew} the store's: repeat this at another coordinator, or here when the clock is right"
    )]
    ClockWrong {
        /// The difference of the clocks, as text.
        skew: String,
    },
    /// The coordinator is stopping; nothing was done.
    #[error("shutting down")]
    ShuttingDown,
    /// The lane lost its memory while it had the command, so the command may have been carried out. Repeating it is safe.
    #[error("the outcome of the command is not known; repeat it unchanged")]
    Lost,
}

/// Sends commands to the lanes. Cheap to clone.
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
    arrivals: mpsc::Sender<Arrival>,
    news: mpsc::Sender<OwnershipNews>,
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
        let admission = Admission { gid, command, reply_on, reply };
        match lane.arrivals.try_send(Arrival::Command(admission)) {
            Ok(()) => answer.await.unwrap_or(Err(SubmitError::Lost)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(SubmitError::Busy { retry_after_ms: self.busy_retry_after_ms })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::ShuttingDown),
        }
    }

    /// Resolves when the journal has everything that the lane of this gid has decided so far. To be awaited before a read of the
    /// journal: an answer may have left before the record of it is durable.
    pub async fn caught_up(&self, gid: &Gid) {
        let (written, is_written) = oneshot::channel();
        let lane = &self.lanes[lane_of(gid, self.lanes.len())];
        if lane.arrivals.send(Arrival::Reader { gid: gid.clone(), written }).await.is_ok() {
            // An error means that the lane has ended or has lost its memory: the journal is all there is.
            let _ = is_written.await;
        }
    }

    /// The steady time at which a wait of this length ends, for [`ReplyOn`].
    pub fn within(&self, wait: Duration) -> Timestamp {
        self.clock.steady().plus_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// Wakes up when new records of the gid may be durable. Some wake-ups are spurious, and some are missed: poll the journal as
    /// well.
    pub fn watch(&self, gid: &Gid) -> Watch {
        self.hub.watch(gid)
    }

    /// Transactions whose journal cannot be read.
    pub fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// Loads transactions of this coordinator into memory. Resolves when they are loaded. Those in memory stay unchanged.
    pub async fn bring_back(&self, gids: Vec<Gid>) {
        self.hand_over(gids, false).await;
    }

    /// Loads transactions that were adopted from other coordinators. Resolves when they are loaded. Those in memory are read
    /// again, because the former owner may have changed them.
    pub async fn adopt(&self, gids: Vec<Gid>) {
        self.hand_over(gids, true).await;
    }

    async fn hand_over(&self, gids: Vec<Gid>, just_adopted: bool) {
        let mut by_lane: Vec<Vec<Gid>> = vec![Vec::new(); self.lanes.len()];
        for gid in gids {
            by_lane[lane_of(&gid, self.lanes.len())].push(gid);
        }
        let news = by_lane.into_iter().zip(self.lanes.iter()).filter(|(gids, _)| !gids.is_empty());
        futures_util::future::join_all(news.map(|(gids, lane)| async move {
            let (done, loaded) = oneshot::channel();
            if lane.news.send(OwnershipNews::BringIn { gids, just_adopted, done }).await.is_ok() {
                // An error means that the lane is stopping or has lost its memory: it reads these gids later, or not at all.
                let _ = loaded.await;
            }
        }))
        .await;
    }

    /// To be called after a long silence, when other coordinators may have adopted our transactions. When it resolves, no lane
    /// acts on its old memory: each reads its transactions again, and keeps those that are still ours.
    pub async fn lapse(&self) {
        futures_util::future::join_all(self.lanes.iter().map(|lane| async move {
            let (done, forgotten) = oneshot::channel();
            if lane.news.send(OwnershipNews::Lapsed { done }).await.is_ok() {
                let _ = forgotten.await;
            }
        }))
        .await;
    }

    /// The store's clock. While our clock differs too far from it, time alone decides nothing here.
    pub fn store_clock(&self) -> &StoreClock {
        &self.store_clock
    }

    /// Why `/readyz` should report not ready, or none.
    pub fn why_not_ready(&self) -> Option<String> {
        self.wrong_by().map(|skew| {
            format!(
                "clock: this machine's clock is {skew} the store's, so no deadline passes here and nothing is deleted; set the \
                 clock (NTP), or the store's"
            )
        })
    }

    /// The difference to the store's clock, as text, if it is so large that this machine's clock may decide nothing.
    fn wrong_by(&self) -> Option<String> {
        let now = clock::now();
        let is_wrong = self.store_clock.judge(now) == Verdict::Wrong;
        is_wrong.then(|| skew::in_words(self.store_clock.skew_ms(now)))
    }

    /// Whether the lanes can read and write.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// Whether every lane has room for more transactions.
    pub fn has_room(&self) -> bool {
        let full = |lane: &LaneSender| lane.residents.load(Ordering::Relaxed) >= lane.residents_max;
        !self.lanes.iter().any(full) && !self.closed.load(Ordering::Relaxed)
    }

    /// Transactions in memory, over all lanes.
    pub fn residents(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.residents.load(Ordering::Relaxed)).sum()
    }

    /// Commands and readers waiting in front of lanes.
    pub fn inbox_len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.arrivals.max_capacity() - lane.arrivals.capacity()).sum()
    }

    /// Makes every further command be answered `ShuttingDown`.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Whether a command records when something is to happen. An adopter would use this time, so a wrong clock must not set it.
fn stamps_a_time(command: &Command) -> bool {
    match command {
        Command::Create(spec) => {
            let is_checked = spec.open && matches!(spec.pattern, Pattern::Message | Pattern::Workflow);
            spec.deadline_ms.is_some() || spec.start_delay_ms > 0 || is_checked
        }
        // The age counts from the creation, perhaps by another coordinator's clock; our clock decides whether it is reached.
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

/// FNV-1a hash of the gid. A gid goes to the same lane as long as the number of lanes is the same.
fn lane_of(gid: &Gid, lanes: usize) -> usize {
    let hash = gid.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % lanes as u64).unwrap_or_default()
}

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
            let (arrivals_in, arrivals) = mpsc::channel(options.inbox_len_max.max(1));
            let (news_in, news) = mpsc::channel(1);
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
            tasks.spawn(lane.run(arrivals, news));
            let residents_max = options.residents_max as u64;
            LaneSender { arrivals: arrivals_in, news: news_in, residents, residents_max }
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

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Cancel this to make stopping lanes wait for no call any more. They record calls under way as unknown, and end.
    pub fn hurry(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Stops the lanes: accepts no more commands, writes what was accepted, answers waiting clients, drops withheld calls (they are
    /// owed and will be made by the next owner), and waits for calls under way. Resolves when every lane has ended, at the latest
    /// a few seconds after `calls_drain`, also if the store does not answer.
    pub async fn stop(self) {
        self.handle.close();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
