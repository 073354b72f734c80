//! Acknowledgements that get lost between the database and the service.

use std::time::Duration;

use serde_json::json;
use sqlx::Pool;
use sqlx::pool::PoolOptions;
use trine_protocol::Op;
use trine_testkit::proxy::{Proxy, Trap};
use trine_testkit::{mariadb, postgres};

use super::service::{Flavor, OnMySql, OnPostgres, Service};
use crate::Outcome;

/// Beginning a transaction speaks of COMMITTED, too.
fn is_commit(chunk: &[u8]) -> bool {
    let has = |word: &[u8]| chunk.windows(word.len()).any(|part| part == word);
    has(b"COMMIT") && !has(b"COMMITTED")
}

async fn a_lost_acknowledgement_is_an_error_and_the_repetition_finds_out<F: Flavor>(
    direct: &Service<F>,
    proxy: &Proxy,
    proxied: Pool<F::Db>,
) {
    let service = direct.through(proxied);
    proxy.trap(Trap::EatAnswer, is_commit);
    service.call(Op::Action, Outcome::Done(json!(1))).await.unwrap_err();
    assert!(proxy.wait_for_hits(1, Duration::from_secs(10)));
    assert_eq!(service.call(Op::Action, Outcome::Done(json!(2))).await.unwrap(), Outcome::Done(json!(1)));
    assert_eq!(direct.effects().await, ["action"]);
    // The other half of the doubt: it never got there.
    proxy.trap(Trap::CutBefore, is_commit);
    service.call(Op::Deliver, Outcome::Done(json!(1))).await.unwrap_err();
    assert_eq!(service.call(Op::Deliver, Outcome::Done(json!(2))).await.unwrap(), Outcome::Done(json!(2)));
    assert_eq!(direct.effects().await, ["action", "deliver"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_lost_commit_is_found_out() {
    let direct = Service::<OnPostgres>::new().await;
    let proxy = Proxy::start(postgres::shared().port());
    let options = (*direct.pool.connect_options()).clone().port(proxy.port());
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    a_lost_acknowledgement_is_an_error_and_the_repetition_finds_out(&direct, &proxy, pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mysql_a_lost_commit_is_found_out() {
    let direct = Service::<OnMySql>::new().await;
    let proxy = Proxy::start(mariadb::shared().port());
    let options = (*direct.pool.connect_options()).clone().port(proxy.port());
    // MySQL offers TLS by itself, and the proxy must read what is said.
    let options = options.ssl_mode(sqlx::mysql::MySqlSslMode::Disabled);
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    a_lost_acknowledgement_is_an_error_and_the_repetition_finds_out(&direct, &proxy, pool).await;
}
