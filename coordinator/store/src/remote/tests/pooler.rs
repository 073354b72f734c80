//! A pooler between the coordinator and PostgreSQL, as `docs/operating.md` prescribes it, and as it warns of it.

use trine_testkit::pgbouncer::PgBouncer;
use trine_testkit::postgres;

use crate::suite::fixture::{Tx, append, create, seqs};
use crate::{HeartbeatAnswer, Options, migrate, open};

/// A fresh database's URL through a pooler.
fn through(pool_mode: &str) -> (PgBouncer, String) {
    let server = postgres::shared();
    let pooler = PgBouncer::start(server.port(), pool_mode);
    let url =
        server.fresh_database().replace(&format!(":{}/", server.port()), &format!(":{}/", pooler.port()));
    (pooler, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_works_behind_pgbouncer_in_session_mode() {
    let (_pooler, url) = through("session");
    let store = open(&Options::new(&url, "a")).await.unwrap();
    create(&*store, &[&Tx::new("tx")]).await;
    append(&*store, Tx::new("tx").batch([2, 3])).await;
    assert_eq!(seqs(&*store, "tx").await, [1, 2, 3]);
    assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Alive);
    store.ping().await.unwrap();
    store.close().await.unwrap();
    // Sessions of the server that others used before are as good as new ones.
    let again = open(&Options::new(&url, "b")).await.unwrap();
    assert_eq!(seqs(&*again, "tx").await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_shares_sessions_out_is_refused_with_what_to_set() {
    for pool_mode in ["transaction", "statement"] {
        let (_pooler, url) = through(pool_mode);
        // Again: the first one has left its prepared statements behind.
        for _ in 0..2 {
            let options = Options::new(&url, "a");
            for error in [open(&options).await.err().unwrap(), migrate(&options).await.unwrap_err()] {
                assert!(error.to_string().contains("pool_mode = session"), "{pool_mode}: {error}");
            }
        }
    }
}
