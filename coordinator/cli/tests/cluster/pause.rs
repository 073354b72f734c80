//! A coordinator that is paused for so long that it is taken for dead, and wakes up again.

use tokio::sync::mpsc;
use trine_testkit::process;

use super::load::{World, eventually};
use super::pack::{Kind, Pack, through_proxy};

const TRANSACTIONS: usize = 480;

async fn paused(kind: Kind) {
    let world = World::start(TRANSACTIONS).await;
    let pack = Pack::start(&kind.fresh(), 3).await;
    world.be_flaky(60);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let load = world.load(&pack.urls(), "pause", TRANSACTIONS, ended);
    for _ in 0..TRANSACTIONS / 4 {
        ends.recv().await;
    }
    let paused = pack.one(0).pid();
    process::stop(paused);
    // On a busy machine it may be paused at a moment in which it owns nothing unfinished.
    while pack.seen(&world.http, 1, 0).await["unfinished"] == 0 {
        process::cont(paused);
        ends.recv().await.expect("some transactions are still to come");
        process::stop(paused);
    }
    eventually("the others take it for dead", async || pack.seen(&world.http, 1, 0).await["alive"] == false)
        .await;
    eventually("the others adopt all of it", async || pack.seen(&world.http, 1, 0).await["unfinished"] == 0)
        .await;
    for _ in 0..TRANSACTIONS / 8 {
        ends.recv().await;
    }
    process::cont(paused);
    eventually("it notices", async || pack.metric(&world.http, 0, "trine_lapses_total").await >= 1).await;
    eventually("it is alive again", async || pack.seen(&world.http, 1, 0).await["alive"] == true).await;
    let promises = load.await.expect("the load does not panic");
    world.be_good();
    let (committed, rolled_back) = world.assert_whole(&pack.url(0), &promises).await;
    eprintln!("{kind:?}: {committed} committed, {rolled_back} rolled back");
    for place in 0..3 {
        eventually("nobody keeps what is settled", async || {
            pack.metric(&world.http, place, "trine_residents").await == 0
        })
        .await;
    }
}

/// Its participants can be reached, its database cannot: it must not act on what it remembers.
async fn cut_off(kind: Kind) {
    let world = World::start(TRANSACTIONS).await;
    let store = kind.fresh();
    let (proxy, through) = through_proxy(&store);
    let pack = Pack::start_on(vec![through, store.clone(), store], &[("TRINE_STORE_TIMEOUT", "2s")]).await;
    world.be_flaky(30);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let load = world.load(&pack.urls(), "cut", TRANSACTIONS, ended);
    for _ in 0..TRANSACTIONS / 4 {
        ends.recv().await;
    }
    proxy.black_hole(true);
    eventually("the others adopt what it owned", async || {
        let seen = pack.seen(&world.http, 1, 0).await;
        seen["alive"] == false && seen["unfinished"] == 0
    })
    .await;
    let ready = world.http.get(&format!("{}/readyz", pack.url(0))).await.0;
    assert_eq!(ready, 503, "it says that it is ready");
    let called = calls_made(&pack, &world, 0).await;
    for _ in 0..TRANSACTIONS / 8 {
        ends.recv().await;
    }
    assert_eq!(calls_made(&pack, &world, 0).await, called, "it made calls while it was cut off");
    proxy.black_hole(false);
    proxy.cut();
    eventually("it is alive again", async || pack.seen(&world.http, 1, 0).await["alive"] == true).await;
    let promises = load.await.expect("the load does not panic");
    world.be_good();
    world.assert_whole(&pack.url(0), &promises).await;
    assert!(pack.metric(&world.http, 0, "trine_lapses_total").await >= 1);
}

/// Calls that were made and have ended, of any op.
async fn calls_made(pack: &Pack, world: &World, place: usize) -> u64 {
    let text = world.http.text(&format!("{}/metrics", pack.url(place))).await;
    let made =
        text.lines().filter(|line| line.starts_with("trine_calls_total{") && !line.contains("not_sent"));
    made.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_cut_off_from_its_database_makes_no_calls_and_lets_go() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        cut_off(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_coordinator_does_no_harm_when_it_wakes_on_postgresql() {
    paused(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_coordinator_does_no_harm_when_it_wakes_on_mariadb() {
    paused(Kind::MariaDb).await;
}
