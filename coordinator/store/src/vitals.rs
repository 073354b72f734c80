//! Whether this coordinator can do its work: whether its lanes can append, and whether journals can be read.
//!
//! A heartbeat that succeeds does not prove that. Appends use other connections and other tables, and may fail while
//! heartbeats succeed. So lanes report here whether their appends and reads succeed. If something fails, or if nothing is
//! known, [`Vitals::prove`] finds out: it appends a probe over the lane's own connection, reads it back, and removes it. If
//! an append of a lane has failed, the probe has as many bytes as that batch had.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use trine_engine::{Batch, BatchId, Event, Record};
use trine_protocol::{Gid, Timestamp};

use crate::{AppendError, PROBE_PREFIX, Store, StoreError};
use trine_clock::{self as clock, Stopwatch};

/// The smallest probe: large enough to need new space on the disk.
const PROOF_BYTES_MIN: usize = 4 * 1024;
/// The largest probe, whatever a lane failed with.
const PROOF_BYTES_MAX: usize = 1024 * 1024;

/// The result of a proof. All callers who ask while the proof is under way, or shortly after, share it.
pub type Proof = Shared<BoxFuture<'static, Result<(), StoreError>>>;

/// Whether appending works, for each lane, and whether reading works.
#[derive(Debug)]
pub struct Vitals {
    lanes: Vec<Vital>,
    reads: Vital,
    /// The lane to be proved next, when none fails.
    turn: AtomicUsize,
    /// A success or a proof counts for so long.
    holds: Duration,
    last: Mutex<Option<(Stopwatch, Proof)>>,
}

#[derive(Debug, Default)]
struct Vital(Mutex<Pulse>);

#[derive(Debug, Default, Clone, Copy)]
struct Pulse {
    well: Option<Stopwatch>,
    failing: Option<Failing>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Stopwatch,
    /// The bytes of the largest batch that failed.
    bytes: usize,
}

impl Vital {
    fn lock(&self) -> MutexGuard<'_, Pulse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn well(&self) {
        *self.lock() = Pulse { well: Some(Stopwatch::start()), failing: None };
    }

    fn failed(&self, bytes: usize) {
        let mut pulse = self.lock();
        let failing = pulse.failing.get_or_insert_with(|| Failing { since: Stopwatch::start(), bytes: 0 });
        failing.bytes = failing.bytes.max(bytes);
    }

    fn failing(&self) -> Option<Failing> {
        self.lock().failing
    }

    fn was_well_within(&self, span: Duration) -> bool {
        self.lock().well.is_some_and(|well| well.elapsed() < span)
    }
}

impl Vitals {
    /// A success or a proof counts for `holds`.
    pub fn new(lanes: usize, holds: Duration) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Vital::default()).collect(),
            reads: Vital::default(),
            turn: AtomicUsize::new(0),
            holds,
            last: Mutex::default(),
        }
    }

    /// A lane has appended a batch.
    pub fn wrote(&self, lane: usize) {
        // After a large batch has failed, the success of a small one does not prove that there is room for a large one.
        let failing = self.lanes[lane].failing();
        if failing.is_none_or(|failing| failing.bytes <= PROOF_BYTES_MIN) {
            self.lanes[lane].well();
        }
    }

    /// A lane could not append a batch of so many bytes.
    pub fn write_failed(&self, lane: usize, bytes: usize) {
        self.lanes[lane].failed(bytes);
    }

    /// Journals were read.
    pub fn read(&self) {
        self.reads.well();
    }

    /// Journals could not be read.
    pub fn read_failed(&self) {
        self.reads.failed(0);
    }

    /// For how long a lane, or reading, has been failing. The longest of these.
    pub fn failing_for(&self) -> Option<Duration> {
        let all = self.lanes.iter().chain([&self.reads]);
        all.filter_map(Vital::failing).map(|failing| failing.since.elapsed()).max()
    }

    /// Finds out whether appending and reading work now.
    pub fn prove(self: &Arc<Self>, store: &Arc<dyn Store>) -> Proof {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, proof)) = &*last
            && (proof.peek().is_none() || asked.elapsed() < self.holds)
        {
            return proof.clone();
        }
        let (vitals, store) = (Arc::clone(self), Arc::clone(store));
        // In a task of its own: the first caller may stop waiting, and the others need the result.
        let found = tokio::spawn(async move { vitals.find_out(&*store).await });
        let proof = found
            .map(|found| found.unwrap_or_else(|_| Err(StoreError::Unavailable("the proof ended".into()))))
            .boxed()
            .shared();
        *last = Some((Stopwatch::start(), proof.clone()));
        proof
    }

    async fn find_out(&self, store: &dyn Store) -> Result<(), StoreError> {
        let failing: Vec<usize> =
            (0..self.lanes.len()).filter(|lane| self.lanes[*lane].failing().is_some()).collect();
        let lanes = if failing.is_empty() {
            let lane = self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len().max(1);
            let holds = self.reads.failing().is_none() && self.lanes[lane].was_well_within(self.holds);
            if holds { Vec::new() } else { vec![lane] }
        } else {
            failing
        };
        let proofs = lanes.into_iter().map(|lane| self.prove_lane(store, lane));
        futures_util::future::join_all(proofs).await.into_iter().collect()
    }

    async fn prove_lane(&self, store: &dyn Store, lane: usize) -> Result<(), StoreError> {
        let failed_with = self.lanes[lane].failing().map_or(0, |failing| failing.bytes);
        let bytes = failed_with.clamp(PROOF_BYTES_MIN, PROOF_BYTES_MAX);
        let batch = probe(bytes, clock::now());
        let record = batch.records[0].clone();
        if let Err(error) = store.append(lane, batch).await {
            self.lanes[lane].failed(bytes);
            let (AppendError::Failed(detail) | AppendError::Doubtful(detail)) = error;
            return Err(StoreError::Unavailable(format!(
                "lane {lane} cannot append to the journal: {detail}"
            )));
        }
        let found = store.load(vec![record.gid.clone()]).await;
        let removed = store.remove_probe(lane, record.gid.clone()).await;
        match found {
            Ok(found) if found.first().is_some_and(|read| is(&read.records, &record)) => self.reads.well(),
            Ok(_) => {
                self.reads.failed(0);
                return Err(StoreError::Unavailable("what was just appended is not what is read".into()));
            }
            Err(error) => {
                self.reads.failed(0);
                return Err(error);
            }
        }
        // A lane whose user may append and not delete is failing as well: retention cannot delete, and probes stay in the
        // journal.
        removed.inspect_err(|_| self.lanes[lane].failed(bytes))?;
        self.lanes[lane].well();
        Ok(())
    }
}

/// A batch with one record, of a gid that no index row points to.
fn probe(bytes: usize, at: Timestamp) -> Arc<Batch> {
    let name = format!("{PROBE_PREFIX}{:016x}", fastrand::u64(..));
    let gid = Gid::parse(&name).unwrap_or_else(|_| unreachable!("it keeps to the grammar"));
    // Random text, because a database may compress.
    let detail = std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect();
    let record = Record { gid, seq: 1, at, event: Event::Quarantined { detail } };
    Arc::new(Batch { id: BatchId(0), records: vec![record], rows: Vec::new() })
}

fn is(found: &Result<Vec<Record>, StoreError>, record: &Record) -> bool {
    found.as_deref().is_ok_and(|found| found == std::slice::from_ref(record))
}

/// The approximate bytes of a batch.
pub fn weight(batch: &Batch) -> usize {
    let weights = batch.records.iter().map(|record| crate::codec::encode(&record.event).len());
    weights.sum::<usize>().min(PROOF_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn vitals(holds: Duration) -> (Memory, Arc<dyn Store>, Arc<Vitals>) {
        let memory = Memory::new("a").with_lanes_max(2);
        (memory.clone(), Arc::new(memory), Arc::new(Vitals::new(2, holds)))
    }

    #[tokio::test]
    async fn what_fails_is_proved_until_it_works_again() {
        let (memory, store, vitals) = vitals(Duration::ZERO);
        assert_eq!(vitals.prove(&store).await, Ok(()));
        assert_eq!(vitals.failing_for(), None);
        memory.faults().set_appends_down(true);
        assert!(vitals.prove(&store).await.is_err(), "the heart beats, and the lanes cannot write");
        assert!(vitals.failing_for().is_some());
        memory.faults().set_appends_down(false);
        memory.faults().set_reads_down(true);
        assert!(vitals.prove(&store).await.is_err(), "what is written cannot be read");
        memory.faults().set_reads_down(false);
        assert_eq!(vitals.prove(&store).await, Ok(()));
        assert_eq!(vitals.failing_for(), None);
    }

    #[tokio::test]
    async fn a_lane_that_fails_is_proved_itself_whosever_turn_it_is() {
        let (_, store, vitals) = vitals(Duration::ZERO);
        vitals.write_failed(1, 10);
        assert!(vitals.failing_for().is_some());
        assert_eq!(vitals.prove(&store).await, Ok(()));
        assert_eq!(vitals.failing_for(), None);
    }

    #[tokio::test]
    async fn a_small_write_does_not_prove_that_there_is_room_for_a_large_one() {
        let (_, store, vitals) = vitals(Duration::ZERO);
        vitals.write_failed(0, 100_000);
        vitals.wrote(0);
        assert!(vitals.failing_for().is_some());
        assert_eq!(vitals.prove(&store).await, Ok(()), "as large a one does");
        assert_eq!(vitals.failing_for(), None);
        assert!(weight(&probe(100_000, clock::now())) >= 100_000);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_proof_and_for_a_moment_after() {
        let (memory, store, vitals) = vitals(Duration::from_secs(600));
        let gate = memory.faults().hold_appends();
        let asked: Vec<_> = (0..50).map(|_| vitals.prove(&store)).collect();
        gate.arrived(1).await;
        gate.open();
        for proof in futures_util::future::join_all(asked).await {
            assert_eq!(proof, Ok(()));
        }
        memory.faults().set_appends_down(true);
        assert_eq!(vitals.prove(&store).await, Ok(()), "it holds");
    }

    #[tokio::test]
    async fn a_lane_that_has_just_written_proves_itself() {
        let (memory, store, vitals) = vitals(Duration::from_secs(600));
        memory.faults().set_appends_down(true);
        vitals.wrote(0);
        assert_eq!(vitals.prove(&store).await, Ok(()));
    }
}
