//! What goes wrong on the way to a database server: answers that are lost, connections that break, silence.

use std::sync::Arc;
use std::time::Duration;

use trine_testkit::mariadb;
use trine_testkit::proxy::Proxy;

use super::{Database, KINDS, Server, heartbeat, is_doubtful};
use crate::suite::fixture::{Tx, append, create, gid, seqs};
use crate::{HeartbeatAnswer, Options, Store, StoreError, open};

/// A database behind a proxy.
struct Behind {
    proxy: Proxy,
    database: Database,
    options: Options,
}

fn behind(kind: fn() -> Database) -> Behind {
    let database = kind();
    let port = match database.server {
        Server::Postgres(server) => server.port(),
        Server::MariaDb(server) => server.port(),
    };
    let proxy = Proxy::start(port);
    let mut url = database.url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    if mariadb::is_mysql() && matches!(database.server, Server::MariaDb(_)) {
        // MySQL offers TLS by itself, and the proxy must read what is said.
        url.push_str("?ssl-mode=disabled");
    }
    Behind { proxy, options: Options::new(&url, "a"), database }
}

impl Behind {
    /// A store that has written over its connection before.
    async fn store(&self) -> Arc<dyn Store> {
        let store = open(&self.options).await.unwrap();
        create(&*store, &[&Tx::new("before")]).await;
        store
    }

    /// What stands in the message that commits a batch of this gid.
    fn commit_of(&self, gid: &str) -> Vec<u8> {
        match self.database.server {
            Server::Postgres(_) => gid.as_bytes().to_vec(),
            Server::MariaDb(_) => gid.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_acknowledgement_is_lost_is_doubtful_and_there() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = behind.store().await;
        for round in 0..10 {
            let name = format!("lost-{round}");
            behind.proxy.eat_answer_to(&behind.commit_of(&name));
            let result = store.append(0, Tx::new(&name).batch([1, 2])).await;
            assert!(is_doubtful(&result), "{:?}: {result:?}", behind.database.server);
            assert_eq!(seqs(&*store, &name).await, [1, 2]);
        }
        assert_eq!(behind.proxy.hits(), 10);
        create(&*store, &[&Tx::new("after")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_is_doubtful_and_not_there() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = behind.store().await;
        for round in 0..10 {
            let name = format!("cut-{round}");
            behind.proxy.cut_before(&behind.commit_of(&name));
            let result = store.append(0, Tx::new(&name).batch([1, 2])).await;
            assert!(is_doubtful(&result), "{:?}: {result:?}", behind.database.server);
            assert!(seqs(&*store, &name).await.is_empty());
            append(&*store, Tx::new(&name).batch([1, 2])).await;
        }
        assert_eq!(behind.proxy.hits(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_replaced_without_anybody_noticing_who_reads() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = behind.store().await;
        for _ in 0..5 {
            assert_eq!(seqs(&*store, "before").await, [1]);
            assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
            behind.proxy.cut();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_and_the_batch_is_doubtful() {
    for kind in KINDS {
        let mut behind = behind(kind);
        behind.options = Options { timeout_ms: 300, lapse_after_ms: 900, ..behind.options };
        let store = behind.store().await;
        behind.proxy.black_hole(true);
        assert!(is_doubtful(&store.append(0, Tx::new("tx").batch([1])).await));
        assert!(matches!(store.heartbeat().await, Err(StoreError::Unavailable(_))));
        behind.proxy.black_hole(false);
        behind.proxy.cut();
        append(&*store, Tx::new("after").batch([1])).await;
        assert!(store.heartbeat().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_waited_for() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = behind.store().await;
        behind.proxy.delay(Duration::from_millis(150));
        append(&*store, Tx::new("tx").batch([1, 2])).await;
        assert_eq!(seqs(&*store, "tx").await, [1, 2]);
    }
}

/// A call that is cancelled in the middle must not leave a lock or an open database transaction to the next call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_cancelled_calls_through_a_proxy_lose_no_acknowledged_write() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        let mut acknowledged = Vec::new();
        for i in 0..500 {
            let tx = Tx::new(&format!("tx-{i}"));
            let task = tokio::spawn(store.append(i, tx.batch([1, 2])));
            let read = tokio::spawn(store.records(gid("tx-0"), 0));
            if i % 3 == 0 {
                tokio::task::yield_now().await;
            }
            task.abort();
            read.abort();
            if matches!(task.await, Ok(Ok(_))) {
                acknowledged.push(i);
            }
            if i % 50 == 0 {
                behind.proxy.cut();
            }
            if i % 10 == 0 {
                let name = format!("waited-{i}");
                if store.append(i, Tx::new(&name).batch([1])).await.is_ok() {
                    assert_eq!(seqs(&*store, &name).await, [1]);
                }
            }
        }
        for i in 0..500 {
            let found = seqs(&*store, &format!("tx-{i}")).await;
            assert!(found == [1, 2] || (found.is_empty() && !acknowledged.contains(&i)), "{found:?}");
        }
    }
}
