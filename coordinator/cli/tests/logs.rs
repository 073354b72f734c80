//! Whoever reads the log may stand still: the coordinator works on, and stops when it is told to.

use std::time::Duration;

use serde_json::json;

use crate::support::{Coordinator, Http};

/// Each logs some 300 bytes: together they are far more than a pipe holds (64 KiB).
const TRANSACTIONS: usize = 600;
/// For what a log that is not read would hold up for ever.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_neither_answers_nor_the_exit() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let db = folder.path().join("trine.db");
    let coordinator = Coordinator::start_unread(&db, &[("TRINE_LOG_FILTER", "debug")]).await;
    let url = format!("{}/v1/transactions", coordinator.url());
    let work = async {
        for number in 0..TRANSACTIONS {
            let body = json!({"gid": format!("g-{number}"), "pattern": "tcc", "open": true});
            assert_eq!(http.post(&url, &body).await.0, 202);
            let (status, answer) = http.post(&format!("{url}/g-{number}/abort"), &json!({})).await;
            assert_eq!((status, &answer["status"]), (200, &json!("rolled_back")), "{answer}");
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("requests are answered although nobody reads");
    let exit = tokio::time::timeout(PATIENCE, coordinator.terminate()).await;
    assert_eq!(exit.expect("it ends although nobody reads"), Some(0));
}
