//! The run of one seed with one coordinator: first with faults, then without.

mod answers;
mod loss;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use trine_engine::{Batch, Call, Found, LoadFailure, Message, Record, Release, Shard, ShardOptions, Ticket};
use trine_protocol::{Gid, Timestamp};

use crate::ask::{Ask, Question};
use crate::clock::{CALM_MS_MAX, Clock, START};
use crate::initiator::Initiated;
use crate::memories::Memories;
use crate::participants::Participants;
use crate::steps::Steps;
use crate::store::Store;
use crate::verdict::Verdict;

const TRANSACTIONS: usize = 12;
const FAULTY_STEPS: usize = 400;
const CALM_STEPS_MAX: usize = 10_000;
const SHARE_OF_CRASHES: usize = 60;
const SHARE_OF_PANICS: usize = 120;
const SHARE_OF_CLOCKS_SET: usize = 80;
const SHARE_OF_DEAD_EXECUTORS: usize = 4;
const SHARE_OF_FORCED: usize = 60;

/// The run of one seed.
#[derive(Debug)]
pub struct Walk {
    rng: Rng,
    shard: Shard,
    store: Store,
    participants: Participants,
    now: Timestamp,
    clock: Clock,
    /// Its wall clock is set now and then.
    sets_clock: bool,
    /// A process started after the wall clock had been set, so it cannot know the size of the jump.
    has_lost_time: bool,
    initiated: Vec<Initiated>,
    asked: BTreeMap<Ticket, (usize, Question)>,
    tickets: u64,
    calls: Vec<Call>,
    late_calls: Vec<Call>,
    loads: Vec<Gid>,
    batch: Option<Batch>,
    late_write: Option<Vec<Record>>,
    /// Gids whose journal grew without the shard.
    overtaken: BTreeSet<Gid>,
    memories: Memories,
    steps: Steps,
    verdict: Verdict,
}

impl Walk {
    /// A new walk.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let sets_clock = rng.bool();
        Self {
            rng,
            shard: Shard::new(ShardOptions::default()),
            store: Store::default(),
            participants: Participants::default(),
            now: START,
            clock: Clock::default(),
            sets_clock,
            has_lost_time: false,
            initiated: Vec::new(),
            asked: BTreeMap::new(),
            tickets: 0,
            calls: Vec::new(),
            late_calls: Vec::new(),
            loads: Vec::new(),
            batch: None,
            late_write: None,
            overtaken: BTreeSet::new(),
            memories: Memories::default(),
            steps: Steps::default(),
            verdict: Verdict::default(),
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Result<Verdict, String> {
        for _ in 0..FAULTY_STEPS {
            self.faulty_step()?;
            self.pump()?;
        }
        self.settle()?;
        self.check_end()?;
        Ok(self.verdict)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.rng.usize(..n) == 0
    }

    fn faulty_step(&mut self) -> Result<(), String> {
        if self.one_in(SHARE_OF_CRASHES) {
            return self.crash();
        }
        if self.one_in(SHARE_OF_PANICS) {
            return self.panic();
        }
        if self.sets_clock && self.one_in(SHARE_OF_CLOCKS_SET) {
            self.set_clock();
        }
        match self.rng.u8(..10) {
            0 if self.initiated.len() < TRANSACTIONS => self.initiate(),
            0 | 1 => self.initiator_acts(),
            2 if self.one_in(SHARE_OF_DEAD_EXECUTORS) => self.kill_executor(),
            2 | 3 => self.faulty_commit()?,
            4 => self.faulty_load(),
            5 => self.arrive_late()?,
            6 => self.pass_time(),
            _ => self.faulty_answer()?,
        }
        Ok(())
    }

    fn steady(&self) -> Timestamp {
        self.clock.steady(self.now)
    }

    fn set_clock(&mut self) {
        self.verdict.clocks_set += 1;
        self.clock.set(&mut self.rng, self.now);
        self.shard.handle_clock(self.clock.wall.clone());
    }

    fn initiate(&mut self) {
        let last = self.initiated.len();
        self.initiated.push(Initiated::new(&mut self.rng, last));
        self.ask(last, Ask::Create);
    }

    fn initiator_acts(&mut self) {
        if self.initiated.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.initiated.len());
        let forced = if self.one_in(SHARE_OF_FORCED) { self.force(index) } else { None };
        if let Some(ask) = forced.or_else(|| self.initiated[index].acts(&mut self.rng)) {
            self.ask(index, ask);
        }
    }

    fn force(&mut self, index: usize) -> Option<Ask> {
        self.store.state(&self.initiated[index].gid)?;
        self.initiated[index].is_forced(&mut self.rng)
    }

    fn ask(&mut self, index: usize, ask: Ask) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (gid, command) = (self.initiated[index].gid.clone(), self.initiated[index].command(ask));
        let question = Question::new(ask, self.steady(), self.rng.u64(1..30_000));
        let question = Question { at: self.now, ..question };
        self.asked.insert(ticket, (index, question));
        if let (Ask::Replay, Some(executor)) = (ask, &mut self.initiated[index].executor) {
            executor.is_replayed();
        }
        let reply_on = question.reply_on();
        let now = self.steady();
        self.shard.handle(Message::Command { ticket, gid, command, reply_on }, now);
    }

    fn kill_executor(&mut self) {
        let executors = self.initiated.iter_mut().filter_map(|initiated| initiated.executor.as_mut());
        let mut alive: Vec<_> = executors.filter(|executor| executor.is_alive()).collect();
        if !alive.is_empty() {
            let at = self.rng.usize(..alive.len());
            alive.swap_remove(at).die();
            self.verdict.executors_died += 1;
        }
    }

    fn commit(&mut self) -> Result<(), String> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let conflicts = self.store.append(&batch.records)?;
        self.verdict.conflicts += conflicts.len() as u64;
        self.overtaken.retain(|gid| !conflicts.contains(gid));
        self.memories.acknowledged(&batch, &conflicts);
        let now = self.steady();
        self.shard.on_committed(batch.id, &conflicts, now);
        Ok(())
    }

    fn faulty_commit(&mut self) -> Result<(), String> {
        let fault = self.rng.u8(..16);
        if fault >= 4 {
            return self.commit();
        }
        let Some(batch) = self.batch.take() else { return Ok(()) };
        match fault {
            0 | 1 => {
                self.verdict.doubtful_written += 1;
                self.store.append(&batch.records)?;
            }
            2 if self.late_write.is_none() => self.late_write = Some(batch.records),
            _ => self.verdict.commits_failed += 1,
        }
        let now = self.steady();
        let forgotten = self.shard.on_commit_failed(batch.id, now);
        self.memories.forgotten(&forgotten);
        Ok(())
    }

    fn load(&mut self, found: Result<(), LoadFailure>) {
        if let Some(gid) = self.loads.pop() {
            self.overtaken.remove(&gid);
            let owned = |transaction| Found { transaction, owned: true };
            let found = found.map(|()| self.store.load(&gid).map(owned));
            let now = self.steady();
            if let (Ok(Some(found)), None) = (&found, self.shard.resident(&gid)) {
                self.memories.read(&gid, found);
            }
            self.shard.on_loaded(&gid, found, now);
        }
    }

    fn faulty_load(&mut self) {
        let fails = self.one_in(8);
        self.load(if fails { Err(LoadFailure::Unavailable) } else { Ok(()) });
    }

    fn arrive_late(&mut self) -> Result<(), String> {
        if let Some(records) = self.late_write.take() {
            let conflicts = self.store.append(&records)?;
            let written = records.into_iter().map(|record| record.gid).filter(|gid| !conflicts.contains(gid));
            let before = self.overtaken.len();
            self.overtaken.extend(written);
            self.verdict.written_late += (self.overtaken.len() - before) as u64;
        } else if !self.late_calls.is_empty() {
            let call = self.late_calls.swap_remove(self.rng.usize(..self.late_calls.len()));
            self.execute(&call);
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let next = self.shard.poll_timeout().map_or(0, |at| at.millis_since(self.steady()));
        self.now = self.now.plus_millis(self.rng.u64(0..=next.clamp(1, 5_000)));
        let now = self.steady();
        self.shard.handle_timeout(now);
    }

    /// The phase without faults: everything settles, and every request is answered.
    fn settle(&mut self) -> Result<(), String> {
        for index in 0..self.initiated.len() {
            self.ask(index, Ask::Create);
        }
        // Some workflows stay without an executor, so that only a callback can bring them on.
        if self.rng.bool() {
            self.kill_executor();
        }
        let calm_since = self.now;
        for _ in 0..CALM_STEPS_MAX {
            self.pump()?;
            self.arrive_late()?;
            if self.batch.is_some() {
                self.commit()?;
            } else if !self.loads.is_empty() {
                self.load(Ok(()));
            } else if let Some(call) = self.calls.pop() {
                let outcome = self.execute_current(&call)?;
                self.answer(call, outcome);
            } else if self.late_calls.is_empty() && self.all_settled() {
                return Ok(());
            } else if let Some((index, ask)) = self.executor_acts() {
                self.ask(index, ask);
            } else if self.rng.bool()
                && let Some(index) = self.parked()
            {
                // Not always: sometimes time must pass first, for transactions that wait.
                self.verdict.replays += 1;
                self.ask(index, Ask::Replay);
            } else if let Some(at) = self.shard.poll_timeout() {
                self.now = self.now.max(self.clock.reached(at));
                let now = self.steady();
                self.shard.handle_timeout(now);
            }
            if self.now.millis_since(calm_since) > CALM_MS_MAX {
                return Err(format!("something waited until {:?}, since {calm_since:?}", self.now));
            }
        }
        let stuck = self.store.states().find(|state| !state.status().is_settled());
        Err(format!("it does not settle: {stuck:#?}"))
    }

    /// An executor with a request that is not sent yet.
    fn executor_acts(&mut self) -> Option<(usize, Ask)> {
        let asked = &self.asked;
        let idle = |(index, initiated): (usize, &mut Initiated)| {
            let busy = asked.values().any(|(of, question)| *of == index && question.ask.is_by_executor());
            let executor = initiated.executor.as_mut().filter(|_| !busy)?;
            executor.acts().map(|ask| (index, ask))
        };
        self.initiated.iter_mut().enumerate().find_map(idle)
    }

    /// A parked transaction, for the operator to replay.
    fn parked(&self) -> Option<usize> {
        let parked = |initiated: &Initiated| {
            self.store.state(&initiated.gid).is_some_and(|state| state.parked().is_some())
        };
        self.initiated.iter().position(parked)
    }

    fn all_settled(&self) -> bool {
        let settled = |initiated: &Initiated| {
            self.store.state(&initiated.gid).is_some_and(|state| state.status().is_settled())
        };
        self.initiated.iter().all(settled) && self.asked.is_empty()
    }

    fn pump(&mut self) -> Result<(), String> {
        loop {
            while let Some(release) = self.shard.poll_release() {
                match release {
                    Release::Reply { ticket, result } => self.check_reply(ticket, &result)?,
                    Release::Call(call) => {
                        self.check_call(&call)?;
                        self.calls.push(call);
                    }
                    Release::Load(gid) => self.loads.push(gid),
                }
            }
            self.memories.keep(|gid| self.shard.knows(gid));
            let now = self.steady();
            match self.shard.poll_batch(now) {
                Some(_) if self.batch.is_some() => return Err("two batches are in flight".into()),
                Some(batch) => {
                    let held = self.memories.sealed(&batch, &self.initiated)?;
                    self.verdict.narrowed += held.narrowed;
                    self.verdict.not_narrowed += held.not_narrowed;
                    self.verdict.taken_over += held.taken_over;
                    self.verdict.rode_along += held.rode_along;
                    self.batch = Some(batch);
                }
                None => return Ok(()),
            }
        }
    }
}
