//! One lane: a loop that gives messages to its shard and carries out the releases of the shard: replies, calls, reads, and one
//! append at a time. The loop awaits only its `select!`, and its turn before it seals a batch. Calls and reads run in tasks of their
//! own, and the append under way is one of the branches of `select!`, so no slow call or append holds up the lane.
//!
//! A panic in the shard costs the lane its memory, never its journal (law L11): the senders of its commands are answered
//! "outcome unknown", and its transactions are read again. A gid that panics its lane three times is quarantined.

mod memory;
mod readers;
mod stopping;
mod time;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use trine_engine::{CallKey, Command, LoadFailure, Message, Rejection, Release, Shard, Ticket};
use trine_protocol::Gid;

use super::door::{Admission, Arrival, OwnershipNews, Reply, signal};
use super::in_flight::{self, Append, Completion, Read};
use super::observe;
use super::parts::Parts;
use super::{Options, SubmitError};
use readers::Reader;
use stopping::{RECORD_WITHIN_HURRIED, Stopping};
use time::Alarm;
use trine_store::vitals;

/// Most messages handled before the lane carries out their releases.
const DRAIN_MAX: usize = 512;
/// Most journals in one read.
const LOAD_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Lane {
    parts: Parts,
    shard: Shard,
    /// Number of the current memory. Appends and reads of an older memory must not reach the new shard: it did not ask for them.
    generation: u64,
    tickets: HashMap<Ticket, Reply>,
    readers: Vec<Reader>,
    next_ticket: u64,
    append: Option<Append>,
    loads_in_flight: usize,
    /// Calls under way. They survive a loss of memory, so that the new shard does not make them a second time.
    calls_out: BTreeSet<(Gid, CallKey)>,
    failures_in_a_row: u32,
    /// Senders of news, signalled after the next reads.
    to_signal: Vec<oneshot::Sender<()>>,
    /// Panics by the gid that was being handled.
    panics: BTreeMap<Gid, u32>,
    /// Gids that panicked again while their quarantine was being recorded. They are left alone until the next start.
    banned: BTreeSet<Gid>,
    /// The memory was lost and must be read again. The read waits until no append is in flight: it would miss that append's records.
    refill: bool,
    /// The last thing that the shard was told about its clock: whether time may decide.
    trusts_time: bool,
    stopping: Option<Stopping>,
    completions_in: UnboundedSender<Completion>,
    completions: UnboundedReceiver<Completion>,
    /// Gids to load after a loss of memory, one chunk at a time.
    again_in: UnboundedSender<OwnershipNews>,
    again: UnboundedReceiver<OwnershipNews>,
}

impl Lane {
    pub(super) fn new(parts: Parts) -> Self {
        let (completions_in, completions) = mpsc::unbounded_channel();
        let (again_in, again) = mpsc::unbounded_channel();
        Self {
            shard: Shard::new(parts.options.shard),
            parts,
            generation: 0,
            tickets: HashMap::new(),
            readers: Vec::new(),
            next_ticket: 0,
            append: None,
            loads_in_flight: 0,
            calls_out: BTreeSet::new(),
            failures_in_a_row: 0,
            to_signal: Vec::new(),
            panics: BTreeMap::new(),
            banned: BTreeSet::new(),
            refill: false,
            trusts_time: true,
            stopping: None,
            completions_in,
            completions,
            again_in,
            again,
        }
    }

    /// Runs the lane until it is stopped.
    pub(super) async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut news: mpsc::Receiver<OwnershipNews>,
    ) {
        let (stop, hurry) = (self.parts.stop.clone(), self.parts.hurry.clone());
        let mut wall = self.parts.clock.follow();
        wall.mark_changed();
        let mut alarm = Alarm::new();
        loop {
            if wall.has_changed().unwrap_or(false) {
                self.shard.handle_clock(wall.borrow_and_update().clone());
            }
            self.pump();
            // Also after handling: the next batch is sealed here as soon as the last append has ended.
            self.start_append(&mut arrivals).await;
            let now = self.now();
            if self.is_over(now) {
                break;
            }
            let wake = self.pause(now);
            let open = self.stopping.is_none();
            tokio::select! {
                // Completions first: they free memory and let the next append begin. Commands only add work.
                biased;
                completion = Append::end(&mut self.append) => self.complete(completion),
                Some(completion) = self.completions.recv() => self.complete(completion),
                () = stop.cancelled(), if open => self.begin_stop(&mut arrivals),
                Some(arrival) = arrivals.recv(), if open && !self.shard.is_full() => self.arrived(arrival),
                Some(news) = news.recv(), if open => self.take_news(news),
                Some(news) = self.again.recv(), if open => self.take_news(news),
                Ok(()) = wall.changed(), if open => wall.mark_changed(),
                () = alarm.rings(wake), if !self.has_given_up() => {}
                () = Stopping::over(self.stopping, now), if !open => self.wait_no_longer(),
                () = hurry.cancelled(), if !open && !self.has_given_up() => self.give_up(RECORD_WITHIN_HURRIED),
            }
            self.drain(&mut arrivals);
            let now = self.now();
            self.guarded(None, |shard| shard.handle_timeout(now));
        }
        // Clients that wait for an end are answered with the present status. Owed calls are derived again by the next owner.
        self.guarded(None, Shard::handle_stop);
        // Once more, to send the answers that `handle_stop` has released.
        self.pump();
        // The rest wait for records that did not become durable in time. Nobody knows whether they will.
        for (_, reply) in self.tickets.drain() {
            let _ = reply.send(Err(SubmitError::Lost));
        }
    }

    /// Handles the messages that have arrived already, so that one append serves all of them.
    fn drain(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) {
        if let Some(completion) = Append::try_end(&mut self.append) {
            self.complete(completion);
        }
        for _ in 0..DRAIN_MAX {
            let Ok(completion) = self.completions.try_recv() else { break };
            self.complete(completion);
        }
        for _ in 0..DRAIN_MAX {
            if self.stopping.is_some() || self.shard.is_full() {
                break;
            }
            let Ok(arrival) = arrivals.try_recv() else { break };
            self.arrived(arrival);
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Command(admission) => self.admit(admission),
            Arrival::Reader { gid, written } => self.admit_reader(gid, written),
        }
    }

    fn admit(&mut self, admission: Admission) {
        let Admission { gid, command, reply_on, reply } = admission;
        if self.banned.contains(&gid) {
            let _ = reply.send(Err(Rejection::Corrupt.into()));
            return;
        }
        // Only new transactions are refused: a command for a known one must get through, or nothing would ever settle and free memory.
        let new = matches!(command, Command::Create(_)) && !self.shard.knows(&gid);
        if new && self.is_at_capacity() {
            let retry_after_ms = self.parts.options.busy_retry_after_ms;
            let _ = reply.send(Err(SubmitError::Busy { retry_after_ms }));
            return;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        // The ticket is the shard's name for the sender. The sender itself stays here, because the shard does no I/O.
        self.tickets.insert(ticket, reply);
        self.handle(Message::Command { ticket, gid, command, reply_on });
    }

    fn is_at_capacity(&self) -> bool {
        let Options { residents_max, resident_bytes_max, .. } = self.parts.options;
        self.shard.len() >= residents_max || self.shard.bytes() >= resident_bytes_max
    }

    fn handle(&mut self, message: Message) {
        let gid = message.gid().clone();
        let now = self.now();
        self.guarded(Some(&gid), |shard| shard.handle(message, now));
    }

    /// Loads transactions into memory, or marks those in memory as possibly owned by others. The sender is signalled when this is
    /// done.
    fn take_news(&mut self, news: OwnershipNews) {
        let (gids, just_adopted, done) = match news {
            OwnershipNews::BringIn { gids, just_adopted, done } => (gids, just_adopted, done),
            OwnershipNews::Lapsed { done } => {
                self.guarded(None, Shard::handle_lapse);
                return signal(vec![done]);
            }
        };
        // Gids without a place are not lost: the next sweep or reconcile finds them in the index again.
        let room = self.parts.options.residents_max.saturating_sub(self.shard.len());
        let mut places = if self.is_at_capacity() { 0 } else { room };
        for gid in gids.iter().filter(|gid| !self.banned.contains(gid)) {
            if !self.shard.knows(gid) {
                // Due by its row at every sweep, but unreadable: not every sweep may read it.
                if self.parts.damaged.is_left_alone(gid) {
                    continue;
                }
                let Some(left) = places.checked_sub(1) else { continue };
                places = left;
            }
            // An adopted gid is read again even if it is in memory: its former owner may have written since.
            if just_adopted {
                self.shard.handle_adopted(gid);
            } else {
                self.shard.handle_wanted(gid);
            }
        }
        self.to_signal.push(done);
    }

    fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Appended { generation, id, batch, result, took_ms } => {
                self.append = None;
                self.parts.metrics.batch_appended(batch.records.len(), took_ms / 1_000.0);
                // Also for a batch of an older memory: the records are durable, whoever asked for them.
                if let Ok(appended) = &result {
                    observe::durable(&self.parts, &batch, &appended.conflicts);
                }
                match &result {
                    // A conflict is a success here: the store wrote, and that is what vitals measure.
                    Ok(_) => self.parts.vitals.wrote(self.parts.index),
                    Err(_) => self.parts.vitals.write_failed(self.parts.index, vitals::weight(&batch)),
                }
                if generation == self.generation {
                    self.appended(id, result);
                }
            }
            Completion::Loaded { generation, found, to_signal } => {
                self.loads_in_flight -= 1;
                // A damaged journal is no sign of a store that is away.
                let away = |(_, state): &Read| matches!(state, Err(LoadFailure::Unavailable));
                if found.iter().any(away) {
                    self.parts.vitals.read_failed();
                } else {
                    self.parts.vitals.read();
                }
                if generation == self.generation {
                    found.into_iter().for_each(|found| self.loaded(found));
                }
                signal(to_signal);
            }
            // No check of the generation: calls survive a loss of memory. The engine accepts an answer only if its attempt is the
            // one that is owed (law L8).
            Completion::Returned { call, returned } => {
                let was_out = self.calls_out.remove(&(call.gid.clone(), call.key));
                // `give_up` has recorded this call as unknown already.
                if !was_out && self.has_given_up() {
                    return;
                }
                self.handle(in_flight::message(*call, returned, self.parts.clock.steady()));
            }
        }
    }

    fn appended(
        &mut self,
        id: trine_engine::BatchId,
        result: Result<trine_store::Appended, trine_store::AppendError>,
    ) {
        match result {
            Ok(appended) => {
                // A single failure is no outage: deadlocks and failovers are normal. Only longer ones are reported as over.
                let failures = std::mem::take(&mut self.failures_in_a_row);
                if failures > 1 {
                    tracing::info!(lane = self.parts.index, failures, "the store takes batches again");
                }
                for gid in &appended.conflicts {
                    tracing::info!(%gid, "somebody else appended to this transaction; reading it again");
                }
                let now = self.now();
                self.guarded(None, |shard| shard.on_committed(id, &appended.conflicts, now));
            }
            Err(error) => {
                self.failures_in_a_row += 1;
                // Log the first failure, the second, the fourth, and so on: the log must not fill a disk that is full already.
                if self.failures_in_a_row.is_power_of_two() {
                    let (lane, failures) = (self.parts.index, self.failures_in_a_row);
                    tracing::warn!(lane, failures, %error, "a batch was not appended; reading its transactions again");
                }
                self.parts.metrics.store_error("append");
                let now = self.now();
                self.guarded(None, |shard| {
                    shard.on_commit_failed(id, now);
                });
            }
        }
    }

    fn loaded(&mut self, (gid, state): Read) {
        let now = self.now();
        self.guarded(Some(&gid), |shard| shard.on_loaded(&gid, state, now));
    }

    /// Starts the next append, if none is in flight and there is something to write (law L5).
    async fn start_append(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) {
        if self.append.is_some() {
            return;
        }
        // On a busy machine the tasks that are ready run first, and the messages that they send share this write. On an idle one
        // there are none, and nothing is lost.
        tokio::task::yield_now().await;
        self.drain(arrivals);
        self.pump();
        let now = self.now();
        if let Some(batch) = self.guarded(None, |shard| shard.poll_batch(now)).flatten() {
            let (store, lane) = (&*self.parts.store, self.parts.index);
            self.append = Some(Append::start(store, lane, self.generation, batch));
        }
        // Sealing decides which calls are due, and some of them may leave at once.
        self.pump();
    }

    /// Carries out the releases of the shard.
    fn pump(&mut self) {
        self.answer_waiters_if_stopping();
        // An append of the lost memory may still land. Reading before it ends would miss its records and decide on old state.
        if self.refill && self.append.is_none() {
            self.refill = false;
            self.start_refill();
        }
        let mut loads = Vec::new();
        while let Some(release) = self.shard.poll_release() {
            match release {
                Release::Reply { ticket, result } => {
                    if let Some(reply) = self.tickets.remove(&ticket) {
                        let _ = reply.send(result.map_err(SubmitError::from));
                    }
                }
                Release::Load(gid) => loads.push(gid),
                // Dropped, not lost: the call is owed by the durable state, so the next owner makes it (law L3).
                Release::Call(_) if self.stopping.is_some() => {}
                Release::Call(call) => {
                    // Noted before the call starts: a panic after this line must not make the call twice.
                    self.calls_out.insert((call.gid.clone(), call.key));
                    in_flight::call(&*self.parts.caller, call, self.completions_in.clone())
                }
            }
        }
        self.start_loads(loads);
        self.let_readers_go();
        self.parts.residents.store(self.shard.len() as u64, Ordering::Relaxed);
    }

    /// Reads journals in chunks. The senders of news are signalled with the last chunk.
    fn start_loads(&mut self, loads: Vec<Gid>) {
        if loads.is_empty() || self.has_given_up() {
            return signal(std::mem::take(&mut self.to_signal));
        }
        let parts = loads.len().div_ceil(LOAD_MAX);
        for (position, gids) in loads.chunks(LOAD_MAX).enumerate() {
            let to_signal =
                if position + 1 == parts { std::mem::take(&mut self.to_signal) } else { Vec::new() };
            let completions = self.completions_in.clone();
            self.loads_in_flight += 1;
            in_flight::load(&self.parts, self.generation, gids.to_vec(), to_signal, completions);
        }
    }

    /// Runs code of the shard. If it panics, the lane drops the shard: its state may be half changed.
    fn guarded<T>(&mut self, gid: Option<&Gid>, work: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| work(&mut self.shard))) {
            Ok(done) => Some(done),
            Err(panic) => {
                let detail = memory::panic_text(&*panic);
                // A timer or a batch handles many gids. The shard notes the one that it is handling.
                let culprit = gid.cloned().or_else(|| self.shard.touching().cloned());
                self.lose_memory(culprit, &detail);
                None
            }
        }
    }
}
