//! TCC, declared: the coordinator tries every branch, then confirms all of them or cancels all of them.
//!
//! A purchase takes stock from one service and money from another, each with a database. Trying freezes what is needed,
//! so nobody else can have it; confirming uses what is frozen; cancelling sets it free. The first purchase is
//! confirmed, the second one is more than the wallet holds and is cancelled.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example tcc`

mod common;

use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Outcome, Participant, Status, Tcc, TccBranch};

const SCHEMA: &str = "CREATE TABLE pile (free INTEGER, frozen INTEGER); INSERT INTO pile VALUES (100, 0)";

/// Freezes an amount, unless less than that is free.
async fn freeze(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        let frozen = sqlx::query("UPDATE pile SET free = free - ?1, frozen = frozen + ?1 WHERE free >= ?1")
            .bind(amount)
            .execute(connection)
            .await?;
        match frozen.rows_affected() {
            1 => Ok::<_, Error>(Outcome::empty()),
            _ => Ok(Outcome::refused(format!("less than {amount} left"))),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Uses what was frozen.
async fn spend(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE pile SET frozen = frozen - ?").bind(amount).execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

/// Sets free what was frozen. It runs only if something was: the barrier knows.
async fn unfreeze(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE pile SET frozen = frozen - ?1, free = free + ?1")
            .bind(amount)
            .execute(connection)
            .await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let (goods, money) = (Database::create(SCHEMA).await?, Database::create(SCHEMA).await?);
    // One path for all ops of a branch: the header Trine-Op tells them apart.
    let router = |database: &Database| {
        let participant = Participant::new(database.clone());
        participant.try_("/pile", freeze).confirm("/pile", spend).cancel("/pile", unfreeze).into_router()
    };
    let (stock, wallet) = (common::serve(router(&goods)).await?, common::serve(router(&money)).await?);
    let purchase = |units: i64, price: i64| {
        Tcc::new()
            .deadline(Duration::from_secs(20))
            .branch(TccBranch::new("stock").url(format!("{stock}/pile")).payload(&units))
            .branch(TccBranch::new("wallet").url(format!("{wallet}/pile")).payload(&(units * price)))
    };

    println!("Two units at 30 each are within the budget of 100:");
    let answer = client.submit_and_wait(&purchase(2, 30), Duration::from_secs(30)).await?;
    expect(&answer, Status::Committed)?;

    println!("Two more are not:");
    let answer = client.submit_and_wait(&purchase(2, 30), Duration::from_secs(30)).await?;
    expect(&answer, Status::RolledBack)?;

    expect_number("units in stock", goods.number("SELECT free FROM pile").await?, 98)?;
    expect_number("units frozen", goods.number("SELECT frozen FROM pile").await?, 0)?;
    expect_number("money in the wallet", money.number("SELECT free FROM pile").await?, 40)?;
    expect_number("money frozen", money.number("SELECT frozen FROM pile").await?, 0)
}
