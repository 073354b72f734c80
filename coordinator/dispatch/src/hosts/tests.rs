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
    let mut last = NoPlace { retry_after_ms: 0, full: Full::Service };
    for _ in 0..20_000 {
        last = hosts.enter(&at("a")).await.unwrap_err();
    }
    assert!((TURNED_AWAY_MS_MAX / 2..=2 * TURNED_AWAY_MS_MAX).contains(&last.retry_after_ms), "{last:?}");
    drop(place);
    let _place = hosts.enter(&at("a")).await.unwrap();
    let first = hosts.enter(&at("a")).await.unwrap_err();
    assert!(first.retry_after_ms <= 2 * TURNED_AWAY_MS_MIN, "{first:?}");
}

#[tokio::test]
async fn a_service_with_few_calls_finds_a_place_at_once_however_many_others_hang() {
    let hosts = Hosts::new(Options { queue_wait_ms: HOUR_MS, ..Options::default() });
    let hung: Vec<_> = (0..4).map(|n| key("gateway", &format!("/hung{n}"))).collect();
    let mut held = Vec::new();
    let mut in_line = Vec::new();
    for _ in 0..200 {
        for hung in &hung {
            match hosts.ask(hung).unwrap() {
                Asked::Given(place) => held.push(place),
                Asked::InLine(told, line) => in_line.push((told, line)),
            }
        }
    }
    assert_eq!(held.len(), 384);
    let healthy = key("gateway", "/stock");
    let Asked::Given(place) = hosts.ask(&healthy).unwrap() else { panic!("it waits") };
    // A place that becomes free in the last quarter goes to none of those either.
    held.pop();
    assert!(in_line.iter_mut().all(|one| one.0.try_recv().is_err()));
    drop(place);
    let given: Vec<_> = in_line.iter_mut().filter_map(|one| one.0.try_recv().ok()).collect();
    assert_eq!((given.len(), hosts.lock().hosts["gateway"].under_way), (1, 384));
}

#[tokio::test]
async fn who_is_turned_away_hears_which_bound_left_no_place() {
    let options = Options { per_host_max: 8, per_service_max: 7, queue_len_max: 0, ..Options::default() };
    let hosts = Hosts::new(options.clone());
    let (one, two) = (key("http://a:1", "/one"), key("http://a:1", "/two"));
    let mut held = Vec::new();
    let full = async |key: &Key| hosts.enter(key).await.unwrap_err().full;
    for _ in 0..6 {
        held.push(hosts.enter(&one).await.unwrap());
    }
    assert_eq!(full(&one).await, Full::Reserved);
    held.push(hosts.enter(&two).await.unwrap());
    held.push(hosts.enter(&key("http://a:1", "/three")).await.unwrap());
    assert_eq!(full(&one).await, Full::Host);
    assert_eq!(
        Full::Host.in_words(&one),
        "the host http://a:1 has as many calls under way as it may have (dispatch.per_host_max)"
    );
    let hosts = Hosts::new(Options { per_service_max: 1, ..options.clone() });
    let _place = hosts.enter(&one).await.unwrap();
    assert_eq!(hosts.enter(&one).await.unwrap_err().full, Full::Service);
    let hosts = Hosts::new(Options { per_service_max: 1, calls_max: 1, ..options });
    let _place = hosts.enter(&one).await.unwrap();
    assert_eq!(hosts.enter(&one).await.unwrap_err().full, Full::Everywhere);
}
