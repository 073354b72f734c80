//! Both services over real connections, called as the coordinator calls them; and as programs.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use trine_participants::faults::{Crash, Faults};
use trine_participants::{Config, Location, Running, Synchronous, inventory, order};
use trine_sdk::{BranchContext, Op};

/// One request over a connection of its own; `None` when the connection ends without an answer.
async fn http(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((
        status,
        format!("{}{body}", if head.contains("trine-vote: read-only") { "read-only " } else { "" }),
    ))
}

async fn get(addr: SocketAddr, path: &str) -> Value {
    let (status, body) = http(addr, "GET", path, "", "").await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A call of an op, as the coordinator makes it.
async fn call(addr: SocketAddr, gid: &str, op: Op, path: &str, payload: &Value) -> Option<(u16, String)> {
    let context = BranchContext::new(gid.parse().unwrap(), "b".parse().unwrap(), op);
    let headers = format!(
        "trine-gid: {gid}\r\ntrine-branch: b\r\ntrine-op: {op}\r\ntrine-pattern: {}\r\ntrine-attempt: 1\r\n\
         trine-fence: 2\r\n",
        context.pattern
    );
    http(addr, "POST", path, &headers, &payload.to_string()).await
}

async fn done(addr: SocketAddr, gid: &str, op: Op, path: &str, payload: &Value) {
    let (status, body) = call(addr, gid, op, path, payload).await.unwrap();
    assert_eq!(status, 200, "{gid} {op}: {body}");
}

/// Which databases the services of a shop use.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

impl Kind {
    /// A database nobody has used.
    async fn fresh(self, directory: &std::path::Path, file: &str) -> Location {
        match self {
            Self::Sqlite => directory.join(file).into(),
            Self::Postgres => {
                let fresh = || trine_testkit::postgres::shared().fresh_database();
                tokio::task::spawn_blocking(fresh).await.unwrap().parse().unwrap()
            }
            Self::MySql => {
                let fresh = || trine_testkit::mariadb::shared().fresh_database();
                tokio::task::spawn_blocking(fresh).await.unwrap().parse().unwrap()
            }
        }
    }
}

struct Shop {
    inventory: Running,
    order: Running,
    stock: Location,
    _directory: tempfile::TempDir,
}

impl Shop {
    /// Both services, ten units of A-1 on the shelf.
    async fn open(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = |db| Config { synchronous: Synchronous::Off, ..Config::embedded(db) };
        let stock = kind.fresh(directory.path(), "deep/inventory.db").await;
        let inventory = inventory::Service::start(config(stock.clone())).await.unwrap();
        let orders = kind.fresh(directory.path(), "order.db").await;
        let order = order::Service::start(config(orders)).await.unwrap();
        let units = json!({"sku": "A-1", "quantity": 10}).to_string();
        assert_eq!(http(inventory.addr(), "POST", "/stock", "", &units).await.unwrap().0, 201);
        Self { inventory, order, stock, _directory: directory }
    }

    /// Available, frozen and sold units of A-1, all accounted for.
    async fn stock(&self) -> [i64; 3] {
        let summary = get(self.inventory.addr(), "/stock/summary").await;
        assert_eq!(summary["conserved"], true, "{summary}");
        let stock = get(self.inventory.addr(), "/stock/A-1").await;
        ["available", "frozen", "sold"].map(|pile| stock[pile].as_i64().unwrap())
    }

    async fn take(&self, gid: &str, op: Op, path: &str) {
        done(self.inventory.addr(), gid, op, path, &three()).await;
    }
}

fn three() -> Value {
    json!({"sku": "A-1", "quantity": 3})
}

async fn stock_is_frozen_then_sold_or_given_back(kind: Kind) {
    for (forward, confirm, undo) in [
        ((Op::Try, "/stock/try"), (Op::Confirm, "/stock/confirm"), (Op::Cancel, "/stock/cancel")),
        ((Op::Prepare, "/stock/prepare"), (Op::Commit, "/stock/commit"), (Op::Rollback, "/stock/rollback")),
    ] {
        let shop = Shop::open(kind).await;
        shop.take("yes", forward.0, forward.1).await;
        assert_eq!(shop.stock().await, [7, 3, 0]);
        shop.take("yes", confirm.0, confirm.1).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
        shop.take("no", forward.0, forward.1).await;
        assert_eq!(shop.stock().await, [4, 3, 3]);
        shop.take("no", undo.0, undo.1).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
    }
}

async fn a_saga_sells_and_takes_back(kind: Kind) {
    for (action, compensate) in [("/stock/reserve", "/stock/release"), ("/stock/branch", "/stock/branch")] {
        let shop = Shop::open(kind).await;
        shop.take("g", Op::Action, action).await;
        assert_eq!(shop.stock().await, [7, 0, 3]);
        shop.take("g", Op::Compensate, compensate).await;
        assert_eq!(shop.stock().await, [10, 0, 0]);
    }
}

async fn a_delivery_comes_in_once(kind: Kind) {
    let shop = Shop::open(kind).await;
    for _ in 0..2 {
        shop.take("g", Op::Deliver, "/stock/receive").await;
        assert_eq!(shop.stock().await, [13, 0, 0]);
    }
}

async fn short_stock_is_refused_with_the_reason(kind: Kind) {
    let shop = Shop::open(kind).await;
    for (op, path) in
        [(Op::Try, "/stock/try"), (Op::Action, "/stock/reserve"), (Op::Prepare, "/stock/prepare")]
    {
        let wanted = json!({"sku": "A-1", "quantity": 11});
        let (status, body) = call(shop.inventory.addr(), "g", op, path, &wanted).await.unwrap();
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, problem["detail"].as_str().unwrap()), (409, "11 of A-1 wanted, 10 available"));
        let unknown = json!({"sku": "B-2"});
        let (status, body) = call(shop.inventory.addr(), "h", op, path, &unknown).await.unwrap();
        assert!(status == 409 && body.contains("B-2 is not in stock"), "{body}");
    }
    assert_eq!(shop.stock().await, [10, 0, 0]);
}

async fn preparing_nothing_is_a_read_only_vote(kind: Kind) {
    let shop = Shop::open(kind).await;
    let nothing = json!({"sku": "A-1", "quantity": 0});
    for (addr, path) in [(shop.inventory.addr(), "/stock/prepare"), (shop.order.addr(), "/orders/prepare")] {
        let (status, body) = call(addr, "g", Op::Prepare, path, &nothing).await.unwrap();
        assert_eq!((status, body.as_str()), (200, "read-only null"));
    }
}

async fn an_order_is_pending_then_confirmed_or_cancelled(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.order.addr();
    let state =
        async |gid: &str| get(addr, &format!("/orders/{gid}~b")).await["state"].as_str().unwrap().to_owned();
    done(addr, "t1", Op::Try, "/orders/try", &three()).await;
    assert_eq!(state("t1").await, "pending");
    done(addr, "t1", Op::Confirm, "/orders/confirm", &three()).await;
    assert_eq!(state("t1").await, "confirmed");
    done(addr, "t2", Op::Try, "/orders/try", &three()).await;
    done(addr, "t2", Op::Cancel, "/orders/cancel", &three()).await;
    assert_eq!(state("t2").await, "cancelled");
    done(addr, "s1", Op::Action, "/orders/create", &three()).await;
    assert_eq!(state("s1").await, "confirmed");
    done(addr, "s1", Op::Compensate, "/orders/cancel", &three()).await;
    assert_eq!(state("s1").await, "cancelled");
    done(addr, "p1", Op::Prepare, "/orders/branch", &three()).await;
    let summary = get(addr, "/orders/summary").await;
    assert_eq!(summary["pending"], json!({"orders": 1, "quantity": 3}));
    assert_eq!(summary["confirmed"], json!({"orders": 1, "quantity": 3}));
    assert_eq!(summary["cancelled"], json!({"orders": 2, "quantity": 6}));
    assert_eq!(summary["confirmed_by_sku"], json!({"A-1": 3}));
    done(addr, "p1", Op::Rollback, "/orders/branch", &three()).await;
    assert_eq!(state("p1").await, "cancelled");
    assert_eq!(get(addr, "/orders?state=cancelled").await.as_array().unwrap().len(), 3);
    assert_eq!(get(addr, "/orders?gid=t1&limit=5").await[0]["id"], "t1~b");
}

async fn orders_that_are_not_accepted_are_refused(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.order.addr();
    for quantity in [0, 1_001] {
        let order = json!({"sku": "A-1", "quantity": quantity});
        assert_eq!(call(addr, &format!("g{quantity}"), Op::Try, "/orders/try", &order).await.unwrap().0, 409);
    }
    let named = json!({"sku": "A-1", "id": "4711"});
    done(addr, "g1", Op::Action, "/orders/create", &named).await;
    assert_eq!(get(addr, "/orders/4711").await["quantity"], 1);
    assert_eq!(call(addr, "g2", Op::Action, "/orders/create", &named).await.unwrap().0, 409);
    // A payload that is none is a mistake of the initiator's program, not a business "no".
    assert_eq!(call(addr, "g3", Op::Action, "/orders/create", &json!({"quantity": 1})).await.unwrap().0, 400);
}

async fn what_people_get_wrong_is_told(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (inventory, order) = (shop.inventory.addr(), shop.order.addr());
    assert_eq!(http(inventory, "GET", "/stock/none", "", "").await.unwrap().0, 404);
    assert_eq!(http(order, "GET", "/orders/none", "", "").await.unwrap().0, 404);
    assert_eq!(http(order, "GET", "/orders?limit=1001", "", "").await.unwrap().0, 422);
    for stock in [
        json!({"sku": "summary", "quantity": 1}),
        json!({"sku": "A-1", "quantity": -1}),
        json!({"sku": "a/b", "quantity": 1}),
    ] {
        assert_eq!(http(inventory, "POST", "/stock", "", &stock.to_string()).await.unwrap().0, 422);
    }
    for faults in [json!({"error_rate": 1.5}), json!({"delay_ms": 10_000_000}), json!({"no_such_fault": 1})] {
        assert_eq!(http(inventory, "POST", "/faults", "", &faults.to_string()).await.unwrap().0, 422);
    }
    assert_eq!(get(inventory, "/health").await, json!({"service": "inventory", "status": "ok"}));
    assert_eq!(get(inventory, "/faults").await["hang"], false);
}

async fn a_crash_after_the_effect_loses_the_answer_and_nothing_else(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    shop.inventory.faults().set(Faults {
        crash: Some(Crash::AfterEffect),
        remaining: Some(1),
        ..Faults::default()
    });
    assert_eq!(call(addr, "g", Op::Try, "/stock/try", &three()).await, None);
    assert_eq!(shop.stock().await, [7, 3, 0]);
    let (status, output) = call(addr, "g", Op::Try, "/stock/try", &three()).await.unwrap();
    assert_eq!((status, output.contains("\"available\":7")), (200, true), "{output}");
    assert_eq!(shop.stock().await, [7, 3, 0]);
}

async fn a_crash_before_the_effect_has_none(kind: Kind) {
    let shop = Shop::open(kind).await;
    let faults = json!({"crash": "before_effect", "only_path": "/stock/try"}).to_string();
    assert_eq!(http(shop.inventory.addr(), "POST", "/faults", "", &faults).await.unwrap().0, 200);
    assert_eq!(call(shop.inventory.addr(), "g", Op::Try, "/stock/try", &three()).await, None);
    assert_eq!(shop.stock().await, [10, 0, 0]);
    // Other paths are spared.
    shop.take("h", Op::Action, "/stock/reserve").await;
    assert_eq!(http(shop.inventory.addr(), "DELETE", "/faults", "", "").await.unwrap().0, 204);
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [4, 3, 3]);
}

async fn errors_before_and_after_the_effect_are_survived_by_repeating(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.inventory.faults().set(Faults { error_rate: 1.0, remaining: Some(20), ..Faults::default() });
    for _ in 0..20 {
        assert_eq!(call(shop.inventory.addr(), "g", Op::Try, "/stock/try", &three()).await.unwrap().0, 500);
    }
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
}

async fn a_call_that_hangs_goes_on_when_the_fault_is_taken_away(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    shop.inventory.faults().set(Faults { hang: true, remaining: Some(1), ..Faults::default() });
    let hanging = tokio::spawn(async move { call(addr, "g", Op::Try, "/stock/try", &three()).await });
    // The counter says that the call has come in.
    while shop.inventory.faults().get().remaining == Some(1) {
        tokio::task::yield_now().await;
    }
    shop.take("h", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
    shop.inventory.faults().clear();
    assert_eq!(hanging.await.unwrap().unwrap().0, 200);
    assert_eq!(shop.stock().await, [4, 6, 0]);
}

async fn a_service_that_restarts_remembers(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.take("g", Op::Try, "/stock/try").await;
    shop.inventory.faults().set(Faults { hang: true, ..Faults::default() });
    shop.inventory.shutdown().await;
    let config = Config { synchronous: Synchronous::Off, ..Config::embedded(shop.stock.clone()) };
    let inventory = inventory::Service::start(config).await.unwrap();
    let shop = Shop { inventory, ..shop };
    shop.take("g", Op::Try, "/stock/try").await;
    assert_eq!(shop.stock().await, [7, 3, 0]);
    shop.take("g", Op::Confirm, "/stock/confirm").await;
    assert_eq!(shop.stock().await, [7, 0, 3]);
    shop.order.shutdown().await;
}

async fn concurrent_buyers_never_oversell(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    let buyers: Vec<_> = (0..20)
        .map(|buyer| {
            tokio::spawn(async move {
                let gid = format!("g{buyer}");
                let one = json!({"sku": "A-1"});
                let status = call(addr, &gid, Op::Try, "/stock/try", &one).await.unwrap().0;
                let next = if status == 200 {
                    (Op::Confirm, "/stock/confirm")
                } else {
                    (Op::Cancel, "/stock/cancel")
                };
                done(addr, &gid, next.0, next.1, &one).await;
                status
            })
        })
        .collect();
    let mut sold = 0;
    for buyer in buyers {
        sold += i64::from(buyer.await.unwrap() == 200);
    }
    assert_eq!((sold, shop.stock().await), (10, [0, 0, 10]));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let error = order::Service::start(Config::embedded(directory.path())).await.unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
    let first = order::Service::start(Config::embedded(directory.path().join("a.db"))).await.unwrap();
    let taken = Config { http: first.addr(), ..Config::embedded(directory.path().join("b.db")) };
    let error = order::Service::start(taken).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on"), "{error}");
    let nowhere =
        Config { register: vec!["nowhere".into()], ..Config::embedded(directory.path().join("c.db")) };
    assert!(order::Service::start(nowhere).await.is_err());
}

/// Starts a program on a free port and reads its address from what it prints.
async fn program(path: &str, db: &std::path::Path) -> (Child, SocketAddr) {
    let mut child = Command::new(path)
        .args(["--http", "127.0.0.1:0", "--synchronous", "off", "--db"])
        .arg(db)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let addr = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    (child, addr)
}

#[tokio::test]
async fn a_program_ends_on_sigterm_and_on_a_crash_fault() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("order.db");
    let (mut child, addr) = program(env!("CARGO_BIN_EXE_order-service"), &db).await;
    let faults = json!({"crash": "after_effect"}).to_string();
    http(addr, "POST", "/faults", "", &faults).await.unwrap();
    assert_eq!(call(addr, "g", Op::Action, "/orders/create", &three()).await, None);
    assert_eq!(child.wait().await.unwrap().code(), Some(137));

    let (mut child, addr) = program(env!("CARGO_BIN_EXE_order-service"), &db).await;
    assert_eq!(get(addr, "/orders/g~b").await["state"], "confirmed");
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));

    let (_child, addr) =
        program(env!("CARGO_BIN_EXE_inventory-service"), &directory.path().join("i.db")).await;
    assert_eq!(get(addr, "/health").await["service"], "inventory");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let config = Config::embedded("postgres://user:geheim@127.0.0.1:1/none".parse::<Location>().unwrap());
    let error = order::Service::start(config).await.unwrap_err().to_string();
    assert!(error.contains("postgres://127.0.0.1:1/none") && !error.contains("geheim"), "{error}");
}

async fn orders_that_cross_each_other_end(kind: Kind) {
    let shop = Shop::open(kind).await;
    let addr = shop.inventory.addr();
    let calls = (0..24).map(|number| async move {
        let gid = format!("g{}", number % 12);
        let (op, path) =
            if number < 12 { (Op::Action, "/stock/reserve") } else { (Op::Compensate, "/stock/release") };
        let one = json!({"sku": "A-1"});
        while call(addr, &gid, op, path, &one).await.unwrap().0 == 500 {}
    });
    let mut running = tokio::task::JoinSet::new();
    for call in calls {
        running.spawn(call);
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert_eq!(shop.stock().await, [10, 0, 0]);
}

/// One test of each case on each database.
macro_rules! on_each_database {
    ($($case:ident,)*) => {
        on_each_database! { @ sqlite Sqlite: $($case,)* }
        on_each_database! { @ postgres Postgres: $($case,)* }
        on_each_database! { @ mysql MySql: $($case,)* }
    };
    (@ $name:ident $kind:ident: $($case:ident,)*) => {
        mod $name { $(
            #[tokio::test]
            async fn $case() { super::$case(super::Kind::$kind).await; }
        )* }
    };
}

on_each_database! {
    stock_is_frozen_then_sold_or_given_back,
    a_saga_sells_and_takes_back,
    a_delivery_comes_in_once,
    short_stock_is_refused_with_the_reason,
    preparing_nothing_is_a_read_only_vote,
    an_order_is_pending_then_confirmed_or_cancelled,
    orders_that_are_not_accepted_are_refused,
    what_people_get_wrong_is_told,
    a_crash_after_the_effect_loses_the_answer_and_nothing_else,
    a_crash_before_the_effect_has_none,
    errors_before_and_after_the_effect_are_survived_by_repeating,
    a_call_that_hangs_goes_on_when_the_fault_is_taken_away,
    a_service_that_restarts_remembers,
    concurrent_buyers_never_oversell,
    orders_that_cross_each_other_end,
}
