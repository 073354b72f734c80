//! What a killed coordinator leaves is adopted by the others, all of it, and one dead participant delays nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::load::eventually_within;
use super::pack::{Kind, Pack};
use crate::support::Http;

const PARTICIPANTS: usize = 10;
/// Requests under way while the transactions are created.
const SIDE_BY_SIDE: usize = 32;
const WITHIN: Duration = Duration::from_secs(300);

/// How many transactions; `ADOPTION_TRANSACTIONS` makes it more.
fn transactions() -> usize {
    std::env::var("ADOPTION_TRANSACTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// A participant that answers nobody until its gate is opened.
async fn participant() -> (String, watch::Sender<bool>) {
    let (gate, open) = watch::channel(false);
    let handler = move || {
        let mut open = open.clone();
        async move {
            let _ = open.wait_for(|open| *open).await;
            StatusCode::OK
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/do", listener.local_addr().expect("it listens"));
    let router = Router::new().route("/do", post(handler.clone())).route("/undo", post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, gate)
}

async fn create(http: &Http, url: &str, targets: &[String], count: usize) {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut creating = Vec::new();
    for number in 0..count {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let (http, url, target) = (http.clone(), url.to_owned(), targets[number % targets.len()].clone());
        creating.push(tokio::spawn(async move {
            let body = json!({"gid": format!("left-{number}"), "pattern": "saga",
                "options": {"call_timeout": "5s", "retry": {"initial": "100ms", "max_interval": "1s"}},
                "branches": [{"id": "b", "action": target, "compensate": target.replace("/do", "/undo"), "payload": number}]});
            let (status, answer) = http.create(&url, &body, 0).await.expect("it is accepted");
            assert_eq!(status, 202, "{answer}");
            drop(place);
        }));
    }
    for creating in creating {
        creating.await.expect("it is accepted");
    }
}

async fn adopted(kind: Kind) {
    let (http, count) = (Http::new(), transactions());
    let mut participants = Vec::new();
    for _ in 0..PARTICIPANTS {
        participants.push(participant().await);
    }
    let targets: Vec<String> = participants.iter().map(|(url, _)| url.clone()).collect();
    let mut pack = Pack::start(&kind.fresh(), 3).await;
    create(&http, &pack.url(0), &targets, count).await;
    pack.kill(0).await;
    // The last one stays dead.
    for (_, gate) in &participants[..PARTICIPANTS - 1] {
        gate.send_replace(true);
    }
    #[expect(clippy::disallowed_methods, reason = "only measured, and only told")]
    let since = Instant::now();
    let left = async || {
        let mut left = 0;
        for about in 0..3 {
            left += pack.seen(&http, 1, about).await["unfinished"].as_u64().expect("a number");
        }
        left
    };
    let dead = (count / PARTICIPANTS) as u64;
    eventually_within(WITHIN, "all but those of the dead participant settle", async || left().await <= dead)
        .await;
    let others = since.elapsed();
    assert_eq!(left().await, dead, "the dead participant's cannot have settled");
    let shares = [
        pack.metric(&http, 1, "trine_adopted_total").await,
        pack.metric(&http, 2, "trine_adopted_total").await,
    ];
    participants[PARTICIPANTS - 1].1.send_replace(true);
    eventually_within(WITHIN, "the rest settles", async || left().await == 0).await;
    let all = since.elapsed();
    eprintln!(
        "{kind:?}: {count} left by a killed coordinator, adopted {shares:?}; nine of ten participants' settled after {others:?}, the rest {:?} after the tenth came back",
        all - others
    );
    assert_eq!(shares.iter().sum::<u64>(), count as u64, "each is adopted once");
    assert!(shares.iter().all(|share| *share > 0), "both take part: {shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_coordinator_left_is_adopted_and_settled_on_postgresql() {
    adopted(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_coordinator_left_is_adopted_and_settled_on_mariadb() {
    adopted(Kind::MariaDb).await;
}
