//! Tests of the shard: what leaves when, and what is forgotten (laws L4 to L9).

mod ahead;
mod calls;
mod clock;
mod lost;
mod memory;
mod ownership;
mod quiet;
mod refresh;
mod release;
mod told;
mod trust;
mod unsent;

use std::collections::BTreeSet;
use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Timestamp};

use super::model::Store;
use super::trace::{OTHER, answer, attempts, branch, calling, declared, open};
use crate::event::{Event, ForceTo};
use crate::input::{CallKey, Command, Input, Rejection};
use crate::shard::{
    Batch, Call, Found, LoadFailure, Message, Release, ReplyOn, Shard, ShardOptions, Snapshot, Ticket,
};
use crate::spec::{CallPolicy, Draft, FinishOrder, OnExhausted, RetryPolicy};
use crate::transaction::{Transaction, advance, decide};

/// A shard with its store, driven by hand: nothing is written, read or answered unless the test says so.
struct Bench {
    shard: Shard,
    store: Store,
    now: Timestamp,
    batch: Option<Batch>,
    replies: Vec<(u64, Result<Snapshot, Rejection>)>,
    calls: Vec<Call>,
    loads: Vec<Gid>,
    /// What the index says that others own.
    foreign: BTreeSet<Gid>,
}

fn g(text: &str) -> Gid {
    Gid::parse(text).unwrap()
}

fn saga() -> Draft {
    declared(Pattern::Saga, "a b<a")
}

/// A saga whose ops park after one attempt.
fn limited(branches: &str) -> Draft {
    calling(declared(Pattern::Saga, branches), attempts(1, OnExhausted::Park))
}

fn create(draft: Draft) -> Command {
    Command::Create(Arc::new(draft.build().unwrap()))
}

fn abort() -> Command {
    Command::Abort { reason: None }
}

impl Bench {
    fn new() -> Self {
        Self {
            shard: Shard::new(ShardOptions::default()),
            store: Store::default(),
            now: Timestamp::default(),
            batch: None,
            replies: Vec::new(),
            calls: Vec::new(),
            loads: Vec::new(),
            foreign: BTreeSet::new(),
        }
    }

    /// A bench whose transaction `g` is durable and whose first call is under way.
    fn running(draft: Draft) -> Self {
        let mut bench = Self::new();
        bench.send(1, "g", create(draft));
        bench.commit();
        bench.replies.clear();
        bench
    }

    fn send(&mut self, ticket: u64, gid: &str, command: Command) {
        self.tell(ticket, gid, command, ReplyOn::Durable);
    }

    fn tell(&mut self, ticket: u64, gid: &str, command: Command, reply_on: ReplyOn) {
        self.handle(Message::Command { ticket: Ticket(ticket), gid: g(gid), command, reply_on });
    }

    fn handle(&mut self, message: Message) {
        self.shard.handle(message, self.now);
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            while let Some(release) = self.shard.poll_release() {
                match release {
                    Release::Reply { ticket, result } => self.replies.push((ticket.0, result)),
                    Release::Call(call) => self.calls.push(call),
                    Release::Load(gid) => self.loads.push(gid),
                }
            }
            match self.shard.poll_batch(self.now) {
                Some(batch) => assert!(self.batch.replace(batch).is_none(), "two batches are in flight"),
                None => return,
            }
        }
    }

    /// Writes the batch in flight.
    fn commit(&mut self) {
        let batch = self.batch.take().expect("a batch to write");
        let conflicts = self.write(&batch);
        self.shard.on_committed(batch.id, &conflicts, self.now);
        self.pump();
    }

    /// Appends a batch; its rows say that what it moved is ours.
    fn write(&mut self, batch: &Batch) -> Vec<Gid> {
        let conflicts = self.store.append(&batch.records);
        for row in batch.rows.iter().filter(|row| !conflicts.contains(&row.gid)) {
            self.foreign.remove(&row.gid);
        }
        conflicts
    }

    /// Loses the batch in flight, or only its acknowledgement.
    fn fail(&mut self, written: bool) -> Vec<Gid> {
        let batch = self.batch.take().expect("a batch to lose");
        if written {
            assert!(self.write(&batch).is_empty());
        }
        let forgotten = self.shard.on_commit_failed(batch.id, self.now);
        self.pump();
        forgotten
    }

    /// Reads what was asked for.
    fn load(&mut self) {
        for gid in std::mem::take(&mut self.loads) {
            let found = self.read(&gid);
            self.shard.on_loaded(&gid, Ok(found), self.now);
        }
        self.pump();
    }

    fn read(&self, gid: &Gid) -> Option<Found> {
        let owned = !self.foreign.contains(gid);
        self.store.load(gid).map(|transaction| Found { transaction, owned })
    }

    fn load_fails(&mut self, failure: LoadFailure) {
        for gid in std::mem::take(&mut self.loads) {
            self.shard.on_loaded(&gid, Err(failure), self.now);
        }
        self.pump();
    }

    /// Answers the oldest call under way.
    fn answer(&mut self, words: &str) -> Call {
        let call = self.calls.remove(0);
        self.answer_to(&call, words);
        call
    }

    fn answer_to(&mut self, call: &Call, words: &str) {
        let answer = answer(&words.split(' ').collect::<Vec<_>>());
        self.handle(Message::Answer { gid: call.gid.clone(), key: call.key, answer });
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
        self.shard.handle_timeout(self.now);
        self.pump();
    }

    /// Another coordinator appends what it decides.
    fn elsewhere(&mut self, gid: &str, command: Command) {
        self.happens_elsewhere(gid, &Input::Command(command));
    }

    fn happens_elsewhere(&mut self, gid: &str, input: &Input) {
        let state = self.store.load(&g(gid));
        let events = decide(state.as_ref(), input, self.now).unwrap();
        let (_, records) = advance(state, &g(gid), events, self.now);
        assert!(self.store.append(&records).is_empty());
    }

    /// Somebody else moves the transaction and becomes its owner.
    fn taken(&mut self, command: Command) {
        self.elsewhere("g", command);
        self.foreign.insert(g("g"));
    }

    fn is_quiet(&self) -> bool {
        self.batch.is_none() && self.loads.is_empty() && self.calls.is_empty()
    }

    fn status(&self, gid: &str) -> Option<Status> {
        self.store.state(&g(gid)).map(Transaction::status)
    }

    fn told(&self) -> Vec<(u64, Result<Status, Rejection>)> {
        let status = |reply: &Result<Snapshot, Rejection>| reply.clone().map(|snapshot| snapshot.status);
        self.replies.iter().map(|(ticket, reply)| (*ticket, status(reply))).collect()
    }

    fn under_way(&self) -> Vec<String> {
        self.calls.iter().map(name).collect()
    }
}

fn name(call: &Call) -> String {
    let branch = call.branch.as_ref().map_or("-", |id| id.as_str());
    format!("{}/{branch}.{}#{}", call.gid, call.op(), call.key.attempt)
}

const FAR: ReplyOn = ReplyOn::Settled { until: Timestamp::from_millis(1_000_000) };
