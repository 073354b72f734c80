//! A coordinator that is paused for so long that it is taken for dead, and wakes up again.

use tokio::sync::mpsc;
use trine_testkit::process;

use super::load::{World, eventually};
use super::pack::{Kind, Pack};

const TRANSACTIONS: usize = 900;

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
    let adopted = pack.metric(&world.http, 1, "trine_adopted_total").await
        + pack.metric(&world.http, 2, "trine_adopted_total").await;
    eprintln!("{kind:?}: {adopted} adopted, {committed} committed, {rolled_back} rolled back");
    assert!(adopted > 0, "nothing was under way when it was paused");
    for place in 0..3 {
        eventually("nobody keeps what is settled", async || {
            pack.metric(&world.http, place, "trine_residents").await == 0
        })
        .await;
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
