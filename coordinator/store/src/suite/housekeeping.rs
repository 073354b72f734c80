//! Cases: participants, retention, health.

use trine_protocol::Status;
use trine_protocol::v1::Participant;

use super::fixture::{Tx, append, at, batch, create, find, gid, gids, seqs, settle};
use super::{Rewrite, Subject};
use crate::memory::Damage;
use crate::{Filter, HeartbeatAnswer, Leap, Registration, Registrations, Store};
use trine_clock as clock;

const DAY: i64 = 24 * 60 * 60 * 1_000;
const MINUTE: i64 = 60 * 1_000;

/// The clocks of the stores and of this process are one here.
fn now() -> i64 {
    clock::now().millis().cast_signed()
}

fn registration(name: &str, url: &str, ttl_ms: u64) -> Registration {
    Registration { name: name.into(), base_url: url.into(), ttl_ms, guarded: false }
}

async fn register(store: &dyn Store, name: &str, url: &str) {
    store.register(vec![registration(name, url, 60_000)]).await.unwrap();
}

/// Sets when a registration expires: so long from now, or so long ago.
async fn expires<S: Subject>(subject: &S, name: &str, base_url: &str, in_ms: i64) {
    subject.rewrite(Rewrite::Expires { name, base_url, at: now() + in_ms }).await;
}

/// Makes a transaction look as if it had settled so long ago.
async fn settled<S: Subject>(subject: &S, gid: &str, ago_ms: i64) {
    subject.rewrite(Rewrite::Settled { gid, at: now() - ago_ms }).await;
}

/// Makes all time count as watched.
async fn watched<S: Subject>(subject: &S) {
    subject.rewrite(Rewrite::Watched { from: 0, until: now() }).await;
}

/// `name: url url?` with a mark at what does not live.
async fn registered(store: &dyn Store) -> Vec<String> {
    let line = |Participant { name, instances }: Participant| {
        let urls =
            instances.iter().map(|i| if i.alive { i.base_url.clone() } else { i.base_url.clone() + "?" });
        format!("{name}: {}", urls.collect::<Vec<_>>().join(" "))
    };
    store.participants().await.unwrap().participants.into_iter().map(line).collect()
}

pub(crate) async fn participants_live_as_long_as_they_say<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let before = now();
    let at = store.register(vec![registration("orders", "http://o", 50_000)]).await.unwrap();
    let until = store.participants().await.unwrap().participants[0].instances[0].expires_at;
    assert_eq!(until, at.plus_millis(50_000));
    register(&*store, "inventory", "http://b").await;
    register(&*store, "inventory", "http://a").await;
    let after = now();
    let lives = (before + 50_000 - 1..=after + 50_000 + 1).contains(&until.millis().cast_signed());
    assert!(lives, "{until}, registered between {before} and {after}");
    assert_eq!(registered(&*store).await, ["inventory: http://a http://b", "orders: http://o"]);
    expires(subject, "inventory", "http://b", -1).await;
    expires(subject, "orders", "http://o", -1).await;
    assert_eq!(registered(&*store).await, ["inventory: http://a http://b?", "orders: http://o?"]);
    let first = store.participants().await.unwrap();
    assert!(first.at.millis().abs_diff(before.cast_unsigned()) < 60_000, "{}", first.at);
    register(&*store, "orders", "http://o").await;
    assert_eq!(registered(&*store).await, ["inventory: http://a http://b?", "orders: http://o"]);
    let again = store.participants().await.unwrap();
    let since = |found: &Registrations| found.participants[1].instances[0].registered_at;
    assert_eq!(since(&again), since(&first), "it has been registered all along");
}

pub(crate) async fn an_instance_is_guarded_if_its_last_registration_says_so<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let say = async |guarded: bool| {
        let said = Registration { guarded, ..registration("orders", "http://o", 60_000) };
        store.register(vec![said, registration("orders", "http://p", 60_000)]).await.unwrap();
    };
    let guarded = async || {
        let found = store.participants().await.unwrap().participants.remove(0);
        found.instances.iter().map(|instance| instance.guarded).collect::<Vec<_>>()
    };
    for (said, expected) in [(true, [true, false]), (false, [false, false]), (true, [true, false])] {
        say(said).await;
        assert_eq!(guarded().await, expected);
    }
    // An older coordinator renews a registration like this. Nobody knows whether the instance is still guarded.
    expires(subject, "orders", "http://o", 90_000).await;
    assert_eq!(guarded().await, [false, false]);
}

pub(crate) async fn many_registrations_are_one_call<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    register(&*store, "n7", "http://host/7").await;
    let first = store.participants().await.unwrap().participants[0].instances[0].clone();
    // More than one statement takes on any store; one of them is known already.
    let many = (0..150).map(|n| registration(&format!("n{n}"), &format!("http://host/{n}"), 90_000 + n));
    let at = store.register(many.collect()).await.unwrap();
    let found = store.participants().await.unwrap().participants;
    assert_eq!(found.len(), 150);
    for Participant { name, instances } in found {
        let n: u64 = name[1..].parse().unwrap();
        assert_eq!(instances.len(), 1, "{name}");
        assert_eq!(instances[0].base_url, format!("http://host/{n}"));
        assert_eq!(instances[0].expires_at, at.plus_millis(90_000 + n));
        assert!(n != 7 || instances[0].registered_at == first.registered_at, "it was registered before");
    }
    assert_eq!(store.is_registered("n149".into()).await, Ok(true));
    assert_eq!(store.is_registered("N149".into()).await, Ok(false));
    assert_eq!(store.is_registered("n150".into()).await, Ok(false));
}

pub(crate) async fn a_participant_is_removed_by_instance_or_by_name<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for (name, url) in [("a", "http://1"), ("a", "http://2"), ("a", "http://3"), ("A", "http://1")] {
        register(&*store, name, url).await;
    }
    assert_eq!(store.deregister("a".into(), Some("http://9".into())).await, Ok(0));
    assert_eq!(store.deregister("a".into(), Some("http://2".into())).await, Ok(1));
    assert_eq!(registered(&*store).await, ["A: http://1", "a: http://1 http://3"]);
    assert_eq!(store.deregister("a".into(), None).await, Ok(2));
    assert_eq!(store.deregister("a".into(), None).await, Ok(0));
    assert_eq!(registered(&*store).await, ["A: http://1"]);
}

pub(crate) async fn sweeping_keeps_the_last_instance_of_a_name<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for (name, url, in_days) in [
        ("gone", "http://1", -4),
        ("gone", "http://2", -2),
        ("gone", "http://3", -3),
        ("mixed", "http://1", -4),
        ("mixed", "http://2", 9),
        ("single", "http://1", -4),
    ] {
        register(&*store, name, url).await;
        expires(subject, name, url, in_days * DAY).await;
    }
    let tied = now() - 4 * DAY;
    for base_url in ["http://1", "http://2"] {
        register(&*store, "tied", base_url).await;
        subject.rewrite(Rewrite::Expires { name: "tied", base_url, at: tied }).await;
    }
    let days = |days: i64| (days * DAY).cast_unsigned();
    assert_eq!(store.sweep_participants(days(5)).await, Ok(0));
    assert_eq!(store.sweep_participants(days(1)).await, Ok(4));
    let expected = ["gone: http://2?", "mixed: http://2", "single: http://1?", "tied: http://2?"];
    assert_eq!(registered(&*store).await, expected);
    assert_eq!(store.sweep_participants(days(1)).await, Ok(0));
}

pub(crate) async fn retiring_removes_everything_of_the_settled_and_nothing_else<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let old = Tx::new("order-1").label("k", "v").status(Status::Committed, 10);
    let undone = Tx::new("order-2").status(Status::RolledBack, 19);
    let recent = Tx::new("order-3").label("k", "v").status(Status::Committed, 20);
    let running = Tx::new("order-10").label("k", "v");
    let txs = [&old, &undone, &recent, &running];
    append(&*store, batch(txs.map(|tx| (tx, vec![1, 2])))).await;
    watched(subject).await;
    settled(subject, "order-1", 5 * DAY).await;
    settled(subject, "order-2", 4 * DAY).await;
    settled(subject, "order-3", 2 * DAY).await;
    let days = |days: i64| (days * DAY).cast_unsigned();
    assert_eq!(store.retire(days(6), 100).await, Ok(0));
    assert_eq!(store.retire(days(3), 100).await, Ok(2));
    assert_eq!(store.load(gids(&["order-1", "order-2"])).await, Ok(Vec::new()));
    assert_eq!(seqs(&*store, "order-3").await, [1, 2]);
    assert_eq!(seqs(&*store, "order-10").await, [1, 2]);
    let label = Some(("k".to_owned(), "v".to_owned()));
    assert_eq!(find(&*store, Filter { label, ..Filter::default() }).await, ["order-3", "order-10"]);
    assert_eq!(find(&*store, Filter::default()).await, ["order-3", "order-10"]);
    assert_eq!(store.retire(days(1), 100).await, Ok(1));
    assert_eq!(find(&*store, Filter::default()).await, ["order-10"]);
}

pub(crate) async fn retiring_is_bounded<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs: Vec<Tx> =
        (0..10).map(|i| Tx::new(&format!("tx-{i}")).status(Status::Committed, 100 - i)).collect();
    settle(&*store, &txs.iter().collect::<Vec<_>>()).await;
    watched(subject).await;
    for i in 0..10_i64 {
        settled(subject, &format!("tx-{i}"), DAY + i * MINUTE).await;
    }
    let day = DAY.cast_unsigned();
    assert_eq!(store.retire(day, 4).await, Ok(4));
    assert_eq!(find(&*store, Filter::default()).await, ["tx-5", "tx-4", "tx-3", "tx-2", "tx-1", "tx-0"]);
    assert_eq!(store.retire(day, 4).await, Ok(4));
    assert_eq!(store.retire(day - 600_000, 4).await, Ok(2));
    assert_eq!(store.retire(day - 600_000, 4).await, Ok(0));
}

/// An index row is derived from its journal; deleting goes by the journal, and passes over what cannot be read.
pub(crate) async fn retiring_believes_the_journal_and_not_the_index_row<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = |name: &str| Tx::new(name).status(Status::Committed, 10);
    let (unfinished, damaged, lost) = (tx("unfinished"), tx("damaged"), tx("lost"));
    let (one, two) = (tx("one"), tx("two"));
    append(&*store, unfinished.batch([1])).await;
    settle(&*store, &[&damaged, &lost, &one, &two]).await;
    subject.damage(&gid("damaged"), 2, Damage::At(at(77))).await;
    for seq in 1..=2 {
        subject.damage(&gid("lost"), seq, Damage::Lost).await;
    }
    watched(subject).await;
    for (name, days) in [("unfinished", 9), ("damaged", 8), ("one", 7), ("lost", 6), ("two", 5)] {
        settled(subject, name, days * DAY).await;
    }
    let day = DAY.cast_unsigned();
    assert_eq!(store.retire(day, 1).await, Ok(1), "it walks past what it leaves");
    assert_eq!(store.load(gids(&["one"])).await, Ok(Vec::new()));
    assert_eq!(store.retire(day, 1).await, Ok(1));
    assert_eq!(store.retire(day, 1).await, Ok(0));
    assert_eq!(find(&*store, Filter::default()).await, ["unfinished", "lost", "damaged"]);
    assert_eq!(seqs(&*store, "unfinished").await, [1]);
    assert_eq!(store.readable(gid("damaged"), 0).await.unwrap().records, damaged.records([1]));
    // The row says what the journal says again, so it is driven.
    let running = Filter { statuses: vec![Status::Running], ..Filter::default() };
    assert_eq!(find(&*store, running).await, ["unfinished"]);
    assert_eq!(store.unfinished(None, at(0), 9).await, Ok(gids(&["unfinished"])));
    // What is left is looked at again: it may have been mended.
    assert_eq!(store.retire(day, 100).await, Ok(0));
    assert_eq!(find(&*store, Filter::default()).await, ["unfinished", "lost", "damaged"]);
}

pub(crate) async fn a_retired_gid_may_be_used_again<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let old = Tx::new("again").label("k", "old").status(Status::Committed, 10);
    append(&*store, old.batch(1..=2)).await;
    watched(subject).await;
    settled(subject, "again", 2 * DAY).await;
    assert_eq!(store.retire(DAY.cast_unsigned(), 1).await, Ok(1));
    let stale = store.append(0, old.batch([3])).await.unwrap();
    assert_eq!(stale.conflicts, gids(&["again"]));
    let new = Tx::new("again").label("k", "new");
    create(&*store, &[&new]).await;
    assert_eq!(store.records(gid("again"), 0).await, Ok(new.records([1])));
    let label = |value: &str| Filter { label: Some(("k".into(), value.into())), ..Filter::default() };
    assert_eq!(find(&*store, label("new")).await, ["again"]);
    assert!(find(&*store, label("old")).await.is_empty());
}

pub(crate) async fn nothing_is_old_that_nobody_watched_growing_old<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    settle(&*store, &[&Tx::new("tx").status(Status::Committed, 10)]).await;
    settled(subject, "tx", 40 * DAY).await;
    assert_eq!(store.retire(1_000, 9).await, Ok(0), "nobody has ever watched");
    assert_eq!(store.watch().await, Ok(None));
    assert_eq!(store.retire(MINUTE.cast_unsigned(), 9).await, Ok(0), "its clock may be wrong by 40 days");
    // Time was watched until then, and not since.
    subject.rewrite(Rewrite::Watched { from: 0, until: now() - 39 * DAY }).await;
    assert_eq!(store.retire((2 * DAY).cast_unsigned(), 9).await, Ok(0), "it is one day old");
    assert_eq!(store.retire((DAY / 2).cast_unsigned(), 9).await, Ok(1));
}

/// What stands in the rows is 40 days older than it was: as if the clock had leapt ahead.
pub(crate) async fn a_clock_that_leaps_makes_nothing_old<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    settle(&*store, &[&Tx::new("tx").status(Status::Committed, 10)]).await;
    assert_eq!(store.watch().await, Ok(None));
    settled(subject, "tx", 40 * DAY + MINUTE).await;
    subject.rewrite(Rewrite::Watched { from: 0, until: now() - 40 * DAY }).await;
    let leap = store.watch().await.unwrap();
    assert!(
        matches!(leap, Some(Leap::Unwatched { for_ms }) if for_ms >= (40 * DAY).cast_unsigned()),
        "{leap:?}"
    );
    assert_eq!(store.watch().await, Ok(None), "it is told once");
    assert_eq!(store.retire((30 * DAY).cast_unsigned(), 9).await, Ok(0));
    assert_eq!(store.retire(MINUTE.cast_unsigned() / 2, 9).await, Ok(1), "it is a minute old, and a little");
    // And back: what was counted in what is the future now is not there any more.
    subject.rewrite(Rewrite::Watched { from: now() + DAY, until: now() + 41 * DAY }).await;
    let leap = store.watch().await.unwrap();
    assert!(matches!(leap, Some(Leap::Back { .. })), "{leap:?}");
    assert_eq!(store.watch().await, Ok(None));
    settle(&*store, &[&Tx::new("new").status(Status::Committed, 10)]).await;
    assert_eq!(store.retire(MINUTE.cast_unsigned(), 9).await, Ok(0));
}

pub(crate) async fn nothing_that_settled_in_the_future_is_retired<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    settle(&*store, &[&Tx::new("tx").status(Status::Committed, 10)]).await;
    watched(subject).await;
    settled(subject, "tx", -DAY).await;
    assert_eq!(store.retire(1, 9).await, Ok(0));
    settled(subject, "tx", DAY).await;
    assert_eq!(store.retire(1, 9).await, Ok(1));
}

/// The fixture's times are long past: so they are for a coordinator whose clock is behind, and for a transaction that has
/// kept its own time after the store's clock leapt ahead.
pub(crate) async fn what_a_clock_that_is_behind_has_settled_is_not_old<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("tx").status(Status::Committed, 10);
    assert!(now() - at(10).millis().cast_signed() > DAY);
    settle(&*store, &[&tx]).await;
    watched(subject).await;
    assert_eq!(store.retire((MINUTE / 2).cast_unsigned(), 9).await, Ok(0));
    assert_eq!(seqs(&*store, "tx").await, [1, 2]);
}

pub(crate) async fn a_heartbeat_is_answered_with_the_stores_time<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (before, beat, after) = (now(), store.heartbeat().await.unwrap(), now());
    let at = beat.at.unwrap().millis().cast_signed();
    // Its clock may tick more coarsely.
    assert!((before - 1_000..=after + 1_000).contains(&at), "{before} {at} {after}");
}

pub(crate) async fn a_store_that_is_well_says_so<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(store.ping().await, Ok(()));
    create(&*store, &[&Tx::new("a")]).await;
    assert_eq!(store.ping().await, Ok(()));
    append(&*store, Tx::new("a").batch([2])).await;
}

pub(crate) async fn heartbeats_are_accepted_again_and_again<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for _ in 0..3 {
        assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Alive);
    }
    assert_eq!(store.adopt(9).await, Ok(Vec::new()));
    assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Alive);
}
