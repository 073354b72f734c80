//! A lane that stops while calls are under way, and one that loses its memory meanwhile.

use std::time::Duration;

use trine_engine::Event;

use super::*;
use trine_store::Journal;

const LONG: Duration = Duration::from_secs(600);

fn draining(calls_drain: Duration) -> Options {
    Options { calls_drain, ..Options::default() }
}

/// A saga of two branches, the second after the first.
fn one_after_the_other() -> Command {
    let Command::Create(spec) = create() else { unreachable!("it is a creation") };
    let first = spec.branches[0].clone();
    let second = BranchSpec {
        id: BranchId::parse("b").unwrap(),
        after: [first.id.clone()].into(),
        ..(*first).clone()
    };
    let draft = Draft { branches: vec![first, Arc::new(second)], ..Draft::new(Pattern::Saga) };
    Command::Create(Arc::new(draft.build().unwrap()))
}

/// The recorded attempts, each with whether it was done.
async fn on_record(store: &Memory) -> Vec<(u32, bool)> {
    let journals = store.load(vec![gid("g")]).await.unwrap();
    let records = journals.into_iter().next().unwrap().records.unwrap();
    let returned = |event: &Event| match event {
        Event::CallAnswered { attempt, outcome, .. } => {
            Some((*attempt, matches!(outcome, Outcome::Done { .. })))
        }
        _ => None,
    };
    records.iter().filter_map(|record| returned(&record.event)).collect()
}

#[tokio::test]
async fn stopping_waits_for_calls_under_way_and_records_their_answers() {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), draining(LONG));
    let handle = lanes.handle().clone();
    handle.submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let call = calls.recv().await.unwrap();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.submit(gid("g"), create(), later(&handle)).await }
    });
    tokio::task::yield_now().await;
    let stopping = tokio::spawn(lanes.stop());
    // A client that waits for the end is answered before the call ends.
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Running);
    assert!(!stopping.is_finished(), "a call is under way");
    assert_eq!(handle.submit(gid("h"), create(), ReplyOn::Durable).await, Err(SubmitError::ShuttingDown));
    call.done();
    stopping.await.unwrap();
    assert_eq!(on_record(&store).await, [(1, true)]);
    assert!(calls.try_recv().is_err(), "nothing is called any more");
}

#[tokio::test]
async fn a_call_that_outlasts_a_stop_is_unknown_and_the_next_attempt_has_another_number() {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), draining(Duration::from_millis(10)));
    lanes.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let hanging = calls.recv().await.unwrap();
    lanes.stop().await;
    assert_eq!(hanging.call.key.attempt, 1);
    assert_eq!(on_record(&store).await, [(1, false)]);
    let (lanes, mut calls) = start(store.another("one"), Options::default());
    lanes.handle().bring_back(vec![gid("g")]).await;
    assert_eq!(calls.recv().await.unwrap().call.key.attempt, 2);
    lanes.stop().await;
}

#[tokio::test]
async fn a_hurried_stop_waits_for_no_call_and_records_them_as_unknown() {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), draining(LONG));
    lanes.handle().submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
    let hanging = calls.recv().await.unwrap();
    let hurry = lanes.hurry().clone();
    let stopping = tokio::spawn(lanes.stop());
    tokio::task::yield_now().await;
    assert!(!stopping.is_finished(), "a call is under way");
    hurry.cancel();
    stopping.await.unwrap();
    assert_eq!(hanging.call.key.attempt, 1);
    assert_eq!(on_record(&store).await, [(1, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_holds_up_a_stop_for_a_few_seconds_and_no_longer() {
    for asked_twice in [false, true] {
        let store = Memory::new("one");
        let drain = if asked_twice { LONG } else { Duration::from_secs(10) };
        let (lanes, mut calls) = start(store.clone(), draining(drain));
        let handle = lanes.handle().clone();
        handle.submit(gid("g"), create(), ReplyOn::Durable).await.unwrap();
        let _hanging = calls.recv().await.unwrap();
        let gate = store.faults().hold_appends();
        let other = tokio::spawn(async move { handle.submit(gid("h"), create(), ReplyOn::Durable).await });
        gate.arrived(1).await;
        let begun = tokio::time::Instant::now();
        if asked_twice {
            lanes.hurry().cancel();
        }
        lanes.stop().await;
        let (took, most) = (begun.elapsed(), if asked_twice { 3 } else { 14 });
        assert!(took <= Duration::from_secs(most), "it took {took:?}");
        assert_eq!(other.await.unwrap(), Err(SubmitError::Lost), "it may be written yet");
    }
}

#[tokio::test]
async fn a_lane_that_stops_does_not_begin_the_next_call() {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), draining(LONG));
    lanes.handle().submit(gid("g"), one_after_the_other(), ReplyOn::Durable).await.unwrap();
    let call = calls.recv().await.unwrap();
    let stopping = tokio::spawn(lanes.stop());
    tokio::task::yield_now().await;
    // The second branch is owed from now on.
    call.done();
    stopping.await.unwrap();
    assert_eq!(on_record(&store).await, [(1, true)]);
    assert!(calls.try_recv().is_err(), "nothing is called any more");
    let (lanes, mut calls) = start(store.another("one"), Options::default());
    lanes.handle().bring_back(vec![gid("g")]).await;
    let next = calls.recv().await.unwrap().call;
    assert_eq!((next.key.branch, next.key.attempt), (Some(1), 1));
    lanes.stop().await;
}

#[tokio::test]
async fn a_call_under_way_is_not_made_again_when_its_lane_has_lost_its_memory() {
    let (lanes, mut calls) = start(Treacherous::new("bad"), Options::default());
    let handle = lanes.handle().clone();
    handle.submit(gid("good"), create(), ReplyOn::Durable).await.unwrap();
    let call = calls.recv().await.unwrap();
    let lost = handle.submit(gid("bad"), Command::Commit, ReplyOn::Durable).await;
    assert_eq!(lost, Err(SubmitError::Lost));
    // When this command is answered, the lane has read its transactions again.
    handle.submit(gid("good"), create(), ReplyOn::Durable).await.unwrap();
    assert!(calls.try_recv().is_err(), "attempt 1 is under way");
    call.done();
    let settled = handle.submit(gid("good"), create(), later(&handle)).await.unwrap();
    assert_eq!(settled.status, Status::Committed);
    lanes.stop().await;
}
