//! Clusters: what was acknowledged before a member was lost is there afterwards.

use std::time::Duration;

use trine_testkit::mariadb::Galera;
use trine_testkit::postgres::Pair;
use trine_testkit::wait;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_promoted_standby_has_what_the_primary_acknowledged_and_takes_writes() {
    let pair = Pair::start();
    let url = pair.fresh_database();
    let (primary, standby) = (pair.primary().port(), pair.standby().port());
    assert_eq!(url, format!("postgres://user:password@127.0.0.1:{primary},127.0.0.1:{standby}/db_1"));
    pair.primary().execute("db_1", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    // It has everything, and shows it a little later.
    let write = || pair.standby().try_execute("db_1", "INSERT INTO t VALUES (2)");
    assert!(wait::until(LIMIT, || write().is_err_and(|error| error.contains("read-only"))));
    pair.kill_primary();
    pair.promote_standby();
    pair.standby().execute("db_1", "INSERT INTO t VALUES (2)");
    assert_eq!(pair.standby().execute("db_1", "SELECT a FROM t ORDER BY a"), "1\n2");
}

#[test]
fn commits_wait_for_a_standby_that_is_away() {
    let pair = Pair::start();
    pair.primary().execute("postgres", "CREATE TABLE t (a int)");
    pair.standby().stop();
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| pair.primary().execute("postgres", "INSERT INTO t VALUES (1)"));
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        assert!(wait::until(LIMIT, || pair.primary().execute("postgres", waiting) == "1"));
        assert!(!commit.is_finished());
        pair.standby().start_again();
        commit.join().expect("the commit is acknowledged once the standby has it");
    });
    pair.wait_until_synchronous();
}

#[test]
fn a_galera_cluster_goes_on_without_one_of_its_nodes_and_takes_it_back() {
    let cluster = Galera::start();
    let database = cluster.fresh_database();
    let url = format!("mysql://user:password@127.0.0.1:{}/{database}", cluster.node(2).port());
    assert_eq!(cluster.url(2, &database), url);
    let sql = "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)";
    cluster.node(0).execute(&database, sql);
    cluster.kill(0);
    cluster.wait_for_size(2);
    assert_eq!(cluster.node(1).execute(&database, "SET wsrep_sync_wait = 1; SELECT a FROM t"), "1");
    cluster.node(2).execute(&database, "INSERT INTO t VALUES (2)");
    cluster.start_again(0);
    cluster.wait_for_size(3);
    assert_eq!(cluster.node(0).execute(&database, "SET wsrep_sync_wait = 1; SELECT a FROM t"), "1\n2");
}
