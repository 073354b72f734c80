//! TCC, open: the initiator tries the branches itself, looks at what they answer, and decides.
//!
//! Two carriers are asked to hold a slot and name their price; the cheaper one's price decides whether the parcel is
//! sent at all. Each branch is registered durably before it is tried, so if this program dies in between, the
//! coordinator cancels what was held. The first parcel is sent, the second one is given up by the initiator.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example tcc_open`

mod common;

use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Client, Forward, Outcome, Participant, Status, Tcc, TccBranch, v1};

const SCHEMA: &str =
    "CREATE TABLE slots (free INTEGER, held INTEGER, sold INTEGER); INSERT INTO slots VALUES (9, 0, 0)";

/// A carrier: its database, and its price per kilogram.
#[derive(Clone)]
struct Carrier {
    database: Database,
    price: u64,
}

/// Holds a slot and answers the price.
async fn hold(carrier: Carrier, call: BranchContext, kilograms: u64) -> Result<Outcome, Error> {
    let price = carrier.price * kilograms;
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE slots SET free = free - 1, held = held + 1").execute(connection).await?;
        Ok::<_, Error>(Outcome::done(&price)?)
    };
    carrier.database.barrier.execute(&call, body).await
}

async fn sell(carrier: Carrier, call: BranchContext, _: u64) -> Result<Outcome, Error> {
    let body = async |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE slots SET held = held - 1, sold = sold + 1").execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    carrier.database.barrier.execute(&call, body).await
}

async fn let_go(carrier: Carrier, call: BranchContext, _: u64) -> Result<Outcome, Error> {
    let body = async |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE slots SET held = held - 1, free = free + 1").execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    carrier.database.barrier.execute(&call, body).await
}

/// Holds a slot for both legs of the journey, and takes them if that costs no more than `budget`.
async fn send(client: &Client, legs: &[String; 2], kilograms: u64, budget: u64) -> Result<v1::Answer, Error> {
    let open = client.open(Tcc::new().deadline(Duration::from_secs(20))).await?;
    let mut cost = 0;
    for (number, url) in legs.iter().enumerate() {
        let branch = TccBranch::new(format!("leg-{number}")).url(format!("{url}/slots")).payload(&kilograms);
        match open.try_branch(branch).await? {
            Forward::Done(price) => cost += price.as_u64().ok_or("a price is a number")?,
            Forward::Refused(reason) => {
                return Ok(open.abort_and_wait(&reason, Duration::from_secs(30)).await?);
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    println!("  both legs are held and would cost {cost}");
    if cost > budget {
        let reason = format!("{cost} is more than {budget}");
        return Ok(open.abort_and_wait(&reason, Duration::from_secs(30)).await?);
    }
    Ok(open.commit_and_wait(Duration::from_secs(30)).await?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let road = Carrier { database: Database::create(SCHEMA).await?, price: 2 };
    let ship = Carrier { database: Database::create(SCHEMA).await?, price: 5 };
    let router = |carrier: &Carrier| {
        let participant = Participant::new(carrier.clone());
        participant.try_("/slots", hold).confirm("/slots", sell).cancel("/slots", let_go).into_router()
    };
    let legs = [common::serve(router(&road)).await?, common::serve(router(&ship)).await?];

    println!("A parcel of 10 kg, at most 100:");
    expect(&send(&client, &legs, 10, 100).await?, Status::Committed)?;
    println!("A parcel of 20 kg, at most 100:");
    expect(&send(&client, &legs, 20, 100).await?, Status::RolledBack)?;

    for (name, carrier) in [("road", &road), ("ship", &ship)] {
        expect_number(
            &format!("slots sold by {name}"),
            carrier.database.number("SELECT sold FROM slots").await?,
            1,
        )?;
        expect_number(
            &format!("slots held by {name}"),
            carrier.database.number("SELECT held FROM slots").await?,
            0,
        )?;
        expect_number(
            &format!("slots free at {name}"),
            carrier.database.number("SELECT free FROM slots").await?,
            8,
        )?;
    }
    Ok(())
}
