//! Errors of the body, services that die, sessions that break, acknowledgements that are lost, and servers that are killed.

use std::sync::LazyLock;

use sqlx::pool::PoolOptions;
use sqlx::{MySql, Pool, Postgres};
use trine_protocol::Op;
use trine_testkit::mariadb::MariaDb;
use trine_testkit::postgres::Postgres as PostgresServer;
use trine_testkit::proxy::Proxy;

use super::service::{Error, POSTGRES, Service, TestDatabase, start_waiting};
use crate::barrier::BarrierError;
use crate::xa::{PgXa, Xa};
use crate::{BranchContext, Outcome};

pub(super) async fn a_swallowed_error_is_not_taken_for_prepared_unless_it_is<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let swallowing = async |connection: &mut D::Connection| {
        D::effect(connection).await?;
        let _ = D::fail(connection).await;
        Ok::<_, Error>(Outcome::empty())
    };
    let prepared = service.xa.prepare(&service.context(Op::Prepare, 0), swallowing).await.is_ok();
    assert_eq!(service.commit().await.is_ok(), prepared);
    assert_eq!(service.seen().await.0, i64::from(prepared));
}

pub(super) async fn a_service_that_dies_after_preparing_finds_it_prepared<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    service.prepare(Outcome::empty()).await.unwrap();
    let service = service.reborn().await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (0, 1));
    let service = service.reborn().await;
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
}

pub(super) async fn a_session_that_breaks_under_the_body_leaves_nothing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    let database = service.database();
    tokio::task::spawn_blocking(move || D::terminate(D::shared(), &database)).await.unwrap();
    go_on.send(()).unwrap();
    call.await.unwrap().unwrap_err();
    let service = service.reborn().await;
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    service.commit().await.unwrap();
    assert_eq!(service.seen().await.0, 1);
}

/// Loses the acknowledgement of each step in turn; the repetition finds out what happened.
async fn lost_acknowledgements<D: TestDatabase>(
    mut service: Service<D>,
    proxy: Proxy,
    proxied: Pool<D>,
    [prepare, commit]: [&'static [u8]; 2],
) {
    service.xa = Xa::new(proxied);
    proxy.eat_answer_to(prepare);
    service.prepare(Outcome::empty()).await.unwrap_err();
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    assert_eq!(service.seen().await, (0, 1));
    proxy.eat_answer_to(commit);
    service.commit().await.unwrap_err();
    assert_eq!(service.commit().await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (1, 1));
    assert_eq!(proxy.hits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_lost_acknowledgements_are_found_out() {
    let service = Service::<Postgres>::new().await;
    let proxy = Proxy::start(POSTGRES.port());
    let options = (*service.pool.connect_options()).clone().port(proxy.port());
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    lost_acknowledgements(service, proxy, pool, [b"PREPARE TRANSACTION", b"COMMIT PREPARED"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_lost_acknowledgements_are_found_out() {
    let service = Service::<MySql>::new().await;
    let proxy = Proxy::start(trine_testkit::mariadb::shared().port());
    let options = (*service.pool.connect_options()).clone().port(proxy.port());
    // MySQL offers TLS by itself, and the proxy must read what is said.
    let options = options.ssl_mode(sqlx::mysql::MySqlSslMode::Disabled);
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    lost_acknowledgements(service, proxy, pool, [b"XA PREPARE", b"XA COMMIT"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_is_killed_keeps_what_is_prepared() {
    static SERVER: LazyLock<MariaDb> = LazyLock::new(MariaDb::start);
    prepared_survives(Service::<MySql>::on(&SERVER).await, || (SERVER.kill(), SERVER.start_again())).await;
    SERVER.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_killed_keeps_what_is_prepared() {
    static SERVER: LazyLock<PostgresServer> =
        LazyLock::new(|| PostgresServer::start_with(&[("max_prepared_transactions", "2")]));
    prepared_survives(Service::<Postgres>::on(&SERVER).await, || (SERVER.kill(), SERVER.start_again())).await;
    SERVER.kill();
}

async fn prepared_survives<D: TestDatabase>(service: Service<D>, restart: fn() -> ((), ())) {
    service.prepare(Outcome::empty()).await.unwrap();
    tokio::task::spawn_blocking(restart).await.unwrap();
    let service = service.reborn().await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
}

#[tokio::test]
async fn a_postgres_that_prepares_nothing_says_so() {
    let url =
        tokio::task::spawn_blocking(|| trine_testkit::postgres::shared().fresh_database()).await.unwrap();
    let xa = PgXa::new(PoolOptions::new().connect(&url).await.unwrap());
    assert!(matches!(xa.install().await, Err(BarrierError::PreparedTransactionsOff)));
    let context = BranchContext::new("g".parse().unwrap(), "b".parse().unwrap(), Op::Prepare);
    let body = async |_: &mut sqlx::PgConnection| Ok::<_, BarrierError>(Outcome::empty());
    let error = xa.prepare(&context, body).await.unwrap_err();
    assert!(error.to_string().contains("max_prepared_transactions"), "{error}");
    // Nothing is prepared, and the coordinator may roll the branch back.
    let context = BranchContext::new("g".parse().unwrap(), "b".parse().unwrap(), Op::Rollback);
    assert_eq!(xa.rollback(&context).await.unwrap(), Outcome::empty());
}
