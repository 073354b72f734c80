//! The Rust SDK of Trine: a business operation that spans services with databases of their own happens entirely or not
//! at all.
//!
//! Two kinds of programs use it. An **initiator** starts transactions ([`Client`], [`Saga`], [`Tcc`], [`TwoPhase`],
//! [`Message`]; feature `client`). A **participant** executes branches of them ([`Participant`], [`Registration`];
//! feature `participant`) and guards each op with a barrier in its own database ([`barrier`]; features `sqlite`,
//! `postgres`, `mysql`). Many services are both.
//!
//! A transaction whose steps follow from code rather than from a document is a `workflow` (feature `participant`): a
//! function that is resumed where it was.
//!
//! Beside the barrier there are `redis_barrier` (feature `redis`), for effects that are Redis commands, and `xa`
//! (features `postgres`, `mysql`), for two_phase branches that the database itself prepares.
//!
//! # Starting a transaction
//!
//! ```no_run
//! use std::time::Duration;
//! use trine_sdk::{Client, Saga, SagaBranch};
//!
//! # async fn initiate() -> Result<(), trine_sdk::Error> {
//! let client = Client::new("http://127.0.0.1:36789")?;
//! let saga = Saga::new()
//!     .branch(SagaBranch::new("stock").action("inventory:/stock/reserve").compensate("inventory:/stock/release"))
//!     .branch(SagaBranch::new("order").action("order:/orders/create").compensate("order:/orders/cancel"));
//! let answer = client.submit_and_wait(&saga, Duration::from_secs(10)).await?;
//! println!("{} is {}", answer.gid, answer.status);
//! # Ok(())
//! # }
//! ```
//!
//! # An operator's program
//!
//! Parked transactions need a person, or a program that knows when their cause is gone. This one lists them, prints the
//! errors on record, and sets them going again:
//!
//! ```no_run
//! use trine_sdk::Client;
//!
//! # async fn operate() -> Result<(), trine_sdk::Error> {
//! let client = Client::new("http://127.0.0.1:36789")?;
//! let mut parked = client.list().parked(true).host("inventory").rows();
//! while let Some(row) = parked.next().await? {
//!     for event in client.history(&row.gid).await?.events {
//!         if let Some(error) = event.error {
//!             println!("{}: {} {error}", row.gid, event.at);
//!         }
//!     }
//!     match client.replay(&row.gid).await {
//!         Ok(replayed) => println!("{} goes on: {}", replayed.gid, replayed.status),
//!         // Somebody was faster: it is settled by now.
//!         Err(error) if error.code() == Some("TX0008") => {}
//!         Err(error) => return Err(error),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::watch`] follows one live, [`Client::force`] settles one by hand, [`Client::replay_parked`] replays many at once.
//!
//! # The three enemies of a participant
//!
//! Calls are made at least once, over networks that delay, repeat and reorder them. So every participant meets three
//! enemies, whichever pattern it takes part in:
//!
//! 1. **Duplicates.** Stock is reserved, the answer is lost, the coordinator asks again: reserved twice.
//! 2. **Empty compensation.** The call that reserves never arrives; the transaction is rolled back all the same, and the
//!    service is told to release what it never reserved: stock out of thin air.
//! 3. **Hanging.** The call that reserves was only slow, and arrives *after* the release: reserved for ever, by a
//!    transaction that ended long ago.
//!
//! "Look whether it was done, then do it" answers none of them: two calls can look at the same moment. The
//! [`barrier`] answers all three with one row per op, inserted first, in the same database transaction as the effect:
//!
//! ```
//! use sqlx::SqliteConnection;
//! use trine_sdk::barrier::{BarrierError, SqliteBarrier};
//! use trine_sdk::{BranchContext, BranchId, Gid, Op, Outcome};
//!
//! #[derive(Debug, thiserror::Error)]
//! enum Failure {
//!     #[error(transparent)]
//!     Barrier(#[from] BarrierError),
//!     #[error(transparent)]
//!     Database(#[from] sqlx::Error),
//! }
//!
//! /// Mounted with `Participant::new(barrier).action("/stock/reserve", reserve)`.
//! async fn reserve(barrier: SqliteBarrier, call: BranchContext, quantity: i64) -> Result<Outcome, Failure> {
//!     barrier
//!         .execute(&call, async move |connection: &mut SqliteConnection| {
//!             let taken = sqlx::query("UPDATE stock SET available = available - ? WHERE available >= ?")
//!                 .bind(quantity)
//!                 .bind(quantity)
//!                 .execute(&mut *connection)
//!                 .await?;
//!             match taken.rows_affected() {
//!                 0 => Ok(Outcome::refused("not enough in stock")),
//!                 _ => Ok(Outcome::empty()),
//!             }
//!         })
//!         .await
//! }
//!
//! /// Mounted with `.compensate("/stock/release", release)`.
//! async fn release(barrier: SqliteBarrier, call: BranchContext, quantity: i64) -> Result<Outcome, Failure> {
//!     barrier
//!         .execute(&call, async move |connection: &mut SqliteConnection| {
//!             sqlx::query("UPDATE stock SET available = available + ?").bind(quantity).execute(connection).await?;
//!             Ok(Outcome::empty())
//!         })
//!         .await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
//! # let pool: sqlx::SqlitePool = options.connect("sqlite::memory:").await?;
//! let barrier = SqliteBarrier::new(pool.clone());
//! barrier.install().await?;
//! sqlx::raw_sql("CREATE TABLE stock (available INTEGER); INSERT INTO stock VALUES (10)").execute(&pool).await?;
//! let call = |gid: &str, op| BranchContext::new(Gid::parse(gid).unwrap(), BranchId::parse("stock").unwrap(), op);
//!
//! // A duplicate gets the first answer, and has no effect.
//! reserve(barrier.clone(), call("order-1", Op::Action), 3).await?;
//! reserve(barrier.clone(), call("order-1", Op::Action), 3).await?;
//! // A compensation of what never ran is done, and has no effect.
//! release(barrier.clone(), call("order-2", Op::Compensate), 3).await?;
//! // An action that arrives after its compensation is refused, and has no effect.
//! let late = reserve(barrier.clone(), call("order-2", Op::Action), 3).await?;
//! assert!(matches!(late, Outcome::Refused(_)));
//!
//! let available: i64 = sqlx::query_scalar("SELECT available FROM stock").fetch_one(&pool).await?;
//! assert_eq!(available, 7);
//! # Ok(())
//! # }
//! ```
//!
//! # A fourth: calls of the dead
//!
//! A coordinator that was paused long enough loses its transactions to another, wakes up, and sends what it last meant to
//! send. Every call carries a fence that never falls within one transaction ([`BranchContext::fence`]), and the barrier
//! gives calls with a lower one than it has seen no effect ([`Fenced`], answered 412).
//!
//! # A fifth: calls that mean somebody else
//!
//! A coordinator whose store was made anew may use a gid again, and two installations may share a participant. Every call
//! says which journal it comes from and carries a digest of the branch's payload ([`BranchContext::journal`],
//! [`BranchContext::payload_digest`]); the guards keep both of a branch's first call, and a call that says otherwise has no
//! effect and is not answered from the record ([`Conflict`], answered 412 with `Trine-Conflict`). The coordinator parks the branch.
//!
//! # How long rows are kept
//!
//! For ever, unless a [`barrier::Cleaner`] runs. It deletes all rows of a branch together, once nobody has asked for the
//! branch in a time you choose: longer than the longest time a call can come late, which is the life of your longest
//! transaction and the coordinator's retention. After that, a late call is a first call.
//!
//! # Messages
//!
//! An initiator that commits a local transaction and wants others to hear of it for certain opens a [`Message`],
//! records it in the local transaction ([`barrier::Barrier::record_local`]), commits, and says so. If it dies in
//! between, the coordinator asks its check URL, which [`barrier::Barrier::check`] answers from the database: and if the
//! answer is no, it makes sure that it stays no.

#![warn(missing_docs)]

mod conflict;
mod context;
mod fenced;
mod outcome;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub mod barrier;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "participant")]
mod participant;
#[cfg(feature = "redis")]
pub mod redis_barrier;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "redis"))]
mod role;
#[cfg(feature = "participant")]
pub mod workflow;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod xa;

pub use conflict::{Conflict, Differs, Origin};
pub use context::{BranchContext, CheckContext, HeaderError};
pub use fenced::Fenced;
pub use outcome::{CheckAnswer, Outcome};
pub use trine_protocol::errors::Problem;
pub use trine_protocol::{BranchId, Gid, JournalId, Op, Pattern, PayloadDigest, Status, Target, v1};

#[cfg(feature = "client")]
pub use client::{
    ApiRequest, Client, ClientBuilder, Error, Forward, Message, MessageBranch, Open, RetryPolicy, Saga,
    SagaBranch, Tcc, TccBranch, TwoPhase, TwoPhaseBranch,
};
#[cfg(feature = "participant")]
pub use participant::{Participant, Registration, RegistrationHandle, Rejection};
