//! Two coordinators, a journal, and the participants of one saga.

use std::collections::BTreeMap;
use std::sync::Arc;

use trine_protocol::{Op, Status, Timestamp};

use super::super::model::Store;
use super::super::trace::gid;
use super::participants::{Came, Participant};
use super::steps::{Fault, Step};
use crate::event::{CallReport, Event, Outcome, Record};
use crate::input::{Answer, CallKey, Command};
use crate::shard::{Batch, Call, Found, Message, Release, ReplyOn, Shard, ShardOptions, Ticket};
use crate::spec::{Draft, Spec};
use crate::transaction::Transaction;

const FAR: Timestamp = Timestamp::from_millis(1_000_000);
/// The creation, whose sender waits for the end.
const CREATION: Ticket = Ticket(1);

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) shard: Shard,
    now: Timestamp,
    pub(super) batch: Option<Batch>,
    pub(super) loads: usize,
}

/// A call on its way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    caller: usize,
    key: CallKey,
    fence: u64,
    /// Its caller waits for the answer.
    pub(super) live: bool,
}

/// A write whose outcome nobody knows.
#[derive(Debug, Clone)]
pub(super) struct Ghost {
    writer: usize,
    batch: Batch,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) members: [Member; 2],
    store: Store,
    /// Whom the index row names.
    pub(super) owner: Option<usize>,
    pub(super) calls: Vec<Sent>,
    pub(super) ghosts: Vec<Ghost>,
    participants: Vec<Participant>,
    /// The end that the initiator was told.
    told: Option<Status>,
    /// Forward calls that left.
    called: Vec<bool>,
    /// Those that are left; each happens once.
    faults: Vec<Fault>,
    /// Something happened after which a memory may know less.
    disturbed: bool,
    broken: Option<String>,
}

type Met = BTreeMap<&'static str, usize>;

fn note(met: &mut Met, what: &'static str) {
    *met.entry(what).or_default() += 1;
}

impl Member {
    fn new(now: Timestamp) -> Self {
        Self { shard: Shard::new(ShardOptions::default()), now, batch: None, loads: 0 }
    }
}

impl World {
    pub(super) fn new(draft: Draft, faults: &[Fault]) -> Self {
        let spec: Arc<Spec> = Arc::new(draft.build().unwrap());
        let branches = spec.branches.len();
        let mut world = Self {
            members: [Member::new(Timestamp::default()), Member::new(Timestamp::default())],
            store: Store::default(),
            owner: None,
            calls: Vec::new(),
            ghosts: Vec::new(),
            participants: vec![Participant::default(); branches],
            told: None,
            called: vec![false; branches],
            faults: faults.to_vec(),
            disturbed: false,
            broken: None,
        };
        world.command(0, CREATION, Command::Create(spec), ReplyOn::Settled { until: FAR });
        world
    }

    fn command(&mut self, c: usize, ticket: Ticket, command: Command, reply_on: ReplyOn) {
        let member = &mut self.members[c];
        member.shard.handle(Message::Command { ticket, gid: gid(), command, reply_on }, member.now);
        self.pump(c, &mut Met::new());
    }

    pub(super) fn is_settled(&self) -> bool {
        self.store.state(&gid()).is_some_and(|state| state.status().is_settled())
    }

    /// It owns the transaction, and does not have it in memory.
    pub(super) fn is_left_behind(&self, c: usize) -> bool {
        self.owner == Some(c) && !self.is_settled() && !self.members[c].shard.knows(&gid())
    }

    /// Answers that decide nothing wait to be written with other records.
    pub(super) fn waits_for_company(&self, c: usize) -> bool {
        let member = &self.members[c];
        let near = |at: Timestamp| at.millis_since(member.now) <= 10;
        member.batch.is_none() && member.loads == 0 && member.shard.poll_timeout().is_some_and(near)
    }

    pub(super) fn faults_left(&self) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        faults.dedup();
        faults
    }

    pub(super) fn step(&mut self, step: Step, met: &mut Met) {
        match step {
            Step::Commit(c) => self.commit(c, met),
            Step::Load(c) => {
                let found = self.store.load(&gid());
                let owned = self.owner == Some(c);
                let found = found.map(|transaction| Found { transaction, owned });
                let member = &mut self.members[c];
                member.loads -= 1;
                member.shard.on_loaded(&gid(), Ok(found), member.now);
                self.pump(c, met);
            }
            Step::Sweep(c) => {
                self.members[c].shard.handle_wanted(&gid());
                self.pump(c, met);
            }
            Step::Wait(c) => {
                let member = &mut self.members[c];
                member.now = member.shard.poll_timeout().expect("a timer").max(member.now);
                member.shard.handle_timeout(member.now);
                self.pump(c, met);
            }
            Step::Arrive(call) => self.arrive(call, false, met),
            Step::Land(ghost) => {
                let ghost = self.ghosts.remove(ghost);
                if self.append(ghost.writer, &ghost.batch).is_empty() {
                    note(met, "late write landed");
                }
            }
            Step::Fault(fault, at) => self.fault(fault, at, met),
        }
    }

    fn fault(&mut self, fault: Fault, at: usize, met: &mut Met) {
        let used = self.faults.iter().position(|other| *other == fault).expect("it is left");
        self.faults.remove(used);
        // A command that another coordinator takes in is decided by a memory that knows nothing of the calls.
        let elsewhere = fault == Fault::Abort && self.owner != Some(at);
        self.disturbed |= elsewhere || !matches!(fault, Fault::Abort | Fault::Refuse);
        match fault {
            Fault::Adopt => {
                self.owner = Some(at);
                self.members[at].shard.handle_adopted(&gid());
                self.pump(at, met);
            }
            Fault::Crash | Fault::Panic => self.lose_memory(at, fault == Fault::Crash, met),
            Fault::DoubtWritten | Fault::DoubtLate => {
                let batch = self.members[at].batch.take().expect("a batch");
                let id = batch.id;
                if fault == Fault::DoubtWritten {
                    self.append(at, &batch);
                } else {
                    self.ghosts.push(Ghost { writer: at, batch });
                }
                let member = &mut self.members[at];
                member.shard.on_commit_failed(id, member.now);
                self.pump(at, met);
            }
            Fault::Abort => {
                self.command(at, Ticket(2), Command::Abort { reason: None }, ReplyOn::Durable);
                self.pump(at, met);
            }
            Fault::Delay => {
                self.calls[at].live = false;
                let Sent { caller, key, .. } = self.calls[at];
                self.answer(caller, key, Outcome::Unknown, met);
            }
            Fault::Refuse => self.arrive(at, true, met),
        }
    }

    fn lose_memory(&mut self, c: usize, dies: bool, met: &mut Met) {
        let old = std::mem::replace(&mut self.members[c], Member::new(Timestamp::default()));
        self.members[c].now = old.now;
        // The write is under way whatever becomes of its sender.
        self.ghosts.extend(old.batch.map(|batch| Ghost { writer: c, batch }));
        for call in self.calls.iter_mut().filter(|call| call.caller == c && call.live) {
            if dies {
                call.live = false;
            } else {
                self.members[c].shard.handle_under_way(&gid(), call.key);
            }
        }
        self.pump(c, met);
    }

    fn commit(&mut self, c: usize, met: &mut Met) {
        let batch = self.members[c].batch.take().expect("a batch");
        let conflicts = self.append(c, &batch);
        if !conflicts.is_empty() {
            note(met, "conflict");
        }
        for record in batch.records.iter().filter(|_| conflicts.is_empty()) {
            if let Event::RollbackBegun { owed, .. } = &record.event {
                note(met, if owed.is_some() { "narrowed" } else { "not narrowed" });
            } else if record.event == Event::TakenOver {
                note(met, "taken over");
            }
        }
        let member = &mut self.members[c];
        member.shard.on_committed(batch.id, &conflicts, member.now);
        self.pump(c, met);
    }

    fn append(&mut self, c: usize, batch: &Batch) -> Vec<trine_protocol::Gid> {
        let conflicts = self.store.append(&batch.records);
        if conflicts.is_empty() && !batch.rows.is_empty() {
            self.owner = Some(c);
        }
        conflicts
    }

    fn arrive(&mut self, call: usize, refuses: bool, met: &mut Met) {
        let Sent { caller, key, fence, live } = self.calls.remove(call);
        let branch = key.branch.expect("a saga is not checked") as usize;
        let (came, outcome) = self.participants[branch].execute(key.op, fence, refuses);
        match came {
            Came::Effect => {}
            Came::Again => note(met, "repeated"),
            Came::Hanging => note(met, "hanging"),
            Came::Fenced => self.check_fenced(caller, live),
        }
        if live {
            self.answer(caller, key, outcome, met);
        }
    }

    /// A driver whose knowledge is the journal's is never refused.
    fn check_fenced(&mut self, caller: usize, live: bool) {
        let known = self.members[caller].shard.resident(&gid()).map(Transaction::seq);
        let is_current =
            live && self.owner == Some(caller) && known >= self.store.state(&gid()).map(Transaction::seq);
        if is_current && self.ghosts.is_empty() {
            self.broken = Some("the current driver was refused by the fence".into());
        }
    }

    fn answer(&mut self, c: usize, key: CallKey, outcome: Outcome, met: &mut Met) {
        let answer = Answer { outcome, parks: None, report: CallReport::default(), random_permille: 0 };
        let member = &mut self.members[c];
        member.shard.handle(Message::Answer { gid: gid(), key, answer }, member.now);
        self.pump(c, met);
    }

    fn pump(&mut self, c: usize, met: &mut Met) {
        loop {
            while let Some(release) = self.members[c].shard.poll_release() {
                match release {
                    Release::Reply { ticket: CREATION, result } => {
                        self.hear(result.map(|told| told.status), met)
                    }
                    Release::Reply { .. } => {}
                    Release::Call(call) => self.send(c, &call),
                    Release::Load(_) => self.members[c].loads += 1,
                }
            }
            let member = &mut self.members[c];
            match member.shard.poll_batch(member.now) {
                Some(batch) => assert!(member.batch.replace(batch).is_none(), "two batches are in flight"),
                None => return,
            }
        }
    }

    fn hear<E: std::fmt::Debug>(&mut self, told: Result<Status, E>, met: &mut Met) {
        match told {
            Ok(status) if status.is_settled() => {
                if !self.is_settled() {
                    note(met, "told early");
                }
                self.told = Some(status);
            }
            // Told at a restart or for want of a store: nothing that could become untrue.
            Ok(_) | Err(_) => {}
        }
    }

    fn send(&mut self, caller: usize, call: &Call) {
        if call.op() == Op::Action {
            self.called[call.key.branch.expect("a saga is not checked") as usize] = true;
        }
        self.calls.push(Sent { caller, key: call.key, fence: call.fence, live: true });
    }

    /// What must hold in every state.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let Some(state) = self.store.state(&gid()).filter(|state| state.status().is_settled()) else {
            return Ok(());
        };
        let committed = state.status() == Status::Committed;
        for (branch, participant) in self.participants.iter().enumerate() {
            let expected = if committed { (1, 0) } else { (participant.undoings, participant.undoings) };
            let seen = (participant.effects, participant.undoings);
            if seen != expected || seen.0 > 1 {
                return Err(format!(
                    "{}, and branch {branch} took effect and was undone {seen:?} times",
                    state.status()
                ));
            }
        }
        if self.told.is_some_and(|told| told != state.status()) {
            return Err(format!("{:?} was told, and the journal ends {}", self.told, state.status()));
        }
        let needless = |branch: usize| state.branches()[branch].finish().attempts > 0 && !self.called[branch];
        if !self.disturbed && (0..self.called.len()).any(needless) {
            return Err("what was never called was undone, although nothing went wrong".into());
        }
        Ok(())
    }

    /// Nothing more happens without a fault.
    pub(super) fn check_end(&self) -> Result<(), String> {
        // A creation that was never durable may be lost with its sender.
        let lost = self.store.state(&gid()).is_none() && self.disturbed;
        if self.is_settled() || lost { Ok(()) } else { Err("it stands still".into()) }
    }

    pub(super) fn journal(&self) -> String {
        let line = |record: &Record| format!("  {} {}", record.seq, record.event.name());
        let lines: Vec<String> = self.store.records(&gid()).iter().map(line).collect();
        format!("{}\n{:?}", lines.join("\n"), self.participants)
    }
}
