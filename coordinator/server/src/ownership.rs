//! Which transactions this coordinator may drive: its heartbeats, what it takes over from others, and what it lets go of
//! when its own heartbeat was late.
//!
//! Nothing safe rests on this (law L12): two coordinators that drive the same transaction meet in the journal (law L7). It
//! is about who *should* act, and about saying nothing to participants while others may be acting.

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

/// Transactions claimed at a time: short database transactions, and a fair share for each coordinator that adopts.
const CLAIM_MAX: usize = 500;
/// Longest pause between two claims; part of it is chance, so that adopters do not meet again and again.
const CLAIM_PAUSE_MS: u64 = 20;

/// Whether this coordinator is known to be alive, as far as it can tell by its own clock's pace.
#[derive(Debug)]
pub struct Standing {
    lapse_after: Duration,
    /// Since the start of the last heartbeat that the store has answered: what it wrote is not older.
    beaten: Mutex<Stopwatch>,
    superseded: Notify,
    /// Another process has the name: nothing is to be done under it any more.
    is_superseded: AtomicBool,
    /// Its lanes cannot work, and it has said so in its own row: others take over.
    given_up: AtomicBool,
    /// What was last said of this process's clock.
    told: Mutex<Verdict>,
}

impl Standing {
    /// Just joined.
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

    /// Others may have adopted what this coordinator owns, or will: its heartbeat has lapsed, or is about to be found so.
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

/// Runs `work` every so often until `stop`, by a clock that nobody can set: a wall clock that is put back an hour must not
/// silence a coordinator for an hour.
pub async fn every<Work: Future<Output = ()>>(
    period: Duration,
    stop: CancellationToken,
    mut work: impl FnMut() -> Work,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // Cut short it has nothing half done: every store call is a task of its own.
        if stop.run_until_cancelled(work()).await.is_none() {
            break;
        }
    }
}

/// Says that this coordinator is alive, and draws the conclusions from what it hears. One whose lanes have not been able to
/// work for as long as others would wait for a heartbeat says that it is not, however well its heart beats.
pub async fn beat(store: &dyn Store, handle: &Handle, standing: &Standing, metrics: &Metrics) {
    let failing_for = handle.vitals().failing_for().unwrap_or_default();
    if store.is_shared() && failing_for > standing.lapse_after {
        return give_up(store, standing, metrics).await;
    }
    let since = Stopwatch::start();
    let answer = store.heartbeat().await;
    if let Ok(store::Beat { at: Some(at), .. }) = answer {
        compare(handle.store_clock(), at, since, standing, metrics);
    }
    match answer.map(|beat| beat.standing) {
        Ok(store::Standing::Alive) if !standing.is_cut_off() => standing.beat(since),
        // Alive as far as the store remembers: the answer that it had lapsed may have been lost on its way.
        Ok(store::Standing::Alive | store::Standing::Lapsed) => {
            metrics.lapsed();
            tracing::warn!(
                "this coordinator was silent for too long; what others have taken over meanwhile is let go"
            );
            // Before calls are made again: what is in memory may be somebody else's by now.
            handle.lapse().await;
            standing.beat(since);
        }
        Ok(store::Standing::Superseded) => {
            tracing::error!("another process has started under this coordinator's name; this one stops");
            standing.is_superseded.store(true, Ordering::SeqCst);
            standing.superseded.notify_one();
        }
        Err(error) => {
            metrics.store_error("heartbeat");
            let cut_off = standing.is_cut_off();
            tracing::warn!(%error, cut_off, "no heartbeat");
        }
    }
}

/// Lets the others take over. Said again at every heartbeat until it can work: saying it may fail, too.
async fn give_up(store: &dyn Store, standing: &Standing, metrics: &Metrics) {
    if !standing.given_up.swap(true, Ordering::SeqCst) {
        metrics.gave_up();
        tracing::error!(
            "this coordinator's lanes cannot do their work; the others take over what it owns, and it goes on trying"
        );
    }
    if let Err(error) = store.give_up().await {
        metrics.store_error("heartbeat");
        tracing::warn!(%error, "the others could not be told that they are to take over");
    }
}

/// Compares this process's clock with the store's, and says so when the result is another than the last one.
fn compare(clock: &StoreClock, at: Timestamp, asked: Stopwatch, standing: &Standing, metrics: &Metrics) {
    clock.heard(at, asked);
    let now = clock::now();
    let (skew_ms, verdict) = (clock.skew_ms(now), clock.judge(now));
    metrics.clock_skew(skew_ms);
    let told = std::mem::replace(&mut *standing.told.lock().unwrap_or_else(PoisonError::into_inner), verdict);
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
            "this machine's clock is {skew} the store's: no deadline passes here, nothing starts, nobody is checked on and \
             nothing is deleted until they agree; set the clock (NTP), or the store's"
        ),
    }
}

/// Takes over what coordinators own that are gone, a chunk at a time, and hands it to the lanes; returns how many.
pub async fn adopt(store: &dyn Store, handle: &Handle, metrics: &Metrics) -> Result<u64, StoreError> {
    let mut adopted = 0;
    // Where there is no room others may have some.
    while handle.has_room() {
        let gids = store.adopt(CLAIM_MAX).await?;
        if gids.is_empty() {
            break;
        }
        adopted += gids.len() as u64;
        metrics.adopted(gids.len() as u64);
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

    /// The store answers "alive" to the second beat after a pause, whatever became of the answer to the first.
    #[tokio::test]
    async fn a_lapse_whose_answer_was_lost_is_noticed_all_the_same() {
        let (memory, metrics) = (Memory::new("a"), Metrics::new());
        let store: Arc<dyn Store> = Arc::new(memory);
        let lanes = lanes(&store, &metrics);
        let (late, on_time) = (Standing::new(0), Standing::new(60_000));
        beat(&*store, lanes.handle(), &on_time, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 0"));
        assert!(late.is_cut_off());
        beat(&*store, lanes.handle(), &late, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 1"));
        lanes.stop().await;
    }

    /// Its heartbeats go through all the while.
    #[tokio::test]
    async fn a_coordinator_whose_lanes_cannot_write_lets_the_others_take_over_and_comes_back() {
        let (memory, metrics) = (Memory::new("a"), Metrics::new());
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (lanes, other) = (lanes(&store, &metrics), memory.another("b"));
        let standing = Standing::new(60_000);
        let vitals = lanes.handle().vitals();
        beat(&*store, lanes.handle(), &standing, &metrics).await;
        let spec = Draft { open: true, ..Draft::new(Pattern::Tcc) }.build().unwrap();
        let (gid, create) = (Gid::parse("tx").unwrap(), Command::Create(Arc::new(spec)));
        lanes.handle().submit(gid.clone(), create, ReplyOn::Durable).await.unwrap();
        memory.faults().set_appends_down(true);
        assert!(vitals.prove(&store).await.is_err());
        beat(&*store, lanes.handle(), &standing, &metrics).await;
        assert_eq!(other.adopt(9).await, Ok(Vec::new()), "it may be over in a moment");
        assert!(!standing.is_cut_off());

        let impatient = Standing::new(0);
        beat(&*store, lanes.handle(), &impatient, &metrics).await;
        assert!(metrics.render().contains("trine_gave_up_total 1"));
        assert_eq!(other.adopt(9).await, Ok(vec![gid]));

        memory.faults().set_appends_down(false);
        assert_eq!(vitals.prove(&store).await, Ok(()));
        beat(&*store, lanes.handle(), &standing, &metrics).await;
        assert!(metrics.render().contains("trine_lapses_total 1"), "what others have is let go");
        assert_eq!(store.heartbeat().await.unwrap().standing, store::Standing::Alive);
        lanes.stop().await;
    }

    #[tokio::test]
    async fn what_runs_every_so_often_runs_until_it_is_stopped() {
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
