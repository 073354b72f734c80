//! Places at hosts, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};
use trine_engine::Outcome;

use super::super::directory::participant;
use super::super::{Caller, Directory, Dispatcher, Options, Returned};
use super::support::{answer_of, call, caller_with, done, hang, serve};

/// A server whose requests wait until they are let go.
#[derive(Clone, Default)]
struct Gate {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    open: Arc<Locked>,
}

struct Locked(Semaphore);

impl Default for Locked {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Gate {
    fn app(&self) -> Router {
        Router::new().route("/", post(Self::pass)).with_state(self.clone())
    }

    async fn pass(State(gate): State<Self>) {
        let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
        gate.most.fetch_max(inside, Ordering::SeqCst);
        gate.open.0.acquire().await.unwrap().forget();
        gate.inside.fetch_sub(1, Ordering::SeqCst);
    }

    async fn fills_up_to(&self, count: usize) {
        while self.inside.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_under_way_at_a_host() {
    let gate = Gate::default();
    let base = serve(gate.app()).await;
    let caller = caller_with(Options { per_service_max: 3, ..Options::default() });
    let calls = tokio::spawn({
        let (caller, base) = (caller.clone(), base.clone());
        async move { join_all((0..20).map(|_| caller.call(call(&base)))).await }
    });
    gate.fills_up_to(3).await;
    gate.open.0.add_permits(20);
    let returned = calls.await.unwrap();
    assert!(returned.iter().all(|one| matches!(one, Returned::Answer(answer) if answer.outcome == done(""))));
    assert_eq!(gate.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_call_without_a_place_in_time_is_held_back() {
    let gate = Gate::default();
    let base = serve(gate.app()).await;
    let caller = caller_with(Options { per_service_max: 1, queue_wait_ms: 20, ..Options::default() });
    let first = tokio::spawn(caller.call(call(&base)));
    gate.fills_up_to(1).await;
    let second = caller.call(call(&base)).await;
    let Returned::Held { retry_after_ms, reason } = second else { panic!("{second:?}") };
    assert!(retry_after_ms > 0);
    let words = "has as many calls under way as it may have (dispatch.per_service_max)";
    assert_eq!(reason, format!("{base}/ {words}"));
    assert_eq!(gate.inside.load(Ordering::SeqCst), 1);
    gate.open.0.add_permits(1);
    assert!(matches!(first.await.unwrap(), Returned::Answer(_)));
}

#[tokio::test]
async fn a_host_that_hangs_slows_no_other() {
    let hung = serve(Router::new().route("/", post(hang))).await;
    let well = serve(Router::new().route("/", post(|| async { "well" }))).await;
    let options = Options { per_service_max: 2, queue_wait_ms: 3_600_000, ..Options::default() };
    let caller = caller_with(options);
    let stuck: Vec<_> = (0..200).map(|_| tokio::spawn(caller.call(call(&hung)))).collect();
    let finished = join_all((0..200).map(|_| answer_of(&caller, call(&well)))).await;
    assert!(finished.iter().all(|answer| answer.outcome == done("well")));
    assert!(stuck.iter().all(|one| !one.is_finished()));
    stuck.into_iter().for_each(|one| one.abort());
}

#[tokio::test]
async fn a_service_that_hangs_slows_no_other_behind_the_same_gateway() {
    let inside = Arc::new(AtomicUsize::new(0));
    let entered = Arc::clone(&inside);
    let slow = move || {
        entered.fetch_add(1, Ordering::SeqCst);
        hang()
    };
    let app = Router::new().route("/slow/{n}", post(slow)).route("/stock/reserve", post(|| async { "well" }));
    let gateway = serve(app).await;
    let caller = caller_with(Options { per_service_max: 20, queue_len_max: 0, ..Options::default() });
    let stuck: Vec<_> =
        (0..20).map(|n| tokio::spawn(caller.call(call(&format!("{gateway}/slow/{n}"))))).collect();
    while inside.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        assert_eq!(answer_of(&caller, call(&format!("{gateway}/stock/reserve"))).await.outcome, done("well"));
    }
    assert!(stuck.iter().all(|one| !one.is_finished()));
    stuck.into_iter().for_each(|one| one.abort());
}

#[tokio::test]
async fn a_participant_has_places_of_its_own_whatever_its_path() {
    let inside = Arc::new(Notify::new());
    let tell = Arc::clone(&inside);
    let slow = move || {
        tell.notify_one();
        std::future::pending::<()>()
    };
    let app = Router::new().route("/v1/slow", post(slow)).route("/v1/reserve", post(|| async { "well" }));
    let gateway = serve(app).await;
    let directory = Arc::new(Directory::new());
    let base = format!("{gateway}/v1");
    let both = ["slow", "stock"].map(|name| participant(name, &[(&base, u64::MAX)]));
    directory.refresh().found(trine_clock::now(), both.into());
    let options = Options { per_service_max: 1, queue_len_max: 0, ..Options::default() };
    let caller = Dispatcher::new(options, directory, super::journal());
    let stuck = tokio::spawn(caller.call(call("slow:/slow")));
    inside.notified().await;
    assert!(matches!(caller.call(call("slow:/reserve")).await, Returned::Held { .. }));
    assert_eq!(answer_of(&caller, call("stock:/reserve")).await.outcome, done("well"));
    stuck.abort();
}

#[tokio::test]
async fn a_timeout_gives_its_place_back() {
    let base = serve(Router::new().route("/", post(hang))).await;
    let caller = caller_with(Options { per_service_max: 1, queue_wait_ms: 3_600_000, ..Options::default() });
    let mut brief = call(&base);
    brief.timeout_ms = 20;
    let returned = join_all((0..3).map(|_| answer_of(&caller, brief.clone()))).await;
    assert!(returned.iter().all(|answer| answer.outcome == Outcome::Unknown));
}

#[tokio::test]
async fn dropping_a_call_gives_its_place_back() {
    let gate = Gate::default();
    let base = serve(gate.app()).await;
    let caller = caller_with(Options { per_service_max: 1, queue_wait_ms: 3_600_000, ..Options::default() });
    let dropped = tokio::spawn(caller.call(call(&base)));
    gate.fills_up_to(1).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    gate.open.0.add_permits(2);
    assert_eq!(answer_of(&caller, call(&base)).await.outcome, done(""));
}

#[tokio::test]
async fn a_call_for_which_there_is_no_look_up_or_no_descriptor_is_held_back() {
    let short = || Options { name_timeout_ms: 1, lookups_max: 0, connections_max: 0, ..Options::default() };
    let caller = caller_with(short());
    for (target, words) in [
        ("http://stock.example/", "the name of stock.example:80 was not looked up: too many look-ups"),
        ("grpc://stock.example:50051/a.B/C", "the name of stock.example:50051 was not looked up: too many"),
        ("http://127.0.0.1:9/", "no connection to 127.0.0.1:9: as many connections to participants are open"),
        ("grpc://127.0.0.1:9/a.B/C", "no connection to 127.0.0.1:9: as many connections to participants"),
    ] {
        let returned = caller.call(call(target)).await;
        let Returned::Held { retry_after_ms, reason } = returned else { panic!("{target}: {returned:?}") };
        assert!(reason.starts_with(words) && retry_after_ms > 0, "{target}: {reason}");
    }
}
