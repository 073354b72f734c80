//! Housekeeping on tokio-cron-scheduler: sweep, reconcile, retention, census. Each schedule is a configuration key (six
//! fields, UTC). Heartbeats and what goes with them are here as well, and run by the server at a steady pace instead.
//!
//! No transaction's timing rests on these: retries and deadlines are the lanes' own timers. A job that is late
//! or fails is tried again at its next tick; a job never runs twice at once. When the wall clock is set the schedule is
//! worked out anew.

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

/// Gids a sweep hands on at once.
const SWEEP_MAX: usize = 1_000;
/// Transactions one retention step deletes: short write transactions, so that lanes do not wait.
const RETIRE_CHUNK: usize = 200;
/// Pause between two steps: lanes come first.
const RETIRE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
/// Pause before another try to schedule the jobs.
const SCHEDULE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// A lapsed participant instance is forgotten after this long.
const PARTICIPANT_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// When each job runs: cron with seconds, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedules {
    /// Bring back transactions whose long wait is over.
    pub sweep: String,
    /// Make sure that everything unfinished is in memory or waits for its time.
    pub reconcile: String,
    /// Delete what settled long ago.
    pub retention: String,
    /// Count for the gauges.
    pub census: String,
}

impl Default for Schedules {
    fn default() -> Self {
        Self {
            sweep: "* * * * * *".into(),
            reconcile: "30 * * * * *".into(),
            retention: "15 */5 * * * *".into(),
            census: "*/10 * * * * *".into(),
        }
    }
}

/// What the jobs work on.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The lanes.
    pub handle: Handle,
    /// Whether this coordinator is alive.
    pub liveness: Arc<Liveness>,
    /// Who is alive.
    pub directory: Arc<Directory>,
    /// The gauges.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Clock,
    /// How long settled transactions are kept; absent: for ever.
    pub retention_ms: Option<u64>,
}

/// A piece of housekeeping, and when it is done.
#[derive(Clone)]
struct Chore {
    name: &'static str,
    schedule: String,
    work: fn(Context) -> BoxFuture<'static, ()>,
    running: Arc<AtomicBool>,
}

/// What the chores of all schedulers share.
#[derive(Clone)]
struct House {
    chores: Vec<Chore>,
    context: Context,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// The running jobs.
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
    /// Starts every job.
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

    /// Starts no more jobs, and ends those that run at their next await.
    pub async fn stop(self) {
        self.house.tracker.close();
        self.house.stop.cancel();
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the keeper of the jobs ended badly");
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
        // The scheduler may still start what it had picked when it was stopped.
        if self.tracker.is_closed() {
            return;
        }
        if chore.running.swap(true, Ordering::AcqRel) {
            tracing::debug!(job = chore.name, "still running; this tick is skipped");
            return;
        }
        let done = Reset(chore.running);
        // A job that is cut short has nothing half done: every store call is a task of its own.
        let work = self.stop.run_until_cancelled((chore.work)(self.context.clone()));
        self.tracker.track_future(work).await;
        drop(done);
    }

    /// The scheduler has worked out its next ticks by the wall clock. When that is set it works them out anew: otherwise a
    /// clock that is set back an hour would stop all jobs for an hour.
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

/// Clears the flag also when the job panics.
struct Reset(Arc<AtomicBool>);

impl Drop for Reset {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Says that this coordinator is alive.
pub async fn heartbeat(context: Context) {
    ownership::beat(&*context.store, &context.handle, &context.liveness, &context.metrics).await;
}

/// Takes over what coordinators own that are gone, and reads which participants are alive.
pub async fn look_around(context: Context) {
    // Registrations at this coordinator are told to the directory; those at others are read.
    if context.store.is_shared() || !context.directory.is_whole() {
        refresh_directory(context.clone()).await;
    }
    // Who is cut off from its store is about to be adopted from, and whose lanes fail has no use for more.
    if context.liveness.is_cut_off() || context.handle.vitals().failing_for().is_some() {
        return;
    }
    if let Err(error) = ownership::adopt(&*context.store, &context.handle, &context.metrics).await {
        context.metrics.store_error("adopt");
        tracing::warn!(%error, "nothing could be taken over");
    }
}

/// A clock that is ahead does not fill the memory with what is not due.
fn due_by(context: &Context) -> Timestamp {
    let now = context.clock.now();
    context.handle.store_clock().now().map_or(now, |store_now| now.min(store_now))
}

async fn sweep(context: Context) {
    match context.store.due(due_by(&context), SWEEP_MAX).await {
        // What is due by its row may wait on in memory, after the clock was set: that must not hide the rest.
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
        tracing::warn!(%error, "coordinators that are gone for long were not swept");
    }
    // Whatever the directory was not told.
    refresh_directory(context.clone()).await;
    bring_back(&context, due_by(&context)).await;
}

async fn bring_back(context: &Context, due_by: Timestamp) {
    recovery::for_each_unfinished(&*context.store, due_by, |gids| context.handle.bring_back(gids)).await;
}

/// Rows of what waits long say when it is due by the clock as it was. In memory it waits as long as it was asked to.
async fn after_the_clock_was_set(context: Context) {
    bring_back(&context, recovery::ANY_TIME).await;
}

async fn retention(context: Context) {
    if let Err(error) = context.store.sweep_participants(PARTICIPANT_KEPT_MS).await {
        tracing::warn!(%error, "lapsed participants were not swept");
    }
    let Some(retention_ms) = context.retention_ms else { return };
    // The store's clock says what is old. Where that and this machine's are far apart, a person has to find out which of
    // them is wrong, and deleting can wait for that.
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

/// Keeps the lanes' connections open, and tries what fails until it works again.
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

/// Notes the store's time, and says when it is not what it should be.
pub async fn watch(context: Context) {
    let leap = match context.store.watch().await {
        Ok(leap) => leap,
        Err(error) => {
            context.metrics.store_error("watch");
            return tracing::warn!(%error, "the store's time was not noted; what is not watched makes nothing older");
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
                "the store's clock leapt ahead by {}: nothing is deleted because of that; see to the clock",
                words(by_ms)
            );
        }
        Some(Leap::Back { by_ms }) => {
            context.metrics.clock_leapt();
            tracing::error!(
                by_ms,
                "the store's clock went back by {}: what it had counted beyond its present counts no more; see to the clock",
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

/// Reads which participants are alive, for the dispatcher.
pub async fn refresh_directory(context: Context) {
    // What is registered or removed here meanwhile is newer than what is read.
    let refresh = context.directory.refresh();
    match context.store.participants().await {
        Ok(found) => refresh.found(found.at, found.participants),
        Err(error) => {
            tracing::warn!(%error, "the participants could not be read; calls go by what was known")
        }
    }
}

#[cfg(test)]
mod tests;
