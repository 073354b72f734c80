//! The resolver against a name server on this machine.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::test_server::{NameServer, Says};
use super::*;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn names(server: &NameServer, limit: Duration) -> Names {
    Names::new(Options { limit, servers: vec![server.addr], lookups_max: 64, kept_min: KEPT_MIN })
}

fn here() -> Result<Addresses, Unresolved> {
    Ok([IpAddr::from([127, 0, 0, 1])].into())
}

#[tokio::test]
async fn look_ups_of_one_name_are_one_and_what_was_found_is_kept() {
    let server = NameServer::start(|_| Says::Here(60)).await;
    let names = names(&server, LONG);
    let found = join_all((0..100).map(|_| names.resolve("stock.well.test"))).await;
    assert!(found.iter().all(|one| *one == here()), "{found:?}");
    assert_eq!(names.resolve("stock.well.test").await, here());
    assert_eq!(server.asked_for("stock.well.test"), 1);
}

#[tokio::test]
async fn what_does_not_exist_fails_and_silence_are_told_apart() {
    let server = NameServer::start(|name| match name {
        "missing.a.test" => Says::Missing,
        "broken.b.test" => Says::Failure,
        _ => Says::Nothing,
    })
    .await;
    let names = names(&server, Duration::from_millis(300));
    let words = async |name: &str| names.resolve(name).await.unwrap_err().unreached("h:1").to_string();
    assert!(words("missing.a.test").await.starts_with("the name of h:1 does not exist"));
    assert!(words("broken.b.test").await.starts_with("the name of h:1 could not be resolved ("));
    assert!(words("silent.c.test").await.starts_with("the name of h:1 could not be resolved in time"));
}

#[tokio::test]
async fn what_was_not_found_is_not_asked_for_again_at_once() {
    let server = NameServer::start(|_| Says::Missing).await;
    let names = names(&server, LONG);
    for _ in 0..20 {
        assert_eq!(names.resolve("gone.a.test").await, Err(Unresolved::Missing));
    }
    assert_eq!(server.asked_for("gone.a.test"), 1);
}

#[tokio::test]
async fn an_answer_that_has_run_out_serves_while_the_name_server_is_silent() {
    let silent = Arc::new(AtomicBool::new(false));
    let is_silent = Arc::clone(&silent);
    let says = move |_: &str| if is_silent.load(Ordering::SeqCst) { Says::Nothing } else { Says::Here(0) };
    let server = NameServer::start(says).await;
    let names = Names::new(Options {
        limit: LONG,
        servers: vec![server.addr],
        lookups_max: 64,
        kept_min: Duration::ZERO,
    });
    assert_eq!(names.resolve("stock.well.test").await, here());
    silent.store(true, Ordering::SeqCst);
    assert_eq!(names.resolve("stock.well.test").await, here());
}

#[tokio::test]
async fn this_machine_and_addresses_need_no_name_server() {
    let server = NameServer::start(|_| Says::Nothing).await;
    let names = names(&server, LONG);
    for name in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1"] {
        let found = names.resolve(name).await.unwrap();
        assert!(found.contains(&IpAddr::from([127, 0, 0, 1])), "{name}: {found:?}");
    }
    assert_eq!(*names.resolve("::1").await.unwrap(), [IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
    assert_eq!(server.asked_for("localhost"), 0);
}

#[tokio::test]
async fn a_silent_zone_leaves_the_look_ups_of_others_alone() {
    let server =
        NameServer::start(|name| if name.ends_with("slow.test") { Says::Nothing } else { Says::Here(60) })
            .await;
    let names = names(&server, LONG);
    let stuck: Vec<_> = (0..500)
        .map(|n| {
            let names = names.clone();
            tokio::spawn(async move { names.resolve(&format!("partner{n}.slow.test")).await })
        })
        .collect();
    for n in 0..50 {
        assert_eq!(names.resolve(&format!("stock{n}.well.test")).await, here());
    }
    assert!(stuck.iter().all(|one| !one.is_finished()));
    stuck.into_iter().for_each(|one| one.abort());
}

#[tokio::test]
async fn memory_for_names_has_an_end() {
    let server = NameServer::start(|_| Says::Missing).await;
    let names = names(&server, LONG);
    let mut entries = HashMap::new();
    for n in 0..NAMES_MAX {
        let failed = FailedLookup { error: Unresolved::Missing, since: Stopwatch::start(), in_a_row: 1 };
        entries.insert(n.to_string(), Entry { failed: Some(failed), ..Entry::default() });
    }
    *names.0.lock() = entries;
    assert_eq!(names.resolve("one-more.a.test").await, Err(Unresolved::Missing));
    assert_eq!(names.0.lock().len(), 1);
}

#[tokio::test]
async fn thousands_of_silent_zones_keep_no_first_time_name_waiting_once_they_have_failed() {
    let server =
        NameServer::start(|name| if name.ends_with("well.test") { Says::Here(60) } else { Says::Nothing })
            .await;
    let names = names(&server, LONG);
    let silent: Vec<_> = (0..2_000).map(|n| format!("api.partner{n}.test")).collect();
    for name in &silent {
        let failed = FailedLookup { error: Unresolved::Late, since: Stopwatch::start(), in_a_row: 1 };
        names.0.lock().insert(name.clone(), Entry { failed: Some(failed), ..Entry::default() });
    }
    let under_way: Vec<_> = silent.iter().map(|name| tokio::spawn(names.look_up(name))).collect();
    // They are in line before the name that is well.
    while !under_way.iter().any(tokio::task::JoinHandle::is_finished) && server.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let well = tokio::time::timeout(Duration::from_secs(30), names.resolve("stock.well.test")).await;
    assert_eq!(well, Ok(here()));
    assert!(under_way.iter().all(|one| !one.is_finished()));
    under_way.into_iter().for_each(|one| one.abort());
}

#[tokio::test]
async fn a_look_up_for_which_there_is_no_place_says_nothing_of_the_name() {
    let server = NameServer::start(|_| Says::Here(60)).await;
    let names = names(&server, Duration::from_millis(1));
    let all = (0..).map(|n| format!("n{n}.example")).take(64);
    let mut held = Vec::new();
    for name in all {
        held.push(names.0.zones.enter(&name, false, LONG).await.unwrap());
    }
    let error = names.resolve("stock.well.test").await.unwrap_err();
    let words = "the name of h:1 was not looked up: too many look-ups are under way";
    assert_eq!(error.unreached("h:1"), Unreached::Held(words.into()));
    assert!(names.0.lock()["stock.well.test"].failed.is_none());
    drop(held);
}

#[tokio::test]
async fn in_a_zone_that_is_silent_only_names_that_failed_themselves_are_late() {
    let server = NameServer::start(|_| Says::Here(60)).await;
    let names = names(&server, LONG);
    for n in 0..4 {
        names.0.zones.enter(&format!("{n}.slow.test"), false, LONG).await.unwrap().ended(false);
    }
    let _probe = names.0.zones.enter("probe.slow.test", false, LONG).await.unwrap();
    let failed = FailedLookup { error: Unresolved::Late, since: Stopwatch::start(), in_a_row: 1 };
    names.0.lock().insert("failed.slow.test".into(), Entry { failed: Some(failed), ..Entry::default() });
    assert_eq!(names.look_up("failed.slow.test").await, Err(Unresolved::Late));
    assert!(matches!(names.resolve("new.slow.test").await, Err(Unresolved::Held(_))));
}
