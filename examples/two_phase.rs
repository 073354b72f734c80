//! Two-phase commit: every branch votes; all yes, and all commit; one no, and all roll back.
//!
//! Money moves between two banks with a database each. Preparing puts the amount aside and votes; committing books it.
//! A third branch, the auditor, looks only at large sums: for small ones it votes read-only and is left out of the
//! second phase. The first transfer commits, the second one is not covered and rolls back.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example two_phase`

mod common;

use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Outcome, Participant, Status, TwoPhase, TwoPhaseBranch};

const SCHEMA: &str =
    "CREATE TABLE account (balance INTEGER, pending INTEGER); INSERT INTO account VALUES (100, 0)";

/// Puts an amount (negative: out of the account) aside. Money that leaves must be there; money that comes must not be
/// spent yet.
async fn prepare(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        let sql = "UPDATE account SET balance = balance + MIN(?1, 0), pending = pending + ?1 \
                   WHERE balance + MIN(?1, 0) >= 0";
        match sqlx::query(sql).bind(amount).execute(connection).await?.rows_affected() {
            1 => Ok::<_, Error>(Outcome::empty()),
            _ => Ok(Outcome::refused("not covered")),
        }
    };
    database.barrier.execute(&call, body).await
}

async fn commit(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE account SET balance = balance + MAX(?1, 0), pending = pending - ?1")
            .bind(amount)
            .execute(connection)
            .await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

async fn rollback(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE account SET balance = balance - MIN(?1, 0), pending = pending - ?1")
            .bind(amount)
            .execute(connection)
            .await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

/// The auditor's vote. It writes a report of large sums, and has nothing to do with small ones.
async fn audit(database: Database, call: BranchContext, amount: i64) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        if amount < 1_000 {
            return Ok::<_, Error>(Outcome::DoneReadOnly);
        }
        sqlx::query("INSERT INTO reports VALUES (?)").bind(amount).execute(connection).await?;
        Ok(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

/// Ends an audit either way: the report stays.
async fn audited(database: Database, call: BranchContext, _: i64) -> Result<Outcome, Error> {
    let body = async |_: &mut SqliteConnection| Ok::<_, Error>(Outcome::empty());
    database.barrier.execute(&call, body).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let (here, there) = (Database::create(SCHEMA).await?, Database::create(SCHEMA).await?);
    let reports = Database::create("CREATE TABLE reports (amount INTEGER)").await?;
    let bank = |database: &Database| {
        Participant::new(database.clone())
            .prepare("/prepare", prepare)
            .commit("/commit", commit)
            .rollback("/rollback", rollback)
            .into_router()
    };
    let auditor = Participant::new(reports.clone())
        .prepare("/prepare", audit)
        .commit("/commit", audited)
        .rollback("/rollback", audited)
        .into_router();
    let (from, to) = (common::serve(bank(&here)).await?, common::serve(bank(&there)).await?);
    let auditor = common::serve(auditor).await?;
    let branch = |id, url: &str, amount: i64| {
        TwoPhaseBranch::new(id)
            .prepare(format!("{url}/prepare"))
            .commit(format!("{url}/commit"))
            .rollback(format!("{url}/rollback"))
            .payload(&amount)
    };
    let transfer = |amount: i64| {
        TwoPhase::new()
            .branch(branch("from", &from, -amount))
            .branch(branch("to", &to, amount))
            .branch(branch("audit", &auditor, amount))
    };

    println!("70 of 100 are transferred:");
    let answer = client.submit_and_wait(&transfer(70), Duration::from_secs(30)).await?;
    expect(&answer, Status::Committed)?;
    let view = client.get(&answer.gid).await?;
    let read_only: Vec<_> =
        view.branches.iter().filter(|branch| branch.read_only).map(|branch| &branch.id).collect();
    println!("  voted read-only: {read_only:?}");
    if read_only.len() != 1 {
        return Err("the auditor should have voted read-only".into());
    }

    println!("70 more are not covered:");
    let answer = client.submit_and_wait(&transfer(70), Duration::from_secs(30)).await?;
    expect(&answer, Status::RolledBack)?;

    expect_number("balance here", here.number("SELECT balance FROM account").await?, 30)?;
    expect_number("balance there", there.number("SELECT balance FROM account").await?, 170)?;
    for database in [&here, &there] {
        expect_number("pending", database.number("SELECT pending FROM account").await?, 0)?;
    }
    Ok(())
}
