//! What the compose file describes, without containers: PostgreSQL, three coordinators with the arguments they have there,
//! nginx with the shipped configuration, and the two services, each with a MariaDB database, registered through it. Only
//! addresses differ, and MariaDB stands in for MySQL.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use trine_participants::Location;
use trine_testkit::nginx::Nginx;
use trine_testkit::ports::free_port;
use trine_testkit::{mariadb, postgres, wait};

use super::compose::Compose;
use super::nginx_config;
use crate::support::{Coordinator, Http, Shop, trine};

const CLIENTS: usize = 12;
const EACH: usize = 30;
const SETTLES_MAX: Duration = Duration::from_secs(60);

/// Everything that runs. What is dropped first comes first.
struct Topology {
    shop: Shop,
    nginx: Nginx,
    url: String,
    coordinators: BTreeMap<String, Coordinator>,
    store: String,
    folder: tempfile::TempDir,
}

impl Topology {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = tokio::task::spawn_blocking(|| postgres::shared().fresh_database());
        let store = store.await.expect("PostgreSQL starts");
        let compose = Compose::read();
        let mut coordinators = BTreeMap::new();
        for service in compose.coordinators() {
            let one = coordinator(folder.path(), &store, service.name, "127.0.0.1:0").await;
            coordinators.insert(service.name.to_owned(), one);
        }
        let listen = free_port();
        let addresses: Vec<_> =
            coordinators.iter().map(|(name, one)| (name.clone(), one.addr().to_owned())).collect();
        let config = nginx_config(listen, &addresses);
        let nginx = tokio::task::spawn_blocking(move || Nginx::start(&config)).await.expect("nginx starts");
        let url = format!("http://127.0.0.1:{listen}");
        let databases = tokio::task::spawn_blocking(|| [(); 2].map(|()| mariadb::shared().fresh_database()));
        let [order, inventory] = databases.await.expect("MariaDB starts").map(Location::MySql);
        let shop = Shop::start_in(order, inventory, std::slice::from_ref(&url)).await;
        Self { shop, nginx, url, coordinators, store, folder }
    }

    fn take(&mut self, name: &str) -> Coordinator {
        self.coordinators.remove(name).expect("it runs")
    }

    /// Starts one again, where it was.
    async fn start_again(&mut self, name: &str, addr: &str) {
        let one = coordinator(self.folder.path(), &self.store, name, addr).await;
        self.coordinators.insert(name.to_owned(), one);
    }

    /// What the others say of a coordinator: alive, and how many it owns.
    async fn standing(&self, http: &Http, name: &str) -> (bool, u64) {
        let (status, list) = http.get(&format!("{}/v1/admin/coordinators", self.url)).await;
        assert_eq!(status, 200, "{list}");
        let all = list["coordinators"].as_array().expect("a list");
        let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {list}"));
        (one["alive"] == true, one["unfinished"].as_u64().expect("a number"))
    }

    /// What nginx has logged.
    fn log(&self) -> String {
        std::fs::read_to_string(self.nginx.folder().join("log")).expect("nginx has a log")
    }
}

/// A coordinator with the arguments it has in the compose file.
async fn coordinator(folder: &Path, store: &str, name: &str, addr: &str) -> Coordinator {
    let compose = Compose::read();
    let arguments: Vec<String> = compose.service(name).words("command");
    let arguments: Vec<&str> =
        arguments.iter().map(|word| if word == "0.0.0.0:36789" { addr } else { word }).collect();
    // Shorter than shipped, so that the test does not wait for long.
    let quick = [
        ("TRINE_STORE_URL", store),
        ("TRINE_STORE_LAPSE_AFTER", "4s"),
        ("TRINE_STORE_HEARTBEAT_EVERY", "1s"),
    ];
    Coordinator::launch(folder, &arguments, &quick).await
}

/// A purchase of one unit, by the names the services have registered.
fn purchase(pattern: &str, gid: &str) -> Value {
    let payload = json!({"sku": "A-1", "quantity": 1});
    json!({
        "gid": gid,
        "pattern": pattern,
        "options": {"retry": {"initial": "20ms", "max_interval": "200ms"}, "call_timeout": "5s"},
        "branches": [
            {"id": "stock", "url": "inventory:/stock/branch", "payload": payload},
            {"id": "order", "url": "order:/orders/branch", "payload": payload},
        ],
    })
}

/// Clients that buy one unit after the other through nginx, and tell each answer.
fn shoppers(url: &str, round: &str) -> mpsc::UnboundedReceiver<Result<(u16, Value), String>> {
    let (tell, answers) = mpsc::unbounded_channel();
    for client in 0..CLIENTS {
        let (url, round, tell) = (url.to_owned(), round.to_owned(), tell.clone());
        tokio::spawn(async move {
            let http = Http::new();
            for number in 0..EACH {
                let pattern = ["saga", "tcc", "two_phase"][number % 3];
                let body = purchase(pattern, &format!("{round}-{client}-{number}"));
                let mut answer = http.create(&url, &body, 60).await;
                // Who waits at a coordinator that is stopped is told that it goes on elsewhere, and asks again.
                if answer.as_ref().is_ok_and(|(status, _)| *status == 202) {
                    answer = http.create(&url, &body, 60).await;
                }
                if tell.send(answer.map_err(|error| format!("{error:?}"))).is_err() {
                    break;
                }
            }
        });
    }
    answers
}

/// The next so many answers; each is that it is committed.
async fn all_committed(answers: &mut mpsc::UnboundedReceiver<Result<(u16, Value), String>>, count: usize) {
    for _ in 0..count {
        let answer = answers.recv().await.expect("clients go on");
        let (status, body) = answer.unwrap_or_else(|error| panic!("a client saw an error: {error}"));
        assert_eq!((status, &body["status"]), (200, &json!("committed")), "{body}");
    }
}

/// Waits for a condition that needs answers.
async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) -> bool {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| wait::until(SETTLES_MAX, || runtime.block_on(condition())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coordinator_that_dies_or_is_replaced_is_not_noticed_behind_nginx() {
    let http = Http::new();
    let mut topology = Topology::start().await;
    topology.shop.stock(&http, "A-1", 1_000).await;
    for pattern in ["saga", "tcc", "two_phase"] {
        let answer = http.create(&topology.url, &purchase(pattern, pattern), 30).await.expect("an answer");
        assert_eq!((answer.0, &answer.1["status"]), (200, &json!("committed")), "{}", answer.1);
    }

    let mut answers = shoppers(&topology.url, "kill");
    all_committed(&mut answers, CLIENTS * EACH / 3).await;
    let killed = topology.take("coordinator-2");
    let addr = killed.addr().to_owned();
    killed.kill().await;
    all_committed(&mut answers, CLIENTS * EACH - CLIENTS * EACH / 3).await;
    let lapsed = until(|| async { topology.standing(&http, "coordinator-2").await == (false, 0) }).await;
    assert!(lapsed, "{:?}", topology.standing(&http, "coordinator-2").await);
    let (code, words) = trine(&["coordinators", "--url", &topology.url]).await;
    assert_eq!(code, Some(0));
    assert!(words.contains("coordinator-2  lapsed"), "{words}");

    topology.start_again("coordinator-2", &addr).await;
    assert!(topology.standing(&http, "coordinator-2").await.0);
    let mut answers = shoppers(&topology.url, "replace");
    all_committed(&mut answers, CLIENTS * EACH / 3).await;
    let replaced = topology.take("coordinator-1");
    let addr = replaced.addr().to_owned();
    assert_eq!(replaced.terminate().await, Some(0));
    topology.start_again("coordinator-1", &addr).await;
    all_committed(&mut answers, CLIENTS * EACH - CLIENTS * EACH / 3).await;

    let sold = topology.shop.assert_conserved(&http).await;
    assert_eq!(sold, 3 + 2 * (CLIENTS * EACH) as i64);
    // Otherwise nothing was shown: some requests went to a second coordinator after the first had failed them.
    let again = |line: &&str| line.contains(" 200 ") && line.contains(", 127.0.0.1:");
    assert!(topology.log().lines().filter(again).count() > 0, "{}", topology.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_on_what_trine_says_as_it_is() {
    let http = Http::new();
    let topology = Topology::start().await;
    let url = format!("{}/v1/transactions", topology.url);

    // Without a gid or a key a repetition by nginx would be another transaction: it gives it a key.
    let mut body = purchase("saga", "");
    body.as_object_mut().expect("an object").remove("gid");
    let (_, answer) = http.post(&url, &body).await;
    let gid = answer["gid"].as_str().expect("a gid").to_owned();
    assert!(gid.starts_with("ik.nginx-"), "{gid}");
    assert_ne!(http.post(&url, &body).await.1["gid"], gid.as_str());

    // Trine's own words about what is too large.
    let (status, answer) = http.post(&url, &json!({"gid": "x".repeat(2 << 20)})).await;
    assert_eq!((status, &answer["code"]), (413, &json!("TX0003")), "{answer}");

    // A stream is not held back: its first event arrives while the transaction is waiting.
    let mut waiting = purchase("saga", "waiting");
    waiting["options"]["start_delay"] = json!("1h");
    assert_eq!(http.post(&url, &waiting).await.0, 202);
    let mut stream = http.stream(&format!("{url}/waiting/events")).await;
    let first = stream.chunk().await.expect("a stream").expect("an event");
    assert!(String::from_utf8_lossy(&first).contains("event: created"), "{first:?}");
    assert_eq!(http.post(&format!("{url}/waiting/abort"), &json!({"reason": "tested"})).await.0, 200);
    let rest = stream.text().await.expect("a stream ends when the transaction is settled");
    assert!(rest.contains("event: rolled_back"), "{rest}");

    for (path, healthy) in [("/healthz", Some(0)), ("/readyz", Some(0)), ("/nothing", Some(4))] {
        let (code, words) = trine(&["health", "--url", &topology.url, "--path", path]).await;
        assert_eq!(code, healthy, "{words}");
    }
    let (code, words) =
        trine(&["health", "--url", &topology.shop.order.base_url(), "--path", "/health"]).await;
    assert_eq!(code, Some(0), "{words}");
}
