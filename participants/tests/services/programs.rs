//! Starting and stopping, inside this process and as programs.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use trine_participants::{Config, Location, order};
use trine_sdk::Op;

use crate::support::{call, get, http, three};

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
