//! Housekeeping over the memory store, with a wall clock that is set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use trine_engine::{BranchSpec, Call, Command, Digest, Draft, Payload, ReplyOn, SharedPolicy};
use trine_protocol::{BranchId, Gid, Pattern, Status, Target};

use super::*;
use crate::runtime::{Lanes, Options};
use trine_clock::{self as clock, Stopwatch};
use trine_dispatch::{Caller, Returned};
use trine_store::memory::Memory;
use trine_store::{Journal as _, Maintenance as _};

const HOUR_MS: i64 = 3_600_000;
/// Longest wait; then the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Nobody;

impl Caller for Nobody {
    fn call(&self, _: Call) -> BoxFuture<'static, Returned> {
        Box::pin(std::future::pending())
    }
}

/// A coordinator whose wall clock the test can set.
struct Stage {
    memory: Memory,
    lanes: Lanes,
    context: Context,
    by_ms: Arc<AtomicI64>,
}

impl Stage {
    fn on(memory: Memory) -> Self {
        let by_ms = Arc::new(AtomicI64::new(0));
        let set = Arc::clone(&by_ms);
        let clock = Clock::reading(move || {
            let shown = clock::now().millis().saturating_add_signed(set.load(Ordering::SeqCst));
            Timestamp::from_millis(shown)
        });
        let (store, caller): (Arc<dyn Store>, Arc<dyn Caller>) = (Arc::new(memory.clone()), Arc::new(Nobody));
        let metrics = Metrics::new();
        let lanes = Lanes::start(&store, &caller, &metrics, &clock, Options::default());
        let context = Context {
            store,
            handle: lanes.handle().clone(),
            liveness: Arc::new(Liveness::new(60_000)),
            directory: Arc::default(),
            metrics,
            clock,
            retention_ms: Some(1),
        };
        Self { memory, lanes, context, by_ms }
    }

    fn new() -> Self {
        Self::on(Memory::new("one"))
    }

    fn set_clock(&self, by_ms: i64) {
        self.by_ms.store(by_ms, Ordering::SeqCst);
        assert!(self.context.clock.look().is_some());
    }

    async fn submit(&self, gid: &str, command: Command) -> Status {
        let gid = Gid::parse(gid).unwrap();
        self.context.handle.submit(gid, command, ReplyOn::Durable).await.unwrap().status
    }

    /// Creates a saga that starts in an hour and is not in memory until then.
    async fn create_for_later(&self, gid: &str) {
        let target = Some(Target::parse("http://service/op").unwrap());
        let branch = BranchSpec {
            id: BranchId::parse("a").unwrap(),
            forward: target.clone(),
            on_commit: None,
            on_rollback: target,
            payload: Payload::default(),
            after: Box::default(),
            call: SharedPolicy::default(),
            digest: Digest::default(),
        };
        let start_delay_ms = HOUR_MS.unsigned_abs();
        let draft = Draft { branches: vec![Arc::new(branch)], start_delay_ms, ..Draft::new(Pattern::Saga) };
        self.submit(gid, Command::Create(Arc::new(draft.build().unwrap()))).await;
    }

    async fn create_open(&self, gid: &str) {
        let spec = Draft { open: true, ..Draft::new(Pattern::Tcc) }.build().unwrap();
        self.submit(gid, Command::Create(Arc::new(spec))).await;
    }

    /// Waits until so many transactions are in memory.
    async fn holds(&self, count: u64) {
        let held = async {
            while self.context.handle.residents() != count {
                tokio::task::yield_now().await;
            }
        };
        let late = tokio::time::timeout(PATIENCE, held).await.is_err();
        assert!(!late, "{} in memory, and not {count}", self.context.handle.residents());
    }

    async fn has(&self, gid: &str) -> bool {
        !self.memory.load(vec![Gid::parse(gid).unwrap()]).await.unwrap().is_empty()
    }
}

/// Schedules that never fire during a test.
fn never() -> Schedules {
    let new_year = || "0 0 0 1 1 *".to_owned();
    Schedules { sweep: new_year(), reconcile: new_year(), retention: new_year(), census: new_year() }
}

#[tokio::test]
async fn nothing_is_deleted_while_the_clocks_differ() {
    let stage = Stage::new();
    stage.create_open("old").await;
    assert_eq!(stage.submit("old", Command::Commit).await, Status::Committed);
    // Watched time passes. A minute would be the bound of a leap, and rounding could go beyond it.
    stage.memory.watch().await.unwrap();
    stage.memory.set_clock_ahead(30_000);
    stage.memory.watch().await.unwrap();
    let heard = |ahead_ms| {
        let at = clock::now().plus_millis(ahead_ms);
        stage.context.handle.store_clock().heard(at, Stopwatch::start());
    };
    heard(HOUR_MS.unsigned_abs());
    retention(stage.context.clone()).await;
    assert!(stage.has("old").await, "one of the two clocks is wrong");
    heard(0);
    retention(stage.context.clone()).await;
    assert!(!stage.has("old").await);
    stage.lanes.stop().await;
}

/// The transactions in memory are due by their rows. Every sweep finds them first.
#[tokio::test]
async fn transactions_that_wait_in_memory_hide_no_due_one_from_a_sweep() {
    let stage = Stage::new();
    for number in 0..=SWEEP_MAX {
        stage.create_for_later(&format!("g{number}")).await;
    }
    stage.holds(0).await;
    stage.set_clock(2 * HOUR_MS);
    for _ in 0..2 {
        sweep(stage.context.clone()).await;
    }
    stage.holds(SWEEP_MAX as u64 + 1).await;
    stage.lanes.stop().await;
}

/// With the clock as it is set now, their rows are not due for two hours.
#[tokio::test]
async fn long_waits_are_read_back_when_the_clock_was_set() {
    let stage = Stage::new();
    stage.create_for_later("g").await;
    stage.holds(0).await;
    let jobs = Jobs::start(&never(), &stage.context).await.unwrap();
    // From now on the jobs follow the clock.
    tokio::task::yield_now().await;
    stage.set_clock(-HOUR_MS);
    stage.holds(1).await;
    jobs.stop().await;
    stage.lanes.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_cannot_write_adopts_nothing() {
    let stage = Stage::new();
    let other = Stage::on(stage.memory.another("two"));
    other.create_open("g").await;
    other.lanes.stop().await;
    stage.memory.lapse("two");
    let vitals = stage.context.handle.vitals();
    vitals.write_failed(0, 10);
    look_around(stage.context.clone()).await;
    let adopted =
        |count: u64| stage.context.metrics.render().contains(&format!("trine_adopted_total {count}\n"));
    assert!(adopted(0), "it cannot do the work of others");
    vitals.wrote(0);
    look_around(stage.context.clone()).await;
    assert!(adopted(1));
    stage.lanes.stop().await;
}
