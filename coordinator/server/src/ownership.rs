//! Ownership of transactions: this coordinator's heartbeats, the adoption of transactions whose owner is gone, and the
//! re-reading of its own transactions after a late heartbeat.
//!
//! Safety does not rest on ownership (law L12): if two coordinators drive the same transaction, one append conflicts (law
//! L7). Ownership decides who *should* act, so that participants are normally called by one coordinator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use trine_protocol::Timestamp;

use crate::metrics::Metrics;
use crate::runtime::Handle;
use crate::skew::{self, StoreClock, Verdict};
use trine_clock::{self as clock, Stopwatch};
use trine_store::{self as store, Store, StoreError};

/// Transactions that one claim adopts. A small number keeps the database transaction short, and leaves a share to the other
/// coordinators that adopt at the same time.
const CLAIM_MAX: usize = 500;
/// Longest pause between two claims. The pause is random, so that adopters do not collide at each claim.
const CLAIM_PAUSE_MS: u64 = 20;

/// Whether this coordinator may still act as the owner of its transactions, judged in its own steady time.
#[derive(Debug)]
pub struct Liveness {
    lapse_after: Duration,
    /// Started when the last answered heartbeat was *sent*. The row in the store is never older than this, so we look dead to
    /// ourselves before we look dead to the others.
    beaten: Mutex<Stopwatch>,
    superseded: Notify,
    /// Another process has taken our name. We may never act again.
    is_superseded: AtomicBool,
    /// Our lanes cannot work, and our row tells the others to take over.
    given_up: AtomicBool,
    /// The verdict on our clock that was logged last. Only a change is logged.
    told: Mutex<Verdict>,
}

impl Liveness {
    /// A coordinator that has just joined: its heartbeat is fresh.
    pub fn new(lapse_after_ms: u64) -> Self {
        Self {
            lapse_after: Duration::from_millis(lapse_after_ms),
            beaten: Mutex::new(Stopwatch::start()),
            superseded: Notify::new(),
            is_superseded: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            told: Mutex::new(Verdict::Together),
        }
    }

    /// Whether other coordinators may have adopted our transactions, or may do so at any moment. Then we make no calls.
    pub fn is_cut_off(&self) -> bool {
        self.is_superseded.load(Ordering::SeqCst)
            || self.given_up.load(Ordering::SeqCst)
            || self.beaten.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.lapse_after
    }

    /// Resolves when another process has taken this coordinator's name.
    pub async fn superseded(&self) {
        self.superseded.notified().await;
    }

    fn beat(&self, since: Stopwatch) {
        *self.beaten.lock().unwrap_or_else(PoisonError::into_inner) = since;
        self.given_up.store(false, Ordering::SeqCst);
    }
}

/// Runs `work` once per `period` until `stop`. The period is steady time: if the wall clock is set back an hour, heartbeats
/// must not stop for an hour.
pub async fn every<Work: Future<Output = ()>>(
    period: Duration,
    stop: CancellationToken,
    mut work: impl FnMut() -> Work,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // The future may be dropped at any await: each store call runs in its own task and is completed there.
        if stop.run_until_cancelled(work()).await.is_none() {
            break;
        }
    }
}

/// Sends a heartbeat and acts on the answer. If the lanes could not work for `lapse_after`, it gives up instead of sending a
/// heartbeat.
pub async fn beat(store: &dyn Store, handle: &Handle, liveness: &Liveness, metrics: &Metrics) {
    // The heartbeat has a connection of its own and may succeed while lanes cannot write (full disk, revoked right). Such a
    // coordinator would keep its transactions for ever and move none of them. Alone on a store there is nobody to take over.
    let failing_for = handle.vitals().failing_for().unwrap_or_default();
    if store.is_shared() && failing_for > liveness.lapse_after {
        return give_up(store, liveness, metrics).await;
    }
    let since = Stopwatch::start();
    let answer = store.heartbeat().await;
    if let Ok(store::Beat { at: Some(at), .. }) = answer {
        compare(handle.store_clock(), at, since, liveness, metrics);
    }
    match answer.map(|beat| beat.answer) {
        Ok(store::HeartbeatAnswer::Alive) if !liveness.is_cut_off() => liveness.beat(since),
        // An adopter writes its mark into our row, and our next heartbeat overwrites the mark and returns `Lapsed`. If that answer
        // was lost, the heartbeat after it returns `Alive`. So an `Alive` after a long silence must count as a lapse, too.
        Ok(store::HeartbeatAnswer::Alive | store::HeartbeatAnswer::Lapsed) => {
            metrics.lapsed();
            tracing::warn!(
                "this coordinator was silent for too long; it reads its transactions again, because others may have adopted them"
            );
            // The order matters: first every lane reads its transactions again, then `beat` opens the gate for calls. The other
            // way round, a lane could call for a transaction that another coordinator has adopted.
            handle.lapse().await;
            // Not the time after the reading: if that took too long, others may have adopted again, and the gate must
            // stay shut.
            liveness.beat(since);
        }
        Ok(store::HeartbeatAnswer::Superseded) => {
            tracing::error!("another process has started under this coordinator's name; this one stops");
            // Before the notice: no call may leave while this process goes about stopping.
            liveness.is_superseded.store(true, Ordering::SeqCst);
            liveness.superseded.notify_one();
        }
        Err(error) => {
            metrics.store_error("heartbeat");
            let cut_off = liveness.is_cut_off();
            tracing::warn!(%error, cut_off, "no heartbeat");
        }
    }
}

/// Tells the others to take over. Repeated at every heartbeat until the lanes work again, because this write may fail as well.
async fn give_up(store: &dyn Store, liveness: &Liveness, metrics: &Metrics) {
    // Before the write: when the others can read it, this coordinator must already make no calls.
    if !liveness.given_up.swap(true, Ordering::SeqCst) {
        metrics.gave_up();
        tracing::error!(
            "this coordinator's lanes cannot read or write journals; the others take over its transactions, and it goes on trying"
        );
    }
    if let Err(error) = store.give_up().await {
        metrics.store_error("heartbeat");
        tracing::warn!(%error, "the others could not be told to take over");
    }
}

/// Compares this machine's clock with the store's, and logs the verdict if it has changed.
fn compare(clock: &StoreClock, at: Timestamp, asked: Stopwatch, liveness: &Liveness, metrics: &Metrics) {
    clock.heard(at, asked);
    let now = clock::now();
    let (skew_ms, verdict) = (clock.skew_ms(now), clock.judge(now));
    metrics.clock_skew(skew_ms);
    let told = std::mem::replace(&mut *liveness.told.lock().unwrap_or_else(PoisonError::into_inner), verdict);
    if told == verdict {
        return;
    }
    let skew = skew::in_words(skew_ms);
    match verdict {
        Verdict::Together => tracing::info!("this machine's clock agrees with the store's again"),
        Verdict::Apart => tracing::warn!(
            skew_ms,
            "this machine's clock is {skew} the store's; keep them together (NTP), or things happen late or early"
        ),
        Verdict::Wrong => tracing::error!(
            skew_ms,
            "this machine's clock is {skew} the store's: no deadline passes here, nothing starts, no initiator is checked and \
             nothing is deleted until they agree; set the clock (NTP), or the store's"
        ),
    }
}

/// Adopts the transactions of coordinators that are gone, chunk by chunk, and gives them to the lanes. Returns their number.
pub async fn adopt(store: &dyn Store, handle: &Handle, metrics: &Metrics) -> Result<u64, StoreError> {
    let mut adopted = 0;
    // Without room in memory we must not claim: another coordinator may have room.
    while handle.has_room() {
        let gids = store.adopt(CLAIM_MAX).await?;
        if gids.is_empty() {
            break;
        }
        adopted += gids.len() as u64;
        metrics.adopted(gids.len() as u64);
        // Resolves when the lanes have read the chunk, so recovery never runs ahead of memory.
        handle.adopt(gids).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=CLAIM_PAUSE_MS))).await;
    }
    if adopted > 0 {
        tracing::info!(adopted, "took over transactions of coordinators that are gone");
    }
    Ok(adopted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Lanes, Options};
    use futures_util::future::BoxFuture;
    use std::sync::Arc;
    use trine_dispatch::{Caller, Returned};
    use trine_engine::{Call, Command, Draft, ReplyOn};
    use trine_protocol::{Gid, Pattern};
    use trine_store::Membership as _;
    use trine_store::memory::Memory;

    #[derive(Debug)]
    struct Nobody;

    impl Caller for Nobody {
        fn call(&self, _: Call) -> BoxFuture<'static, Returned> {
            Box::pin(std::future::pending())
        }
    }

    fn lanes(store: &Arc<dyn Store>, metrics: &Metrics) -> Lanes {
        let caller: Arc<dyn Caller> = Arc::new(Nobody);
        let options = Options { proof_holds_ms: 0, ..Options::default() };
        Lanes::start(store, &caller, metrics, &trine_clock::Clock::system(), options)
    }

    /// The store answers "alive" to the second beat after a pause, even if the answer to the first one was lost.
    #[tokio::test]
    async fn a_lapse_whose_answer_was_lost_is_noticed_all_the_same() {
        let (memory, metrics) = (Memory::new("a"), Metrics::new());
        let store: Arc<dyn Store> = Arc::new(memory);
        let lanes = lanes(&store, &metrics);
        let (late, on_time) = (Liveness::new(0), Liveness::new(60_000));
        beat(&*store, lanes.handle(), &on_time, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 0"));
        assert!(late.is_cut_off());
        beat(&*store, lanes.handle(), &late, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 1"));
        lanes.stop().await;
    }

    /// Heartbeats succeed all the time.
    #[tokio::test]
    async fn a_coordinator_whose_lanes_cannot_write_lets_the_others_take_over_and_comes_back() {
        let (memory, metrics) = (Memory::new("a"), Metrics::new());
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (lanes, other) = (lanes(&store, &metrics), memory.another("b"));
        let liveness = Liveness::new(60_000);
        let vitals = lanes.handle().vitals();
        beat(&*store, lanes.handle(), &liveness, &metrics).await;
        let spec = Draft { open: true, ..Draft::new(Pattern::Tcc) }.build().unwrap();
        let (gid, create) = (Gid::parse("tx").unwrap(), Command::Create(Arc::new(spec)));
        lanes.handle().submit(gid.clone(), create, ReplyOn::Durable).await.unwrap();
        memory.faults().set_appends_down(true);
        assert!(vitals.prove(&store).await.is_err());
        beat(&*store, lanes.handle(), &liveness, &metrics).await;
        assert_eq!(other.adopt(9).await, Ok(Vec::new()), "it may be over in a moment");
        assert!(!liveness.is_cut_off());

        let impatient = Liveness::new(0);
        beat(&*store, lanes.handle(), &impatient, &metrics).await;
        assert!(metrics.render().contains("trine_gave_up_total 1"));
        assert_eq!(other.adopt(9).await, Ok(vec![gid]));

        memory.faults().set_appends_down(false);
        assert_eq!(vitals.prove(&store).await, Ok(()));
        beat(&*store, lanes.handle(), &liveness, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 1"), "what others have is let go");
        assert_eq!(store.heartbeat().await.unwrap().answer, store::HeartbeatAnswer::Alive);
        lanes.stop().await;
    }

    #[tokio::test]
    async fn periodic_work_runs_until_it_is_stopped() {
        let stop = CancellationToken::new();
        let (count, stopping) = (std::cell::Cell::new(0), stop.clone());
        every(Duration::from_millis(1), stop, || {
            count.set(count.get() + 1);
            if count.get() == 5 {
                stopping.cancel();
            }
            std::future::ready(())
        })
        .await;
        assert_eq!(count.get(), 5);
    }
}
