//! Lanes whose wall clock is set while they wait. They use steady time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use trine_engine::{CallPolicy, RetryPolicy};
use trine_protocol::Timestamp;

use super::*;
use trine_clock::Clock;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const JUMPS_MS: [i64; 4] = [-HOUR_MS, HOUR_MS, -40 * DAY_MS, 40 * DAY_MS];

/// A wall clock on tokio's time, and the value by which the test sets it.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let (by_ms, started) = (Arc::new(AtomicI64::new(0)), tokio::time::Instant::now());
    let set = Arc::clone(&by_ms);
    let clock = Clock::reading(move || {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap();
        let shown_ms =
            (1_000 * DAY_MS.unsigned_abs() + elapsed_ms).saturating_add_signed(by_ms.load(Ordering::SeqCst));
        Timestamp::from_millis(shown_ms)
    });
    (clock, set)
}

fn spec(draft: impl FnOnce(Draft) -> Draft) -> Command {
    let Command::Create(spec) = create() else { unreachable!("it creates") };
    let mut branches = spec.branches.clone();
    let retry = RetryPolicy {
        initial_ms: 2_000,
        max_interval_ms: 2_000,
        jitter_permille: 0,
        ..RetryPolicy::default()
    };
    Arc::make_mut(&mut branches[0]).call = CallPolicy { retry, ..CallPolicy::default() }.into();
    let draft = draft(Draft { branches, ..Draft::new(Pattern::Saga) });
    Command::Create(Arc::new(draft.build().unwrap()))
}

impl Made {
    fn unknown(self) {
        let answer = Answer {
            outcome: Outcome::Unknown,
            parks: None,
            report: CallReport::default(),
            random_permille: 0,
        };
        assert!(self.answer.send(Returned::Answer(answer)).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_deadlines_starts_and_who_waits_go_on_at_their_pace_whatever_the_wall_clock_is_set_to() {
    for jump_ms in JUMPS_MS {
        let (clock, set) = clock();
        let (made, mut calls) = mpsc::unbounded_channel();
        let (store, caller): (Arc<dyn Store>, Arc<dyn Caller>) =
            (Arc::new(Memory::new("one")), Arc::new(Script(made)));
        let lanes = Lanes::start(&store, &caller, &Metrics::new(), &clock, Options::default());
        let handle = lanes.handle().clone();
        let ask = |name: &'static str, command, reply_on| {
            let handle = handle.clone();
            tokio::spawn(async move { handle.submit(gid(name), command, reply_on).await.unwrap() })
        };
        // Waits begin before the clock is set.
        ask("retried", spec(|draft| draft), ReplyOn::Durable).await.unwrap();
        calls.recv().await.unwrap().unknown();
        let open = || {
            spec(|draft| Draft {
                pattern: Pattern::Tcc,
                open: true,
                branches: Vec::new(),
                deadline_ms: Some(8_000),
                ..draft
            })
        };
        ask("open", open(), ReplyOn::Durable).await.unwrap();
        ask("later", spec(|draft| Draft { start_delay_ms: 9_000, ..draft }), ReplyOn::Durable).await.unwrap();
        let begun = tokio::time::Instant::now();
        let patience = ReplyOn::Settled { until: handle.within(Duration::from_secs(5)) };
        let waiting = ask("retried", spec(|draft| draft), patience);
        let ended = ask("open", open(), ReplyOn::Settled { until: handle.within(Duration::from_secs(60)) });
        tokio::time::sleep(Duration::from_secs(1)).await; // tidy-allow: sleep, time is paused: this is the behaviour
        set.store(jump_ms, Ordering::SeqCst);
        assert_eq!(clock.look(), Some(jump_ms));

        let again = calls.recv().await.unwrap();
        assert_eq!((again.call.gid.as_str(), again.call.key.attempt), ("retried", 2), "{jump_ms}");
        assert!(
            begun.elapsed() <= Duration::from_millis(2_100),
            "the retry: {:?}, {jump_ms}",
            begun.elapsed()
        );
        assert_eq!(waiting.await.unwrap().status, Status::Running);
        let waited = begun.elapsed();
        assert!((5_000..5_100).contains(&waited.as_millis()), "who waited: {waited:?}, {jump_ms}");
        assert_eq!(ended.await.unwrap().status, Status::RolledBack);
        let waited = begun.elapsed();
        assert!((7_900..8_100).contains(&waited.as_millis()), "the deadline: {waited:?}, {jump_ms}");
        let started = calls.recv().await.unwrap();
        let waited = begun.elapsed();
        assert_eq!(started.call.gid.as_str(), "later", "{jump_ms}");
        assert!((8_900..9_100).contains(&waited.as_millis()), "the start: {waited:?}, {jump_ms}");
        // New records carry the time that the clock shows now.
        ask("new", spec(|draft| draft), ReplyOn::Durable).await.unwrap();
        let created_at = store.records(gid("new"), 0).await.unwrap()[0].at;
        let shown = i64::try_from(created_at.millis()).unwrap() - 1_000 * DAY_MS;
        assert!((shown - jump_ms - 10_000).abs() < 1_100, "{shown}, {jump_ms}");
        lanes.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_by_how_much_and_counted_once() {
    for jump_ms in JUMPS_MS {
        let (clock, set) = clock();
        let (before, metrics) = (clock.now(), Metrics::new());
        assert_eq!(clock.look(), None);
        set.store(900, Ordering::SeqCst);
        assert_eq!(clock.look(), None, "a clock is disciplined by less than a second all the time");
        set.store(jump_ms, Ordering::SeqCst);
        let mut follower = clock.follow();
        let stop = tokio_util::sync::CancellationToken::new();
        let counting = metrics.clone();
        let was_set = move |by_ms| counting.clock_set(by_ms);
        let watching = tokio::spawn(clock.clone().watch_over(was_set, stop.clone()));
        follower.changed().await.unwrap();
        let moved = i64::try_from(clock.now().millis()).unwrap() - i64::try_from(before.millis()).unwrap();
        assert!((moved - jump_ms).abs() < 1_100, "{moved} after {jump_ms}");
        tokio::time::sleep(Duration::from_secs(5)).await; // tidy-allow: sleep, time is paused: this is the behaviour
        stop.cancel();
        watching.await.unwrap();
        let direction = if jump_ms > 0 { "forward" } else { "back" };
        let counted = format!("trine_clock_set_total{{direction=\"{direction}\"}} 1");
        assert!(metrics.render().contains(&counted), "{jump_ms}");
        assert!(clock.steady().millis_since(before) < 7_000, "steady time is not set");
    }
}

#[tokio::test]
async fn a_lane_that_has_lost_its_memory_knows_what_the_clock_shows() {
    for jump_ms in JUMPS_MS {
        let (clock, set) = clock();
        let (made, _calls) = mpsc::unbounded_channel();
        let (store, caller): (Arc<dyn Store>, Arc<dyn Caller>) =
            (Arc::new(Treacherous::new("bad")), Arc::new(Script(made)));
        let lanes = Lanes::start(&store, &caller, &Metrics::new(), &clock, Options::default());
        let submit = |name, command| lanes.handle().submit(gid(name), command, ReplyOn::Durable);
        submit("good", create()).await.unwrap();
        set.store(jump_ms, Ordering::SeqCst);
        assert!(clock.look().is_some());
        assert_eq!(submit("bad", Command::Commit).await, Err(SubmitError::Lost));
        submit("new", create()).await.unwrap();
        let created_at = store.records(gid("new"), 0).await.unwrap()[0].at;
        let apart_ms = clock.now().millis().abs_diff(created_at.millis());
        assert!(apart_ms < 60_000, "{apart_ms}, {jump_ms}");
        lanes.stop().await;
    }
}
