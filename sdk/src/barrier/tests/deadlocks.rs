//! Database transactions that lock the same rows in opposite orders. SQLite has one writer, so this cannot happen there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Barrier as Meeting;
use trine_protocol::{BranchId, Op};

use super::ops::Connection;
use super::service::{
    Error, Flavor, OnMySql, OnMySqlReadCommitted, OnPostgres, Service, TestDatabase, context, gid,
};
use crate::{BranchContext, Outcome};

async fn of_two_ops_in_a_deadlock_both_take_effect_once<F: Flavor>() {
    let service = Service::<F>::new().await;
    let rows = [service.noted("a").await, service.noted("b").await];
    let (meeting, runs) = (Arc::new(Meeting::new(2)), Arc::new(AtomicU32::new(0)));
    let mut running = tokio::task::JoinSet::new();
    for (name, [first, second]) in [("left", rows), ("right", [rows[1], rows[0]])] {
        let call = BranchContext::new(gid(), BranchId::parse(name).unwrap(), Op::Action);
        let (barrier, meeting, runs) = (service.barrier.clone(), Arc::clone(&meeting), Arc::clone(&runs));
        running.spawn(async move {
            let body = async move |connection: &mut Connection<F>| {
                F::Db::lock(connection, first).await?;
                // In the first run of each op, both hold a row before they ask for the other's.
                if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                    meeting.wait().await;
                }
                F::Db::lock(connection, second).await?;
                F::Db::effect(connection, name).await?;
                Ok::<_, Error>(Outcome::empty())
            };
            barrier.execute(&call, body).await
        });
    }
    while let Some(ended) = running.join_next().await {
        assert_eq!(ended.unwrap().unwrap(), Outcome::empty());
    }
    assert!(runs.load(Ordering::Relaxed) > 2, "nobody was given up");
    let mut effects = service.effects().await;
    effects.sort();
    assert_eq!(effects, ["a", "b", "left", "right"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_an_op_that_loses_a_deadlock_runs_again() {
    of_two_ops_in_a_deadlock_both_take_effect_once::<OnPostgres>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mysql_an_op_that_loses_a_deadlock_runs_again() {
    of_two_ops_in_a_deadlock_both_take_effect_once::<OnMySql>().await;
    of_two_ops_in_a_deadlock_both_take_effect_once::<OnMySqlReadCommitted>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_that_is_given_up_every_time_ends_with_the_error() {
    let service = Service::<OnPostgres>::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let body = async move |connection: &mut sqlx::PgConnection| {
        counted.fetch_add(1, Ordering::Relaxed);
        sqlx::Postgres::effect(connection, "action").await?;
        let give_up = "DO $$ BEGIN RAISE EXCEPTION 'as in a deadlock' USING ERRCODE = '40P01'; END $$";
        sqlx::raw_sql(give_up).execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    let error = service.barrier.execute(&context(Op::Action), body).await.unwrap_err();
    assert!(error.to_string().contains("as in a deadlock"), "{error}");
    assert_eq!(runs.load(Ordering::Relaxed), 6);
    assert_eq!(service.effects().await, [""; 0]);
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["action"]);
}
