//! A saga: actions one after the other, and when one is refused, what was done is undone in reverse order.
//!
//! A trip is a flight and a hotel room, kept by two services with a database each. There are plenty of seats and one
//! room. The first trip is booked; the second one gets its seat, is refused the room, and gives the seat back.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example saga`

mod common;

use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Outcome, Participant, Saga, SagaBranch, Status};

/// Takes one place, unless all are taken. The barrier makes sure that a repeated call takes no second one.
async fn book(database: Database, call: BranchContext, guest: String) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        let booked =
            sqlx::query("UPDATE places SET free = free - 1 WHERE free > 0").execute(connection).await?;
        match booked.rows_affected() {
            1 => Ok::<_, Error>(Outcome::done(&format!("booked for {guest}"))?),
            _ => Ok(Outcome::refused("fully booked")),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Gives the place back. It runs only if a place was taken: the barrier knows.
async fn unbook(database: Database, call: BranchContext, _guest: String) -> Result<Outcome, Error> {
    let body = async |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE places SET free = free + 1").execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

fn trip(airline: &str, hotel: &str, guest: &str) -> Saga {
    let branch = |id, service: &str| {
        SagaBranch::new(id)
            .action(format!("{service}/book"))
            .compensate(format!("{service}/unbook"))
            .payload(guest)
    };
    Saga::new().label("guest", guest).branch(branch("flight", airline)).branch(branch("hotel", hotel))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let flights =
        Database::create("CREATE TABLE places (free INTEGER); INSERT INTO places VALUES (100)").await?;
    let rooms = Database::create("CREATE TABLE places (free INTEGER); INSERT INTO places VALUES (1)").await?;
    let router = |database: &Database| {
        Participant::new(database.clone()).action("/book", book).compensate("/unbook", unbook).into_router()
    };
    let (airline, hotel) = (common::serve(router(&flights)).await?, common::serve(router(&rooms)).await?);

    println!("Ada books a flight and the last room:");
    let answer = client.submit_and_wait(&trip(&airline, &hotel, "Ada"), Duration::from_secs(30)).await?;
    expect(&answer, Status::Committed)?;

    println!("Bob gets a seat, but no room, so his seat is given back:");
    let answer = client.submit_and_wait(&trip(&airline, &hotel, "Bob"), Duration::from_secs(30)).await?;
    expect(&answer, Status::RolledBack)?;
    for event in client.history(&answer.gid).await?.events {
        let what = [event.branch.map(|id| id.to_string()), event.op.map(|op| op.to_string())];
        let outcome = event.outcome.map(|outcome| outcome.to_string());
        println!(
            "    {} {} {}",
            event.event,
            what.into_iter().flatten().collect::<Vec<_>>().join("/"),
            outcome.unwrap_or_default()
        );
    }
    expect_number("free seats", flights.number("SELECT free FROM places").await?, 99)?;
    expect_number("free rooms", rooms.number("SELECT free FROM places").await?, 0)
}
