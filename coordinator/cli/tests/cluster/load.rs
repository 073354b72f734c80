//! Initiators of every pattern, side by side, and what they were promised.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use trine_participants::faults::Faults;
use trine_sdk::{Client, Gid, Message, MessageBranch, Tcc, TccBranch, TwoPhase, TwoPhaseBranch};

use super::shop::Post;
use crate::support::{Http, Shop, purchase};

/// Initiators at work at a time.
const SIDE_BY_SIDE: usize = 24;
/// The stock of a test, in percent of its transactions: they ask for a third more, so the last ones are refused.
const STOCK_PERCENT: usize = 100;
/// How long everything may take to settle once nothing goes wrong any more.
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

/// The services that take part, and a client for each way to ask.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) http: Http,
    pub(crate) shop: Arc<Shop>,
    pub(crate) post: Post,
    _folder: Arc<TempDir>,
}

/// What an initiator knows of one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) gid: String,
    /// It was told that the transaction is accepted, or more.
    pub(crate) accepted: bool,
    /// It was told that it settled, and how.
    pub(crate) settled: Option<String>,
}

impl World {
    /// Order, inventory and post, with stock for `transactions`.
    pub(crate) async fn start(transactions: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let http = Http::new();
        let shop = Shop::start(folder.path()).await;
        shop.stock(&http, "A-1", (transactions * STOCK_PERCENT / 100) as i64).await;
        let post = Post::start(folder.path()).await;
        Self { http, shop: Arc::new(shop), post, _folder: Arc::new(folder) }
    }

    /// Participants fail now and then, before and after their effects.
    pub(crate) fn be_flaky(&self, delay_ms: u64) {
        let faults = Faults { delay_ms, error_rate: 0.05, ..Faults::default() };
        self.shop.inventory.faults().set(faults.clone());
        self.shop.order.faults().set(faults);
        self.post.fail(50);
    }

    pub(crate) fn be_good(&self) {
        self.shop.inventory.faults().clear();
        self.shop.order.faults().clear();
        self.post.fail(0);
    }

    /// Starts so many transactions at the given coordinators (tried in this order, from a random one on). Each end is
    /// told to `ended`.
    pub(crate) fn load(
        &self,
        urls: &[String],
        name: &str,
        transactions: usize,
        ended: mpsc::UnboundedSender<()>,
    ) -> JoinHandle<Vec<Promise>> {
        let (world, urls, name) = (self.clone(), urls.to_vec(), name.to_owned());
        side_by_side(SIDE_BY_SIDE, transactions, ended, move |number| {
            let (world, client, gid) = (world.clone(), client(&urls, number), format!("{name}-{number}"));
            async move { world.initiate(&client, number, gid).await }
        })
    }

    async fn initiate(&self, client: &(Client, Vec<String>), number: usize, gid: String) -> Promise {
        match number % 6 {
            0 => self.declared(client, "saga", gid, number).await,
            1 => self.declared(client, "tcc", gid, number).await,
            2 => self.declared(client, "two_phase", gid, number).await,
            3 => self.open_tcc(&client.0, gid, number).await,
            4 => self.message(&client.0, gid, number).await,
            _ => self.open_two_phase(&client.0, gid, number).await,
        }
    }

    /// Sends the whole transaction again and again until somebody answers for it.
    async fn declared(
        &self,
        (_, urls): &(Client, Vec<String>),
        pattern: &str,
        gid: String,
        number: usize,
    ) -> Promise {
        let mut body = purchase(&self.shop, pattern, &gid, "A-1", 1 + (number % 3) as u32);
        body["options"]["retry"] = json!({"initial": "20ms", "max_interval": "300ms"});
        let mut promise = Promise { gid, accepted: false, settled: None };
        for round in 0..60 {
            let url = &urls[(number + round) % urls.len()];
            let wait = if number.is_multiple_of(2) { 20 } else { 0 };
            if let Ok((status @ (200 | 202), answer)) = self.http.create(url, &body, wait).await {
                promise.accepted = true;
                promise.settled = answer["status"]
                    .as_str()
                    .filter(|_| status == 200 && is_settled(&answer))
                    .map(str::to_owned);
                break;
            }
            pause().await;
        }
        promise
    }

    async fn open_tcc(&self, client: &Client, gid: String, number: usize) -> Promise {
        let mut promise = Promise { gid, accepted: false, settled: None };
        let payload = json!({"sku": "A-1", "quantity": 1});
        let tcc = Tcc::new().gid(&promise.gid).deadline(Duration::from_secs(10));
        let Ok(open) = client.open(tcc).await else { return promise };
        promise.accepted = true;
        let mut ready = true;
        for (id, target) in self.branches() {
            let tried = open.try_branch(TccBranch::new(id).url(target).payload(&payload)).await;
            ready &= tried.is_ok_and(|forward| forward.is_done());
        }
        let decided = if ready && !(number / 6).is_multiple_of(4) {
            open.commit_and_wait(Duration::from_secs(20)).await
        } else {
            open.abort("no need").await
        };
        promise.settled = settled(decided);
        promise
    }

    async fn open_two_phase(&self, client: &Client, gid: String, _number: usize) -> Promise {
        let mut promise = Promise { gid, accepted: false, settled: None };
        let payload = json!({"sku": "A-1", "quantity": 1});
        let two_phase = TwoPhase::new().gid(&promise.gid).deadline(Duration::from_secs(10));
        let Ok(open) = client.open(two_phase).await else { return promise };
        promise.accepted = true;
        let mut ready = true;
        for (id, target) in self.branches() {
            let vote = open.prepare_branch(TwoPhaseBranch::new(id).url(target).payload(&payload)).await;
            ready &= vote.is_ok_and(|forward| forward.is_done());
        }
        let decided =
            if ready { open.commit_and_wait(Duration::from_secs(20)).await } else { open.abort("no").await };
        promise.settled = settled(decided);
        promise
    }

    /// A third of the shops die before they commit, a third before they say that they have.
    async fn message(&self, client: &Client, gid: String, number: usize) -> Promise {
        let mut promise = Promise { gid, accepted: false, settled: None };
        let message = Message::new()
            .gid(&promise.gid)
            .check(format!("{}/check", self.post.url()))
            .check_after(Duration::from_millis(500))
            .branch(MessageBranch::new("pack").deliver(format!("{}/pack", self.post.url())));
        let Ok(open) = client.open(message).await else { return promise };
        promise.accepted = true;
        let third = number / 6 % 3;
        if third == 0 {
            return promise;
        }
        let sent = self.post.send(&Gid::parse(&promise.gid).expect("the tests choose gids")).await;
        if third == 1 && sent.is_ok() {
            promise.settled = settled(open.commit_and_wait(Duration::from_secs(20)).await);
        }
        promise
    }

    fn branches(&self) -> [(&'static str, String); 2] {
        [
            ("stock", format!("{}/stock/branch", self.shop.inventory.base_url())),
            ("order", format!("{}/orders/branch", self.shop.order.base_url())),
        ]
    }

    /// Nothing accepted is missing, everything settles as promised, every effect is there once. Returns how many
    /// committed and how many were rolled back.
    pub(crate) async fn assert_whole(&self, url: &str, promises: &[Promise]) -> (usize, usize) {
        let (mut committed, mut rolled_back) = (0, 0);
        let waiting = async {
            for promise in promises {
                match self.end_of(url, promise).await.as_deref() {
                    Some("committed") => committed += 1,
                    Some(_) => rolled_back += 1,
                    None => {}
                }
            }
        };
        tokio::time::timeout(SETTLE_WITHIN, waiting).await.expect("everything settles in time");
        self.shop.assert_conserved(&self.http).await;
        self.post.assert_delivered_once().await;
        (committed, rolled_back)
    }

    async fn end_of(&self, url: &str, promise: &Promise) -> Option<String> {
        let Promise { gid, accepted, settled } = promise;
        loop {
            let (status, view) = self.http.get(&format!("{url}/v1/transactions/{gid}")).await;
            if status == 404 {
                assert!(!accepted, "{gid} was accepted and is gone");
                return None;
            }
            if status == 200 && is_settled(&view) {
                let end = view["status"].as_str().expect("a status").to_owned();
                assert!(
                    settled.as_ref().is_none_or(|told| *told == end),
                    "{gid}: {settled:?} was told, {end} it is"
                );
                return Some(end);
            }
            pause().await;
        }
    }
}

/// Rounds, and transactions of each; `CHAOS_ROUNDS` and `CHAOS_TRANSACTIONS` make it more.
pub(crate) fn size(transactions: usize) -> (u64, usize) {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    (number("CHAOS_ROUNDS", 1), number("CHAOS_TRANSACTIONS", transactions as u64) as usize)
}

/// Runs so many initiators, `at_a_time` of them side by side. Each end is told to `ended`.
pub(crate) fn side_by_side<T, F>(
    at_a_time: usize,
    count: usize,
    ended: mpsc::UnboundedSender<()>,
    initiate: impl Fn(usize) -> F + Send + 'static,
) -> JoinHandle<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(at_a_time));
        let mut initiators = Vec::new();
        for number in 0..count {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let (ended, initiator) = (ended.clone(), initiate(number));
            initiators.push(tokio::spawn(async move {
                let promise = initiator.await;
                drop(place);
                let _ = ended.send(());
                promise
            }));
        }
        let mut promises = Vec::new();
        for initiator in initiators {
            promises.push(initiator.await.expect("an initiator does not panic"));
        }
        promises
    })
}

/// A client that begins at another coordinator each time.
fn client(urls: &[String], number: usize) -> (Client, Vec<String>) {
    let mut urls = urls.to_vec();
    let first = number % urls.len();
    urls.rotate_left(first);
    let builder = urls.iter().fold(Client::builder(), |builder, url| builder.coordinator(url));
    let builder = builder.retry_for(Duration::from_secs(20)).call_timeout(Duration::from_secs(5));
    (builder.build().expect("a client"), urls)
}

fn is_settled(answer: &Value) -> bool {
    matches!(answer["status"].as_str(), Some("committed" | "rolled_back"))
}

fn settled(answer: Result<trine_protocol::v1::Answer, trine_sdk::Error>) -> Option<String> {
    let status = answer.ok()?.status;
    status.is_settled().then(|| status.to_string())
}

/// An initiator waits a little before it asks again.
pub(crate) async fn pause() {
    // tidy-allow: sleep, the pause of an initiator between two tries
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Asks again and again until it is so.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) {
    eventually_within(Duration::from_secs(60), what, is_so).await;
}

pub(crate) async fn eventually_within(limit: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            pause().await;
        }
    };
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "in vain: {what}");
}
