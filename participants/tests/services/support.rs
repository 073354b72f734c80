//! The services under test, and calls of them over real connections.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use trine_participants::{Config, Location, Running, Synchronous, inventory, order};
use trine_sdk::{BranchContext, Op};

/// One request over a connection of its own; `None` when the connection ends without an answer.
pub(crate) async fn http(
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

pub(crate) async fn get(addr: SocketAddr, path: &str) -> Value {
    let (status, body) = http(addr, "GET", path, "", "").await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A call of an op, as the coordinator makes it.
pub(crate) async fn call(
    addr: SocketAddr,
    gid: &str,
    op: Op,
    path: &str,
    payload: &Value,
) -> Option<(u16, String)> {
    let context = BranchContext::new(gid.parse().unwrap(), "b".parse().unwrap(), op);
    let headers = format!(
        "trine-gid: {gid}\r\ntrine-branch: b\r\ntrine-op: {op}\r\ntrine-pattern: {}\r\ntrine-attempt: 1\r\n\
         trine-fence: 2\r\n",
        context.pattern
    );
    http(addr, "POST", path, &headers, &payload.to_string()).await
}

pub(crate) async fn done(addr: SocketAddr, gid: &str, op: Op, path: &str, payload: &Value) {
    let (status, body) = call(addr, gid, op, path, payload).await.unwrap();
    assert_eq!(status, 200, "{gid} {op}: {body}");
}

/// Which databases the services of a shop use.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

impl Kind {
    /// A database nobody has used.
    pub(crate) async fn fresh(self, directory: &std::path::Path, file: &str) -> Location {
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

pub(crate) struct Shop {
    pub(crate) inventory: Running,
    pub(crate) order: Running,
    pub(crate) stock: Location,
    _directory: tempfile::TempDir,
}

impl Shop {
    /// Both services, ten units of A-1 on the shelf.
    pub(crate) async fn open(kind: Kind) -> Self {
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
    pub(crate) async fn stock(&self) -> [i64; 3] {
        let summary = get(self.inventory.addr(), "/stock/summary").await;
        assert_eq!(summary["conserved"], true, "{summary}");
        let stock = get(self.inventory.addr(), "/stock/A-1").await;
        ["available", "frozen", "sold"].map(|pile| stock[pile].as_i64().unwrap())
    }

    pub(crate) async fn take(&self, gid: &str, op: Op, path: &str) {
        done(self.inventory.addr(), gid, op, path, &three()).await;
    }
}

pub(crate) fn three() -> Value {
    json!({"sku": "A-1", "quantity": 3})
}
