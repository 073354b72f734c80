//! What goes wrong at and on the way to a database server.

use std::sync::Arc;
use std::time::Duration;

use trine_testkit::mariadb::{self, MariaDb};
use trine_testkit::postgres::{Pair, Postgres};
use trine_testkit::proxy::Proxy;

use super::{Database, KINDS, Server, standing};
use crate::remote::client::Client;
use crate::remote::texts::Text;
use crate::remote::{self, mysql};
use crate::suite::fixture::{Tx, append, batch, create, gid, gids, seqs};
use crate::{AppendError, Appended, Liveness, Options, Risk, Store, StoreError, Why, open};

/// A database behind a proxy.
struct Behind {
    proxy: Proxy,
    database: Database,
    options: Options,
}

fn behind(kind: fn() -> Database) -> Behind {
    let database = kind();
    let port = match database.server {
        Server::Postgres(server) => server.port(),
        Server::MariaDb(server) => server.port(),
    };
    let proxy = Proxy::start(port);
    let mut url = database.url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    if mariadb::is_mysql() && matches!(database.server, Server::MariaDb(_)) {
        // MySQL offers TLS by itself, and the proxy must read what is said.
        url.push_str("?ssl-mode=disabled");
    }
    Behind { proxy, options: Options::new(&url, "a"), database }
}

impl Behind {
    /// What stands in the message that commits a batch of this gid.
    fn commit_of(&self, gid: &str) -> Vec<u8> {
        match self.database.server {
            Server::Postgres(_) => gid.as_bytes().to_vec(),
            // A query as plain text, and nothing else: sessions begin with words like it.
            Server::MariaDb(_) => b"\x03COMMIT".to_vec(),
        }
    }
}

fn is_doubtful(result: &Result<Appended, AppendError>) -> bool {
    matches!(result, Err(AppendError::Doubtful(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_acknowledgement_is_lost_is_doubtful_and_there() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        create(&*store, &[&Tx::new("before")]).await;
        for round in 0..10 {
            let name = format!("lost-{round}");
            behind.proxy.eat_answer_to(&behind.commit_of(&name));
            let result = store.append(0, Tx::new(&name).batch([1, 2])).await;
            assert!(is_doubtful(&result), "{:?}: {result:?}", behind.database.server);
            assert_eq!(seqs(&*store, &name).await, [1, 2]);
        }
        assert_eq!(behind.proxy.hits(), 10);
        create(&*store, &[&Tx::new("after")]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_is_doubtful_and_not_there() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        create(&*store, &[&Tx::new("before")]).await;
        for round in 0..10 {
            let name = format!("cut-{round}");
            behind.proxy.cut_before(&behind.commit_of(&name));
            let result = store.append(0, Tx::new(&name).batch([1, 2])).await;
            assert!(is_doubtful(&result), "{:?}: {result:?}", behind.database.server);
            assert!(seqs(&*store, &name).await.is_empty());
            append(&*store, Tx::new(&name).batch([1, 2])).await;
        }
        assert_eq!(behind.proxy.hits(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_replaced_without_anybody_noticing_who_reads() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        create(&*store, &[&Tx::new("tx")]).await;
        for _ in 0..5 {
            assert_eq!(seqs(&*store, "tx").await, [1]);
            assert_eq!(standing(&*store).await, Ok(Liveness::Alive));
            behind.proxy.cut();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_and_the_batch_is_doubtful() {
    for kind in KINDS {
        let behind = behind(kind);
        let options = Options { timeout_ms: 300, lapse_after_ms: 900, ..behind.options.clone() };
        let store = open(&options).await.unwrap();
        create(&*store, &[&Tx::new("before")]).await;
        behind.proxy.black_hole(true);
        assert!(is_doubtful(&store.append(0, Tx::new("tx").batch([1])).await));
        assert!(matches!(store.heartbeat().await, Err(StoreError::Unavailable(_))));
        behind.proxy.black_hole(false);
        behind.proxy.cut();
        append(&*store, Tx::new("after").batch([1])).await;
        assert!(store.heartbeat().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_waited_for() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        create(&*store, &[&Tx::new("before")]).await;
        behind.proxy.delay(Duration::from_millis(150));
        append(&*store, Tx::new("tx").batch([1, 2])).await;
        assert_eq!(seqs(&*store, "tx").await, [1, 2]);
    }
}

/// Whoever was cut off in the middle must not leave a lock or an open database transaction to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_cancelled_calls_through_a_proxy_lose_no_acknowledged_write() {
    for kind in KINDS {
        let behind = behind(kind);
        let store = open(&behind.options).await.unwrap();
        let mut acknowledged = Vec::new();
        for i in 0..500 {
            let tx = Tx::new(&format!("tx-{i}"));
            let task = tokio::spawn(store.append(i, tx.batch([1, 2])));
            let read = tokio::spawn(store.records(gid("tx-0"), 0));
            if i % 3 == 0 {
                tokio::task::yield_now().await;
            }
            task.abort();
            read.abort();
            if matches!(task.await, Ok(Ok(_))) {
                acknowledged.push(i);
            }
            if i % 50 == 0 {
                behind.proxy.cut();
            }
            if i % 10 == 0 {
                let name = format!("waited-{i}");
                if store.append(i, Tx::new(&name).batch([1])).await.is_ok() {
                    assert_eq!(seqs(&*store, &name).await, [1]);
                }
            }
        }
        for i in 0..500 {
            let found = seqs(&*store, &format!("tx-{i}")).await;
            assert!(found == [1, 2] || (found.is_empty() && !acknowledged.contains(&i)), "{found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_deletes_what_an_append_follows_makes_it_a_conflict() {
    for kind in KINDS {
        let database = kind();
        let store = database.open("a").await;
        append(&*store, Tx::new("tx").batch([1, 2])).await;
        database.execute("DELETE FROM journal WHERE gid = 'tx'; DELETE FROM transactions WHERE gid = 'tx';");
        let appended =
            store.append(0, batch([(&Tx::new("tx"), vec![3]), (&Tx::new("other"), vec![1])])).await;
        assert_eq!(appended, Ok(Appended { conflicts: gids(&["tx"]) }));
        assert!(seqs(&*store, "tx").await.is_empty());
        assert_eq!(seqs(&*store, "other").await, [1]);
    }
}

/// Somebody holds the second row of the batch and then wants the first: one of the two must go back. Whom
/// the server undoes is its own choice (PostgreSQL: whoever looks for a cycle first and finds one), so this
/// goes on until it was the store.
async fn deadlock<C: Client>(database: &Database, waiting: &'static str) {
    let store = database.open("a").await;
    let txs: Vec<Tx> = (0..40).map(|i| Tx::new(&format!("tx-{i:02}"))).collect();
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let address = C::address(&database.url).unwrap();
    for seq in 2..20 {
        let mut other = C::connect(&address).await.unwrap();
        other.execute(database.begin(), &[]).await.unwrap();
        // More than the batch, so that it is not this side that is undone.
        let rest = "UPDATE transactions SET updated_at = updated_at + 1 WHERE gid > 'tx-01'";
        other.execute(Text::verbatim(rest), &[]).await.unwrap();
        let appending = tokio::spawn(store.append(0, batch(txs[..3].iter().map(|tx| (tx, vec![seq])))));
        database.until(waiting, |found| found != "0").await;
        let first = "UPDATE transactions SET updated_at = updated_at + 1 WHERE gid = 'tx-00'";
        let won = other.execute(Text::verbatim(first), &[]).await.is_ok();
        if won {
            other.execute(Text::verbatim("COMMIT"), &[]).await.unwrap();
        }
        // Ends its transaction where that is still open.
        drop(other);
        assert_eq!(appending.await.unwrap(), Ok(Appended::default()));
        assert_eq!(seqs(&*store, "tx-00").await, (1..=seq).collect::<Vec<_>>());
        if won {
            return;
        }
    }
    panic!("the store never lost a deadlock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_loses_a_deadlock_is_tried_again() {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    deadlock::<remote::Postgres>(&super::in_postgres(), waiting).await;
    let waiting = "SELECT count(*) FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p \
         ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()";
    deadlock::<mysql::MySql>(&super::in_mariadb(), waiting).await;
}

/// A server of the test's own.
trait Own {
    fn fresh(&self) -> String;
    fn kill(&self);
    fn start_again(&self);
}

impl Own for Postgres {
    fn fresh(&self) -> String {
        self.fresh_database()
    }
    fn kill(&self) {
        self.kill();
    }
    fn start_again(&self) {
        self.start_again();
    }
}

impl Own for MariaDb {
    fn fresh(&self) -> String {
        self.fresh_database()
    }
    fn kill(&self) {
        self.kill();
    }
    fn start_again(&self) {
        self.start_again();
    }
}

async fn crash(server: &dyn Own) -> Arc<dyn Store> {
    let store = open(&Options::new(&server.fresh(), "a")).await.unwrap();
    let tx = Tx::new("tx");
    for seq in 1..=20 {
        append(&*store, tx.batch([seq])).await;
    }
    server.kill();
    assert!(store.append(0, tx.batch([21])).await.is_err());
    assert!(matches!(store.load(vec![gid("tx")]).await, Err(StoreError::Unavailable(_))));
    assert!(store.heartbeat().await.is_err());
    assert!(store.ping().await.is_err());
    server.start_again();
    assert_eq!(seqs(&*store, "tx").await, (1..=20).collect::<Vec<_>>());
    append(&*store, tx.batch([21])).await;
    assert!(store.heartbeat().await.is_ok());
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashed_and_came_back_is_used_again() {
    crash(&Postgres::start()).await;
    crash(&MariaDb::start()).await;
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
