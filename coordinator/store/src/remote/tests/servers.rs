//! What goes wrong at a database server: crashes, settings that change, standbys, users.

use trine_testkit::mariadb::{self, MariaDb};
use trine_testkit::postgres::{Pair, Postgres};

use super::{Server, is_doubtful};
use crate::suite::fixture::{Tx, append, create, gid, seqs};
use crate::{AppendError, Options, Risk, StoreError, Why, open};

async fn crash(url: &str, kill: impl Fn(), start_again: impl Fn()) {
    let store = open(&Options::new(url, "a")).await.unwrap();
    let tx = Tx::new("tx");
    for seq in 1..=20 {
        append(&*store, tx.batch([seq])).await;
    }
    kill();
    assert!(store.append(0, tx.batch([21])).await.is_err());
    assert!(matches!(store.load(vec![gid("tx")]).await, Err(StoreError::Unavailable(_))));
    assert!(store.heartbeat().await.is_err());
    assert!(store.ping().await.is_err());
    start_again();
    assert_eq!(seqs(&*store, "tx").await, (1..=20).collect::<Vec<_>>());
    append(&*store, tx.batch([21])).await;
    assert!(store.heartbeat().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashed_and_came_back_is_used_again() {
    let server = Postgres::start();
    crash(&server.fresh_database(), || server.kill(), || server.start_again()).await;
    let server = MariaDb::start();
    crash(&server.fresh_database(), || server.kill(), || server.start_again()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turned_read_only_fails_appends_until_it_is_writable() {
    let database = super::in_postgres();
    let store = database.open("a").await;
    create(&*store, &[&Tx::new("before")]).await;
    let name = database.name().to_owned();
    let Server::Postgres(server) = database.server else { unreachable!() };
    server.execute("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    server.terminate_connections(&name);
    // The first one meets the connection that was ended.
    assert!(store.append(0, Tx::new("tx").batch([1])).await.is_err());
    let Err(AppendError::Failed(text)) = store.append(0, Tx::new("tx").batch([1])).await else {
        panic!("appended")
    };
    assert!(text.contains("read-only"), "{text}");
    server.execute("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    append(&*store, Tx::new("tx").batch([1])).await;

    let server = MariaDb::start();
    let store = open(&Options::new(&server.fresh_database(), "a")).await.unwrap();
    create(&*store, &[&Tx::new("before")]).await;
    server.execute("mysql", "SET GLOBAL read_only = 1");
    let refused = open(&Options::new(&server.fresh_database(), "b")).await.err().unwrap();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    server.execute("mysql", "SET GLOBAL read_only = 0");
    append(&*store, Tx::new("tx").batch([1])).await;
}

/// Connections that are open already would go on being used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_settings_became_unsafe_or_read_only_is_noticed_and_not_used() {
    let postgres = Postgres::start();
    let mariadb = MariaDb::start();
    let (on_postgres, on_mariadb) = (postgres.fresh_database(), mariadb.fresh_database());
    let reload = |sql: &str| {
        postgres.execute("postgres", sql);
        postgres.execute("postgres", "SELECT pg_reload_conf()");
    };
    let set = |sql: &str| drop(mariadb.execute("mysql", sql));
    let run = |url: &str, sql: &str| if url == on_postgres { reload(sql) } else { set(sql) };
    let cases = [
        (
            &on_postgres,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
            Why::ReadOnly,
        ),
        (
            &on_mariadb,
            "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
            Why::Unsafe,
        ),
        (&on_mariadb, "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", Why::ReadOnly),
    ];
    for (url, spoil, mend, why) in cases {
        for beats in [true, false] {
            let store = open(&Options { lanes: 1, ..Options::new(url, "a") }).await.unwrap();
            let tx = Tx::new(&format!("{why:?}-{beats}"));
            append(&*store, tx.batch([1])).await;
            let look = async || if beats { store.heartbeat().await.map(drop) } else { store.ping().await };
            look().await.unwrap();
            run(url, spoil);
            // A setting that changes between the look and the work is refused in the server's own words that once.
            let unfit = loop {
                if let Err(StoreError::Unfit(unfit)) = look().await {
                    break unfit;
                }
            };
            assert_eq!(unfit.why, why, "{spoil}: {unfit}");
            let refused = store.append(0, tx.batch([2])).await;
            assert!(matches!(refused, Err(AppendError::Failed(_))), "{spoil}: {refused:?}");
            run(url, mend);
            while look().await.is_err() {}
            append(&*store, tx.batch([2])).await;
            store.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn unsafe_settings_are_refused_unless_allowed_by_name() {
    let refused = async |url: String, risks: &[Risk]| {
        let mut options = Options::new(&url, "a");
        for risk in risks {
            let error = open(&options).await.err().unwrap().to_string();
            assert!(error.contains(&format!("store.allow = \"{risk}\"")), "{error}");
            assert!(!error.contains("password"), "{error}");
            options.allow.push(*risk);
        }
        open(&options).await.unwrap();
    };
    let server =
        Postgres::start_with(&[("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")]);
    refused(server.fresh_database(), &[Risk::Fsync, Risk::FullPageWrites, Risk::SynchronousCommit]).await;
    let server = MariaDb::start_with(&[("innodb_flush_log_at_trx_commit", "2")]);
    refused(server.fresh_database(), &[Risk::FlushLog]).await;
    let server =
        Postgres::start_with(&[("synchronous_commit", "local"), ("synchronous_standby_names", "nobody")]);
    refused(server.fresh_database(), &[Risk::SynchronousCommit]).await;
}

/// The session that waited for a standby is ended, or its server restarted: what it wrote is visible, and would be gone
/// if the standby were promoted now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_standby_has_not_got_is_not_answered_for() {
    let pair = Pair::start();
    let url = pair.fresh_database();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let options = Options { timeout_ms: 2_000, ..Options::new(&pair.primary().url(&name), "a") };
    let store = open(&options).await.unwrap();
    append(&*store, Tx::new("before").batch([1])).await;
    pair.standby().pause();
    let appending = tokio::spawn(store.append(0, Tx::new("tx").batch([1])));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while pair.primary().execute(&name, waits).trim() == "0" {
        tokio::task::yield_now().await;
    }
    pair.primary().terminate_connections(&name);
    assert!(is_doubtful(&appending.await.unwrap()));
    let visible = "SELECT count(*) FROM journal WHERE gid = 'tx'";
    assert_eq!(pair.primary().execute(&name, visible).trim(), "1");
    let read = store.load(vec![gid("tx")]).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(store.records(gid("tx"), 0).await.is_err());
    pair.standby().resume();
    while store.load(vec![gid("tx")]).await.is_err() {}
    assert_eq!(seqs(&*store, "tx").await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_refused_and_a_promoted_one_is_found() {
    let pair = Pair::start();
    let url = pair.fresh_database();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let standby = pair.standby().url(&name);
    // The new database has reached the standby's disk, and may not be visible there yet.
    while !pair.standby().try_execute(&name, "SELECT 1").is_ok_and(|answer| answer.trim() == "1") {}
    let refused = open(&Options::new(&standby, "a")).await.err().unwrap();
    assert!(refused.to_string().contains("standby"), "{refused}");
    let store = open(&Options::new(&pair.multi_host_url(&name), "a")).await.unwrap();
    append(&*store, Tx::new("tx").batch([1, 2])).await;
    pair.kill_primary();
    assert!(store.append(0, Tx::new("tx").batch([3])).await.is_err());
    pair.promote_standby();
    assert_eq!(seqs(&*store, "tx").await, [1, 2]);
    append(&*store, Tx::new("tx").batch([3])).await;
}

/// MySQL's default plug-in asks for the password in another way the first time a user comes, and over TLS in yet another.
/// MariaDB has no TLS unless it is set up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_gets_in_over_tls_and_over_plain_tcp() {
    let server = mariadb::shared();
    let url = server.fresh_database();
    let modes: &[&str] = if mariadb::is_mysql() { &["disabled", "required"] } else { &["disabled"] };
    for mode in modes {
        let name = format!("newcomer_{mode}");
        server.execute("", &format!("CREATE USER {name} IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO {name}"));
        let url = format!("{}?ssl-mode={mode}", url.replace("user:password", &format!("{name}:secret")));
        let store = open(&Options::new(&url, "a")).await.unwrap();
        append(&*store, Tx::new(mode).batch([1])).await;
        store.close().await.unwrap();
        let wrong = open(&Options::new(&url.replace("secret", "guess"), "a")).await.err().unwrap();
        assert!(wrong.to_string().contains("denied"), "{wrong}");
    }
}
