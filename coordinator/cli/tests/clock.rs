//! The wall clock of a running coordinator is set, with libfaketime: nothing stands still, and nothing ends early.

#![expect(clippy::disallowed_methods, reason = "how long something took is only measured")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Coordinator, Http};

/// By how many seconds clocks are set.
const JUMPS_S: [i64; 4] = [-3_600, 3_600, -40 * 86_400, 40 * 86_400];
/// Longest look at what has to happen within seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where libfaketime is; `cargo xtask setup` installs it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("there is a /usr/lib").flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is installed: run `cargo xtask setup`")
}

/// A coordinator on a clock that `dial` sets.
async fn start(folder: &Path, dial: &Path) -> Coordinator {
    set(dial, 0);
    let (library, dial) = (library(), dial.display().to_string());
    let variables = [
        ("LD_PRELOAD", library.to_str().expect("a plain path")),
        ("FAKETIME_TIMESTAMP_FILE", &dial),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("TRINE_JOBS_CENSUS", "* * * * * *"),
    ];
    Coordinator::start_with(&folder.join("trine.db"), &variables).await
}

/// Sets the clock that goes by `dial`, which is never seen half written.
fn set(dial: &Path, by_s: i64) {
    let next = dial.with_extension("next");
    std::fs::write(&next, format!("{by_s:+}")).expect("a file");
    std::fs::rename(next, dial).expect("one folder");
}

/// Retries every half second, of what nobody answers.
fn saga(gid: &str, options: &Value) -> Value {
    let mut body = json!({
        "gid": gid,
        "pattern": "saga",
        "options": {"retry": {"initial": "500ms", "max_interval": "500ms", "jitter": 0}},
        "branches": [{"id": "a", "action": "http://127.0.0.1:1/nobody"}],
    });
    for (name, value) in options.as_object().expect("options") {
        body["options"][name] = value.clone();
    }
    body
}

async fn attempts(http: &Http, url: &str, gid: &str) -> u64 {
    let (_, view) = http.get(&format!("{url}/v1/transactions/{gid}")).await;
    view["branches"][0]["ops"][0]["attempts"].as_u64().expect("a count")
}

/// Looks until it is so; each look takes its time at the coordinator.
async fn until(what: &str, http: &Http, url: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} after {:?}", begun.elapsed());
        // Waits for half a second, as a client does.
        let body = json!({"gid": "pace", "pattern": "tcc", "open": true, "branches": []});
        http.post_with(&format!("{url}/v1/transactions"), "wait=0.5", &body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_whose_clock_is_set_goes_on_with_retries_deadlines_waits_and_housekeeping() {
    futures_util::future::join_all(JUMPS_S.map(scene)).await;
}

async fn scene(by_s: i64) {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let dial = folder.path().join("dial");
    let coordinator = start(folder.path(), &dial).await;
    let url = coordinator.url().to_owned();
    let transactions = format!("{url}/v1/transactions");
    http.post(&transactions, &saga("retried", &json!({}))).await;
    let (_, open) = http
        .post(&transactions, &json!({"gid": "open", "pattern": "tcc", "open": true, "options": {"deadline": "8s"}, "branches": []}))
        .await;
    assert_eq!(open["status"], "open", "{open}");
    let opened = Instant::now();
    http.post(&transactions, &json!({"gid": "long", "pattern": "tcc", "open": true, "options": {"deadline": "1h"}, "branches": []})).await;
    until("the first retry", &http, &url, async || attempts(&http, &url, "retried").await >= 2).await;

    let waiting = tokio::spawn({
        let (http, url) = (http.clone(), url.clone());
        async move {
            let begun = Instant::now();
            let (status, _) = http.create(&url, &saga("waited-for", &json!({})), 4).await.expect("an answer");
            (status, begun.elapsed())
        }
    });
    until("the wait begins", &http, &url, async || {
        http.get(&format!("{url}/v1/transactions/waited-for")).await.0 == 200
    })
    .await;
    set(&dial, by_s);

    let before = attempts(&http, &url, "retried").await;
    until("retries go on", &http, &url, async || attempts(&http, &url, "retried").await >= before + 3).await;
    let (status, waited) = waiting.await.expect("an answer");
    assert_eq!(status, 202);
    assert!(
        waited >= Duration::from_secs(4) && waited < Duration::from_secs(20),
        "waited {waited:?}, {by_s}"
    );
    let status_of =
        async |gid: &str| http.get(&format!("{url}/v1/transactions/{gid}")).await.1["status"].clone();
    until("the deadline passes", &http, &url, async || status_of("open").await == "rolled_back").await;
    assert!(opened.elapsed() >= Duration::from_secs(8), "the deadline came early, {by_s}");
    assert_eq!(status_of("long").await, "open", "{by_s}");

    let unfinished = "trine_unfinished{pattern=\"saga\",status=\"running\"} ";
    http.post(&transactions, &saga("new", &json!({}))).await;
    until("the census goes on", &http, &url, async || {
        http.text(&format!("{url}/metrics")).await.contains(&format!("{unfinished}3"))
    })
    .await;
    let counted = http.text(&format!("{url}/metrics")).await;
    let direction = if by_s > 0 { "forward" } else { "back" };
    assert!(counted.contains(&format!("trine_clock_set_total{{direction=\"{direction}\"}} 1")), "{by_s}");
    assert_eq!(coordinator.terminate().await, Some(0));
}
