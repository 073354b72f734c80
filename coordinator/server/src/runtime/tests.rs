//! Lanes over the memory store and a scripted caller: the answers when the store fails, the inbox is full, or a lane panics or
//! stops.

mod clock;
mod damaged;
mod stopping;
mod treacherous;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use trine_engine::{
    Answer, BranchSpec, Call, CallReport, Command, Digest, Draft, ForceTo, Outcome, Payload, Rejection,
    ReplyOn, SharedPolicy, Spec,
};
use trine_protocol::{BranchId, Gid, Pattern, Status, Target};

use super::{Handle, Lanes, Options, SubmitError};
use crate::metrics::Metrics;
use crate::ownership::{self, Liveness};
use treacherous::Treacherous;
use trine_dispatch::{Caller, Returned};
use trine_store::Store;
use trine_store::memory::{Fault, Memory};

/// A call that waits for the test to answer it.
struct Made {
    call: Call,
    answer: oneshot::Sender<Returned>,
}

impl Made {
    fn done(self) {
        let outcome = Outcome::Done { output: Payload::default(), read_only: false };
        let answer = Answer { outcome, parks: None, report: CallReport::default(), random_permille: 0 };
        assert!(self.answer.send(Returned::Answer(answer)).is_ok());
    }
}

/// A caller that gives its calls to the test.
#[derive(Debug)]
struct Script(mpsc::UnboundedSender<Made>);

impl Caller for Script {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        let (answer, answered) = oneshot::channel();
        // If the test has stopped listening, the call hangs.
        let _ = self.0.send(Made { call, answer });
        Box::pin(async move {
            match answered.await {
                Ok(returned) => returned,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

fn start(store: impl Store, options: Options) -> (Lanes, mpsc::UnboundedReceiver<Made>) {
    let (made, calls) = mpsc::unbounded_channel();
    let (store, caller): (Arc<dyn Store>, Arc<dyn Caller>) = (Arc::new(store), Arc::new(Script(made)));
    (Lanes::start(&store, &caller, &Metrics::new(), &trine_clock::Clock::system(), options), calls)
}

fn gid(text: &str) -> Gid {
    Gid::parse(text).unwrap()
}

fn create() -> Command {
    create_with("")
}

fn create_with(payload: &str) -> Command {
    let target = Some(Target::parse("http://service/op").unwrap());
    let branch = BranchSpec {
        id: BranchId::parse("a").unwrap(),
        forward: target.clone(),
        on_commit: None,
        on_rollback: target,
        payload: Payload::from(payload),
        after: Box::default(),
        call: SharedPolicy::default(),
        digest: Digest::default(),
    };
    let spec: Spec = Draft { branches: vec![Arc::new(branch)], ..Draft::new(Pattern::Saga) }.build().unwrap();
    Command::Create(Arc::new(spec))
}

fn later(handle: &Handle) -> ReplyOn {
    ReplyOn::Settled { until: handle.within(std::time::Duration::from_secs(60)) }
}

#[tokio::test]
async fn a_creation_whose_commit_was_doubtful_is_answered_with_what_the_journal_says() {
    for fault in [Fault::DoubtfulApplied, Fault::DoubtfulNotApplied, Fault::Failed] {
        let store = Memory::new("one");
        store.faults().push(fault);
        let (lanes, mut calls) = start(store, Options::default());
        let snapshot = lanes.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
        assert_eq!(snapshot.status, Status::Running, "{fault:?}");
        assert_eq!(calls.recv().await.unwrap().call.key.attempt, 1);
        lanes.stop().await;
    }
}

#[tokio::test]
async fn a_full_inbox_is_answered_busy_and_nothing_is_done() {
    let store = Memory::new("one");
    let gate = store.faults().hold_appends();
    let mut options = Options { inbox_len_max: 1, ..Options::default() };
    options.shard.batch_records_max = 1;
    let (lanes, _calls) = start(store, options);
    let submit = |name: String| {
        let handle = lanes.handle().clone();
        tokio::spawn(async move { handle.submit(gid(&name), create(), ReplyOn::Durable).await })
    };
    let first = submit("first".into());
    gate.arrived(1).await;
    let waiting: Vec<_> = (0..8).map(|number| submit(format!("g{number}"))).collect();
    // The command that finds the inbox full is answered at once; the others wait for the store.
    tokio::task::yield_now().await;
    gate.open();
    assert!(first.await.unwrap().is_ok());
    let mut busy = 0;
    for waiter in waiting {
        match waiter.await.unwrap() {
            Ok(_) => {}
            Err(SubmitError::Busy { retry_after_ms }) => {
                busy += 1;
                assert!(retry_after_ms > 0);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy > 0, "eight commands found room in an inbox of one");
    lanes.stop().await;
}

#[tokio::test]
async fn too_many_residents_are_answered_busy() {
    let (lanes, _calls) = start(Memory::new("one"), Options { residents_max: 1, ..Options::default() });
    lanes.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let refused = lanes.handle().submit(gid("h"), create(), ReplyOn::Durable).await;
    assert!(matches!(refused, Err(SubmitError::Busy { .. })), "{refused:?}");
    // Commands for known transactions are still served.
    lanes.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    lanes.stop().await;
}

#[tokio::test]
async fn too_many_bytes_in_memory_are_answered_busy() {
    let (lanes, mut calls) =
        start(Memory::new("one"), Options { resident_bytes_max: 1, ..Options::default() });
    lanes.handle().submit(gid("g"), create_with("{}"), ReplyOn::Durable).await.unwrap();
    let refused = lanes.handle().submit(gid("h"), create_with("{}"), ReplyOn::Durable).await;
    assert!(matches!(refused, Err(SubmitError::Busy { .. })), "{refused:?}");
    // A settled transaction makes room.
    calls.recv().await.unwrap().done();
    lanes.handle().submit(gid("g"), create_with("{}"), later(lanes.handle())).await.unwrap();
    lanes.handle().submit(gid("h"), create_with("{}"), ReplyOn::Durable).await.unwrap();
    lanes.stop().await;
}

#[tokio::test]
async fn a_panic_costs_a_lane_its_memory_but_no_transaction() {
    let (lanes, mut calls) = start(Treacherous::new("bad"), Options::default());
    let handle = lanes.handle().clone();
    handle.submit(gid("good"), create(), ReplyOn::Durable).await.unwrap();
    let first = calls.recv().await.unwrap();
    assert_eq!(first.call.gid, gid("good"));

    // The read of this gid returns another gid's journal, on which the shard panics.
    for _ in 0..3 {
        let lost = handle.submit(gid("bad"), Command::Commit, ReplyOn::Durable).await;
        assert_eq!(lost, Err(SubmitError::Lost));
    }
    // The gid cannot panic the lane any more: its commands are refused before they reach the shard.
    loop {
        match handle.submit(gid("bad"), Command::Commit, ReplyOn::Durable).await {
            Err(SubmitError::Lost) => {}
            other => break assert_eq!(other, Err(SubmitError::Rejected(Rejection::Corrupt))),
        }
    }
    // The other transaction was read again, and the answer to its first call still counts.
    first.done();
    let settled = handle.submit(gid("good"), create(), later(&handle)).await.unwrap();
    assert_eq!(settled.status, Status::Committed);
    lanes.stop().await;
}

#[tokio::test]
async fn stopping_makes_durable_what_was_admitted_and_answers_who_waits() {
    let store = Memory::new("one");
    let gate = store.faults().hold_appends();
    let (lanes, _calls) = start(store.clone(), Options::default());
    let handle = lanes.handle().clone();
    let submit = |reply_on| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.submit(gid("g"), create(), reply_on).await })
    };
    let admitted = submit(ReplyOn::Durable);
    gate.arrived(1).await;
    let waiting = submit(later(lanes.handle()));
    tokio::task::yield_now().await;
    let stopping = tokio::spawn(lanes.stop());
    gate.open();
    stopping.await.unwrap();
    assert_eq!(admitted.await.unwrap().unwrap().status, Status::Running);
    // The answer says only that the transaction is accepted.
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Running);
    assert_eq!(handle.submit(gid("h"), create(), ReplyOn::Durable).await, Err(SubmitError::ShuttingDown));
    // The next process finds the transaction and makes the call again.
    let (lanes, mut calls) = start(store.another("one"), Options::default());
    lanes.handle().bring_back(vec![gid("g")]).await;
    assert_eq!(calls.recv().await.unwrap().call.gid, gid("g"));
    lanes.stop().await;
}

#[tokio::test]
async fn a_store_that_refuses_every_write_is_told_to_who_waits_and_not_hammered() {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), Options::default());
    let handle = lanes.handle().clone();
    store.faults().set_writes_down(true);
    let refused = handle.submit(gid("g"), create(), ReplyOn::Durable).await;
    assert_eq!(refused, Err(SubmitError::Rejected(Rejection::Unavailable)));
    // After two tries the shard pauses, so no append reaches this gate by itself.
    let gate = store.faults().hold_appends();
    store.faults().set_writes_down(false);
    gate.open();
    handle.submit(gid("h"), create(), ReplyOn::Durable).await.unwrap();
    assert_eq!(calls.recv().await.unwrap().call.gid, gid("h"));
    lanes.stop().await;
}

#[tokio::test]
async fn a_store_that_comes_back_finds_everything_going_on() {
    let store = Memory::new("one");
    let mut options = Options::default();
    options.shard.reload_delay_ms = 1;
    let (lanes, mut calls) = start(store.clone(), options);
    let handle = lanes.handle().clone();
    handle.submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let call = calls.recv().await.unwrap();
    store.faults().set_writes_down(true);
    store.faults().set_reads_down(true);
    let refused = handle.submit(gid("h"), create(), ReplyOn::Durable).await;
    assert_eq!(refused, Err(SubmitError::Rejected(Rejection::Unavailable)));
    call.done();
    store.faults().set_reads_down(false);
    store.faults().set_writes_down(false);
    let settled = handle.submit(gid("g"), create(), later(&handle)).await.unwrap();
    assert_eq!(settled.status, Status::Committed);
    lanes.stop().await;
}

#[tokio::test]
async fn an_end_given_at_one_coordinator_is_told_to_who_waits_at_another() {
    let store = Memory::new("one");
    let mut options = Options::default();
    options.shard.refresh_after_ms = Some(1);
    let (driving, mut calls) = start(store.clone(), options);
    let (other, _calls) = start(store.another("two"), options);
    driving.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let _under_way = calls.recv().await.unwrap();
    let handle = driving.handle().clone();
    let waiting = tokio::spawn(async move { handle.submit(gid("g"), create(), later(&handle)).await });
    let force = Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None };
    other.handle().submit(gid("g"), force, ReplyOn::Durable).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Committed);
    driving.stop().await;
    other.stop().await;
}

/// A tcc with a deadline.
fn open_for(deadline_ms: u64) -> Command {
    let draft = Draft { open: true, deadline_ms: Some(deadline_ms), ..Draft::new(Pattern::Tcc) };
    Command::Create(Arc::new(draft.build().unwrap()))
}

/// Differences of wrong clocks to the store's clock.
const WRONG_BY_MS: [i64; 2] = [-40 * 24 * 60 * 60 * 1_000, 40 * 24 * 60 * 60 * 1_000];

#[tokio::test(start_paused = true)]
async fn a_coordinator_whose_clock_is_wrong_lets_no_deadline_pass() {
    let metrics = Metrics::new();
    for ahead_ms in WRONG_BY_MS {
        let memory = Memory::new("one");
        let (lanes, _calls) = start(memory.clone(), Options::default());
        let liveness = Liveness::new(60_000);
        let beat = async || ownership::beat(&memory, lanes.handle(), &liveness, &metrics).await;
        lanes.handle().submit(gid("g"), open_for(20_000), ReplyOn::Durable).await.unwrap();
        memory.set_clock_ahead(ahead_ms);
        beat().await;
        assert!(lanes.handle().why_not_ready().is_some_and(|words| words.starts_with("clock: ")));
        // The answer comes after the wait, when the deadline has passed as well.
        let until = lanes.handle().within(std::time::Duration::from_secs(30));
        let waiting = lanes.handle().submit(gid("g"), Command::Look, ReplyOn::Settled { until });
        assert_eq!(waiting.await.unwrap().status, Status::Open, "{ahead_ms}");
        memory.set_clock_ahead(0);
        beat().await;
        assert_eq!(lanes.handle().why_not_ready(), None);
        let settled = lanes.handle().submit(gid("g"), Command::Look, later(lanes.handle())).await.unwrap();
        assert_eq!(settled.status, Status::RolledBack, "{ahead_ms}");
        lanes.stop().await;
    }
}

/// An adopter would use the times in the journal.
#[tokio::test]
async fn a_coordinator_whose_clock_is_wrong_writes_no_time_down_that_others_would_go_by() {
    let metrics = Metrics::new();
    let open = |pattern, check| Draft { open: true, check, ..Draft::new(pattern) };
    let target = || Some(Target::parse("http://service/check").unwrap());
    let Command::Create(plain) = create() else { unreachable!("it creates") };
    let branches = || plain.branches.clone();
    let timed = [
        Draft { deadline_ms: Some(60_000), ..open(Pattern::Tcc, None) },
        Draft { deadline_ms: Some(60_000), branches: branches(), ..Draft::new(Pattern::Saga) },
        Draft { start_delay_ms: 60_000, branches: branches(), ..Draft::new(Pattern::Saga) },
        open(Pattern::Message, target()),
        open(Pattern::Workflow, target()),
    ];
    let timed: Vec<Command> =
        timed.into_iter().map(|draft| Command::Create(Arc::new(draft.build().unwrap()))).collect();
    for ahead_ms in WRONG_BY_MS {
        let memory = Memory::new("one");
        let (lanes, _calls) = start(memory.clone(), Options::default());
        let liveness = Liveness::new(60_000);
        let submit = async |name: &str, command: &Command| {
            lanes.handle().submit(gid(name), command.clone(), ReplyOn::Durable).await
        };
        memory.set_clock_ahead(ahead_ms);
        ownership::beat(&memory, lanes.handle(), &liveness, &metrics).await;
        submit("plain", &create()).await.unwrap();
        for command in timed.iter().chain([&Command::CommitAt { age_ms: 60_000 }]) {
            let refused = submit("timed", command).await.unwrap_err();
            let SubmitError::ClockWrong { skew } = &refused else { panic!("{refused}") };
            assert!(skew.contains(" days "), "{skew}");
        }
        let open = Command::Create(Arc::new(open(Pattern::Tcc, None).build().unwrap()));
        submit("untimed", &open).await.unwrap();
        memory.set_clock_ahead(0);
        ownership::beat(&memory, lanes.handle(), &liveness, &metrics).await;
        for (number, command) in timed.iter().enumerate() {
            submit(&format!("timed-{number}"), command).await.unwrap();
        }
        lanes.stop().await;
    }
}

#[tokio::test]
async fn a_difference_between_the_clocks_is_measured() {
    let (memory, metrics) = (Memory::new("one"), Metrics::new());
    let (lanes, _calls) = start(memory.clone(), Options::default());
    let liveness = Liveness::new(60_000);
    memory.set_clock_ahead(-3_600_000);
    ownership::beat(&memory, lanes.handle(), &liveness, &metrics).await;
    let text = metrics.render();
    let line = text.lines().find(|line| line.starts_with("trine_clock_skew_seconds ")).unwrap();
    let seconds: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((3_590.0..3_610.0).contains(&seconds), "{line}");
    lanes.stop().await;
}

#[tokio::test]
async fn lanes_tell_how_they_fare() {
    let store = Memory::new("one");
    let (lanes, _calls) = start(store.clone(), Options::default());
    lanes.handle().submit(gid("a"), create(), ReplyOn::Durable).await.unwrap();
    assert_eq!(lanes.handle().vitals().failing_for(), None);
    store.faults().set_appends_down(true);
    assert!(lanes.handle().submit(gid("b"), create(), ReplyOn::Durable).await.is_err());
    assert!(lanes.handle().vitals().failing_for().is_some());
    store.faults().set_appends_down(false);
    lanes.handle().submit(gid("c"), create(), ReplyOn::Durable).await.unwrap();
    assert_eq!(lanes.handle().vitals().failing_for(), None);
    lanes.stop().await;
}
