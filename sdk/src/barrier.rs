//! The barrier makes the ops of a branch safe against duplicates, empty compensation and hanging. It keeps one row for each
//! op in *your* database, and writes the row in the same database transaction as the op's effect.
//!
//! | Method | Purpose |
//! |---|---|
//! | [`Barrier::execute`] | runs an op in a database transaction of the barrier's own: the form to prefer |
//! | [`Barrier::run`] | runs an op inside your database transaction |
//! | [`Barrier::record_local`], [`Barrier::check`] | the initiator's side of a message |
//! | [`Barrier::clean`], [`Cleaner`] | delete the rows of old branches |
//!
//! Use the same database for all ops of a branch. A barrier that did not see the action takes its compensation for an empty
//! one. For Redis see `redis_barrier`; for branches that the database itself prepares see `xa`.
//!
//! ```
//! use sqlx::SqliteConnection;
//! use trine_sdk::barrier::{BarrierError, SqliteBarrier};
//! use trine_sdk::{BranchContext, BranchId, Gid, Op, Outcome};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
//! # let pool: sqlx::SqlitePool = options.connect("sqlite::memory:").await?;
//! # sqlx::raw_sql("CREATE TABLE stock (available INTEGER); INSERT INTO stock VALUES (10)").execute(&pool).await?;
//! let barrier = SqliteBarrier::new(pool.clone());
//! barrier.install().await?;
//!
//! // A handler gets the call from `Participant`. A test makes one:
//! let call = BranchContext::new(Gid::parse("order-1")?, BranchId::parse("stock")?, Op::Action);
//! let take = async |connection: &mut SqliteConnection| {
//!     sqlx::query("UPDATE stock SET available = available - 1").execute(connection).await?;
//!     Ok::<_, BarrierError>(Outcome::empty())
//! };
//! barrier.execute(&call, take).await?;
//! barrier.execute(&call, take).await?;
//!
//! // The second call was a duplicate, and took nothing.
//! let available: i64 = sqlx::query_scalar("SELECT available FROM stock").fetch_one(&pool).await?;
//! assert_eq!(available, 9);
//! # Ok(())
//! # }
//! ```
//!
//! # Fencing
//!
//! Every call carries a fence. Within one transaction the fence never falls ([`BranchContext::fence`]). The barrier keeps the
//! highest fence of each branch. A coordinator may be paused, lose its transactions to another coordinator, and wake up. Its
//! calls then carry a lower fence, and have no effect ([`BarrierError::Fenced`], answered 412). A call whose op is on record
//! gets the recorded answer, whatever its fence. An initiator that calls try or prepare itself sends fence 0. Its calls pass
//! until the coordinator has called the branch.
//!
//! # Conflicts
//!
//! A call names the journal it comes from, and carries a digest of the branch's payload. The barrier keeps both from the first
//! call of the branch that has them. A call with another journal or another digest belongs to another transaction with the
//! same gid. That call has no effect, raises no fence, and is not answered from the record ([`BarrierError::Conflict`], answered
//! 412 with `Trine-Conflict`). Calls without a journal or a digest are accepted.
//!
//! # What depends on the database
//!
//! | | SQLite | PostgreSQL | MySQL, MariaDB |
//! |---|---|---|---|
//! | a concurrent call for the same branch waits | at `BEGIN IMMEDIATE`, for the pool's `busy_timeout` | at the branch's row, for `lock_timeout` | at the branch's row, for `innodb_lock_wait_timeout` |
//! | isolation of [`Barrier::execute`] | serializable | READ COMMITTED | READ COMMITTED |
//! | your isolation in [`Barrier::run`] | any | any; above READ COMMITTED a call that had to wait fails with 40001 | any; the barrier reads with locks |
//! | a deadlock or a serialization failure in [`Barrier::execute`] | cannot happen | runs again, up to five times | runs again, up to five times |
//! | a deadlock or a serialization failure in [`Barrier::run`] | cannot happen | an error | an error |
//! | a lock wait that is too long | an error | an error | an error |
//!
//! To the coordinator an error is *unknown*, and the coordinator repeats the call. A body must return the database's errors. On
//! MySQL a body that goes on after a deadlock writes outside of any transaction. The barrier then answers with an error, but
//! the writes stay.

mod age;
mod attempt;
mod cleaner;
pub(crate) mod clock;
mod database;
mod deadlock;
mod error;
mod local_message;
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
pub use local_message::LocalMessage;

use crate::{BranchContext, Outcome};
use attempt::{Conclusion, conclude, execute_here};
use deadlock::Retries;
use rules::{Admission, Guarded};

/// The barrier of a service on SQLite.
///
/// Open the pool with a `busy_timeout`. The default of sqlx, five seconds, is enough.
#[cfg(feature = "sqlite")]
pub type SqliteBarrier = Barrier<sqlx::Sqlite>;

/// The barrier of a service on PostgreSQL.
#[cfg(feature = "postgres")]
pub type PgBarrier = Barrier<sqlx::Postgres>;

/// The barrier of a service on MySQL 8 or MariaDB 10.6 and later, with InnoDB.
#[cfg(feature = "mysql")]
pub type MySqlBarrier = Barrier<sqlx::MySql>;

/// The business part of an op. A body gets the connection of the open database transaction, does the work, and returns the
/// outcome.
///
/// There is no need to implement this trait: every `async move |connection: &mut SqliteConnection| { .. }` whose future is
/// `Send` is a body. [`Barrier::execute`] may run a body again, so there the values that the closure captures must be `Clone`.
pub trait Body<'c, C: 'c, E>: FnOnce(&'c mut C) -> Self::Running {
    /// The future of a body.
    type Running: Future<Output = Result<Outcome, E>> + Send + 'c;
}

impl<'c, C: 'c, E, F, R> Body<'c, C, E> for F
where
    F: FnOnce(&'c mut C) -> R,
    R: Future<Output = Result<Outcome, E>> + Send + 'c,
{
    type Running = R;
}

/// Guards the ops of branches with rows in the database of a pool. Cheap to clone. The [module](self) has an example.
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

    /// A barrier with its rows in the database of `pool`. [`Barrier::execute`] takes its connections from `pool`, so give the
    /// barrier the pool that your service writes with.
    pub fn new(pool: Pool<D>) -> Self {
        Self { pool }
    }

    /// Creates the barrier's tables if they are missing.
    ///
    /// # Errors
    /// The database's.
    pub async fn install(&self) -> Result<(), BarrierError> {
        let mut connection = self.pool.acquire().await?;
        D::install(&mut connection).await?;
        Ok(())
    }

    /// Runs an op in a database transaction of the barrier's own. Begins the transaction, claims the op, runs `body`, and
    /// commits. Prefer this form: nobody can commit the effect without the barrier's row.
    ///
    /// The op runs in a task of its own. If the caller goes away, the op still ends as a whole. (When a connection breaks, the
    /// handler of its HTTP request is dropped.)
    ///
    /// | `body` answers | its effects | the answer is remembered | a duplicate gets |
    /// |---|---|---|---|
    /// | `Done`, `DoneReadOnly` | committed | yes | the same answer, without running `body` |
    /// | `Refused` (action, try, prepare) | rolled back | yes | the same refusal |
    /// | `Refused` (any other op: a defect) | rolled back | no | another run |
    /// | `Ongoing`, `Err` | rolled back | no | another run |
    ///
    /// A compensate, cancel or rollback that finds no effect to undo is `Done` without running `body` (empty compensation).
    /// From then on the forward op is `Refused` (hanging).
    ///
    /// # `body` may run more than once in one call
    /// The database may give up the transaction because of a deadlock or a serialization failure. Nothing has happened then,
    /// and the barrier runs a clone of `body` in a new transaction, up to five times. So let `body` write to nothing but its
    /// database transaction. The barrier looks for the database's error in the error of `body` and in its sources.
    ///
    /// # Errors
    /// - The errors of `body`. An op that loses a deadlock for the sixth time ends with that error.
    /// - [`BarrierError`]: the database failed, the call is fenced off or in conflict, a confirm or commit found no effect to
    ///   make permanent, or an undo found the branch already confirmed.
    ///
    /// The coordinator takes each of them as *unknown*. After an error of the final commit nobody knows whether the transaction
    /// committed. The repeated call finds out.
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

    /// Runs an op inside *your* database transaction. You begin the transaction, and you commit it. Use this form if the effect
    /// belongs to a larger transaction.
    ///
    /// `body` runs behind a savepoint. Its effects are kept or rolled back together with the barrier's row, as in the table of
    /// [`Barrier::execute`]. Commit your transaction after every `Ok`. (A refusal is remembered only if you commit.) The barrier
    /// does not guard what you do outside `body`. On SQLite use `BEGIN IMMEDIATE`: a transaction that reads first and writes
    /// later fails if another transaction wrote in between.
    ///
    /// Do not drop the future of this method before it ends. [`Participant`](crate::Participant) does not drop the futures of
    /// its handlers.
    ///
    /// ```
    /// # use sqlx::SqliteConnection;
    /// # use trine_sdk::barrier::{BarrierError, SqliteBarrier};
    /// # use trine_sdk::{BranchContext, BranchId, Gid, Op, Outcome};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// # let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool: sqlx::SqlitePool = options.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE audit (gid TEXT); CREATE TABLE stock (sku TEXT)").execute(&pool).await?;
    /// # let barrier = SqliteBarrier::new(pool.clone());
    /// # barrier.install().await?;
    /// # let call = BranchContext::new(Gid::parse("order-1")?, BranchId::parse("stock")?, Op::Action);
    /// let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// let take = async |connection: &mut SqliteConnection| {
    ///     sqlx::query("INSERT INTO stock VALUES ('A-1')").execute(connection).await?;
    ///     Ok::<_, BarrierError>(Outcome::empty())
    /// };
    /// barrier.run(&mut transaction, &call, take).await?;
    /// // This row is written for every call, duplicates included.
    /// sqlx::query("INSERT INTO audit VALUES (?)").bind(call.gid.as_str()).execute(&mut *transaction).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Barrier::execute`], but a deadlock is always an error: only you can run your transaction again. Your transaction
    /// is as it was before the call, unless the database failed.
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
