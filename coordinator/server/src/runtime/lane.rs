//! One lane: a loop that never awaits inline. It takes messages in, hands them to its shard, and carries out what
//! the shard releases: replies, calls, reads and one append at a time.
//!
//! A panic in the shard costs the lane its memory, never its journal (law L11): senders of commands are told that
//! the outcome is unknown, and what was in memory is read again. A gid that does it three times is quarantined.

mod memory;
mod stopping;
mod time;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use trine_engine::{CallKey, Command, LoadFailure, Message, Rejection, Release, Shard, Ticket};
use trine_protocol::{Gid, Timestamp};

use super::door::{Admission, Adoption, Reply, tell};
use super::in_flight::{self, Completion, Read};
use super::observe;
use super::parts::Parts;
use super::{Options, SubmitError};
use stopping::{RECORD_WITHIN_HURRIED, Stopping};
use trine_store::vitals;

/// Messages handled before the lane looks at what they led to.
const DRAIN_MAX: usize = 512;
/// Journals read at once.
const LOAD_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Lane {
    parts: Parts,
    shard: Shard,
    /// Grows with every loss of memory: completions of older ones are not for this shard.
    generation: u64,
    tickets: HashMap<Ticket, Reply>,
    next_ticket: u64,
    append_in_flight: bool,
    loads_in_flight: usize,
    /// Calls that left and have not come back.
    calls_out: BTreeSet<(Gid, CallKey)>,
    failures_in_a_row: u32,
    /// Told when the next reads are done.
    adopters: Vec<oneshot::Sender<()>>,
    panics: BTreeMap<Gid, u32>,
    /// Gids whose quarantine could not even be recorded: left alone until the next start.
    banned: BTreeSet<Gid>,
    /// Memory was lost; read it again when no append is in flight.
    refill: bool,
    /// The shard was told that its time can be believed.
    trusts_time: bool,
    stopping: Option<Stopping>,
    completions_in: UnboundedSender<Completion>,
    completions: UnboundedReceiver<Completion>,
    /// What a refill brings back, one chunk at a time.
    again_in: UnboundedSender<Adoption>,
    again: UnboundedReceiver<Adoption>,
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
            next_ticket: 0,
            append_in_flight: false,
            loads_in_flight: 0,
            calls_out: BTreeSet::new(),
            failures_in_a_row: 0,
            adopters: Vec::new(),
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

    /// Runs until stopped.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Admission>,
        mut adoptions: mpsc::Receiver<Adoption>,
    ) {
        let (stop, hurry) = (self.parts.stop.clone(), self.parts.hurry.clone());
        let mut wall = self.parts.clock.follow();
        wall.mark_changed();
        loop {
            if wall.has_changed().unwrap_or(false) {
                self.shard.handle_clock(wall.borrow_and_update().clone());
            }
            let now = self.now();
            self.pump(now);
            if self.is_over(now) {
                break;
            }
            let wake = self.pause(now);
            let timer = async {
                match wake {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let open = self.stopping.is_none();
            tokio::select! {
                biased;
                Some(completion) = self.completions.recv() => self.complete(completion),
                () = stop.cancelled(), if open => self.begin_stop(&mut commands),
                Some(admission) = commands.recv(), if open && !self.shard.is_full() => self.admit(admission),
                Some(adoption) = adoptions.recv(), if open => self.adopt(adoption),
                Some(adoption) = self.again.recv(), if open => self.adopt(adoption),
                Ok(()) = wall.changed(), if open => wall.mark_changed(),
                () = timer, if !self.has_given_up() => {}
                () = Stopping::over(self.stopping, now), if !open => self.wait_no_longer(),
                () = hurry.cancelled(), if !open && !self.has_given_up() => self.give_up(RECORD_WITHIN_HURRIED),
            }
            self.drain(&mut commands);
            let now = self.now();
            self.guarded(None, |shard| shard.handle_timeout(now));
        }
        // Whoever waits for an outcome is told where it stands; what is owed is derived again at the next start.
        self.guarded(None, Shard::handle_stop);
        let now = self.now();
        self.pump(now);
        for (_, reply) in self.tickets.drain() {
            let _ = reply.send(Err(SubmitError::Lost));
        }
    }

    /// Takes in what is there already, so that one append serves it all.
    fn drain(&mut self, commands: &mut mpsc::Receiver<Admission>) {
        for _ in 0..DRAIN_MAX {
            let Ok(completion) = self.completions.try_recv() else { break };
            self.complete(completion);
        }
        for _ in 0..DRAIN_MAX {
            if self.stopping.is_some() || self.shard.is_full() {
                break;
            }
            let Ok(admission) = commands.try_recv() else { break };
            self.admit(admission);
        }
    }

    fn admit(&mut self, admission: Admission) {
        let Admission { gid, command, reply_on, reply } = admission;
        if self.banned.contains(&gid) {
            let _ = reply.send(Err(Rejection::Corrupt.into()));
            return;
        }
        let new = matches!(command, Command::Create(_)) && !self.shard.knows(&gid);
        if new && self.is_at_capacity() {
            let retry_after_ms = self.parts.options.busy_retry_after_ms;
            let _ = reply.send(Err(SubmitError::Busy { retry_after_ms }));
            return;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
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

    /// Who hands over transactions is told when they are in memory.
    fn adopt(&mut self, adoption: Adoption) {
        let (gids, taken, done) = match adoption {
            Adoption::Wanted { gids, taken, done } => (gids, taken, done),
            Adoption::Lapsed { done } => {
                self.guarded(None, Shard::handle_lapse);
                return tell(vec![done]);
            }
        };
        // What does not fit is handed over again by a later sweep.
        let room = self.parts.options.residents_max.saturating_sub(self.shard.len());
        let mut places = if self.is_at_capacity() { 0 } else { room };
        for gid in gids.iter().filter(|gid| !self.banned.contains(gid)) {
            if !self.shard.knows(gid) {
                if self.parts.damaged.is_left_alone(gid) {
                    continue;
                }
                let Some(left) = places.checked_sub(1) else { continue };
                places = left;
            }
            if taken {
                self.shard.handle_adopted(gid);
            } else {
                self.shard.handle_wanted(gid);
            }
        }
        self.adopters.push(done);
    }

    fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Appended { generation, id, batch, result, took_ms } => {
                self.append_in_flight = false;
                self.parts.metrics.batch_appended(batch.records.len(), took_ms / 1_000.0);
                if let Ok(appended) = &result {
                    observe::durable(&self.parts, &batch, &appended.conflicts);
                }
                match &result {
                    Ok(_) => self.parts.vitals.wrote(self.parts.index),
                    Err(_) => self.parts.vitals.write_failed(self.parts.index, vitals::weight(&batch)),
                }
                if generation == self.generation {
                    self.appended(id, result);
                }
            }
            Completion::Loaded { generation, found, adopters } => {
                self.loads_in_flight -= 1;
                let away = |(_, state): &Read| matches!(state, Err(LoadFailure::Unavailable));
                if found.iter().any(away) {
                    self.parts.vitals.read_failed();
                } else {
                    self.parts.vitals.read();
                }
                if generation == self.generation {
                    found.into_iter().for_each(|found| self.loaded(found));
                }
                tell(adopters);
            }
            // Calls outlive a loss of memory: their answers are matched by attempt.
            Completion::Returned { call, returned } => {
                let was_out = self.calls_out.remove(&(call.gid.clone(), call.key));
                // It was recorded as unknown meanwhile.
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
                // An outage is told when it begins and ever less often: a full disk is not filled further.
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

    /// Carries out what the shard lets go of, and starts the next append if none is in flight.
    fn pump(&mut self, now: Timestamp) {
        self.answer_who_waits();
        if self.refill && !self.append_in_flight {
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
                // Owed, hence made again after the next start.
                Release::Call(_) if self.stopping.is_some() => {}
                Release::Call(call) => {
                    self.calls_out.insert((call.gid.clone(), call.key));
                    in_flight::call(&*self.parts.caller, call, self.completions_in.clone())
                }
            }
        }
        self.start_loads(loads);
        if !self.append_in_flight
            && let Some(batch) = self.guarded(None, |shard| shard.poll_batch(now)).flatten()
        {
            self.append_in_flight = true;
            let (lane, generation) = (self.parts.index, self.generation);
            in_flight::append(&*self.parts.store, lane, generation, batch, self.completions_in.clone());
        }
        self.parts.residents.store(self.shard.len() as u64, Ordering::Relaxed);
    }

    /// Reads journals, a bounded number at a time. Whoever handed over transactions is told after the last of them.
    fn start_loads(&mut self, loads: Vec<Gid>) {
        if loads.is_empty() || self.has_given_up() {
            return tell(std::mem::take(&mut self.adopters));
        }
        let parts = loads.len().div_ceil(LOAD_MAX);
        for (position, gids) in loads.chunks(LOAD_MAX).enumerate() {
            let adopters =
                if position + 1 == parts { std::mem::take(&mut self.adopters) } else { Vec::new() };
            let completions = self.completions_in.clone();
            self.loads_in_flight += 1;
            in_flight::load(&self.parts, self.generation, gids.to_vec(), adopters, completions);
        }
    }

    /// Runs the shard; a panic costs the lane its memory.
    fn guarded<T>(&mut self, gid: Option<&Gid>, work: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| work(&mut self.shard))) {
            Ok(done) => Some(done),
            Err(panic) => {
                let detail = memory::panic_text(&*panic);
                let culprit = gid.cloned().or_else(|| self.shard.touching().cloned());
                self.lose_memory(culprit, &detail);
                None
            }
        }
    }
}
