//! The barrier: makes the ops of a branch safe against duplicates, empty compensation and hanging, by one row per op in
//! *your* database, written in the same database transaction as the op's effect.
//!
//! Here are the two ways to run an op behind the barrier ([`Barrier::execute`], which owns the database transaction,
//! and [`Barrier::run`], which joins yours) and the two halves of a message's local transaction
//! ([`Barrier::record_local`], [`Barrier::check`]), and [`Barrier::clean`] for what has become old. What is decided is in
//! `rules`; the statements of each database are behind [`BarrierDatabase`]. Not here: Redis, which has no transactions
//! to join (`redis_barrier`), and branches that a database itself prepares (`xa`).
//!
//! All ops of one branch must use the same database: a barrier that never saw the action takes its compensation for an
//! empty one.
//!
//! # Fencing
//!
//! Every call carries a fence that never falls within one transaction ([`BranchContext::fence`]); the barrier keeps the
//! highest per branch. A coordinator that was paused, lost its transactions to another and woke up sends calls with a
//! lower one: they have no effect ([`BarrierError::Fenced`], answered 412). A call whose op is on record gets the
//! recorded answer whatever its fence. Calls of an initiator that drives try or prepare itself have fence 0, and pass
//! until the coordinator has called the branch.
//!
//! # Conflicts
//!
//! Every call says which journal it comes from and carries a digest of the branch's payload. The barrier keeps both of a
//! branch's first call that says so; a call that says otherwise is of another transaction with the same gid. It has no effect,
//! raises no fence, and is not answered from the record ([`BarrierError::Conflict`], answered 412 with `Trine-Conflict`).
//! Calls that do not say are taken as they come.
//!
//! # What depends on the database
//!
//! | | SQLite | PostgreSQL | MySQL, MariaDB |
//! |---|---|---|---|
//! | a concurrent call for the same branch waits | at `BEGIN IMMEDIATE`, for the pool's `busy_timeout` | at the branch's row, for `lock_timeout` | at the branch's row, for `innodb_lock_wait_timeout` |
//! | isolation of [`Barrier::execute`] | serializable | READ COMMITTED | READ COMMITTED |
//! | your isolation in [`Barrier::run`] | any | any; above READ COMMITTED a call that had to wait fails with 40001 | any; the barrier reads with locks |
//! | a deadlock, a serialization failure in [`Barrier::execute`] | - | runs again, up to five times | runs again, up to five times |
//! | a deadlock, a serialization failure in [`Barrier::run`] | - | an error | an error |
//! | a lock wait that is too long | an error | an error | an error |
//!
//! An error is *unknown* to the coordinator, which asks again. A body must hand the database's errors out: one that goes
//! on after a deadlock on MySQL writes outside of any transaction. (The barrier then answers an error, too late for what
//! was written.)

mod age;
mod attempt;
mod cleaner;
pub(crate) mod clock;
mod database;
mod deadlock;
mod error;
mod message;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod statements;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests;

use std::fmt;
use std::future::Future;

use sqlx::{Connection, Pool, Transaction};

pub use cleaner::{Clean, Cleaner, CleanerHandle, KEEP_DEFAULT, KEEP_MIN};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use cleaner::{keep_ms, sealed};
pub use database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
pub use deadlock::BodyError;
pub use error::BarrierError;
pub use message::LocalMessage;

use crate::{BranchContext, Outcome};
use attempt::{Conclusion, conclude, execute_here};
use deadlock::Retries;
use rules::{Admission, Guarded};

/// The barrier of a service on SQLite.
///
/// Open the pool with a `busy_timeout` (sqlx's default of five seconds will do).
#[cfg(feature = "sqlite")]
pub type SqliteBarrier = Barrier<sqlx::Sqlite>;

/// The barrier of a service on PostgreSQL.
#[cfg(feature = "postgres")]
pub type PgBarrier = Barrier<sqlx::Postgres>;

/// The barrier of a service on MySQL 8 or MariaDB 10.6 and later, with InnoDB.
#[cfg(feature = "mysql")]
pub type MySqlBarrier = Barrier<sqlx::MySql>;

/// The business part of an op: given the connection of the open database transaction, it does the work and says how it
/// ended. Every `async move |connection: &mut SqliteConnection| { .. }` whose future is `Send` is one; there is no need to
/// implement this trait. ([`Barrier::execute`] may run a body again, so there the closure must be `Clone`, too: what it
/// captures must be.)
pub trait Body<'c, C: 'c, E>: FnOnce(&'c mut C) -> Self::Running {
    /// The running body.
    type Running: Future<Output = Result<Outcome, E>> + Send + 'c;
}

impl<'c, C: 'c, E, F, R> Body<'c, C, E> for F
where
    F: FnOnce(&'c mut C) -> R,
    R: Future<Output = Result<Outcome, E>> + Send + 'c,
{
    type Running = R;
}

/// Guards the ops of branches with rows in the database behind a pool. Cheap to clone.
pub struct Barrier<D: BarrierDatabase> {
    pool: Pool<D>,
}

impl<D: BarrierDatabase> Clone for Barrier<D> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<D: BarrierDatabase> fmt::Debug for Barrier<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("pool", &self.pool).finish()
    }
}

impl<D: BarrierDatabase> Barrier<D> {
    /// The statements that create the barrier's tables, for services that keep their schema in migrations of their own.
    pub const SCHEMA: &'static str = D::SCHEMA;

    /// A barrier whose rows live in this pool's database. [`Barrier::execute`] takes its connections from it: give it
    /// the pool you write with.
    pub fn new(pool: Pool<D>) -> Self {
        Self { pool }
    }

    /// Creates the barrier's tables where they are not there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn install(&self) -> Result<(), BarrierError> {
        let mut connection = self.pool.acquire().await?;
        D::install(&mut connection).await?;
        Ok(())
    }

    /// Runs an op in a database transaction of its own: begins it, claims the op, runs `body`, commits. This is the
    /// form to prefer: there is no way to commit the effect without the barrier's row.
    ///
    /// It all happens in a task of its own, so a caller that goes away (a dropped connection drops the handler of an
    /// HTTP request) leaves nothing half done.
    ///
    /// | `body` answers | its effects | remembered | a duplicate gets |
    /// |---|---|---|---|
    /// | `Done`, `DoneReadOnly` | committed | yes | the same answer, without running `body` |
    /// | `Refused` (action, try, prepare) | rolled back | yes | the same refusal |
    /// | `Refused` (any other op: a defect) | rolled back | no | another run |
    /// | `Ongoing`, `Err` | rolled back | no | another run |
    ///
    /// **`body` may run more than once in one call.** If the database gives the transaction up because of a deadlock or a
    /// serialization failure, nothing has happened, and the barrier runs a clone of `body` in a new transaction, up to five
    /// times. So everything that `body` does should be in the database transaction. The barrier knows such a failure by the
    /// database's error, which it finds in the error of `body` or among its sources.
    ///
    /// Without running `body`: a compensate, cancel or rollback that finds no effect to undo is `Done` (empty
    /// compensation), and from then on the forward op is `Refused` (hanging).
    ///
    /// # Errors
    /// Those of `body`; [`BarrierError`] when the database fails, when the call is fenced off, when a confirm or commit finds no effect to make
    /// permanent, or when an undo finds the branch already confirmed. The coordinator takes them all as *unknown*. An
    /// error of the final commit leaves it open whether it committed; a repetition finds out. An op that loses a deadlock for
    /// the sixth time ends with that error.
    pub async fn execute<F, E, Form>(&self, context: &BranchContext, body: F) -> Result<Outcome, E>
    where
        F: for<'c> Body<'c, D::Connection, E> + Clone + Send + 'static,
        E: BodyError<Form>,
    {
        let call = Guarded::new(context)?;
        let pool = self.pool.clone();
        let task = tokio::spawn(async move {
            let mut retries = Retries::default();
            loop {
                match execute_here(&pool, &call, body.clone()).await {
                    Err(error) if retries.again(&error) => deadlock::pause().await,
                    ended => return ended,
                }
            }
        });
        task.await.unwrap_or_else(|_| Err(BarrierError::Interrupted.into()))
    }

    /// Runs an op inside *your* database transaction, and leaves commit and rollback to you: for effects that need
    /// the barrier to join something larger.
    ///
    /// `body` runs behind a savepoint. Its effects stand or fall with the barrier's row, by the table of
    /// [`Barrier::execute`]; commit your transaction after every `Ok`, also after a refusal (so that it is
    /// remembered). Whatever you do outside `body` is not guarded. On SQLite begin with `BEGIN IMMEDIATE`: a
    /// transaction that read first and writes later fails when another one wrote in between.
    ///
    /// Do not call this in a future that can be dropped half way; a handler mounted on
    /// [`Participant`](crate::Participant) cannot be.
    ///
    /// # Errors
    /// As [`Barrier::execute`]; your transaction is as it was before the call, unless the database failed. A deadlock is an
    /// error here: only you can run your transaction again.
    pub async fn run<F, E>(
        &self,
        transaction: &mut Transaction<'_, D>,
        context: &BranchContext,
        body: F,
    ) -> Result<Outcome, E>
    where
        F: AsyncFnOnce(&mut D::Connection) -> Result<Outcome, E>,
        E: From<BarrierError>,
    {
        let call = Guarded::new(context)?;
        let mut savepoint = (**transaction).begin().await.map_err(BarrierError::from)?;
        if let Admission::Answered(outcome) = rules::admit::<D>(&mut savepoint, &call).await? {
            savepoint.commit().await.map_err(BarrierError::from)?;
            return Ok(outcome);
        }
        let result = body(&mut savepoint).await;
        match conclude(savepoint, &call, result).await? {
            Conclusion::Settled(outcome) => Ok(outcome),
            Conclusion::Undone(outcome) => {
                rules::raise_fence::<D>(transaction, &call).await?;
                Ok(outcome)
            }
            Conclusion::Refused(reason) => {
                Ok(rules::remember_refusal::<D>(transaction, &call, reason).await?)
            }
        }
    }
}
