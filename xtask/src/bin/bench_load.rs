//! The initiators of `cargo xtask bench`: each starts a transaction, waits for the answer, and starts the next.
//!
//! Prints one line of JSON at the end. Every answer that is not the expected one is counted and named.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// Kinds of unexpected answers that are counted separately; the rest is counted together.
const ERROR_KINDS_MAX: usize = 10;
const ERROR_TEXT_CHARS_MAX: usize = 160;
/// Pause after an unexpected answer, so that a server that refuses everything is not flooded.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

#[derive(Parser)]
struct Options {
    /// Where to POST
    #[arg(long)]
    url: String,
    /// What to POST
    #[arg(long)]
    body: String,
    /// Concurrent initiators
    #[arg(long, default_value_t = 64)]
    initiators: usize,
    /// Stop after so many seconds
    #[arg(long, conflicts_with = "count", required_unless_present = "count")]
    seconds: Option<u64>,
    /// Stop after so many requests
    #[arg(long)]
    count: Option<u64>,
    /// Which answer counts
    #[arg(long, value_enum)]
    expect: Expect,
    /// Pause of each initiator between two requests
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Expect {
    /// Waited for, and committed
    Committed,
    /// Accepted, not waited for
    Accepted,
}

/// The results of one initiator.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<u64>,
    errors: BTreeMap<String, u64>,
}

/// Hands out permission to start another request.
struct Allowance {
    until: Option<Instant>,
    left: AtomicU64,
}

impl Allowance {
    fn take(&self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Arc::new(Options::parse());
    let client = Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(options.initiators)
        .timeout(Duration::from_secs(60))
        .build()?;
    let started = Instant::now();
    let allowance = Arc::new(Allowance {
        until: options.seconds.map(|seconds| started + Duration::from_secs(seconds)),
        left: AtomicU64::new(options.count.unwrap_or(u64::MAX)),
    });
    let tasks: Vec<_> = (0..options.initiators)
        .map(|_| tokio::spawn(initiate(client.clone(), Arc::clone(&options), Arc::clone(&allowance))))
        .collect();
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await?;
        all.latencies_us.extend(seen.latencies_us);
        for (what, count) in seen.errors {
            all.count_error(what, count);
        }
    }
    println!("{}", all.report(started.elapsed()));
    Ok(())
}

async fn initiate(client: Client, options: Arc<Options>, allowance: Arc<Allowance>) -> Seen {
    let mut seen = Seen::default();
    while allowance.take() {
        let started = Instant::now();
        match request(&client, &options).await {
            Ok(()) => {
                seen.latencies_us.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX))
            }
            Err(what) => {
                seen.count_error(what, 1);
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
        if options.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(options.pause_ms)).await;
        }
    }
    seen
}

/// One transaction; anything but the expected answer is an error that says what came instead.
async fn request(client: &Client, options: &Options) -> Result<(), String> {
    let mut request =
        client.post(&options.url).header("content-type", "application/json").body(options.body.clone());
    if options.expect == Expect::Committed {
        request = request.header("prefer", "wait=30");
    }
    let response = request.send().await.map_err(|error| format!("no answer: {}", kind_of(&error)))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| format!("{status}, body lost: {}", kind_of(&error)))?;
    let expected = match options.expect {
        Expect::Committed => status == StatusCode::OK && is_committed(&body),
        Expect::Accepted => status.is_success(),
    };
    if expected { Ok(()) } else { Err(describe(status, &body)) }
}

fn is_committed(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| value["status"] == "committed")
}

/// Problem documents by their code, other answers by their text.
fn describe(status: StatusCode, body: &[u8]) -> String {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let words = ["code", "title", "status"].iter().filter_map(|key| value[*key].as_str());
    let known = words.collect::<Vec<_>>().join(" ");
    let text = if known.is_empty() { String::from_utf8_lossy(body).into_owned() } else { known };
    format!("{status}: {}", text.chars().take(ERROR_TEXT_CHARS_MAX).collect::<String>())
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn kind_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Seen {
    fn count_error(&mut self, what: String, count: u64) {
        let known = self.errors.contains_key(&what) || self.errors.len() < ERROR_KINDS_MAX;
        *self.errors.entry(if known { what } else { "others".to_owned() }).or_default() += count;
    }

    fn report(mut self, took: Duration) -> Value {
        self.latencies_us.sort_unstable();
        let done = self.latencies_us.len();
        json!({
            "done": done,
            "seconds": took.as_secs_f64(),
            "per_second": done as f64 / took.as_secs_f64(),
            "p50_ms": self.quantile_ms(0.50),
            "p99_ms": self.quantile_ms(0.99),
            "errors": self.errors,
        })
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let index = (last as f64 * quantile).round() as usize;
        self.latencies_us.get(index).map_or(0.0, |&latency| latency as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_committed_transaction_counts_as_committed() {
        assert!(is_committed(br#"{"gid":"a","status":"committed"}"#));
        for body in [r#"{"status":"running"}"#, r#"{"branches":[{"status":"committed"}]}"#, "committed", ""] {
            assert!(!is_committed(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn an_unexpected_answer_is_named_by_its_code() {
        let problem = br#"{"code":"TX0009","title":"Busy","status":503,"detail":"gid 1"}"#;
        assert_eq!(
            describe(StatusCode::SERVICE_UNAVAILABLE, problem),
            "503 Service Unavailable: TX0009 Busy"
        );
        assert_eq!(describe(StatusCode::BAD_GATEWAY, b"oops"), "502 Bad Gateway: oops");
    }

    #[test]
    fn quantiles_and_throughput_come_from_the_latencies() {
        let seen = Seen { latencies_us: (1..=1000).rev().collect(), errors: BTreeMap::new() };
        let report = seen.report(Duration::from_secs(2));
        assert_eq!(report["per_second"], 500.0);
        assert_eq!(report["p99_ms"], 0.99);
    }

    #[test]
    fn an_allowance_ends_by_count_or_by_time() {
        let two = Allowance { until: None, left: AtomicU64::new(2) };
        assert_eq!([two.take(), two.take(), two.take()], [true, true, false]);
        let over = Allowance { until: Some(Instant::now()), left: AtomicU64::new(2) };
        assert!(!over.take());
    }
}
