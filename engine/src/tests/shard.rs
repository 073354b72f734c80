//! Tests of the shard: what leaves when, and what is forgotten (laws L4 to L9).

use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Timestamp};

use super::model::Store;
use super::trace::{OTHER, answer, branch, calling, declared, open};
use crate::event::Event;
use crate::input::{Command, ForceTo, Input, Rejection};
use crate::shard::{
    Batch, Call, LoadFailure, Message, Release, ReplyOn, Shard, ShardOptions, Snapshot, Ticket,
};
use crate::spec::{CallPolicy, Draft, RetryPolicy};
use crate::transaction::{CallKey, Transaction, advance, decide};

/// A shard with its store, driven by hand: nothing is written, read or answered unless the test says so.
struct Bench {
    shard: Shard,
    store: Store,
    now: Timestamp,
    batch: Option<Batch>,
    replies: Vec<(u64, Result<Snapshot, Rejection>)>,
    calls: Vec<Call>,
    loads: Vec<Gid>,
}

fn g(text: &str) -> Gid {
    Gid::parse(text).unwrap()
}

fn saga() -> Draft {
    declared(Pattern::Saga, "a b<a")
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
        let conflicts = self.store.append(&batch.records);
        self.shard.on_committed(batch.id, &conflicts, self.now);
        self.pump();
    }

    /// Loses the batch in flight, or only its acknowledgement.
    fn fail(&mut self, written: bool) -> Vec<Gid> {
        let batch = self.batch.take().expect("a batch to lose");
        if written {
            assert!(self.store.append(&batch.records).is_empty());
        }
        let forgotten = self.shard.on_commit_failed(batch.id);
        self.pump();
        forgotten
    }

    /// Reads what was asked for.
    fn load(&mut self) {
        for gid in std::mem::take(&mut self.loads) {
            let found = self.store.load(&gid);
            self.shard.on_loaded(&gid, Ok(found), self.now);
        }
        self.pump();
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
        let state = self.store.load(&g(gid));
        let events = decide(state.as_ref(), &Input::Command(command), self.now).unwrap();
        let (_, records) = advance(state, &g(gid), events, self.now);
        assert!(self.store.append(&records).is_empty());
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

#[test]
fn neither_reply_nor_call_leaves_before_the_creation_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    assert!(bench.replies.is_empty() && bench.calls.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_repetition_is_answered_when_what_it_repeats_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.send(2, "g", create(saga()));
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running)), (2, Ok(Status::Running))]);
}

#[test]
fn a_rejection_leaves_when_what_it_was_decided_on_is_durable() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.send(2, "g", create(Draft { digest: OTHER, ..saga() }));
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running)), (2, Err(Rejection::GidConflict))]);
}

#[test]
fn a_rejection_on_a_forming_batch_waits_for_that_batch_and_not_for_the_one_in_flight() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a"));
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "g", Command::Commit);
    bench.commit();
    assert!(bench.replies.is_empty(), "the abort is only being written now");
    bench.commit();
    let told = bench.told();
    assert_eq!(told[0], (2, Ok(Status::RollingBack)));
    assert!(matches!(told[1], (3, Err(Rejection::IllegalState { status: Status::RollingBack, .. }))));
}

#[test]
fn a_rejection_that_was_decided_on_a_lost_batch_is_decided_again() {
    let mut bench = Bench::running(Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, "a") });
    bench.send(2, "g", abort());
    bench.send(3, "g", Command::Commit);
    bench.fail(false);
    bench.elsewhere("g", Command::Commit);
    bench.load();
    let told = bench.told();
    assert!(matches!(told[0], (2, Err(Rejection::IllegalState { status: Status::Committing, .. }))));
    assert_eq!(told[1], (3, Ok(Status::Committing)));
}

#[test]
fn a_rejected_command_changes_nothing() {
    let mut bench = Bench::running(saga());
    let before = bench.shard.resident(&g("g")).cloned();
    bench.send(2, "g", Command::Commit);
    bench.send(3, "g", Command::Replay { branch: Some(BranchId::parse("z").unwrap()) });
    bench.send(4, "g", Command::Register(Arc::new(branch(Pattern::Saga, "c"))));
    assert!(bench.replies.iter().all(|(_, result)| result.is_err()));
    assert_eq!((bench.replies.len(), bench.batch.is_none()), (3, true));
    assert_eq!(bench.shard.resident(&g("g")).cloned(), before);
}

#[test]
fn one_batch_is_in_flight_and_the_next_is_what_arrived_meanwhile() {
    let mut bench = Bench::new();
    for (ticket, gid) in [(1, "g1"), (2, "g2"), (3, "g3")] {
        bench.send(ticket, gid, create(saga()));
    }
    assert_eq!(bench.batch.as_ref().unwrap().records.len(), 1, "the first goes at once");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!(bench.batch.as_ref().unwrap().records.len(), 2, "the others share one write");
    bench.commit();
    assert_eq!(bench.replies.len(), 3);
    assert!(bench.batch.is_none());
}

#[test]
fn a_completion_of_another_batch_changes_nothing() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    let other = crate::shard::BatchId(99);
    bench.shard.on_committed(other, &[], bench.now);
    assert!(bench.shard.on_commit_failed(other).is_empty());
    bench.pump();
    assert!(bench.replies.is_empty() && bench.loads.is_empty());
    bench.commit();
    assert_eq!(bench.replies.len(), 1);
}

#[test]
fn a_creation_whose_acknowledgement_was_lost_succeeds_once() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    assert_eq!(bench.fail(true), [g("g")]);
    assert!(bench.shard.resident(&g("g")).is_none() && bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert_eq!((bench.store.records(&g("g")).len(), bench.batch.is_none()), (1, true));
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_creation_that_was_lost_is_made_again_and_answered_then() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    bench.fail(false);
    bench.load();
    assert!(bench.replies.is_empty() && bench.calls.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn messages_of_a_lost_batch_are_decided_again_in_the_order_they_came() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(open(Pattern::Tcc, "")), FAR);
    bench.send(2, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "a"))));
    bench.tell(3, "g", Command::Commit, FAR);
    bench.send(4, "g", Command::Register(Arc::new(branch(Pattern::Tcc, "b"))));
    bench.fail(false);
    bench.load();
    while bench.batch.is_some() {
        bench.commit();
    }
    assert_eq!(bench.told()[0], (2, Ok(Status::Open)), "the creation came first");
    assert!(matches!(bench.told()[1], (4, Err(Rejection::IllegalState { .. }))), "the decision came before");
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.told()[2..], [(1, Ok(Status::Committed)), (3, Ok(Status::Committed))]);
}

#[test]
fn what_was_built_on_a_lost_batch_is_forgotten_with_it_and_others_are_kept() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "h", create(saga()));
    assert_eq!(bench.fail(false), [g("g")]);
    assert!(bench.shard.resident(&g("h")).is_some(), "h was not built on the lost batch");
    let batch = bench.batch.as_ref().unwrap();
    assert!(batch.records.iter().all(|record| record.gid == g("h")), "{:?}", batch.records);
    bench.load();
    bench.commit();
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::Running)), (2, Ok(Status::RollingBack))]);
}

#[test]
fn an_answer_of_a_lost_batch_is_not_asked_for_again() {
    for written in [true, false] {
        let mut bench = Bench::running(saga());
        bench.answer("done");
        bench.fail(written);
        bench.load();
        if !written {
            bench.commit();
        }
        assert_eq!(bench.under_way(), ["g/b.action#1"]);
        assert_eq!(bench.store.records(&g("g")).len(), 2);
    }
}

#[test]
fn a_call_under_way_survives_that_its_transaction_is_forgotten() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    let b = bench.calls.remove(1);
    bench.answer("unknown");
    bench.fail(false);
    bench.load();
    bench.commit();
    assert!(bench.calls.is_empty(), "b is still under way: {:?}", bench.under_way());
    bench.answer_to(&b, "done");
    bench.commit();
    assert!(bench.store.state(&g("g")).unwrap().branches()[1].forward.is_done());
}

#[test]
fn an_answer_that_comes_while_its_transaction_is_read_is_decided_then_and_not_asked_for_again() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a b"));
    let b = bench.calls.remove(1);
    bench.answer("unknown");
    bench.fail(false);
    bench.answer_to(&b, "done");
    bench.load();
    while bench.batch.is_some() {
        bench.commit();
    }
    assert!(bench.store.state(&g("g")).unwrap().branches()[1].forward.is_done());
    assert!(bench.calls.is_empty(), "{:?}", bench.under_way());
}

#[test]
fn a_waiter_survives_a_lost_batch() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(declared(Pattern::Saga, "a")), FAR);
    bench.fail(false);
    bench.load();
    bench.commit();
    bench.answer("done");
    bench.fail(true);
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Committed))]);
}

#[test]
fn a_conflict_of_one_gid_leaves_the_others_released() {
    let mut bench = Bench::running(saga());
    bench.answer("unknown");
    bench.send(2, "g", abort());
    bench.send(3, "h", create(saga()));
    bench.commit();
    bench.elsewhere("g", Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None });
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::Running))]);
    assert_eq!(bench.under_way(), ["h/a.action#1"]);
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    let told = bench.told();
    assert!(matches!(told[1], (2, Err(Rejection::IllegalState { status: Status::Committed, .. }))));
}

#[test]
fn a_creation_of_a_gid_that_exists_is_compared_with_what_is_there() {
    for (draft, expected) in
        [(saga(), Ok(Status::Running)), (Draft { digest: OTHER, ..saga() }, Err(Rejection::GidConflict))]
    {
        let mut bench = Bench::new();
        bench.elsewhere("g", create(saga()));
        bench.send(1, "g", create(draft));
        assert!(bench.loads.is_empty(), "a creation is appended without reading first");
        bench.commit();
        assert!(bench.replies.is_empty() && bench.calls.is_empty());
        bench.load();
        assert_eq!(bench.told(), [(1, expected)]);
        assert_eq!(bench.store.records(&g("g")).len(), 1);
    }
}

#[test]
fn late_and_repeated_answers_change_nothing() {
    let mut bench = Bench::running(saga());
    let first = bench.answer("unknown");
    bench.commit();
    bench.wait(200);
    for _ in 0..2 {
        bench.answer_to(&first, "refused");
        assert!(bench.batch.is_none());
    }
    assert_eq!(bench.under_way(), ["g/a.action#2"], "and they do not end the call that is under way");
    let second = bench.answer("done");
    bench.commit();
    bench.answer_to(&second, "refused");
    assert!(bench.batch.is_none());
    assert_eq!(bench.under_way(), ["g/b.action#1"]);
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::running(saga());
    let key = CallKey { branch: Some(9), op: Op::Action, attempt: 1 };
    bench.handle(Message::Answer { gid: g("g"), key, answer: answer(&["done"]) });
    bench.handle(Message::Answer { gid: g("nobody"), key, answer: answer(&["done"]) });
    bench.handle(Message::NotSent { gid: g("nobody"), key, retry_at: bench.now });
    assert!(bench.batch.is_none() && bench.loads.is_empty());
}

#[test]
fn a_branch_that_has_been_owed_is_compensated_whatever_it_answered() {
    for outcome in ["refused", "unknown"] {
        let mut bench = Bench::running(declared(Pattern::Saga, "a"));
        bench.answer(outcome);
        bench.send(2, "g", abort());
        while bench.batch.is_some() {
            bench.commit();
        }
        assert_eq!(bench.under_way(), ["g/a.compensate#1"], "after {outcome}");
    }
}

#[test]
fn one_call_of_a_branch_is_under_way_so_that_no_compensation_overtakes_its_action() {
    let mut bench = Bench::running(saga());
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
    bench.answer("unknown");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
}

#[test]
fn a_call_that_found_no_room_is_offered_again_and_nothing_is_recorded() {
    let mut bench = Bench::running(saga());
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(50);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at });
    assert!(bench.batch.is_none() && bench.calls.is_empty());
    assert_eq!(bench.shard.poll_timeout(), Some(retry_at));
    bench.wait(49);
    assert!(bench.calls.is_empty());
    bench.wait(1);
    assert_eq!(bench.calls, [call]);
}

#[test]
fn a_deferred_call_is_not_offered_when_it_is_no_longer_owed() {
    let mut bench = Bench::running(saga());
    let call = bench.calls.remove(0);
    let retry_at = bench.now.plus_millis(50);
    bench.handle(Message::NotSent { gid: g("g"), key: call.key, retry_at });
    bench.send(2, "g", abort());
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
    bench.wait(50);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn fences_never_go_back() {
    let mut bench = Bench::running(saga());
    let mut fences = Vec::new();
    for words in ["unknown", "done", "refused", "done", "done"] {
        if bench.calls.is_empty() {
            bench.wait(200);
        }
        fences.push(bench.answer(words).fence);
        bench.commit();
    }
    assert_eq!(fences, [1, 2, 3, 5, 6]);
    assert_eq!(bench.status("g"), Some(Status::RolledBack));
}

#[test]
fn a_settled_transaction_leaves_memory_and_is_read_when_asked_for() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.answer("done");
    bench.commit();
    assert!(bench.shard.is_empty());
    bench.send(2, "g", abort());
    assert_eq!(bench.loads, [g("g")]);
    bench.load();
    assert!(matches!(bench.told()[..], [(2, Err(Rejection::IllegalState { .. }))]));
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_long_wait_leaves_memory_and_comes_back_when_it_is_due() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(Draft { start_delay_ms: 3_600_000, ..saga() }));
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!(row.due_at, Some(Timestamp::from_millis(3_600_000)));
    bench.commit();
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
    bench.now = Timestamp::from_millis(3_600_000);
    let found = bench.store.load(&g("g")).unwrap();
    bench.shard.handle_adopted(found, bench.now);
    bench.pump();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn a_parked_transaction_leaves_memory_and_replay_brings_it_back() {
    let retry = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    let call = CallPolicy { retry, ..CallPolicy::default() };
    let mut bench = Bench::running(calling(declared(Pattern::Saga, "a"), call));
    bench.answer("unknown");
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!((row.parked, row.due_at), (Some("exhausted"), Some(Timestamp::MAX)));
    bench.commit();
    assert!(bench.shard.is_empty());
    bench.send(2, "g", Command::Replay { branch: None });
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
}

#[test]
fn a_transaction_with_a_waiter_or_a_call_stays_in_memory() {
    let mut bench = Bench::new();
    let delayed = Draft { start_delay_ms: 3_600_000, ..saga() };
    bench.tell(1, "g", create(delayed), ReplyOn::Settled { until: Timestamp::from_millis(500) });
    bench.commit();
    assert!(!bench.shard.is_empty());
    bench.wait(500);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert!(bench.shard.is_empty(), "once the waiter is gone, it may leave");
}

#[test]
fn a_waiter_is_told_the_end_or_at_its_time_what_is_durable_then() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(declared(Pattern::Saga, "a")), ReplyOn::Settled { until: Timestamp::from_millis(500) });
    bench.tell(2, "g", create(declared(Pattern::Saga, "a")), FAR);
    bench.commit();
    bench.wait(499);
    assert!(bench.replies.is_empty());
    bench.wait(1);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    bench.answer("done");
    assert_eq!(bench.replies.len(), 1, "the end is not durable yet");
    bench.commit();
    assert_eq!(bench.told()[1..], [(2, Ok(Status::Committed))]);
}

#[test]
fn a_waiter_whose_time_is_over_waits_for_what_it_would_be_told_to_be_durable() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.tell(2, "g", create(declared(Pattern::Saga, "a")), ReplyOn::Settled { until: Timestamp::from_millis(500) });
    bench.send(3, "g", abort());
    bench.wait(500);
    assert!(bench.replies.is_empty());
    bench.commit();
    assert_eq!(bench.told(), [(3, Ok(Status::RollingBack)), (2, Ok(Status::RollingBack))]);
}

#[test]
fn a_store_that_does_not_answer_is_told_to_who_waits_and_asked_again_for_what_was_in_memory() {
    let mut bench = Bench::running(saga());
    bench.answer("done");
    bench.send(2, "g", abort());
    bench.fail(false);
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(2, Err(Rejection::Unavailable))]);
    assert!(bench.shard.knows(&g("g")) && bench.loads.is_empty());
    bench.wait(500);
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/b.action#1"], "the answer was kept");
}

#[test]
fn a_store_that_does_not_answer_for_what_was_not_in_memory_is_not_asked_again() {
    let mut bench = Bench::new();
    bench.send(1, "g", abort());
    bench.load_fails(LoadFailure::Unavailable);
    assert_eq!(bench.told(), [(1, Err(Rejection::Unavailable))]);
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn a_journal_that_cannot_be_read_is_left_alone() {
    let mut bench = Bench::running(saga());
    bench.send(2, "g", abort());
    bench.fail(false);
    bench.load_fails(LoadFailure::Corrupt);
    assert_eq!(bench.told(), [(2, Err(Rejection::Corrupt))]);
    assert!(bench.shard.is_empty() && bench.shard.poll_timeout().is_none());
}

#[test]
fn commands_for_what_does_not_exist_are_told_so_after_reading() {
    let mut bench = Bench::new();
    bench.send(1, "g", Command::Commit);
    assert!(bench.replies.is_empty());
    bench.load();
    assert_eq!(bench.told(), [(1, Err(Rejection::NotFound))]);
    assert!(bench.shard.is_empty());
}

#[test]
fn a_shard_is_full_when_the_forming_batch_is() {
    let mut bench = Bench::new();
    bench.shard = Shard::new(ShardOptions { batch_records_max: 2, ..ShardOptions::default() });
    bench.send(1, "g1", create(saga()));
    bench.send(2, "g2", create(saga()));
    assert!(!bench.shard.is_full());
    bench.send(3, "g3", create(saga()));
    assert!(bench.shard.is_full());
    bench.commit();
    assert!(!bench.shard.is_full());
}

#[test]
fn a_quarantined_transaction_makes_no_calls_until_it_is_replayed() {
    let mut bench = Bench::running(saga());
    bench.handle(Message::Quarantine { gid: g("g"), detail: "it panics".into() });
    bench.commit();
    bench.answer("unknown");
    assert!(bench.batch.is_none());
    bench.wait(60_000);
    assert!(bench.calls.is_empty());
    bench.send(2, "g", Command::Replay { branch: None });
    bench.load();
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn quarantine_reads_what_is_not_in_memory_and_survives_a_lost_batch() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(saga()));
    bench.handle(Message::Quarantine { gid: g("g"), detail: "it panics".into() });
    bench.load();
    bench.fail(false);
    bench.load();
    bench.commit();
    assert_eq!(bench.store.state(&g("g")).unwrap().parked(), Some("quarantined"));
}

#[test]
fn adopting_twice_is_adopting_once() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(saga()));
    let found = bench.store.load(&g("g")).unwrap();
    bench.shard.handle_adopted(found.clone(), bench.now);
    bench.shard.handle_adopted(found, bench.now);
    bench.pump();
    assert_eq!(bench.under_way(), ["g/a.action#1"]);
}

#[test]
fn adopting_what_has_settled_or_is_being_read_changes_nothing() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(saga()));
    let running = bench.store.load(&g("g")).unwrap();
    bench.send(1, "g", abort());
    bench.shard.handle_adopted(running, bench.now);
    bench.pump();
    assert!(bench.calls.is_empty() && bench.shard.resident(&g("g")).is_none());
    bench.elsewhere("h", create(open(Pattern::Tcc, "")));
    bench.elsewhere("h", Command::Commit);
    bench.shard.handle_adopted(bench.store.load(&g("h")).unwrap(), bench.now);
    assert!(!bench.shard.knows(&g("h")));
}

#[test]
fn a_deadline_that_passed_while_nobody_owned_it_counts_when_it_is_adopted() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(Draft { deadline_ms: Some(1_000), ..saga() }));
    bench.now = Timestamp::from_millis(5_000);
    bench.shard.handle_adopted(bench.store.load(&g("g")).unwrap(), bench.now);
    bench.pump();
    assert!(bench.calls.is_empty(), "no action is started after the deadline");
    bench.commit();
    assert_eq!(bench.under_way(), ["g/a.compensate#1"]);
}

#[test]
fn an_index_row_is_written_when_it_changes_and_only_then() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(saga()));
    let row = bench.batch.as_ref().unwrap().rows[0].clone();
    assert_eq!((row.status, row.parked, row.due_at), (Status::Running, None, None));
    assert_eq!(row.hosts, ["participant"]);
    bench.commit();
    bench.answer("done");
    assert!(bench.batch.as_ref().unwrap().rows.is_empty(), "nothing a list shows has changed");
    bench.commit();
    bench.answer("refused");
    assert_eq!(bench.batch.as_ref().unwrap().rows[0].status, Status::RollingBack);
}

#[test]
fn a_timeout_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::running(saga());
    bench.wait(0);
    bench.wait(10_000);
    assert!(bench.batch.is_none() && bench.loads.is_empty());
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_reason_and_its_consequence_are_in_one_batch() {
    let mut bench = Bench::running(declared(Pattern::Saga, "a"));
    bench.answer("refused");
    let batch = bench.batch.as_ref().unwrap();
    let names: Vec<_> = batch.records.iter().map(|record| record.event.name()).collect();
    assert_eq!(names, ["call_answered", "rollback_begun"]);
    assert!(matches!(batch.records[1].event, Event::RollbackBegun { .. }));
}
