//! Three coordinators behind a load balancer, one of them killed again and again, participants that fail.

use tokio::sync::mpsc;

use super::load::{World, size};
use super::pack::{Kind, Pack};

/// Ends of transactions between two kills, on average.
const BETWEEN_KILLS: usize = 150;

async fn rounds(kind: Kind) {
    let (rounds, transactions) = size(2_000);
    for seed in 1..=rounds {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::start(transactions).await;
        let mut pack = Pack::start(&kind.fresh(), 3).await;
        let (_nginx, url) = pack.balanced();
        world.be_flaky(random.u64(1..10));
        let (ended, mut ends) = mpsc::unbounded_channel();
        let load = world.load(std::slice::from_ref(&url), &format!("chaos-{seed}"), transactions, ended);
        let (mut kills, mut since) = (0, 0);
        let mut until = random.usize(BETWEEN_KILLS / 2..BETWEEN_KILLS * 3 / 2);
        while ends.recv().await.is_some() {
            since += 1;
            if since >= until {
                (since, until) = (0, random.usize(BETWEEN_KILLS / 2..BETWEEN_KILLS * 3 / 2));
                let place = random.usize(0..3);
                pack.kill(place).await;
                pack.start_one(place).await;
                kills += 1;
            }
        }
        let promises = load.await.expect("the load does not panic");
        world.be_good();
        let accepted = promises.iter().filter(|promise| promise.accepted).count();
        let (committed, rolled_back) = world.assert_whole(&url, &promises).await;
        eprintln!(
            "{kind:?}, seed {seed}: {kills} kills, {accepted} of {transactions} accepted, {committed} committed, \
             {rolled_back} rolled back"
        );
        assert!(kills >= transactions / BETWEEN_KILLS / 2, "too few kills to show anything");
        assert!(accepted > transactions * 9 / 10, "too little was accepted to show anything");
        assert!(committed > transactions / 4 && rolled_back > transactions / 20, "one-sided");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_killed_under_load_lose_nothing_on_postgresql() {
    rounds(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_killed_under_load_lose_nothing_on_mariadb() {
    rounds(Kind::MariaDb).await;
}
