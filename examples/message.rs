//! A message: what an initiator commits locally is delivered to others, for certain; what it does not commit is not.
//!
//! A shop takes orders in its own database and wants each of them packed by the warehouse. It opens a message, records
//! it in the same local transaction as the order, commits, and says so. The program shows what happens when the shop
//!
//! 1. does all of that;
//! 2. dies after its local commit, before saying so: the coordinator asks, hears "committed", and delivers;
//! 3. dies before its local commit: the coordinator asks, hears "not committed", and drops the message; and a late local
//!    commit is made impossible by the answer.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example message`

mod common;

use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use trine_sdk::barrier::BarrierError;
use trine_sdk::{
    BranchContext, CheckAnswer, CheckContext, Client, Gid, Message, MessageBranch, Open, Outcome,
    Participant, Status, client::kind,
};

/// The warehouse takes a delivery; the barrier makes sure that it packs each order once.
async fn pack(database: Database, call: BranchContext, item: String) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("INSERT INTO packed VALUES (?)").bind(item).execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

/// The shop says whether its local transaction committed; if not, this makes sure that it never will.
async fn check(database: Database, call: CheckContext) -> Result<CheckAnswer, Error> {
    let answer = database.barrier.check(&call).await?;
    println!("  the coordinator asked about {}: {answer:?}", call.gid);
    Ok(answer)
}

/// The shop's local transaction: the order, and the record that its message is to be delivered.
async fn take_order(shop: &Database, message: &Open<kind::Message>, item: &str) -> Result<(), BarrierError> {
    let mut transaction = shop.pool.begin_with("BEGIN IMMEDIATE").await?;
    shop.barrier.record_local(&mut transaction, message).await?;
    sqlx::query("INSERT INTO orders VALUES (?)").bind(item).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Opens the message about an order. Nothing is delivered before it is decided.
async fn open(
    client: &Client,
    shop: &str,
    warehouse: &str,
    item: &str,
) -> Result<Open<kind::Message>, Error> {
    let message = Message::new()
        .check(format!("{shop}/check"))
        .check_after(Duration::from_millis(300))
        .branch(MessageBranch::new("pack").deliver(format!("{warehouse}/pack")).payload(item));
    Ok(client.open(message).await?)
}

/// Waits for the coordinator to settle a message by itself.
async fn settled(client: &Client, gid: &Gid) -> Result<Status, Error> {
    for _ in 0..300 {
        let view = client.get(gid).await?;
        if view.settled {
            println!("  {gid}: {}", view.status);
            return Ok(view.status);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("{gid} is not settled after 30 s").into())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let shop = Database::create("CREATE TABLE orders (item TEXT)").await?;
    let warehouse = Database::create("CREATE TABLE packed (item TEXT)").await?;
    let shop_url = common::serve(Participant::new(shop.clone()).check("/check", check).into_router()).await?;
    let warehouse_url =
        common::serve(Participant::new(warehouse.clone()).deliver("/pack", pack).into_router()).await?;

    println!("1. The shop commits and says so:");
    let message = open(&client, &shop_url, &warehouse_url, "a lamp").await?;
    take_order(&shop, &message, "a lamp").await?;
    expect(&message.commit_and_wait(Duration::from_secs(30)).await?, Status::Committed)?;

    println!("2. The shop commits and dies before saying so:");
    let message = open(&client, &shop_url, &warehouse_url, "a chair").await?;
    take_order(&shop, &message, "a chair").await?;
    if settled(&client, message.gid()).await? != Status::Committed {
        return Err("a message whose local transaction committed was not delivered".into());
    }

    println!("3. The shop dies before it commits, and comes back too late:");
    let message = open(&client, &shop_url, &warehouse_url, "a table").await?;
    if settled(&client, message.gid()).await? != Status::RolledBack {
        return Err("a message whose local transaction did not commit was delivered".into());
    }
    match take_order(&shop, &message, "a table").await {
        Err(error @ BarrierError::AlreadyAnswered(_)) => println!("  {error}"),
        other => return Err(format!("the late local transaction: {other:?}").into()),
    }

    expect_number("orders taken", shop.number("SELECT COUNT(*) FROM orders").await?, 2)?;
    expect_number("orders packed", warehouse.number("SELECT COUNT(*) FROM packed").await?, 2)
}
