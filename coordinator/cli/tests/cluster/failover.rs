//! Databases whose primary is lost under load: PostgreSQL with a synchronous standby, and a Galera cluster behind one
//! writer endpoint.

use std::process::Stdio;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use trine_testkit::mariadb::Galera;
use trine_testkit::postgres::Pair;
use trine_testkit::proxy::Proxy;

use super::load::World;
use super::pack::Pack;
use crate::support::program;

const TRANSACTIONS: usize = 900;

/// Runs a load at three coordinators and loses the primary in the middle of it.
async fn lose(what: &str, store: &str, world: World, lose_primary: impl FnOnce() + Send + 'static) {
    let pack = Pack::start_with(store, 3, &[("TRINE_STORE_TIMEOUT", "5s")]).await;
    world.be_flaky(2);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let load = world.load(&pack.urls(), "failover", TRANSACTIONS, ended);
    for _ in 0..TRANSACTIONS / 3 {
        ends.recv().await;
    }
    tokio::task::spawn_blocking(lose_primary).await.expect("the primary is lost");
    #[expect(clippy::disallowed_methods, reason = "only measured, and only told")]
    let since = Instant::now();
    // What had ended before is not what is looked for.
    while ends.try_recv().is_ok() {}
    ends.recv().await;
    let gap = since.elapsed();
    let promises = load.await.expect("the load does not panic");
    world.be_good();
    let accepted = promises.iter().filter(|promise| promise.accepted).count();
    let (committed, rolled_back) = world.assert_whole(&pack.url(0), &promises).await;
    eprintln!(
        "{what}: {accepted} of {TRANSACTIONS} accepted, {committed} committed, {rolled_back} rolled back, first end \
         {gap:?} after the new primary was there"
    );
    assert!(accepted > TRANSACTIONS * 9 / 10, "too little was accepted to show anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_everything_that_was_acknowledged() {
    let pair = tokio::task::spawn_blocking(Pair::start).await.expect("a pair");
    let store = pair.fresh_database();
    let world = World::start(TRANSACTIONS).await;
    let pair = std::sync::Arc::new(pair);
    let lost = std::sync::Arc::clone(&pair);
    lose("PostgreSQL", &store, world, move || {
        lost.kill_primary();
        lost.promote_standby();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_galera_cluster_that_lost_its_writer_has_everything_that_was_acknowledged() {
    let cluster = std::sync::Arc::new(tokio::task::spawn_blocking(Galera::start).await.expect("a cluster"));
    let writer = std::sync::Arc::new(Proxy::start(cluster.node(0).port()));
    let database = cluster.fresh_database();
    let direct = cluster.url(0, &database);
    let store = direct.replace(&format!(":{}/", cluster.node(0).port()), &format!(":{}/", writer.port()));
    let world = World::start(TRANSACTIONS).await;
    let (lost, moved) = (std::sync::Arc::clone(&cluster), std::sync::Arc::clone(&writer));
    lose("Galera", &store, world, move || {
        lost.kill(0);
        lost.wait_for_size(2);
        moved.set_upstream(lost.node(1).port());
        moved.cut();
    })
    .await;
    refuses_a_second_writer(&cluster.url(1, &database), &cluster.url(2, &database)).await;
}

/// Two coordinators must not write to two nodes of one cluster, unless somebody says that they may.
async fn refuses_a_second_writer(one: &str, other: &str) {
    let _first = Pack::start(one, 1).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = |allow: &str| {
        let mut command = program();
        command.args(["serve", "--name", "second", "--store", other]);
        command.env("TRINE_STORE_ALLOW", allow).current_dir(folder.path());
        command
    };
    let refused = serve("").output().await.expect("trine is built with the tests");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("galera_multi_writer"), "{said}");
    assert!(!said.contains("password"), "{said}");
    let mut allowed = serve("galera_multi_writer").stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(allowed.stdout.take().expect("stdout is piped")).lines();
    let line = lines.next_line().await.expect("stdout is text").unwrap_or_default();
    assert!(line.contains("listening"), "{line}");
}
