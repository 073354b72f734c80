//! Housekeeping: the jobs sweep, reconcile, retention and census, run by tokio-cron-scheduler. Each schedule is a configuration
//! key (cron with six fields, UTC). The periodic work of ownership (heartbeat, adoption, probes) is here as well; the server runs
//! it in steady time.
//!
//! Retries and deadlines do not depend on jobs: lanes have their own timers. A job that fails runs again at its next tick, and
//! never twice at once. When the wall clock is set, the schedules are computed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trine_protocol::Timestamp;

use crate::metrics::Metrics;
use crate::ownership::{self, Liveness};
use crate::recovery;
use crate::runtime::Handle;
use crate::skew::Verdict;
use trine_clock::Clock;
use trine_dispatch::Directory;
use trine_store::{Leap, Store};

/// Most gids that one sweep reads.
const SWEEP_MAX: usize = 1_000;
/// Transactions that one retention step deletes. The database transaction stays short, so lanes do not wait for its locks.
const RETIRE_CHUNK: usize = 200;
/// Pause between two retention steps, so that lanes can write.
const RETIRE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
/// Pause before the next try to schedule the jobs.
const SCHEDULE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// How long a lapsed participant instance is remembered.
const PARTICIPANT_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// The schedule of each job: cron with seconds, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedules {
    /// Loads transactions whose long wait is over.
    pub sweep: String,
    /// Loads every due transaction that is not in memory, whatever the reason, and removes rows of coordinators that are gone.
    pub reconcile: String,
    /// Deletes transactions that settled long ago.
    pub retention: String,
    /// Counts transactions for the gauges.
    pub census: String,
}

#[derive(Debug, Clone)]
pub struct Context {
    pub store: Arc<dyn Store>,
    pub handle: Handle,
    /// Whether this coordinator may act.
    pub liveness: Arc<Liveness>,
    pub directory: Arc<Directory>,
    pub metrics: Metrics,
    pub clock: Clock,
    /// How long settled transactions are kept; none: for ever.
    pub retention_ms: Option<u64>,
}

/// A job and its schedule.
#[derive(Clone)]
struct Chore {
    name: &'static str,
    schedule: String,
    work: fn(Context) -> BoxFuture<'static, ()>,
    running: Arc<AtomicBool>,
}

/// The state that all jobs share, also across a new scheduler.
#[derive(Clone)]
struct House {
    chores: Vec<Chore>,
    context: Context,
    tracker: TaskTracker,
    stop: CancellationToken,
}

pub struct Jobs {
    house: House,
    keeper: JoinHandle<()>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("running", &self.house.tracker.len()).finish_non_exhaustive()
    }
}

impl Jobs {
    /// Schedules every job.
    pub async fn start(schedules: &Schedules, context: &Context) -> Result<Self, JobSchedulerError> {
        let chore = |name, schedule: &String, work| Chore {
            name,
            schedule: schedule.clone(),
            work,
            running: Arc::default(),
        };
        let chores = vec![
            chore("sweep", &schedules.sweep, |context| sweep(context).boxed()),
            chore("reconcile", &schedules.reconcile, |context| reconcile(context).boxed()),
            chore("retention", &schedules.retention, |context| retention(context).boxed()),
            chore("census", &schedules.census, |context| census(context).boxed()),
        ];
        let (context, tracker) = (context.clone(), TaskTracker::new());
        let house = House { chores, context, tracker, stop: CancellationToken::new() };
        let scheduler = house.schedule().await?;
        let keeper = tokio::spawn(house.clone().keep(scheduler));
        Ok(Self { house, keeper })
    }

    /// Starts no more jobs, and ends running ones at their next await.
    pub async fn stop(self) {
        self.house.tracker.close();
        self.house.stop.cancel();
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the task of the jobs ended with an error");
        }
        self.house.tracker.wait().await;
    }
}

impl House {
    async fn schedule(&self) -> Result<JobScheduler, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        for chore in &self.chores {
            let (chore, house) = (chore.clone(), self.clone());
            let job = Job::new_async(chore.schedule.clone(), move |_, _| {
                Box::pin(house.clone().run(chore.clone()))
            })?;
            scheduler.add(job).await?;
        }
        scheduler.start().await?;
        Ok(scheduler)
    }

    async fn run(self, chore: Chore) {
        // The scheduler may still start a job that it had picked before it was stopped.
        if self.tracker.is_closed() {
            return;
        }
        if chore.running.swap(true, Ordering::AcqRel) {
            tracing::debug!(job = chore.name, "still running; this tick is skipped");
            return;
        }
        let done = Reset(chore.running);
        // The future may be dropped at any await: each store call runs in its own task and is completed there.
        let work = self.stop.run_until_cancelled((chore.work)(self.context.clone()));
        self.tracker.track_future(work).await;
        drop(done);
    }

    /// Replaces the scheduler whenever the wall clock is set. The scheduler computes its next ticks with the wall clock, so after
    /// a clock was set back an hour, no job would run for an hour.
    async fn keep(self, mut scheduler: JobScheduler) {
        let mut wall = self.context.clock.follow();
        while let Some(Ok(())) = self.stop.run_until_cancelled(wall.changed()).await {
            end(scheduler).await;
            scheduler = loop {
                match self.schedule().await {
                    Ok(scheduler) => break scheduler,
                    Err(error) => {
                        tracing::error!(%error, "the jobs could not be scheduled anew; trying again")
                    }
                }
                tokio::time::sleep(SCHEDULE_PAUSE).await;
            };
            let work = after_the_clock_was_set(self.context.clone());
            self.tracker.spawn(self.stop.clone().run_until_cancelled_owned(work));
        }
        end(scheduler).await;
    }
}

async fn end(mut scheduler: JobScheduler) {
    if let Err(error) = scheduler.shutdown().await {
        tracing::debug!(%error, "the job scheduler was already stopped");
    }
}

/// Clears the flag when dropped, also after a panic of the job.
struct Reset(Arc<AtomicBool>);

impl Drop for Reset {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Sends a heartbeat.
pub async fn heartbeat(context: Context) {
    ownership::beat(&*context.store, &context.handle, &context.liveness, &context.metrics).await;
}

/// Reads the live participants, and adopts the transactions of coordinators that are gone.
pub async fn look_around(context: Context) {
    // Registrations at this coordinator reach the directory directly. Only those at other coordinators must be read.
    if context.store.is_shared() || !context.directory.is_whole() {
        refresh_directory(context.clone()).await;
    }
    // Others are about to adopt from a coordinator that is cut off, so it must not adopt. A coordinator whose lanes fail could
    // not drive what it adopts.
    if context.liveness.is_cut_off() || context.handle.vitals().failing_for().is_some() {
        return;
    }
    if let Err(error) = ownership::adopt(&*context.store, &context.handle, &context.metrics).await {
        context.metrics.store_error("adopt");
        tracing::warn!(%error, "nothing could be taken over");
    }
}

/// The earlier of our time and the store's: if our clock is ahead, transactions that are not due must not fill the memory.
fn due_by(context: &Context) -> Timestamp {
    let now = context.clock.now();
    context.handle.store_clock().now().map_or(now, |store_now| now.min(store_now))
}

async fn sweep(context: Context) {
    match context.store.due(due_by(&context), SWEEP_MAX).await {
        // A full page may hold only transactions that wait in memory (their rows are due by a clock that was set since). They
        // would hide the others at every sweep, so read all pages.
        Ok(gids) if gids.len() == SWEEP_MAX => bring_back(&context, due_by(&context)).await,
        Ok(gids) => context.handle.bring_back(gids).await,
        Err(error) => {
            context.metrics.store_error("sweep");
            tracing::warn!(%error, "no sweep");
        }
    }
}

async fn reconcile(context: Context) {
    if let Err(error) = context.store.sweep_coordinators().await {
        tracing::warn!(%error, "rows of coordinators that are gone were not removed");
    }
    // Also on a store with one coordinator: this repairs a directory that missed a change.
    refresh_directory(context.clone()).await;
    bring_back(&context, due_by(&context)).await;
}

async fn bring_back(context: &Context, due_by: Timestamp) {
    recovery::for_each_unfinished(&*context.store, due_by, |gids| context.handle.bring_back(gids)).await;
}

/// `due_at` in the rows of long waits was computed with the old clock. Every such transaction is loaded, because in memory it
/// waits exactly as long as requested.
async fn after_the_clock_was_set(context: Context) {
    bring_back(&context, recovery::ANY_TIME).await;
}

async fn retention(context: Context) {
    if let Err(error) = context.store.sweep_participants(PARTICIPANT_KEPT_MS).await {
        tracing::warn!(%error, "lapsed participants were not removed");
    }
    let Some(retention_ms) = context.retention_ms else { return };
    // Age is judged by the store's clock. If that differs far from ours, one of them is wrong. A person must find out which,
    // and deleting can wait until then.
    if context.handle.store_clock().judge(context.clock.now()) == Verdict::Wrong {
        tracing::debug!("nothing is deleted while the clocks differ");
        return;
    }
    let mut retired = 0;
    loop {
        match context.store.retire(retention_ms, RETIRE_CHUNK).await {
            Ok(0) => break,
            Ok(some) => retired += some,
            Err(error) => {
                context.metrics.store_error("retention");
                tracing::warn!(%error, "retention stopped early");
                break;
            }
        }
        tokio::time::sleep(RETIRE_PAUSE).await;
    }
    if retired > 0 {
        tracing::info!(retired, "settled transactions past their retention were deleted");
    }
}

/// Keeps the lanes' connections open, and probes lanes that fail until they work again.
pub async fn keep_fit(context: Context) {
    if let Err(error) = context.store.warm().await {
        tracing::debug!(%error, "a connection could not be kept open");
    }
    let vitals = context.handle.vitals();
    let Some(failing_for) = vitals.failing_for() else { return };
    match vitals.prove(&context.store).await {
        Ok(()) => tracing::info!(?failing_for, "the lanes can work again"),
        Err(error) => {
            context.metrics.store_error("proof");
            tracing::warn!(?failing_for, %error, "the lanes cannot work");
        }
    }
}

/// Notes the store's time for retention, and reports leaps of the store's clock.
pub async fn watch(context: Context) {
    let leap = match context.store.watch().await {
        Ok(leap) => leap,
        Err(error) => {
            context.metrics.store_error("watch");
            return tracing::warn!(%error, "the store's time was not noted; time without notes does not count for retention");
        }
    };
    let words = |ms: u64| humantime::format_duration(std::time::Duration::from_secs(ms / 1_000));
    match leap {
        None => {}
        Some(Leap::Unwatched { for_ms }) => tracing::warn!(
            for_ms,
            "no coordinator watched the store for {}, or its clock leapt ahead meanwhile: that time does not count \
             for retention, so what settled before is kept for longer",
            words(for_ms)
        ),
        Some(Leap::Ahead { by_ms }) => {
            context.metrics.clock_leapt();
            tracing::error!(
                by_ms,
                "the store's clock leapt ahead by {}: nothing is deleted because of that; check the clock",
                words(by_ms)
            );
        }
        Some(Leap::Back { by_ms }) => {
            context.metrics.clock_leapt();
            tracing::error!(
                by_ms,
                "the store's clock went back by {}: the time that it had shown beyond the present does not count for retention; check the clock",
                words(by_ms)
            );
        }
    }
}

async fn census(context: Context) {
    context.metrics.residents(context.handle.residents());
    context.metrics.inbox_len(context.handle.inbox_len());
    match context.store.census().await {
        Ok(census) => context.metrics.census(&census, context.clock.now()),
        Err(error) => {
            context.metrics.store_error("census");
            tracing::warn!(%error, "no census");
        }
    }
}

/// Reads the live participants into the directory.
pub async fn refresh_directory(context: Context) {
    // Begun before the read: a registration or removal that happens here during the read is newer than its result.
    let refresh = context.directory.refresh();
    match context.store.participants().await {
        Ok(found) => refresh.found(found.at, found.participants),
        Err(error) => {
            tracing::warn!(%error, "the participants could not be read; calls use the last known ones")
        }
    }
}

#[cfg(test)]
mod tests;
