//! The initiators of `cargo xtask bench`. In the closed loop each starts a transaction, waits for the answer, and starts the
//! next. In the open loop transactions start at a fixed rate, and latency counts from the intended start: a server that
//! stalls cannot hide the requests that it held up.
//!
//! Prints one line of JSON at the end. Which answers count is in `answer`, the figures are in `seen`.

mod answer;
mod seen;

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use reqwest::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use answer::{Answer, Expect};
use seen::Seen;

/// Stands in a body for a gid that no other request has.
const GID: &str = "%GID%";
/// Requests of the open loop under way. Further ones start late, and their latency says so.
const IN_FLIGHT_MAX: usize = 20_000;
/// Pause after an unexpected answer, so that a server that refuses everything is not flooded.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

#[derive(Parser)]
struct Options {
    /// Where to POST
    #[arg(long)]
    url: String,
    /// What to POST; several are taken in turn
    #[arg(long, required = true)]
    body: Vec<String>,
    /// Concurrent initiators of the closed loop
    #[arg(long, default_value_t = 64)]
    initiators: usize,
    /// Open loop: start so many requests each second
    #[arg(long)]
    rate: Option<f64>,
    /// Start no request after so many seconds
    #[arg(long, conflicts_with = "count", required_unless_present = "count")]
    seconds: Option<f64>,
    /// Stop after so many requests
    #[arg(long)]
    count: Option<u64>,
    /// Which answer counts
    #[arg(long, value_enum)]
    expect: Expect,
    /// Count answers that refuse for lack of capacity by themselves, and not as errors
    #[arg(long)]
    busy_allowed: bool,
}

/// Sends requests and counts the answers.
struct Sender {
    client: Client,
    url: String,
    bodies: Vec<Vec<String>>,
    expect: Expect,
    busy_allowed: bool,
    run: u64,
    number: AtomicU64,
    seen: Mutex<Seen>,
}

/// Hands out permission to start another request.
struct Allowance {
    until: Option<Instant>,
    left: AtomicU64,
}

impl Allowance {
    fn take(&self, now: Instant) -> bool {
        if self.until.is_some_and(|until| now >= until) {
            return false;
        }
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let client = Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        .timeout(Duration::from_secs(60))
        .build()?;
    let sender = Arc::new(Sender {
        client,
        bodies: options.body.iter().map(|body| parts(body)).collect(),
        url: options.url,
        expect: options.expect,
        busy_allowed: options.busy_allowed,
        run: RandomState::new().build_hasher().finish(),
        number: AtomicU64::new(0),
        seen: Mutex::new(Seen::new()?),
    });
    let started = Instant::now();
    let allowance = Allowance {
        until: options.seconds.map(|seconds| started + Duration::from_secs_f64(seconds)),
        left: AtomicU64::new(options.count.unwrap_or(u64::MAX)),
    };
    match options.rate {
        Some(rate) => open_loop(&sender, &allowance, started, rate).await,
        None => closed_loop(&sender, allowance, options.initiators).await,
    }
    println!("{}", sender.seen().report(started.elapsed()));
    Ok(())
}

async fn closed_loop(sender: &Arc<Sender>, allowance: Allowance, initiators: usize) {
    let allowance = Arc::new(allowance);
    let mut tasks = JoinSet::new();
    for _ in 0..initiators {
        let (sender, allowance) = (Arc::clone(sender), Arc::clone(&allowance));
        tasks.spawn(async move {
            loop {
                let now = Instant::now();
                if !allowance.take(now) {
                    return;
                }
                if !sender.send(now).await {
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        });
    }
    tasks.join_all().await;
}

/// Starts requests at their times, whatever became of earlier ones. The timer counts milliseconds.
async fn open_loop(sender: &Arc<Sender>, allowance: &Allowance, started: Instant, rate: f64) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut tasks = JoinSet::new();
    for number in 0_u32.. {
        let intended = started + Duration::from_secs_f64(f64::from(number) / rate);
        if !allowance.take(intended) {
            break;
        }
        tokio::time::sleep_until(intended.into()).await;
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let sender = Arc::clone(sender);
        tasks.spawn(async move {
            sender.send(intended).await;
            drop(place);
        });
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
}

impl Sender {
    /// Sends one request, and counts its latency since `from`. `false` if the answer was not a wanted one.
    async fn send(&self, from: Instant) -> bool {
        let answer = self.ask().await;
        let latency = from.elapsed();
        let wanted = matches!(answer, Answer::Expected);
        let mut seen = self.seen();
        match answer {
            Answer::Expected => seen.expected(latency),
            Answer::Busy if self.busy_allowed => seen.busy(),
            Answer::Busy => seen.error("busy".to_owned()),
            Answer::Other(what) => seen.error(what),
        }
        wanted
    }

    async fn ask(&self) -> Answer {
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        if self.expect == Expect::Committed {
            request = request.header("prefer", "wait=30");
        }
        let response = match request.body(self.body()).send().await {
            Ok(response) => response,
            Err(error) => return Answer::lost("no answer", &error),
        };
        let status = response.status();
        match response.bytes().await {
            Ok(body) => self.expect.judge(status, &body),
            Err(error) => Answer::lost(&format!("{status}, body lost"), &error),
        }
    }

    /// The next body, with a gid of its own where the body asks for one.
    fn body(&self) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(number).unwrap_or_default() % self.bodies.len();
        self.bodies[turn].join(&format!("{:016x}-{number}", self.run))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The texts between the places of gids.
fn parts(body: &str) -> Vec<String> {
    body.split(GID).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_ends_by_count_or_by_time() {
        let now = Instant::now();
        let two = Allowance { until: None, left: AtomicU64::new(2) };
        assert_eq!([two.take(now), two.take(now), two.take(now)], [true, true, false]);
        let over = Allowance { until: Some(now), left: AtomicU64::new(2) };
        assert!(!over.take(now));
    }

    #[test]
    fn a_gid_is_put_at_every_place_that_asks_for_it() {
        assert_eq!(parts(r#"{"gid":"%GID%","of":"%GID%"}"#).join("g"), r#"{"gid":"g","of":"g"}"#);
        assert_eq!(parts("{}").join("g"), "{}");
    }
}
