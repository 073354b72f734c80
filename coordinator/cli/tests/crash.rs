//! kill -9 in the middle: everything accepted settles, and every unit of stock is accounted for.

use serde_json::Value;
use tokio::sync::mpsc;
use trine_participants::faults::Faults;

use crate::support::{Coordinator, Http, Shop, purchase};

const TRANSACTIONS: usize = 200;
const SEEDS: [u64; 20] =
    [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946];

/// What an initiator knows when the coordinator is gone.
struct Promise {
    body: Value,
    /// It was told that the transaction is accepted, or more.
    accepted: bool,
    /// It was told that it settled, and how.
    settled: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_loses_no_accepted_transaction_and_leaves_none_half_done() {
    let http = Http::new();
    let mut unacknowledged = 0;
    let mut left_unfinished = 0;
    for seed in SEEDS {
        let (unknown, unfinished) = one_round(&http, seed).await;
        unacknowledged += unknown;
        left_unfinished += unfinished;
    }
    eprintln!(
        "killed {} times: {unacknowledged} without an answer, {left_unfinished} accepted and unfinished",
        SEEDS.len()
    );
    // A round in which nothing was under way shows nothing.
    assert!(left_unfinished > TRANSACTIONS, "too little was under way when the coordinator was killed");
}

/// One kill; how many initiators had no answer, and how many accepted transactions were unfinished.
async fn one_round(http: &Http, seed: u64) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    // Not enough for all: some are refused.
    shop.stock(http, "A-1", TRANSACTIONS as i64).await;
    let slow = Faults { delay_ms: random.u64(5..60), error_rate: 0.05, ..Faults::default() };
    shop.inventory.faults().set(slow.clone());
    shop.order.faults().set(slow);

    let db = folder.path().join("trine.db");
    let coordinator = Coordinator::start(&db).await;
    let url = coordinator.url().to_owned();
    let (answered, mut answers) = mpsc::unbounded_channel();
    let initiators: Vec<_> = (0..TRANSACTIONS)
        .map(|number| {
            let pattern = ["saga", "tcc", "two_phase"][number % 3];
            let body = purchase(&shop, pattern, &format!("order-{seed}-{number}"), "A-1", random.u32(1..4));
            // Some only want to know that it is accepted, some wait for the outcome.
            let wait = if random.bool() { 0 } else { 30 };
            let (http, url, answered) = (http.clone(), url.clone(), answered.clone());
            tokio::spawn(async move {
                let answer = http.create(&url, &body, wait).await.ok();
                let _ = answered.send(());
                let accepted = answer.as_ref().is_some_and(|(status, _)| matches!(status, 200 | 202));
                let settled = answer.filter(|(status, _)| *status == 200);
                let settled = settled.and_then(|(_, body)| body["status"].as_str().map(str::to_owned));
                Promise { body, accepted, settled }
            })
        })
        .collect();
    for _ in 0..random.usize(1..TRANSACTIONS) {
        answers.recv().await;
    }
    coordinator.kill().await;
    let mut promises = Vec::new();
    for initiator in initiators {
        promises.push(initiator.await.expect("an initiator does not panic"));
    }
    shop.inventory.faults().clear();
    shop.order.faults().clear();

    let coordinator = Coordinator::start(&db).await;
    let unfinished = settle_all(http, coordinator.url(), &promises).await;
    let sold = shop.assert_conserved(http).await;
    assert!(sold <= TRANSACTIONS as i64);
    assert_eq!(coordinator.terminate().await, Some(0));
    (promises.iter().filter(|promise| !promise.accepted).count(), unfinished)
}

/// Nothing accepted is missing, nothing settled changed; everything known settles by itself. Returns how many
/// accepted transactions were not known to be settled.
async fn settle_all(http: &Http, url: &str, promises: &[Promise]) -> usize {
    let mut unfinished = 0;
    for promise in promises {
        let gid = promise.body["gid"].as_str().expect("the tests choose gids");
        let (status, found) = http.get(&format!("{url}/v1/transactions/{gid}")).await;
        if status == 404 {
            assert!(!promise.accepted, "{gid} was accepted and is gone");
            continue;
        }
        assert_eq!(status, 200, "{found}");
        if promise.accepted && promise.settled.is_none() {
            unfinished += 1;
        }
        // The same request again does not create anything: it waits for what is there.
        let (status, answer) = http.create(url, &promise.body, 60).await.expect("the coordinator is up");
        assert_eq!(status, 200, "{gid} did not settle: {answer}");
        if let Some(settled) = &promise.settled {
            assert_eq!(answer["status"], *settled, "{gid} was told to be {settled}");
        }
    }
    unfinished
}
