//! Several coordinators over one store. Whatever each of them believes to own, transactions end whole or undone.
//!
//! Heartbeats are simplified: a member is *lapsed* when the others believe that it is gone, rightly or not, and it learns of this
//! late. Until then it is a zombie: it may repeat calls that were once owed. Its first append that conflicts ends this.

mod calm;
mod checks;
mod faults;
mod member;
mod shared;

use fastrand::Rng;
use trine_engine::{
    Answer, Batch, Call, CallReport, Message, Outcome, ParkCause, Release, Ticket, Transaction,
};
use trine_protocol::{Gid, Timestamp};

use crate::ask::{Ask, Question};
use crate::clock::{Clock, START};
use crate::initiator::{Initiated, arrive};
use crate::participants::{Happened, Participants};
use crate::steps::Steps;
use crate::verdict::PackVerdict;
use member::{Append, Asked, Member};
use shared::{Appended, Shared};

const FAULTY_STEPS: usize = 800;
const SKEW_MS_MAX: u64 = 3_000;
/// Later than the end of every wait.
const ANY_TIME: Timestamp = Timestamp::from_millis(Timestamp::MAX.millis() - 1);

/// The run of one seed: first with faults, then without.
#[derive(Debug)]
pub struct Pack {
    rng: Rng,
    members: Vec<Member>,
    /// Wall clocks are set now and then.
    sets_clocks: bool,
    shared: Shared,
    participants: Participants,
    steps: Steps,
    now: Timestamp,
    initiated: Vec<Initiated>,
    tickets: u64,
    /// Calls still on their way after their coordinator crashed or stopped waiting.
    late_calls: Vec<Call>,
    /// Appends still on their way after their coordinator crashed or stopped waiting.
    late_appends: Vec<(usize, Batch)>,
    verdict: PackVerdict,
}

impl Pack {
    /// A new pack of two or three members.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let size = rng.usize(2..=3);
        let members =
            (0..size).map(|_| Member::new(Clock::ahead_by(rng.i64(0..SKEW_MS_MAX.cast_signed())))).collect();
        let sets_clocks = rng.bool();
        Self {
            rng,
            members,
            sets_clocks,
            shared: Shared::default(),
            participants: Participants::default(),
            steps: Steps::default(),
            now: START,
            initiated: Vec::new(),
            tickets: 0,
            late_calls: Vec::new(),
            late_appends: Vec::new(),
            verdict: PackVerdict::default(),
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Result<PackVerdict, String> {
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

    /// A random member that is neither paused nor down.
    fn running(&mut self) -> Option<usize> {
        let running: Vec<usize> = (0..self.members.len()).filter(|&m| self.members[m].is_running()).collect();
        (!running.is_empty()).then(|| running[self.rng.usize(..running.len())])
    }

    fn ask(&mut self, m: usize, index: usize, ask: Ask) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (gid, command) = (self.initiated[index].gid.clone(), self.initiated[index].command(ask));
        let absent = self.shared.store.state(&gid).is_none();
        let member = &mut self.members[m];
        let now = member.now(self.now);
        let question = Question::new(ask, now, self.rng.u64(1..30_000));
        let asked = Asked { index, question, at: self.now, absent };
        member.asked.insert(ticket, asked);
        if let (Ask::Replay, Some(executor)) = (ask, &mut self.initiated[index].executor) {
            executor.is_replayed();
        }
        let reply_on = question.reply_on();
        member.shard.handle(Message::Command { ticket, gid, command, reply_on }, now);
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

    /// Appends a batch to the store.
    fn append(&mut self, m: usize, batch: &Batch) -> Result<Vec<Gid>, String> {
        let Appended { conflicts, taken } = self.shared.append(m, batch)?;
        for (gid, former) in taken {
            self.verdict.taken_by_command += 1;
            self.verdict.overlaps += u64::from(self.members[former].shard.drives(&gid));
        }
        Ok(conflicts)
    }

    /// The batch that a member has sent, if any, reaches the store.
    fn land(&mut self, m: usize) -> Result<(), String> {
        match self.members[m].append.take() {
            Some(Append::Sent(batch)) => {
                let conflicts = self.append(m, &batch)?;
                self.verdict.landed_unseen += u64::from(!self.members[m].is_running());
                self.members[m].append = Some(Append::Landed(batch, conflicts));
            }
            other => self.members[m].append = other,
        }
        Ok(())
    }

    /// A member gets the acknowledgement of its batch.
    fn acknowledge(&mut self, m: usize) -> Result<(), String> {
        self.land(m)?;
        let member = &mut self.members[m];
        if let Some(Append::Landed(batch, conflicts)) = member.append.take() {
            self.verdict.conflicts += conflicts.len() as u64;
            member.memories.acknowledged(&batch, &conflicts);
            member.shard.on_committed(batch.id, &conflicts, member.now(self.now));
        }
        Ok(())
    }

    /// The store carries out the reads that a member has requested.
    fn read(&mut self, m: usize) {
        let member = &mut self.members[m];
        if let Some(gid) = member.reads.pop() {
            let found = self.shared.read(m, &gid);
            member.read.push((gid, found));
        }
    }

    /// A member gets the result of a read.
    fn hear_read(&mut self, m: usize) {
        let member = &mut self.members[m];
        if member.read.is_empty() {
            return;
        }
        let (gid, found) = member.read.swap_remove(self.rng.usize(..member.read.len()));
        self.verdict.reads_outdated += u64::from(found != self.shared.read(m, &gid));
        let is_new = member.shard.resident(&gid).is_none();
        member.shard.on_loaded(&gid, Ok(found.clone()), member.now(self.now));
        match found.filter(|_| is_new) {
            Some(found) if member.shard.resident(&gid).is_some() => member.memories.read(&gid, &found),
            // The read was older than news of its owner, or than a command.
            Some(found) => member.memories.read_in_vain(&gid, &found),
            None => {}
        }
    }

    fn hear_claim(&mut self, m: usize) {
        let member = &mut self.members[m];
        if let Some(gid) = member.claimed.pop_front() {
            member.shard.handle_adopted(&gid);
        }
    }

    fn hear_lapse(&mut self, m: usize) {
        let member = &mut self.members[m];
        if std::mem::take(&mut member.lapse_due) {
            self.verdict.lapses += 1;
            self.verdict.lapses_in_flight += u64::from(member.append.is_some());
            member.shard.handle_lapse();
        }
    }

    /// A member sends a heartbeat, learns whether it was lapsed, and is not lapsed any more.
    fn beat(&mut self, m: usize) {
        let member = &mut self.members[m];
        member.lapse_due |= std::mem::take(&mut member.is_lapsed);
    }

    fn reconcile(&mut self, m: usize) {
        self.bring_back(m, self.members[m].wall(self.now));
    }

    /// Loads the transactions of a member that are due by `due_by`.
    fn bring_back(&mut self, m: usize, due_by: Timestamp) {
        for gid in self.shared.unfinished(m, due_by) {
            self.members[m].shard.handle_wanted(&gid);
        }
    }

    fn answer(&mut self, m: usize, call: Call, outcome: Outcome) {
        self.answer_with(m, call, outcome, None);
    }

    fn answer_with(&mut self, m: usize, call: Call, outcome: Outcome, parks: Option<ParkCause>) {
        self.verdict.answers_to_zombies += u64::from(self.shared.owner(&call.gid) != Some(m));
        self.steps.answer(&call, &outcome);
        let random_permille = self.rng.u32(0..=1_000);
        let answer = Answer { outcome, parks, report: CallReport::default(), random_permille };
        let member = &mut self.members[m];
        let now = member.now(self.now);
        member.shard.handle(Message::Answer { gid: call.gid, key: call.key, answer }, now);
    }

    /// A call arrives for which its coordinator waits. A barrier never refuses the coordinator that drives the transaction.
    fn execute_of(&mut self, m: usize, call: &Call) -> Result<Outcome, String> {
        let fenced = self.verdict.fenced;
        let outcome = self.execute(call);
        let member = &self.members[m];
        let journal_seq = self.shared.store.state(&call.gid).map_or(0, Transaction::seq);
        let drives = self.shared.owner(&call.gid) == Some(m) && member.shard.drives(&call.gid);
        let is_current = drives && !member.claimed.contains(&call.gid) && !member.lapse_due;
        if self.verdict.fenced > fenced && is_current && member.memories.is_current(call, journal_seq) {
            return Err(format!("{} {:?} was refused for its fence {}", call.gid, call.key, call.fence));
        }
        Ok(outcome)
    }

    fn execute(&mut self, call: &Call) -> Outcome {
        let (outcome, happened) = arrive(call, &mut self.initiated, &mut self.participants);
        match happened {
            Some(Happened::Hanging) => self.verdict.hanging += 1,
            Some(Happened::Empty) => self.verdict.empty += 1,
            Some(Happened::Duplicate) => self.verdict.duplicates += 1,
            Some(Happened::Fenced) => self.verdict.fenced += 1,
            Some(Happened::Effect) | None => {}
        }
        outcome
    }

    /// Carries out the releases of the shards.
    fn pump(&mut self) -> Result<(), String> {
        for m in 0..self.members.len() {
            loop {
                while let Some(release) = self.members[m].shard.poll_release() {
                    match release {
                        Release::Reply { ticket, result } => self.check_reply(m, ticket, &result)?,
                        Release::Call(call) => {
                            self.check_call(m, &call)?;
                            self.members[m].calls.push(call);
                        }
                        Release::Load(gid) => self.members[m].reads.push(gid),
                    }
                }
                let member = &mut self.members[m];
                member.memories.keep(|gid| member.shard.knows(gid));
                match member.shard.poll_batch(member.now(self.now)) {
                    Some(_) if member.append.is_some() => return Err("two batches are in flight".into()),
                    Some(batch) => {
                        let held = member.memories.sealed(&batch, &self.initiated)?;
                        self.verdict.narrowed += held.narrowed;
                        self.verdict.not_narrowed += held.not_narrowed;
                        self.verdict.taken_over += held.taken_over;
                        self.verdict.rode_along += held.rode_along;
                        member.append = Some(Append::Sent(batch));
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }
}
