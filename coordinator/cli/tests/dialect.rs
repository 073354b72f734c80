//! kill -9 in the middle of every type of transaction of the dtm dialect, on every store: what was accepted ends, whole or
//! not at all, and what was promised holds.

mod book;
mod initiators;
mod participants;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use trine_testkit::{mariadb, ports, postgres};

use crate::support::{Coordinator, Http};
use book::Book;
use initiators::{Initiator, Promise};
use participants::Participants;

/// Of each type.
const TRANSACTIONS: usize = 16;
const TYPES: [&str; 5] = ["saga", "tcc", "xa", "msg", "workflow"];
const SEEDS: [u64; 2] = [7, 11];

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_every_type_leaves_none_half_done_on_sqlite() {
    rounds(|folder| format!("sqlite:{}", folder.join("trine.db").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_every_type_leaves_none_half_done_on_postgres() {
    rounds(|_| postgres::shared().fresh_database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_every_type_leaves_none_half_done_on_mariadb() {
    rounds(|_| mariadb::shared().fresh_database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_not_called_back_while_its_executor_reports_to_another_coordinator() {
    let store = postgres::shared().fresh_database();
    let folder = tempfile::tempdir().expect("a folder");
    let one = async |name: &str| {
        let variables = [("TRINE_NAME", name), ("TRINE_GRPC_ADDR", "off")];
        Coordinator::serve(&store, "127.0.0.1:0", folder.path(), &variables).await
    };
    let (a, b) = (one("a").await, one("b").await);
    let (executor, mut callbacks) = participants::callbacks().await;
    let http = Http::new();
    let ask = async |coordinator: &Coordinator, path: &str, body: Value| {
        let answer = http.post(&format!("{}/api/dtmsvr/{path}", coordinator.url()), &body).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    };
    let workflow = json!({"gid": "w", "trans_type": "workflow", "retry_interval": 1, "query_prepared": executor,
        "custom_data": r#"{"name":"transfer","data":"e30="}"#});
    ask(&a, "prepareWorkflow", workflow).await;
    for step in 1..12 {
        let progress = json!({"gid": "w", "trans_type": "workflow", "branch_id": format!("{step:02}"),
            "op": "action", "status": "succeed"});
        ask(&b, "registerBranch", progress).await;
        tokio::time::sleep(Duration::from_millis(300)).await; // tidy-allow: sleep, the executor works on a step
    }
    assert!(callbacks.try_recv().is_err(), "it was called back while it reported");
    callbacks.recv().await.expect("it is called back once it is silent");
}

async fn rounds(store: impl Fn(&Path) -> String) {
    let mut unfinished = 0;
    for seed in SEEDS {
        let folder = tempfile::tempdir().expect("a folder");
        unfinished += one_round(&store(folder.path()), folder.path(), seed).await;
    }
    // Rounds in which nothing was under way show nothing.
    assert!(unfinished > 0, "every initiator was done when the coordinator was killed");
}

/// One kill; how many initiators did not get to their end.
async fn one_round(store: &str, folder: &Path, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let http_addr = format!("127.0.0.1:{}", ports::free_port());
    let variables = [
        ("TRINE_STORE_HEARTBEAT_EVERY", "1s"),
        ("TRINE_STORE_LAPSE_AFTER", "3s"),
        ("TRINE_GRPC_ADDR", "off"),
    ];
    let start = || Coordinator::serve(store, &http_addr, folder, &variables);
    let book = Book::new(seed);
    let base = format!("http://{http_addr}/api/dtmsvr");
    let participants = Participants::start(book.clone(), base.clone()).await;
    let coordinator = start().await;

    let (answered, mut answers) = mpsc::unbounded_channel();
    let running: Vec<_> = (0..TRANSACTIONS * TYPES.len())
        .map(|number| {
            let kind = TYPES[number % TYPES.len()];
            let refuses = if random.u8(..) < 80 { "-refused" } else { "" };
            let initiator = Initiator {
                http: Http::new(),
                base: base.clone(),
                branches: participants.url(),
                book: book.clone(),
                gid: format!("{kind}-{seed}-{number}{refuses}"),
            };
            let answered = answered.clone();
            tokio::spawn(async move {
                let promise = initiator.run(kind).await;
                let _ = answered.send(());
                promise
            })
        })
        .collect();
    for _ in 0..random.usize(3..TRANSACTIONS * 2) {
        answers.recv().await;
    }
    coordinator.kill().await;
    let coordinator = start().await;
    let mut promises = Vec::new();
    for initiator in running {
        promises.push(initiator.await.expect("an initiator does not panic"));
    }
    let http = Http::new();
    let mut unfinished = 0;
    for promise in &promises {
        unfinished += usize::from(promise.wanted.is_none());
        check(&http, &base, &book, promise).await;
    }
    eprintln!("seed {seed}: {unfinished} of {} initiators without an answer", promises.len());
    drop(coordinator);
    unfinished
}

/// Waits for a transaction's end, and compares it with what was promised and with what participants did.
async fn check(http: &Http, base: &str, book: &Book, promise: &Promise) {
    let (gid, found) = (&promise.gid, settled(http, base, &promise.gid).await);
    let Some(found) = found else {
        assert!(promise.accepted.is_none(), "{gid} was accepted ({:?}) and is gone", promise.accepted);
        return;
    };
    let status = found["transaction"]["status"].as_str().unwrap_or_default();
    if let Some(wanted) = promise.wanted {
        assert_eq!(status, wanted, "{gid}: {found}");
    }
    book.check(gid, status == "succeed");
    for step in &promise.recorded {
        let kept = found["branches"].as_array().expect("a list").iter();
        let kept = kept.filter(|row| row["branch_id"] == step.0 && row["op"] == step.1).count();
        assert_eq!(kept, 1, "{gid}: {step:?} was recorded: {found}");
    }
}

/// A transaction once it has ended; none when there is no such one.
async fn settled(http: &Http, base: &str, gid: &str) -> Option<Value> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let (status, found) = http.get(&format!("{base}/query?gid={gid}")).await;
        assert_eq!(status, 200, "{found}");
        match found["transaction"]["status"].as_str() {
            None => return None,
            Some("succeed" | "failed") => return Some(found),
            Some(_) => assert!(tokio::time::Instant::now() < deadline, "{gid} does not end: {found}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // tidy-allow: sleep, between two looks at the condition
    }
}
