//! SIGTERM while a call is under way: no attempt's number is used for two requests.

use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::pack::{Kind, through_proxy};
use crate::support::{Coordinator, Http};

/// A call that the test answers.
struct Arrived {
    attempt: String,
    answer: oneshot::Sender<()>,
}

/// A participant that hands its calls to the test: its address, and the calls.
async fn participant() -> (String, mpsc::UnboundedReceiver<Arrived>) {
    let (arrive, arrived) = mpsc::unbounded_channel();
    let handler = move |headers: HeaderMap| {
        let arrive = arrive.clone();
        async move {
            let attempt = headers["trine-attempt"].to_str().expect("a number").to_owned();
            let (answer, answered) = oneshot::channel();
            let _ = arrive.send(Arrived { attempt, answer });
            match answered.await {
                Ok(()) => StatusCode::OK,
                // The test has let go of it, and answers no more.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (url, arrived)
}

fn saga(participant: &str) -> Value {
    json!({
        "gid": "g",
        "pattern": "saga",
        "options": {"retry": {"initial": "20ms", "max_interval": "200ms"}, "call_timeout": "60s"},
        "branches": [{"id": "a", "action": format!("{participant}/do"), "compensate": format!("{participant}/undo")}],
    })
}

/// Starts again, waits for the end, and returns attempts with their outcomes.
async fn attempts(http: &Http, db: &Path, body: &Value) -> Vec<(u64, String)> {
    let coordinator = Coordinator::start(db).await;
    let (status, answer) = http.create(coordinator.url(), body, 60).await.expect("an answer");
    assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");
    let (_, history) = http.get(&format!("{}/v1/transactions/g/history", coordinator.url())).await;
    let events = history["events"].as_array().expect("a list").iter();
    let attempt = |event: &Value| Some((event["attempt"].as_u64()?, event["outcome"].as_str()?.to_owned()));
    events.filter_map(attempt).collect()
}

/// The next process makes attempt 2, because attempt 1 is on record as unknown.
async fn the_next_process_makes_attempt_two(
    http: &Http,
    db: &Path,
    body: &Value,
    mut calls: mpsc::UnboundedReceiver<Arrived>,
) {
    let answering = tokio::spawn(async move {
        let second = calls.recv().await.expect("it is called again");
        assert_eq!(second.attempt, "2");
        second.answer.send(()).expect("the call is under way");
    });
    let made = attempts(http, db, body).await;
    assert_eq!(made, [(1, "unknown".to_owned()), (2, "done".to_owned())]);
    answering.await.expect("the second attempt is the second");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_a_call_under_way_and_its_answer_is_in_the_journal() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let (participant, mut calls) = participant().await;
    let (db, body) = (folder.path().join("trine.db"), saga(&participant));
    let coordinator = Coordinator::start_with(&db, &[("TRINE_HTTP_DRAIN_TIMEOUT", "60s")]).await;
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    let call = calls.recv().await.expect("it is called");
    coordinator.send_term().await;
    // Its call is answered only when it is certain that it stops.
    let url = format!("{}/v1/transactions", coordinator.url());
    while http.try_post(&url, &body).await.is_some_and(|(status, _)| status != 503) {}
    call.answer.send(()).expect("the call is under way");
    assert_eq!(coordinator.ended().await, Some(0));
    assert_eq!(attempts(&http, &db, &body).await, [(1, "done".to_owned())]);
    assert!(calls.try_recv().is_err(), "one request, and no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_drain_is_unknown_and_the_next_process_makes_attempt_two() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let (participant, mut calls) = participant().await;
    let (db, body) = (folder.path().join("trine.db"), saga(&participant));
    let coordinator = Coordinator::start_with(&db, &[("TRINE_HTTP_DRAIN_TIMEOUT", "50ms")]).await;
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    let first = calls.recv().await.expect("it is called");
    assert_eq!(first.attempt, "1");
    assert_eq!(coordinator.terminate().await, Some(0));
    the_next_process_makes_attempt_two(&http, &db, &body, calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_waits_for_no_call_and_the_next_process_makes_attempt_two() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let (participant, mut calls) = participant().await;
    let (db, body) = (folder.path().join("trine.db"), saga(&participant));
    let coordinator = Coordinator::start_with(&db, &[("TRINE_HTTP_DRAIN_TIMEOUT", "1h")]).await;
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    let first = calls.recv().await.expect("it is called");
    assert_eq!(first.attempt, "1");
    coordinator.send_term().await;
    let url = format!("{}/v1/transactions", coordinator.url());
    while http.try_post(&url, &body).await.is_some_and(|(status, _)| status != 503) {}
    coordinator.send_term().await;
    assert_eq!(coordinator.ended().await, Some(0));
    the_next_process_makes_attempt_two(&http, &db, &body, calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_does_not_hold_up_a_stop() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
        let (participant, mut calls) = participant().await;
        let (proxy, store) = through_proxy(&kind.fresh());
        let drain = [("TRINE_HTTP_DRAIN_TIMEOUT", "1s")];
        let coordinator = Coordinator::serve(&store, "127.0.0.1:0", folder.path(), &drain).await;
        let (status, _) = http.create(coordinator.url(), &saga(&participant), 0).await.expect("an answer");
        assert_eq!(status, 202);
        let call = calls.recv().await.expect("it is called");
        proxy.black_hole(true);
        // Its lane has something to write, and waits for the database when it is told to stop.
        call.answer.send(()).expect("the call is under way");
        #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
        let begun = std::time::Instant::now();
        assert_eq!(coordinator.terminate().await, Some(0));
        let took = begun.elapsed();
        assert!(took < std::time::Duration::from_secs(15), "{kind:?}: {took:?}");
    }
}
