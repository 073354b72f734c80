//! A workflow: a transaction as a function. Its steps are recorded, and after a crash it goes on after the last one.
//!
//! A trip is a seat and a bed: a room, or a tent if the hotel is full. Which service is asked next depends on an answer, so
//! the transaction is code and not a document. There are plenty of seats, one room and one tent. Ada gets the room, Bob the
//! tent. For Eve there is neither, so her seat is given back. In the middle of Ada's trip the handler crashes, and the
//! coordinator calls back.
//!
//! Run it against a coordinator (`trine dev` or `trine serve`, its URL in `TRINE_URL` if it is not the default):
//! `cargo run -p trine-examples --example workflow`

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Database, Error, expect, expect_number};
use sqlx::SqliteConnection;
use tokio::sync::Notify;
use trine_sdk::workflow::{Failure, Step, Workflow, WorkflowError, Workflows};
use trine_sdk::{BranchContext, Gid, Outcome, Participant, Status, v1};

/// Takes one place, unless all are taken. The barrier makes sure that a step that runs twice takes one place.
async fn book(database: Database, call: BranchContext, guest: String) -> Result<Outcome, Error> {
    let body = async move |connection: &mut SqliteConnection| {
        let booked =
            sqlx::query("UPDATE places SET free = free - 1 WHERE free > 0").execute(connection).await?;
        match booked.rows_affected() {
            1 => Ok::<_, Error>(Outcome::done(&format!("a place for {guest}"))?),
            _ => Ok(Outcome::refused("fully booked")),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Gives the place back. The barrier runs this only if a place was taken.
async fn unbook(database: Database, call: BranchContext, _guest: String) -> Result<Outcome, Error> {
    let body = async |connection: &mut SqliteConnection| {
        sqlx::query("UPDATE places SET free = free + 1").execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}

/// Where the services are.
#[derive(Clone)]
struct Travel {
    airline: String,
    hotel: String,
    campsite: String,
    /// Whether the next execution that has a seat crashes.
    crash: Arc<AtomicBool>,
    /// Told by executions that got further.
    resumed: Arc<Notify>,
}

impl Travel {
    /// A branch: one place at a service, given back if the trip is refused.
    async fn place(flow: &Workflow, service: &str, guest: &str) -> Result<String, Failure> {
        let (unbook, name) = (format!("{service}/unbook"), guest.to_owned());
        flow.branch()
            .on_rollback(async move |step: Step| step.tell(unbook, &name).await)
            .call(format!("{service}/book"), guest.to_owned())
            .await
    }

    /// The handler. Only recorded answers decide which branch comes next, so each execution asks for the same branches in the
    /// same order.
    async fn book(self, flow: Workflow, guest: String) -> Result<[String; 2], Failure> {
        let seat = Self::place(&flow, &self.airline, &guest).await?;
        assert!(!self.crash.swap(false, Ordering::Relaxed), "a crash, with a seat booked");
        self.resumed.notify_one();
        let bed = match Self::place(&flow, &self.hotel, &guest).await {
            Err(Failure::Refused(_)) => Self::place(&flow, &self.campsite, &guest).await?,
            other => other?,
        };
        Ok([seat, bed])
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = common::client()?;
    let create = async |schema| Database::create(schema).await;
    let seats = create("CREATE TABLE places (free INTEGER); INSERT INTO places VALUES (100)").await?;
    let rooms = create("CREATE TABLE places (free INTEGER); INSERT INTO places VALUES (1)").await?;
    let tents = create("CREATE TABLE places (free INTEGER); INSERT INTO places VALUES (1)").await?;
    let router = |database: &Database| {
        Participant::new(database.clone()).action("/book", book).compensate("/unbook", unbook).into_router()
    };
    let travel = Travel {
        airline: common::serve(router(&seats)).await?,
        hotel: common::serve(router(&rooms)).await?,
        campsite: common::serve(router(&tents)).await?,
        crash: Arc::new(AtomicBool::new(true)),
        resumed: Arc::default(),
    };
    let resumed = Arc::clone(&travel.resumed);

    // A callback needs an address before there is anything to serve at it.
    let (listener, url) = common::listen().await?;
    let workflows =
        Workflows::of(&client, format!("{url}/workflows"))?.callback_after(Duration::from_secs(1));
    workflows.register_json("trip", move |flow, guest| travel.clone().book(flow, guest));
    let callbacks = workflows.router();
    tokio::spawn(async move { axum::serve(listener, callbacks).await });

    let run = std::process::id();
    for (guest, expected) in
        [("Ada", Status::Committed), ("Bob", Status::Committed), ("Eve", Status::RolledBack)]
    {
        // The initiator chooses the gid. The same gid is the same trip, whoever executes it.
        let gid = Gid::parse(&format!("trip-{guest}-{run}"))?;
        let booked = loop {
            match workflows.execute_json::<_, [String; 2]>("trip", &gid, guest).await {
                Err(WorkflowError::Interrupted) => {
                    println!("  {gid}: crashed, and goes on when the coordinator calls back");
                    resumed.notified().await;
                    // Executing it again joins the execution that goes on, or reads its result.
                }
                Err(WorkflowError::Refused(reason)) => break Err(reason),
                other => break Ok(other?),
            }
        };
        println!("  {gid}: {booked:?}");
        // A workflow can be looked at as any other transaction.
        let v1::TransactionView { gid, pattern, status, settled, cause, .. } = client.get(&gid).await?;
        expect(
            &v1::Answer { gid, pattern, status, settled, parked: false, cause, waiting_on: None },
            expected,
        )?;
    }
    expect_number("free seats", seats.number("SELECT free FROM places").await?, 98)?;
    expect_number("free rooms", rooms.number("SELECT free FROM places").await?, 0)?;
    expect_number("free tents", tents.number("SELECT free FROM places").await?, 0)
}
