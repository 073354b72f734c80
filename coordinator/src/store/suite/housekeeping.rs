//! Cases: participants, retention, health.

use trine_protocol::v1::Participant;
use trine_protocol::{Status, Timestamp};

use super::Subject;
use super::fixture::{Tx, append, at, batch, create, find, gid, gids, seqs};
use crate::store::{Filter, Standing, Store};

async fn register(store: &dyn Store, name: &str, url: &str, now: u64, expires: u64) {
    store.register(name.into(), url.into(), at(now), at(expires)).await.unwrap();
}

/// `name: url url?` with a mark at what does not live.
async fn registered(store: &dyn Store, now: u64) -> Vec<String> {
    let line = |Participant { name, instances }: Participant| {
        let urls =
            instances.iter().map(|i| if i.alive { i.base_url.clone() } else { i.base_url.clone() + "?" });
        format!("{name}: {}", urls.collect::<Vec<_>>().join(" "))
    };
    store.participants(at(now)).await.unwrap().into_iter().map(line).collect()
}

pub(in crate::store) async fn participants_live_as_long_as_they_say<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    register(&*store, "orders", "http://o", 0, 10).await;
    register(&*store, "inventory", "http://b", 0, 10).await;
    register(&*store, "inventory", "http://a", 5, 15).await;
    assert_eq!(registered(&*store, 9).await, ["inventory: http://a http://b", "orders: http://o"]);
    assert_eq!(registered(&*store, 10).await, ["inventory: http://a http://b?", "orders: http://o?"]);
    register(&*store, "orders", "http://o", 11, 21).await;
    assert_eq!(registered(&*store, 20).await, ["inventory: http://a? http://b?", "orders: http://o"]);
    let orders = store.participants(at(12)).await.unwrap().remove(1);
    assert_eq!((orders.instances[0].registered_at, orders.instances[0].expires_at), (at(0), at(21)));
}

pub(in crate::store) async fn a_participant_is_removed_by_instance_or_by_name<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for (name, url) in [("a", "http://1"), ("a", "http://2"), ("a", "http://3"), ("A", "http://1")] {
        register(&*store, name, url, 0, 10).await;
    }
    assert_eq!(store.deregister("a".into(), Some("http://9".into())).await, Ok(0));
    assert_eq!(store.deregister("a".into(), Some("http://2".into())).await, Ok(1));
    assert_eq!(registered(&*store, 0).await, ["A: http://1", "a: http://1 http://3"]);
    assert_eq!(store.deregister("a".into(), None).await, Ok(2));
    assert_eq!(store.deregister("a".into(), None).await, Ok(0));
    assert_eq!(registered(&*store, 0).await, ["A: http://1"]);
}

pub(in crate::store) async fn sweeping_keeps_the_last_instance_of_a_name<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for (name, url, expires) in [
        ("gone", "http://1", 10),
        ("gone", "http://2", 30),
        ("gone", "http://3", 20),
        ("mixed", "http://1", 10),
        ("mixed", "http://2", 99),
        ("single", "http://1", 10),
        ("tied", "http://1", 10),
        ("tied", "http://2", 10),
    ] {
        register(&*store, name, url, 0, expires).await;
    }
    assert_eq!(store.sweep_participants(at(5)).await, Ok(0));
    assert_eq!(store.sweep_participants(at(50)).await, Ok(4));
    let expected = ["gone: http://2?", "mixed: http://2", "single: http://1?", "tied: http://2?"];
    assert_eq!(registered(&*store, 50).await, expected);
    assert_eq!(store.sweep_participants(at(50)).await, Ok(0));
}

pub(in crate::store) async fn retiring_removes_everything_of_the_settled_and_nothing_else<S: Subject>(
    subject: &S,
) {
    let store = subject.open("a").await;
    let old = Tx::new("order-1").label("k", "v").status(Status::Committed, 10);
    let undone = Tx::new("order-2").status(Status::RolledBack, 19);
    let recent = Tx::new("order-3").label("k", "v").status(Status::Committed, 20);
    let running = Tx::new("order-10").label("k", "v");
    let txs = [&old, &undone, &recent, &running];
    append(&*store, batch(txs.map(|tx| (tx, vec![1, 2])))).await;
    assert_eq!(store.retire(at(10), 100).await, Ok(0));
    assert_eq!(store.retire(at(20), 100).await, Ok(2));
    assert_eq!(store.load(gids(&["order-1", "order-2"])).await, Ok(Vec::new()));
    assert_eq!(seqs(&*store, "order-3").await, [1, 2]);
    assert_eq!(seqs(&*store, "order-10").await, [1, 2]);
    let label = Some(("k".to_owned(), "v".to_owned()));
    assert_eq!(find(&*store, Filter { label, ..Filter::default() }).await, ["order-3", "order-10"]);
    assert_eq!(find(&*store, Filter::default()).await, ["order-3", "order-10"]);
    assert_eq!(store.retire(Timestamp::MAX, 100).await, Ok(1));
    assert_eq!(find(&*store, Filter::default()).await, ["order-10"]);
}

pub(in crate::store) async fn retiring_is_bounded<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs: Vec<Tx> =
        (0..10).map(|i| Tx::new(&format!("tx-{i}")).status(Status::Committed, 100 - i)).collect();
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    assert_eq!(store.retire(at(1_000), 4).await, Ok(4));
    assert_eq!(find(&*store, Filter::default()).await, ["tx-5", "tx-4", "tx-3", "tx-2", "tx-1", "tx-0"]);
    assert_eq!(store.retire(at(1_000), 4).await, Ok(4));
    assert_eq!(store.retire(at(1_000), 4).await, Ok(2));
    assert_eq!(store.retire(at(1_000), 4).await, Ok(0));
}

pub(in crate::store) async fn a_retired_gid_may_be_used_again<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let old = Tx::new("again").label("k", "old").status(Status::Committed, 10);
    append(&*store, old.batch(1..=4)).await;
    assert_eq!(store.retire(at(11), 1).await, Ok(1));
    let stale = store.append(0, old.batch([5])).await.unwrap();
    assert_eq!(stale.conflicts, gids(&["again"]));
    let new = Tx::new("again").label("k", "new");
    create(&*store, &[&new]).await;
    assert_eq!(store.records(gid("again"), 0).await, Ok(new.records([1])));
    let label = |value: &str| Filter { label: Some(("k".into(), value.into())), ..Filter::default() };
    assert_eq!(find(&*store, label("new")).await, ["again"]);
    assert!(find(&*store, label("old")).await.is_empty());
}

pub(in crate::store) async fn a_store_that_is_well_says_so<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(store.ping().await, Ok(()));
    create(&*store, &[&Tx::new("a")]).await;
    assert_eq!(store.ping().await, Ok(()));
    append(&*store, Tx::new("a").batch([2])).await;
}

pub(in crate::store) async fn heartbeats_are_accepted_again_and_again<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for _ in 0..3 {
        assert_eq!(store.heartbeat().await, Ok(Standing::Alive));
    }
    assert_eq!(store.adopt(9).await, Ok(Vec::new()));
    assert_eq!(store.heartbeat().await, Ok(Standing::Alive));
}
