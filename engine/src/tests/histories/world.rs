//! One history: the world it happens in, and what each step does to it.

use std::collections::BTreeSet;

use trine_protocol::{Op, Pattern, Timestamp};

use super::super::exhaust::Exhaust;
use super::super::model::{Happened, Participants, Store};
use super::super::trace::gid;
use super::initiator::{Initiator, Local};
use super::steps::{AtCrash, Doubt, Spent, Step};
use super::{Case, Depth, Tally};
use crate::event::{CallReport, Outcome, Record};
use crate::input::{Answer, CallKey, Command, Input};
use crate::shard::{Batch, Call, Found, Message, Release, ReplyOn, Shard, ShardOptions, Ticket};
use crate::spec::Payload;
use crate::transaction::{Transaction, advance, decide};

pub(super) struct World<'a> {
    pub(super) case: &'a Case,
    pub(super) depth: Depth,
    pub(super) faults_max: usize,
    exhaust: &'a mut Exhaust,
    pub(super) tally: &'a mut Tally,
    pub(super) shard: Shard,
    pub(super) store: Store,
    pub(super) participants: Participants,
    pub(super) initiator: Initiator,
    pub(super) local: Local,
    now: Timestamp,
    pub(super) calls: Vec<Call>,
    pub(super) loads: usize,
    pub(super) batch: Option<Batch>,
    /// Delayed requests: executed later, long after they were answered.
    pub(super) late_calls: Vec<CallKey>,
    /// Those of them that were given up by a coordinator that died since: nobody takes in their answers.
    orphans: BTreeSet<CallKey>,
    /// A write that lands later, long after it was read back.
    pub(super) late_write: Option<Vec<Record>>,
    /// Somebody else has appended: what is in memory may be behind.
    pub(super) overtaken: bool,
    pub(super) fence: u64,
    pub(super) spent: Spent,
    steps: Vec<Step>,
}

const FAR: Timestamp = Timestamp::from_millis(1_000_000);

impl<'a> World<'a> {
    pub(super) fn new(case: &'a Case, depth: Depth, exhaust: &'a mut Exhaust, tally: &'a mut Tally) -> Self {
        let faults_max = match depth {
            Depth::Orders => case.faults_in_every_order,
            Depth::Faults => case.faults_in_one_order,
        };
        let pattern = case.spec.pattern;
        // With more faults, only the harder case: a branch that holds something.
        let may_only_read = pattern == Pattern::TwoPhase && depth == Depth::Orders;
        let read_only = (may_only_read && exhaust.choose(2) == 1).then_some(1);
        let local = match pattern {
            Pattern::Message => [Local::Submits, Local::Silent, Local::Fails][exhaust.choose(3)],
            Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase | Pattern::Workflow => Local::Submits,
        };
        Self {
            case,
            depth,
            faults_max,
            exhaust,
            tally,
            shard: Shard::new(ShardOptions::default()),
            store: Store::default(),
            participants: Participants::new(pattern, read_only),
            initiator: Initiator::default(),
            local,
            now: Timestamp::default(),
            calls: Vec::new(),
            loads: 0,
            batch: None,
            late_calls: Vec::new(),
            orphans: BTreeSet::new(),
            late_write: None,
            overtaken: false,
            fence: 0,
            spent: Spent::default(),
            steps: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// From the creation to the end, and what comes after it.
    pub(super) fn run(mut self) {
        self.ask_again();
        self.pump();
        while !self.is_over() {
            assert!(self.steps.len() < 100, "it does not settle");
            let options = self.options();
            let choice = if options.len() == 1 { 0 } else { self.exhaust.choose(options.len()) };
            self.step(options[choice]);
            self.pump();
            self.check_memory();
        }
        self.after_the_end();
        self.check_end();
    }

    /// Answers that decide nothing wait to be written with other records.
    pub(super) fn waits_for_company(&self) -> bool {
        let resident = self.shard.resident(&gid()).map(Transaction::seq);
        self.batch.is_none() && resident > self.store.state(&gid()).map(Transaction::seq)
    }

    fn is_over(&self) -> bool {
        let settled = self.store.state(&gid()).is_some_and(|state| state.status().is_settled());
        settled && self.batch.is_none() && self.loads == 0 && self.initiator.end_acknowledged
    }

    fn step(&mut self, step: Step) {
        self.steps.push(step);
        self.spend(step);
        match step {
            Step::Commit => self.commit(),
            Step::Load => self.load(),
            Step::Answered(call) => {
                let call = self.calls.remove(call);
                let outcome = self.execute(call.key);
                self.answer(call.key, outcome);
            }
            Step::Wait => {
                self.now = self.shard.poll_timeout().expect("something is left to wait for");
                assert!(self.now < FAR, "nothing is left but a waiter");
                self.shard.handle_timeout(self.now);
            }
            Step::Arrive => self.arrive(),
            Step::Land => self.land(),
            Step::CommitFails => self.commit_fails(Doubt::Lost, "commit failed"),
            Step::CommitDoubtful(doubt) => {
                let what = match doubt {
                    Doubt::Written => "batch found to have been written",
                    Doubt::Lost => "batch found to have been lost",
                    Doubt::WrittenLater => "batch not found yet",
                };
                self.commit_fails(doubt, what);
            }
            Step::AnswerLost { call, executed } => self.lose_answer(call, executed),
            Step::Delayed(call) => {
                let call = self.calls.remove(call);
                self.late_calls.push(call.key);
                self.answer(call.key, Outcome::Unknown);
            }
            Step::Refused { call, duplicated } => {
                let call = self.calls.remove(call);
                self.note("refusal");
                if duplicated {
                    self.late_calls.push(call.key);
                }
                self.answer(call.key, Outcome::Refused { reason: "no".into() });
            }
            Step::Crash { calls, written } => self.crash(calls, written),
            Step::Abort => self.initiator.aborted = Some(self.send(abort(), ReplyOn::Durable)),
            Step::AbortElsewhere => self.abort_elsewhere(),
        }
    }

    fn commit(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let conflicts = self.store.append(&batch.records);
        if !conflicts.is_empty() {
            self.note("conflict with another coordinator");
        }
        self.shard.on_committed(batch.id, &conflicts, self.now);
    }

    fn commit_fails(&mut self, doubt: Doubt, what: &'static str) {
        let Some(batch) = self.batch.take() else { return };
        self.note(what);
        match doubt {
            Doubt::Lost => {}
            Doubt::Written => drop(self.store.append(&batch.records)),
            Doubt::WrittenLater => self.late_write = Some(batch.records),
        }
        let forgotten = self.shard.on_commit_failed(batch.id, self.now);
        assert_eq!(forgotten, [gid()], "everything built on the batch is forgotten");
        assert!(self.shard.resident(&gid()).is_none(), "what a lost batch built is still in memory");
    }

    fn load(&mut self) {
        self.loads -= 1;
        let found = self.store.load(&gid()).map(|transaction| Found { transaction, owned: true });
        self.shard.on_loaded(&gid(), Ok(found), self.now);
    }

    fn land(&mut self) {
        let Some(records) = self.late_write.take() else { return };
        if self.store.append(&records).is_empty() {
            self.overtaken = true;
            self.note("batch written after it was read back");
        }
    }

    fn lose_answer(&mut self, call: usize, executed: bool) {
        let call = self.calls.remove(call);
        if executed {
            self.note("answer lost after execution");
            self.execute(call.key);
        } else {
            self.note("answer lost without execution");
        }
        self.answer(call.key, Outcome::Unknown);
    }

    /// The request that was given up long ago is executed, and even its answer comes in.
    fn arrive(&mut self) {
        let key = self.late_calls.remove(0);
        let before = self.participants.effects.len();
        let outcome = self.execute(key);
        if self.participants.effects.len() > before && self.spent.refused {
            self.note("refusal, then a duplicate takes effect");
        }
        // Nobody takes the answer to one call for the answer to another that is under way under the same key.
        if !self.orphans.remove(&key) && !self.calls.iter().any(|call| call.key == key) {
            self.note("late answer");
            self.answer(key, outcome);
        }
    }

    fn crash(&mut self, calls: AtCrash, written: bool) {
        self.note("crash");
        if let Some(batch) = self.batch.take() {
            self.note("crash while a batch is written");
            if written {
                self.store.append(&batch.records);
            }
        }
        for call in std::mem::take(&mut self.calls) {
            match calls {
                AtCrash::Executed => drop(self.execute(call.key)),
                AtCrash::NotExecuted => {}
                AtCrash::Delayed if call.key.op == Op::Check => {}
                AtCrash::Delayed => self.late_calls.push(call.key),
            }
        }
        self.orphans.extend(&self.late_calls);
        self.shard = Shard::new(ShardOptions::default());
        self.loads = 0;
        if let Some(transaction) = self.store.load(&gid()) {
            self.overtaken = false;
            self.shard.handle_wanted(&gid());
            assert_eq!(self.shard.poll_release(), Some(Release::Load(gid())));
            self.shard.on_loaded(&gid(), Ok(Some(Found { transaction, owned: true })), self.now);
        }
        self.ask_again();
    }

    /// The initiator (re)sends what it was not told the end of.
    fn ask_again(&mut self) {
        let create = || Command::Create(std::sync::Arc::clone(&self.case.spec));
        let (first, second) = (create(), create());
        if !self.initiator.create_acknowledged {
            self.initiator.created = Some(self.send(first, ReplyOn::Durable));
        }
        if !self.initiator.end_acknowledged {
            self.initiator.waiting = Some(self.send(second, ReplyOn::Settled { until: FAR }));
        }
        if self.initiator.create_acknowledged {
            self.submit();
        }
        // An abort nobody answered is not sent again: it may or may not have been taken in.
        self.initiator.aborted = None;
    }

    /// The initiator of a message says that its local transaction has committed.
    pub(super) fn submit(&mut self) {
        let says_so = self.case.spec.open && self.local == Local::Submits;
        if says_so && !self.initiator.submit_acknowledged {
            self.initiator.submitted = Some(self.send(Command::Commit, ReplyOn::Durable));
        }
    }

    fn send(&mut self, command: Command, reply_on: ReplyOn) -> Ticket {
        let ticket = self.initiator.next_ticket();
        self.shard.handle(Message::Command { ticket, gid: gid(), command, reply_on }, self.now);
        ticket
    }

    fn abort_elsewhere(&mut self) {
        let state = self.store.load(&gid());
        let Ok(events) = decide(state.as_ref(), &Input::Command(abort()), self.now) else { return };
        let (_, records) = advance(state, &gid(), events, self.now);
        self.overtaken |= !records.is_empty();
        assert!(self.store.append(&records).is_empty(), "the journal was just read");
    }

    fn execute(&mut self, key: CallKey) -> Outcome {
        let Some(branch) = key.branch else {
            let yes = self.local != Local::Fails;
            self.note(if yes { "check said yes" } else { "check said no" });
            return if yes {
                Outcome::Done { output: Payload::default(), read_only: false }
            } else {
                Outcome::Refused { reason: "it did not commit".into() }
            };
        };
        let happened = self.participants.execute(branch, key.op);
        match happened {
            Happened::Effect => {}
            Happened::Duplicate => self.note("duplicate execution"),
            Happened::Empty => self.note("empty undoing"),
            Happened::Hanging => self.note("hanging"),
        }
        self.participants.answer(branch, key.op, happened)
    }

    fn answer(&mut self, key: CallKey, outcome: Outcome) {
        let answer = Answer { outcome, parks: None, report: CallReport::default(), random_permille: 0 };
        self.shard.handle(Message::Answer { gid: gid(), key, answer }, self.now);
    }

    /// Takes everything out of the shard, checking it on the way.
    fn pump(&mut self) {
        loop {
            while let Some(release) = self.shard.poll_release() {
                match release {
                    Release::Reply { ticket, result } => self.check_reply(ticket, result),
                    Release::Call(call) => self.check_call(call),
                    Release::Load(_) => self.loads += 1,
                }
            }
            let sealed = self.shard.poll_batch(self.now);
            assert!(sealed.is_none() || self.batch.is_none(), "two batches are in flight");
            let idle = sealed.is_none();
            self.batch = self.batch.take().or(sealed);
            if idle {
                return;
            }
        }
    }

    /// The transaction has settled. Whatever still arrives changes nothing.
    fn after_the_end(&mut self) {
        let length = self.store.records(&gid()).len();
        for call in std::mem::take(&mut self.calls) {
            let outcome = self.execute(call.key);
            self.answer(call.key, outcome);
        }
        while !self.late_calls.is_empty() {
            self.arrive();
        }
        if let Some(records) = self.late_write.take() {
            assert!(!self.store.append(&records).is_empty(), "a write was let in after the end");
        }
        self.pump();
        if self.batch.is_some() {
            assert!(self.overtaken, "something was recorded after the end");
            self.commit();
        }
        assert_eq!(self.store.records(&gid()).len(), length, "the journal grew after the end");
    }
}

impl Drop for World<'_> {
    /// A failing history tells how to read it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} failed after {:?}", self.case.name, self.steps);
            for record in self.store.records(&gid()) {
                eprintln!("  {} {:?}", record.seq, record.event);
            }
        }
    }
}

fn abort() -> Command {
    Command::Abort { reason: None }
}
