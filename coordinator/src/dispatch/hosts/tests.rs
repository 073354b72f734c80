//! Who gets a place, who waits, and who is turned away.

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn hosts(per_service_max: usize, queue_len_max: usize, queue_wait_ms: u64) -> Arc<Hosts> {
    Hosts::new(Options { per_service_max, queue_len_max, queue_wait_ms, ..Options::default() })
}

fn key(host: &str, service: &str) -> Key {
    Key { host: host.into(), service: service.into() }
}

fn at(host: &str) -> Key {
    key(host, "")
}

async fn lined_up(hosts: &Hosts, key: &Key, calls: usize) {
    while hosts.calls_at(key) < calls {
        tokio::task::yield_now().await;
    }
}

fn wait_for(hosts: &Arc<Hosts>, key: Key) -> tokio::task::JoinHandle<Result<Place, NoPlace>> {
    let hosts = Arc::clone(hosts);
    tokio::spawn(async move { hosts.enter(&key).await })
}

#[tokio::test]
async fn a_full_line_turns_away_at_once() {
    let hosts = hosts(1, 0, HOUR_MS);
    let place = hosts.enter(&at("a")).await.unwrap();
    let no_place = hosts.enter(&at("a")).await.unwrap_err();
    assert!((TURNED_AWAY_MS_MIN / 2..=2 * TURNED_AWAY_MS_MIN).contains(&no_place.retry_after_ms));
    drop(place);
    hosts.enter(&at("a")).await.unwrap();
}

#[tokio::test]
async fn who_waits_in_line_gets_the_next_place() {
    let hosts = hosts(1, 1, HOUR_MS);
    let place = hosts.enter(&at("a")).await.unwrap();
    let waiting = wait_for(&hosts, at("a"));
    lined_up(&hosts, &at("a"), 2).await;
    hosts.enter(&at("a")).await.unwrap_err();
    drop(place);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_wait_for_a_place_ends() {
    let hosts = hosts(1, 1, 1);
    let _place = hosts.enter(&at("a")).await.unwrap();
    hosts.enter(&at("a")).await.unwrap_err();
    assert_eq!((hosts.calls_at(&at("a")), hosts.lock().calls), (1, 1), "who was turned away is not counted");
}

#[tokio::test]
async fn a_full_host_leaves_others_their_places() {
    let hosts = hosts(1, 0, HOUR_MS);
    let _place = hosts.enter(&at("a")).await.unwrap();
    hosts.enter(&at("a")).await.unwrap_err();
    hosts.enter(&at("b")).await.unwrap();
}

#[tokio::test]
async fn a_full_service_leaves_others_behind_the_same_host_their_places() {
    let hosts = hosts(2, 0, HOUR_MS);
    let hung = key("gateway", "slow");
    let _places = (hosts.enter(&hung).await.unwrap(), hosts.enter(&hung).await.unwrap());
    hosts.enter(&hung).await.unwrap_err();
    hosts.enter(&key("gateway", "stock")).await.unwrap();
}

#[tokio::test]
async fn a_hosts_places_are_shared_and_the_next_goes_to_who_has_fewest() {
    let hosts = Hosts::new(Options {
        per_host_max: 3,
        per_service_max: 3,
        queue_wait_ms: HOUR_MS,
        ..Options::default()
    });
    let (greedy, modest) = (key("gateway", "greedy"), key("gateway", "modest"));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(hosts.enter(&greedy).await.unwrap());
    }
    let more: Vec<_> = (0..5).map(|_| wait_for(&hosts, greedy.clone())).collect();
    lined_up(&hosts, &greedy, 8).await;
    let late = wait_for(&hosts, modest.clone());
    lined_up(&hosts, &modest, 1).await;
    held.pop();
    let place = late.await.unwrap().unwrap();
    assert!(more.iter().all(|one| !one.is_finished()));
    drop(place);
    held.clear();
    for one in more {
        drop(one.await.unwrap().unwrap());
    }
    assert_eq!((hosts.known(), hosts.lock().calls), (0, 0));
}

#[tokio::test]
async fn a_place_given_to_who_has_gone_is_given_on() {
    let hosts = hosts(1, 2, HOUR_MS);
    let place = hosts.enter(&at("a")).await.unwrap();
    let gone = wait_for(&hosts, at("a"));
    lined_up(&hosts, &at("a"), 2).await;
    let next = wait_for(&hosts, at("a"));
    lined_up(&hosts, &at("a"), 3).await;
    // Given before the task that waits runs again, and never taken.
    drop(place);
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    drop(next.await.unwrap().unwrap());
    assert_eq!((hosts.known(), hosts.lock().calls), (0, 0));
}

#[tokio::test]
async fn services_that_are_told_apart_have_an_end() {
    let hosts = Hosts::new(Options {
        per_host_max: 10_000,
        per_service_max: 1,
        queue_len_max: 0,
        ..Options::default()
    });
    let mut held = Vec::new();
    for n in 0..SERVICES_MAX {
        held.push(hosts.enter(&key("a", &n.to_string())).await.unwrap());
    }
    held.push(hosts.enter(&key("a", "one more")).await.unwrap());
    hosts.enter(&key("a", "and another")).await.unwrap_err();
}

#[tokio::test]
async fn all_hosts_together_are_bounded() {
    let hosts = Hosts::new(Options { calls_max: 2, per_service_max: 1, ..Options::default() });
    let places = (hosts.enter(&at("a")).await.unwrap(), hosts.enter(&at("b")).await.unwrap());
    // No more lines; but a host that is free serves.
    hosts.enter(&at("a")).await.unwrap_err();
    hosts.enter(&at("c")).await.unwrap();
    drop(places);
    hosts.enter(&at("a")).await.unwrap();
}

#[tokio::test]
async fn idle_hosts_are_forgotten() {
    let hosts = hosts(1, 0, HOUR_MS);
    for n in 0..1_000 {
        hosts.enter(&at(&format!("host-{n}"))).await.unwrap();
    }
    assert_eq!(hosts.known(), 0);
    let place = hosts.enter(&at("a")).await.unwrap();
    hosts.enter(&at("a")).await.unwrap_err();
    assert_eq!(hosts.known(), 1);
    drop(place);
    assert_eq!((hosts.known(), hosts.lock().calls), (0, 0));
}

#[tokio::test]
async fn the_more_are_turned_away_the_longer_they_rest() {
    let hosts = hosts(1, 0, HOUR_MS);
    let place = hosts.enter(&at("a")).await.unwrap();
    let mut last = NoPlace { retry_after_ms: 0 };
    for _ in 0..20_000 {
        last = hosts.enter(&at("a")).await.unwrap_err();
    }
    assert!((TURNED_AWAY_MS_MAX / 2..=2 * TURNED_AWAY_MS_MAX).contains(&last.retry_after_ms), "{last:?}");
    drop(place);
    let _place = hosts.enter(&at("a")).await.unwrap();
    let first = hosts.enter(&at("a")).await.unwrap_err();
    assert!(first.retry_after_ms <= 2 * TURNED_AWAY_MS_MIN, "{first:?}");
}
