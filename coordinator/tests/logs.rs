//! Whoever reads the log may stand still: the coordinator works on, stops when it is told to, and says what was lost.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Coordinator, Http};

/// Requests of which each logs some lines; far more than it takes to fill a pipe and the queue.
const REQUESTS_MAX: usize = 50_000;
/// For one answer, or an exit, that a log which is not read would hold up for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator that logs all there is, whose log nobody reads, and that has dropped lines already.
async fn overflowing(folder: &tempfile::TempDir, http: &Http) -> Coordinator {
    let file = folder.path().join("trine.db");
    let coordinator = Coordinator::start_unread(&file, &[("TRINE_LOG_FILTER", "trace")]);
    let coordinator = tokio::time::timeout(PATIENCE, coordinator).await.expect("it says where it listens");
    for _ in 0..REQUESTS_MAX {
        let url = format!("{}/metrics", coordinator.url());
        let metrics = tokio::time::timeout(PATIENCE, http.text(&url)).await.expect("requests are answered");
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("trine_log_lines_dropped_total "));
        if dropped.expect("the metric is there from the start") != "0" {
            return coordinator;
        }
    }
    panic!("no line was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_neither_answers_nor_the_exit() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let coordinator = overflowing(&folder, &http).await;
    let (status, _) = http.get(&format!("{}/readyz", coordinator.url())).await;
    assert_eq!(status, 200);
    let exit = tokio::time::timeout(PATIENCE, coordinator.terminate()).await;
    assert_eq!(exit.expect("it ends although nobody reads"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_read_again_says_how_many_lines_are_missing() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let mut coordinator = overflowing(&folder, &http).await;
    let mut lines = BufReader::new(coordinator.take_log()).lines();
    let told = async {
        loop {
            let line = lines.next_line().await.expect("the log is text").expect("it goes on");
            if line.contains("lines of the log were dropped here") {
                break line;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("it says what was lost");
    let told: serde_json::Value = serde_json::from_str(&told).expect("a line as any other");
    assert_eq!(told["level"], "WARN");
}
