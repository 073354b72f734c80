//! dtm's clients as they are published: the programs under `examples/interop`, against coordinators on every store.

mod clients;

use std::collections::BTreeMap;

use trine_testkit::{mariadb, ports, postgres};

use crate::support::Coordinator;
use clients::{Client, Databases};

#[tokio::test]
async fn the_python_client_works_on_sqlite() {
    works(&Client::python(), Store::Sqlite).await;
}

#[tokio::test]
async fn the_python_client_works_on_postgres() {
    works(&Client::python(), Store::Postgres).await;
}

#[tokio::test]
async fn the_python_client_works_on_mariadb() {
    works(&Client::python(), Store::MariaDb).await;
}

#[tokio::test]
async fn the_go_client_works_on_sqlite() {
    works(&Client::go(), Store::Sqlite).await;
}

#[tokio::test]
async fn the_go_client_works_on_postgres() {
    works(&Client::go(), Store::Postgres).await;
}

#[tokio::test]
async fn the_go_client_works_on_mariadb() {
    works(&Client::go(), Store::MariaDb).await;
}

enum Store {
    Sqlite,
    Postgres,
    MariaDb,
}

/// Runs every scenario of a program against a coordinator of its own; each has to say how it went.
async fn works(client: &Client, store: Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = match store {
        Store::Sqlite => format!("sqlite:{}", folder.path().join("trine.db").display()),
        Store::Postgres => postgres::shared().fresh_database(),
        Store::MariaDb => mariadb::shared().fresh_database(),
    };
    let grpc = format!("127.0.0.1:{}", ports::free_port());
    let arguments = ["serve", "--http", "127.0.0.1:0", "--grpc", &grpc, "--store", &store];
    let coordinator = Coordinator::launch(folder.path(), &arguments, &[]).await;
    let scenarios = client.scenarios().await;
    let verdicts = client.run(&coordinator, &grpc, &Databases::fresh()).await;
    let told: BTreeMap<&str, &str> = verdicts.lines().filter_map(|line| line.split_once(": ")).collect();
    let silent: Vec<_> = scenarios.iter().filter(|name| !told.contains_key(name.as_str())).collect();
    assert!(!scenarios.is_empty() && silent.is_empty(), "left out: {silent:?}\n{verdicts}");
}
