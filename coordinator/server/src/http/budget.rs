//! The memory budget for bodies: one for all connections, both protocols and both directions.
//!
//! Bytes count when they arrive and not when they are announced, because an announcement takes no memory. The first bytes of
//! each connection are free, so small requests and answers are served even while large ones hold the whole budget.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bytes of bodies that each connection may hold outside the budget. The read buffer of a connection is larger.
pub(super) const FREE_BYTES: usize = 16 * 1024;
/// Bytes of one permit.
const UNIT_BYTES: usize = 1024;
/// Bytes taken from the budget at a time.
const STEP_BYTES: usize = 32 * 1024;
/// Most answers that wait for room. Each of them is in memory already, so the number must be small.
const WAITING_MAX: usize = 4;
/// How long a body waits for room. Then its request is refused.
const WAIT: Duration = Duration::from_secs(1);
/// A budget of its own for answers to health checks.
const HEALTH_BYTES: usize = 8 * 1024 * 1024;
/// A client gets the write timeout for each of these.
const PACE_BYTES: usize = 1024 * 1024;

/// Marks an answer (in its extensions) as one about health. It is sent also when the budget is used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AboutHealth;

/// The budget. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    all: Pool,
    /// A second limit on answers: answers that nobody fetches must not keep requests out.
    answers: Pool,
    health: Pool,
    waiting: Semaphore,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Pool {
    room: Arc<Semaphore>,
    units: usize,
    wait: Duration,
}

impl Pool {
    fn new(bytes: usize, wait: Duration) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(units)), units, wait }
    }

    /// Permits for so many bytes, or all permits if the pool is smaller.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES).min(self.units)).unwrap_or(u32::MAX)
    }

    fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(self.units(bytes)).ok()
    }

    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let taking = Arc::clone(&self.room).acquire_many_owned(self.units(bytes));
        // The semaphore is never closed, so an error means the timeout.
        tokio::time::timeout(self.wait, taking).await.ok()?.ok()
    }

    fn used_bytes(&self) -> usize {
        self.units.saturating_sub(self.room.available_permits()) * UNIT_BYTES
    }
}

impl Budget {
    /// A budget of `bytes`. Answers may take half of it.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::waiting(bytes, WAIT)
    }

    fn waiting(bytes: usize, wait: Duration) -> Self {
        let pool = |bytes| Pool::new(bytes, wait);
        Self(Arc::new(Pools {
            all: pool(bytes),
            answers: pool(bytes / 2),
            health: pool(HEALTH_BYTES),
            waiting: Semaphore::new(WAITING_MAX),
            refused: AtomicU64::default(),
        }))
    }

    /// Bytes that bodies hold now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.0.all.used_bytes()
    }

    /// Number of bodies that found no room.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Reserves room for an answer. If the client does not fetch the answer in time, its connection is cut.
    pub(super) async fn answer(&self, bytes: usize, about_health: bool, pace: &Pace) -> Option<Held> {
        let pools = &*self.0;
        let taking = async {
            if about_health {
                return Some(vec![pools.health.take(bytes).await?]);
            }
            if let (Some(answers), Some(all)) = (pools.answers.try_take(bytes), pools.all.try_take(bytes)) {
                return Some(vec![answers, all]);
            }
            let _waits = pools.waiting.try_acquire().ok()?;
            Some(vec![pools.answers.take(bytes).await?, pools.all.take(bytes).await?])
        };
        let Some(room) = taking.await else {
            pools.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        Some(Held { _room: room, _free: None, _watched: Some(pace.watch(bytes)) })
    }
}

/// The speed at which a client must fetch its answers.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub(super) write_timeout: Duration,
    /// Cancelled when the client is too slow. This cuts its connection.
    pub(super) cut: CancellationToken,
}

impl Pace {
    /// Starts the clock for `bytes`. The connection is cut unless the returned guard is dropped in time.
    fn watch(&self, bytes: usize) -> DropGuard {
        let times = u32::try_from(bytes.div_ceil(PACE_BYTES).max(1)).unwrap_or(u32::MAX);
        let within = self.write_timeout.saturating_mul(times);
        let (done, cut) = (CancellationToken::new(), self.cut.clone());
        let fetched = done.clone();
        tokio::spawn(async move {
            if tokio::time::timeout(within, fetched.cancelled()).await.is_err() {
                tracing::info!(bytes, "a client does not fetch its answer; its connection is cut");
                cut.cancel();
            }
        });
        done.drop_guard()
    }
}

/// The room of an answer, held until the answer is fetched.
#[derive(Debug)]
pub(super) struct Held {
    _room: Vec<OwnedSemaphorePermit>,
    _free: Option<Free>,
    _watched: Option<DropGuard>,
}

/// Bytes of an allowance, given back on drop.
#[derive(Debug)]
struct Free {
    allowance: Allowance,
    bytes: usize,
}

impl Drop for Free {
    fn drop(&mut self) {
        self.allowance.give_back(self.bytes);
    }
}

/// The free bytes of one connection.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// A full allowance.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(FREE_BYTES)))
    }

    /// Takes at most `bytes`; returns how many.
    fn take(&self, bytes: usize) -> usize {
        let some = |free: usize| Some(free - free.min(bytes));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, some).unwrap_or_default();
        before.min(bytes)
    }

    /// Room for a small answer, if the allowance is large enough.
    pub(super) fn answer(&self, bytes: usize) -> Option<Held> {
        let free = Free { bytes: self.take(bytes), allowance: self.clone() };
        (free.bytes == bytes).then(|| Held { _room: Vec::new(), _free: Some(free), _watched: None })
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The room of one request's body. Clones share it. It is given back by [`Room::give_back`], or when the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    budget: Budget,
    allowance: Allowance,
    /// Bytes that have arrived so far.
    needed: usize,
    free: usize,
    paid: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Room {
    /// An empty room.
    pub(super) fn new(budget: &Budget, allowance: &Allowance) -> Self {
        Self(Arc::new(Mutex::new(Taken {
            budget: budget.clone(),
            allowance: allowance.clone(),
            needed: 0,
            free: 0,
            paid: 0,
            permits: Vec::new(),
        })))
    }

    /// Reserves room for more bytes of the body. False if there was none in time.
    pub(super) async fn grow(&self, bytes: usize) -> bool {
        let (pools, step) = {
            let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            taken.needed += bytes;
            let missing = taken.needed.saturating_sub(taken.free + taken.paid);
            let free = taken.allowance.take(missing);
            taken.free += free;
            let missing = missing - free;
            if missing == 0 {
                return true;
            }
            (Arc::clone(&taken.budget.0), missing.max(STEP_BYTES))
        };
        let Some(permit) = pools.all.take(step).await else {
            pools.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.paid += step;
        taken.permits.push(permit);
        true
    }

    /// Gives everything back.
    pub(super) fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Taken {
    fn clear(&mut self) {
        self.allowance.give_back(std::mem::take(&mut self.free));
        self.permits.clear();
        self.paid = 0;
        self.needed = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.clear();
    }
}

tokio::task_local! {
    /// The room of the request that the current task serves.
    static ROOM: Room;
}

impl Room {
    /// Serves a request whose body holds this room. The room is given back when the answer is ready.
    pub(super) async fn hold<F: Future>(self, serving: F) -> F::Output {
        ROOM.scope(self.clone(), async move {
            let answered = serving.await;
            self.give_back();
            answered
        })
        .await
    }
}

/// Gives back the room of the current request's body. To be called when the body is parsed and a wait begins that may be long: a
/// request that waits must not occupy the budget of bodies.
pub(crate) fn release_body_memory() {
    // Outside of a connection, as in tests, there is nothing to give back.
    let _ = ROOM.try_with(Room::give_back);
}

/// Reserves room for a body that grows when it is unpacked. False if there was none in time.
pub(crate) async fn body_grows(bytes: usize) -> bool {
    match ROOM.try_with(Room::clone) {
        Ok(room) => room.grow(bytes).await,
        // Outside of a connection, as in tests, there is no budget.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_bytes_of_a_connection_are_free_and_shared_by_its_requests() {
        let (budget, allowance) = (Budget::new(64 * 1024), Allowance::new());
        let (one, two) = (Room::new(&budget, &allowance), Room::new(&budget, &allowance));
        assert!(one.grow(FREE_BYTES - 1).await);
        assert_eq!(budget.used_bytes(), 0);
        assert!(two.grow(2).await);
        assert_eq!(budget.used_bytes(), STEP_BYTES);
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }

    const SOON: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn bodies_that_find_no_room_in_time_are_told_so_and_room_comes_back() {
        let budget = Budget::waiting(2 * STEP_BYTES, SOON);
        let empty = || Room::new(&budget, &Allowance::new());
        let (one, two) = (empty(), empty());
        assert!(one.grow(STEP_BYTES).await && two.grow(STEP_BYTES).await);
        assert!(!empty().grow(STEP_BYTES).await);
        assert_eq!(budget.refused(), 1);
        one.give_back();
        assert!(empty().grow(STEP_BYTES).await);
    }

    #[tokio::test]
    async fn answers_that_nobody_fetches_leave_room_for_requests_and_for_health() {
        let budget = Budget::waiting(4 * STEP_BYTES, SOON);
        let pace = Pace { write_timeout: Duration::from_secs(600), cut: CancellationToken::new() };
        let one = budget.answer(2 * STEP_BYTES, false, &pace).await;
        assert!(one.is_some());
        assert!(budget.answer(1, false, &pace).await.is_none(), "answers took more than their half");
        let room = Room::new(&budget, &Allowance::new());
        assert!(room.grow(2 * STEP_BYTES).await);
        assert!(!room.grow(STEP_BYTES).await, "there is more than the budget");
        assert!(budget.answer(1, true, &pace).await.is_some());
    }

    #[tokio::test]
    async fn a_client_that_does_not_fetch_its_answer_in_time_is_cut_off() {
        let budget = Budget::waiting(64 * PACE_BYTES, SOON);
        let pace = Pace { write_timeout: SOON, cut: CancellationToken::new() };
        drop(budget.answer(PACE_BYTES, false, &pace).await);
        let begun = trine_clock::Stopwatch::start();
        let held = budget.answer(3 * PACE_BYTES, false, &pace).await;
        pace.cut.cancelled().await;
        assert!(begun.elapsed() >= 3 * SOON, "cut off within the time that so many bytes have");
        drop(held);
    }
}
