//! A coordinator's life over HTTP: patterns commit and roll back, restarts forget nothing, SIGTERM is graceful.

use serde_json::json;
use trine_participants::faults::Faults;

use crate::cluster::pack::Kind;
use crate::support::{Coordinator, Http, Shop, purchase, trine};

#[tokio::test(flavor = "multi_thread")]
async fn every_pattern_commits_and_a_refusal_rolls_it_back() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 10).await;
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    for pattern in ["saga", "tcc", "two_phase"] {
        let enough = purchase(&shop, pattern, &format!("{pattern}-yes"), "A-1", 2);
        let (status, answer) = http.create(coordinator.url(), &enough, 30).await.expect("an answer");
        assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");

        let too_much = purchase(&shop, pattern, &format!("{pattern}-no"), "A-1", 99);
        let (status, answer) = http.create(coordinator.url(), &too_much, 30).await.expect("an answer");
        assert_eq!((status, &answer["status"]), (200, &json!("rolled_back")), "{answer}");
        assert_eq!(answer["cause"]["kind"], "refused");
        assert_eq!(answer["cause"]["branch"], "stock");

        let url = format!("{}/v1/transactions/{pattern}-no/history", coordinator.url());
        let (_, history) = http.get(&url).await;
        let events = history["events"].as_array().expect("a list");
        let refused =
            events.iter().find(|event| event["outcome"] == "refused").expect("the refusal is on record");
        assert_eq!((&refused["status_code"], &refused["attempt"]), (&json!(409), &json!(1)));
        assert_eq!(events.last().expect("events")["event"], "rolled_back");
    }
    assert_eq!(shop.assert_conserved(&http).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_participant_is_retried_and_every_attempt_is_in_the_history() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 10).await;
    shop.inventory.faults().set(Faults { error_rate: 1.0, remaining: Some(2), ..Faults::default() });
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    let body = purchase(&shop, "saga", "flaky", "A-1", 1);
    let (status, answer) = http.create(coordinator.url(), &body, 30).await.expect("an answer");
    assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");
    let (_, history) = http.get(&format!("{}/v1/transactions/flaky/history", coordinator.url())).await;
    let events = history["events"].as_array().expect("a list");
    let attempts: Vec<_> = events
        .iter()
        .filter(|event| event["branch"] == "stock")
        .map(|event| (event["attempt"].as_u64(), event["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(attempts, [(Some(1), "unknown"), (Some(2), "unknown"), (Some(3), "done")]);
    assert_eq!(shop.assert_conserved(&http).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_who_waits_and_the_next_start_goes_on() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 10).await;
    shop.inventory.faults().set(Faults { hang: true, ..Faults::default() });
    let db = folder.path().join("trine.db");
    // The call that hangs is not waited for.
    let coordinator = Coordinator::start_with(&db, &[("TRINE_HTTP_DRAIN_TIMEOUT", "1s")]).await;
    let body = purchase(&shop, "tcc", "hanging", "A-1", 1);
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    let waiting = tokio::spawn({
        let (http, url, body) = (http.clone(), coordinator.url().to_owned(), body.clone());
        async move { http.create(&url, &body, 60).await }
    });
    assert_eq!(coordinator.terminate().await, Some(0));
    // Who waited is told that it is accepted; if its request came only after the door closed, that nothing was done.
    let waited = waiting.await.expect("the initiator does not panic");
    if let Ok((status, answer)) = &waited {
        assert!(*status == 202 || answer["code"] == "TX0016", "{status} {answer}");
    }
    shop.inventory.faults().clear();
    let coordinator = Coordinator::start(&db).await;
    let (status, answer) = http.create(coordinator.url(), &body, 60).await.expect("an answer");
    assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");
    assert_eq!(shop.assert_conserved(&http).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_leaves_memory_and_the_sweep_brings_it_back() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 10).await;
    let quick = [("TRINE_RUNTIME_EVICT_AFTER", "1s"), ("TRINE_JOBS_CENSUS", "* * * * * *")];
    let coordinator = Coordinator::start_with(&folder.path().join("trine.db"), &quick).await;
    let mut body = purchase(&shop, "saga", "later", "A-1", 1);
    body["options"]["start_delay"] = json!("2500ms");
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    // The stream follows the journal and ends when the transaction settles; it brings nothing into memory.
    let url = format!("{}/v1/transactions/later/events", coordinator.url());
    let stream = http.text(&url).await;
    assert!(stream.contains("event: started") && stream.contains("event: committed"), "{stream}");
    assert_eq!(shop.assert_conserved(&http).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_lapsed_costs_no_attempts() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 10).await;
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    let register = |ttl: &str| {
        let body = json!({"name": "inventory", "base_url": shop.inventory.base_url(), "ttl": ttl});
        let (http, url) = (http.clone(), format!("{}/v1/participants", coordinator.url()));
        async move { assert_eq!(http.post(&url, &body).await.0, 200) }
    };
    register("1s").await;
    let mut body = purchase(&shop, "saga", "waiting", "A-1", 1);
    body["branches"][0]["url"] = json!("inventory:/stock/branch");
    body["options"]["retry"]["max_attempts"] = json!(1);
    body["options"]["start_delay"] = json!("1500ms");
    let (status, _) = http.create(coordinator.url(), &body, 0).await.expect("an answer");
    assert_eq!(status, 202);
    // By the time it starts nobody is alive: it waits, and goes on when somebody registers.
    let (status, answer) = http.create(coordinator.url(), &body, 4).await.expect("an answer");
    assert_eq!(
        (status, &answer["status"], &answer["parked"]),
        (202, &json!("running"), &json!(false)),
        "{answer}"
    );
    register("60s").await;
    let (status, answer) = http.create(coordinator.url(), &body, 30).await.expect("an answer");
    assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_coordinator_on_the_same_file_is_turned_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (db, link) = (folder.path().join("trine.db"), folder.path().join("link.db"));
    let _first = Coordinator::start_with(&db, &[("TRINE_NAME", "first")]).await;
    std::os::unix::fs::symlink(&db, &link).expect("a link");
    // What looks like a leftover is none of the lock.
    let beside = |name: &str| !["trine.db", "trine.db-wal", "trine.db-shm", "link.db"].contains(&name);
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        if beside(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).expect("removed");
        }
    }
    for name in [&db, &link] {
        let store = format!("sqlite:{}", name.display());
        let (code, words) = trine(&[
            "serve",
            "--http",
            "127.0.0.1:0",
            "--grpc",
            "off",
            "--name",
            "second",
            "--store",
            &store,
        ])
        .await;
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("in use by another coordinator (first, since 20"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_never_called_and_trine_check_finds_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (db, http) = (folder.path().join("trine.db"), Http::new());
    let store = format!("sqlite:{}", db.display());
    let coordinator = Coordinator::start(&db).await;
    for gid in ["pay", "other"] {
        let branch =
            json!({"id": "a", "confirm": "http://127.0.0.1:9/to/alice", "cancel": "http://127.0.0.1:9/c"});
        let body = json!({"gid": gid, "pattern": "tcc", "open": true, "branches": [branch]});
        let (status, answer) = http.post(&format!("{}/v1/transactions", coordinator.url()), &body).await;
        assert_eq!(status, 202, "{answer}");
    }
    let (code, words) = trine(&["check", "--store", &store]).await;
    assert_eq!(code, Some(0), "beside a coordinator that has the file: {words}");
    assert!(words.contains("2 transactions with 2 records"), "{words}");
    assert_eq!(coordinator.terminate().await, Some(0));

    let mut bytes = std::fs::read(&db).expect("the file");
    let places: Vec<usize> =
        bytes.windows(9).enumerate().filter(|(_, bytes)| bytes == b"/to/alice").map(|(at, _)| at).collect();
    // One of the two: the other transaction goes on.
    bytes[places[0] + 4] = b'm';
    std::fs::write(&db, bytes).expect("written");
    let coordinator = Coordinator::start(&db).await;
    let mut statuses = Vec::new();
    for gid in ["pay", "other"] {
        let (status, answer) =
            http.post(&format!("{}/v1/transactions/{gid}/commit", coordinator.url()), &json!({})).await;
        assert_eq!(answer["code"] == "TX0021", status == 500, "{answer}");
        statuses.push(status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 500]);
    let (status, ready) = http.get(&format!("{}/readyz", coordinator.url())).await;
    assert_eq!((status, &ready["damaged_transactions"]), (200, &json!(1)), "{ready}");
    let (code, words) = trine(&["check", "--json", "--store", &store]).await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("\"kind\": \"record\"") && words.contains("\"findings_total\": 1"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_file_sizes_fails_writes_and_not_the_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (coordinator, http) = (Coordinator::start(&folder.path().join("trine.db")).await, Http::new());
    let limit = async |bytes: &str| {
        let pid = coordinator.pid().to_string();
        let mut set = tokio::process::Command::new("prlimit");
        let set = set.args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().await;
        assert!(set.expect("prlimit is there").success());
    };
    let create = async || {
        let labels = json!({"text": "x".repeat(200)});
        let body = json!({"pattern": "tcc", "open": true, "labels": labels});
        http.post(&format!("{}/v1/transactions", coordinator.url()), &body).await.0
    };
    limit("200000").await;
    let mut created = 0;
    let refused = loop {
        match create().await {
            202 => created += 1,
            refused => break refused,
        }
        assert!(created < 10_000, "the limit was never reached");
    };
    assert_eq!(refused, 503);
    let (status, _) = http.get(&format!("{}/healthz", coordinator.url())).await;
    assert_eq!(status, 200);
    limit("unlimited").await;
    // The lane makes pauses while its store fails.
    let accepted = async { while create().await != 202 {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), accepted).await.expect("it goes on by itself");
    assert_eq!(coordinator.terminate().await, Some(0));
}

#[tokio::test]
async fn what_cannot_be_used_ends_with_exit_code_2_and_without_a_word_of_a_password() {
    let url = "postgres://u:p@hunter#w/rd?hunter@h/db";
    for (arguments, said) in [
        (&["serve", "--store", url][..], "flag --store: `store.url` cannot be used: "),
        (
            &["migrate", "--store", &url.replace("postgres", "mysql")],
            "flag --store: `store.url` cannot be used: ",
        ),
        (&["serve", "--store", "postgres://u:hunter2@h/db?sslmod=x"], "it has no parameter \"sslmod\""),
        (
            &["serve", "--store", "mysql://u:hunter2@h/db?ssl-mode=x"],
            "postgres://user:password@host:5432/database or",
        ),
        (
            &["xa", "list", "--db", "oracle://u:hunter2@h/db"],
            "--db: the URL of the database names none that has XA",
        ),
        (&["xa", "list", "--db", url], "--db: the URL of the database cannot be used: "),
    ] {
        let (code, words) = trine(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {words}");
        assert!(words.contains(said) && !words.contains("hunter"), "{arguments:?}: {words}");
        assert!(!words.contains("error with configuration"), "{words}");
    }
    let (code, words) = trine(&["xa", "list", "--db", "postgres://u:hunter2@127.0.0.1:1/db"]).await;
    assert_eq!(code, Some(3), "a database that does not answer is another matter: {words}");
    assert!(words.contains("--db: the database: ") && !words.contains("hunter"), "{words}");
}

#[tokio::test]
async fn health_is_served_while_every_connection_is_in_use_and_descriptors_are_short() {
    let (http, folder) = (Http::new(), tempfile::tempdir().unwrap());
    // Four connections for clients, after the store's descriptors and those for calls.
    let coordinator = Coordinator::start_limited(&folder.path().join("t.db"), 64).await;
    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(tokio::net::TcpStream::connect(coordinator.addr()).await.unwrap());
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = http.stream(&format!("{}{path}", coordinator.url())).await;
        assert_eq!(response.status(), 200, "{path}");
    }
    let (code, words) = trine(&["health", "--url", coordinator.url()]).await;
    assert_eq!(code, Some(0), "{words}");
    let refused = http.stream(&format!("{}/v1/transactions", coordinator.url())).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    drop(idle);
    assert_eq!(coordinator.terminate().await, Some(0));
}

/// Takes connections, and never answers on them. Tells how many there are.
async fn silent() -> (String, tokio::sync::watch::Receiver<usize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (tell, told) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            let _ = tell.send(held.len());
        }
    });
    (base, told)
}

#[tokio::test]
async fn calls_that_hang_leave_clients_and_others_their_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start_limited(&folder.path().join("t.db"), 64).await;
    let (http, url) = (Http::new(), format!("{}/v1/transactions", coordinator.url()));
    let (hung, mut connections) = silent().await;
    let saga = |base: &str| {
        let branch = json!({"id": "a", "action": format!("{base}/do"), "compensate": format!("{base}/undo")});
        json!({"pattern": "saga", "branches": [branch]})
    };
    for _ in 0..60 {
        assert_eq!(http.post(&url, &saga(&hung)).await.0, 202);
    }
    // Ten connections for calls; the last two are not for a host that has some.
    let reach = async |connections: &mut tokio::sync::watch::Receiver<usize>, wanted: usize| {
        let reached = connections.wait_for(|count| *count >= wanted);
        let reached = tokio::time::timeout(std::time::Duration::from_secs(30), reached).await;
        assert_eq!(*reached.expect("as many connections as there may be").unwrap(), wanted);
    };
    reach(&mut connections, 8).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = reqwest::get(format!("{}{path}", coordinator.url())).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    let (well, mut calls) = silent().await;
    assert_eq!(http.post(&url, &saga(&well)).await.0, 202);
    reach(&mut calls, 1).await;
    assert_eq!(*connections.borrow(), 8);
}

#[tokio::test]
async fn health_has_a_listener_of_its_own_where_one_is_named() {
    let (http, folder) = (Http::new(), tempfile::tempdir().unwrap());
    let health = format!("127.0.0.1:{}", trine_testkit::ports::free_port());
    let variables = [("TRINE_HTTP_HEALTH_ADDR", health.as_str())];
    let coordinator = Coordinator::start_with(&folder.path().join("t.db"), &variables).await;
    // Who asks nothing gives way.
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(tokio::net::TcpStream::connect(&health).await.unwrap());
    }
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/transactions", 404)]
    {
        let response = http.stream(&format!("http://{health}{path}")).await;
        assert_eq!(response.status(), status, "{path}");
    }
    assert_eq!(coordinator.terminate().await, Some(0));
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_told_before_a_port_that_is_taken() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let serve = async |store: &str| {
        let arguments = ["serve", "--http", &addr, "--grpc", "off", "--name", "late", "--store", store];
        trine(&arguments).await
    };
    let (code, words) = serve("sqlite:./folder/").await;
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("names no file"), "{words}");
    let folder = tempfile::tempdir().unwrap();
    let (code, words) = serve(&format!("sqlite:{}", folder.path().display())).await;
    assert_eq!(code, Some(1), "a folder is no file: {words}");
    assert!(words.contains("cannot open") && !words.contains("cannot listen"), "{words}");
    let postgres = Kind::Postgres.fresh();
    let (code, words) = serve(&format!("{postgres}_of_nobody")).await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("cannot open") && !words.contains("cannot listen"), "{words}");
    let (code, words) = serve("memory:").await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("local end of an outgoing connection"), "{words}");
    // It was among the coordinators for a moment, and has taken its leave.
    let (code, words) = serve(&postgres).await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("cannot listen"), "{words}");
    let other = Coordinator::serve(&postgres, "127.0.0.1:0", folder.path(), &[]).await;
    let (_, list) = Http::new().get(&format!("{}/v1/admin/coordinators", other.url())).await;
    let late = list["coordinators"].as_array().unwrap().iter().find(|one| one["name"] == "late").unwrap();
    let state = (&late["alive"], &late["heartbeat_at"]);
    assert_eq!(state, (&json!(false), &json!("1970-01-01T00:00:00.000Z")), "{list}");
    assert_eq!(other.terminate().await, Some(0));
}
