//! Single servers: they start, answer, crash, come back with their data, and take other settings.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::collections::HashSet;
use std::time::Duration;

use trine_testkit::mariadb::{self, MariaDb};
use trine_testkit::postgres::{self, Postgres};
use trine_testkit::redis::{self, Redis};
use trine_testkit::wait;

const LIMIT: Duration = Duration::from_secs(30);

fn database(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

#[test]
fn postgres_keeps_what_it_committed_over_a_crash() {
    let server = Postgres::start();
    let url = server.fresh_database();
    assert_eq!(url, format!("postgres://user:password@127.0.0.1:{}/db_1", server.port()));
    let settings = server.execute("db_1", "SHOW fsync; SHOW synchronous_commit; SHOW max_connections;");
    assert_eq!(settings, "on\non\n300");
    server.execute("db_1", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    server.kill();
    assert!(server.try_execute("db_1", "SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.execute("db_1", "SELECT * FROM t ORDER BY a"), "1\tx\n2\ty");
    server.stop();
    server.start_again();
    assert_eq!(server.execute("db_1", "SELECT count(*) FROM t"), "2");
}

#[test]
fn postgres_takes_settings_that_contradict_its_own() {
    let server = Postgres::start_with(&[("fsync", "off"), ("max_prepared_transactions", "7")]);
    assert_eq!(server.execute("postgres", "SHOW fsync; SHOW max_prepared_transactions;"), "off\n7");
}

#[test]
fn postgres_makes_databases_from_many_threads() {
    let server = postgres::shared();
    let urls = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| server.fresh_database())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<HashSet<_>>()
    });
    assert_eq!(urls.len(), 8);
    for url in &urls {
        assert_eq!(server.execute(database(url), "SELECT 1"), "1");
    }
}

#[test]
fn postgres_ends_connections_when_told_to() {
    let server = postgres::shared();
    let url = server.fresh_database();
    let name = database(&url);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| server.try_execute(name, "SELECT pg_sleep(60)"));
        let sleeping = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'"
        );
        assert!(wait::until(LIMIT, || server.execute("postgres", &sleeping) == "1"));
        server.terminate_connections(name);
        assert!(sleeper.join().unwrap().unwrap_err().contains("terminating connection"));
    });
}

#[test]
fn a_paused_postgres_goes_on_where_it_was() {
    let server = &Postgres::start();
    server.pause();
    std::thread::scope(|scope| {
        let (tell, answer) = std::sync::mpsc::channel();
        scope.spawn(move || tell.send(server.execute("postgres", "SELECT 1")));
        assert!(answer.recv_timeout(Duration::from_millis(300)).is_err(), "a paused server answers nothing");
        server.resume();
        assert_eq!(answer.recv().unwrap(), "1");
    });
    server.pause();
    server.kill();
    server.start_again();
}

#[test]
fn mariadb_keeps_what_it_committed_over_a_crash() {
    let server = MariaDb::start();
    let url = server.fresh_database();
    assert_eq!(url, format!("mysql://user:password@127.0.0.1:{}/db_1", server.port()));
    let settings = "SELECT @@innodb_flush_log_at_trx_commit, @@max_connections, @@sync_binlog";
    assert_eq!(server.execute("db_1", settings), "1\t300\t1");
    server.execute("db_1", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    server.kill();
    assert!(server.try_execute("db_1", "SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.execute("db_1", "SELECT * FROM t ORDER BY a"), "1\tx\n2\ty");
    server.stop();
    server.start_again();
    assert_eq!(server.execute("db_1", "SELECT count(*) FROM t"), "2");
}

#[test]
fn mariadb_takes_settings_that_contradict_its_own() {
    let server = MariaDb::start_with(&[("innodb_flush_log_at_trx_commit", "0")]);
    assert_eq!(server.execute("", "SELECT @@innodb_flush_log_at_trx_commit"), "0");
}

#[test]
fn mariadb_makes_databases_from_many_threads_and_ends_connections() {
    let server = mariadb::shared();
    let urls = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| server.fresh_database())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<HashSet<_>>()
    });
    assert_eq!(urls.len(), 8);
    let name = database(urls.iter().next().unwrap());
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| server.try_execute(name, "SELECT sleep(60)"));
        let sleeping = format!(
            "SELECT count(*) FROM information_schema.processlist WHERE db = '{name}' AND state = 'User sleep'"
        );
        assert!(wait::until(LIMIT, || server.execute("", &sleeping) == "1"));
        server.terminate_connections(name);
        assert!(sleeper.join().unwrap().is_err());
    });
}

#[test]
fn redis_keeps_what_it_answered_over_a_crash() {
    let server = Redis::start();
    assert_eq!(server.execute(0, &["CONFIG", "GET", "append*sync"]), "appendfsync\nalways");
    assert_eq!(server.execute(0, &["SET", "k", "a value"]), "OK");
    server.kill();
    server.start_again();
    assert_eq!(server.execute(0, &["GET", "k"]), "a value");
    server.stop();
    server.start_again();
    assert_eq!(server.execute(0, &["GET", "k"]), "a value");
}

#[test]
fn redis_takes_settings_that_contradict_its_own() {
    let server = Redis::start_with(&[("appendonly", "no")]);
    assert_eq!(server.execute(0, &["CONFIG", "GET", "appendonly"]), "appendonly\nno");
}

#[test]
fn redis_gives_away_databases_and_prefixes_once() {
    let server = redis::shared();
    assert_ne!(server.fresh_database(), server.fresh_database());
    assert_ne!(server.fresh_prefix(), server.fresh_prefix());
    let url = server.fresh_database();
    let number = database(&url).parse().unwrap();
    assert_eq!(server.execute(number, &["SET", "k", "v"]), "OK");
    assert_eq!(server.execute(0, &["EXISTS", "k"]), "0");
}
