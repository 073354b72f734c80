//! Two-phase branches that the database itself prepares. After `prepare` the effects are durable and locked, and nobody sees
//! them until `commit`. PostgreSQL does this with `PREPARE TRANSACTION`, MySQL and MariaDB with `XA`.
//!
//! [`Xa::prepare`] runs your statements and prepares them. [`Xa::commit`] and [`Xa::rollback`] end the prepared transaction. Each
//! of the three may be repeated, and may come in any order. A repeated prepare finds the prepared transaction and does not run
//! again, also after the service died in between. After a rollback that comes first, a late prepare has no effect.
//!
//! ```no_run
//! # use sqlx::PgConnection;
//! # use trine_sdk::barrier::BarrierError;
//! # use trine_sdk::xa::PgXa;
//! # use trine_sdk::{BranchContext, Outcome};
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("failed")]
//! # enum Failure { Barrier(#[from] BarrierError), Database(#[from] sqlx::Error) }
//! async fn prepare(xa: PgXa, call: BranchContext, amount: i64) -> Result<Outcome, Failure> {
//!     let body = async move |connection: &mut PgConnection| {
//!         let taken = sqlx::query("UPDATE account SET balance = balance - $1 WHERE balance >= $1").bind(amount);
//!         match taken.execute(connection).await?.rows_affected() {
//!             0 => Ok(Outcome::refused("not enough")),
//!             _ => Ok(Outcome::empty()),
//!         }
//!     };
//!     xa.prepare(&call, body).await
//! }
//! async fn commit(xa: PgXa, call: BranchContext, _: i64) -> Result<Outcome, BarrierError> {
//!     xa.commit(&call).await
//! }
//! ```
//!
//! **When to use it.** Prefer the [`barrier`] with a reservation of your own: it holds no locks between prepare and commit. A
//! prepared transaction keeps its row locks until the coordinator's decision arrives, however long that takes. On PostgreSQL it
//! also holds vacuum back. Use XA if the effect cannot be reserved.
//!
//! **What the server needs.**
//!
//! | | PostgreSQL | MySQL, MariaDB |
//! |---|---|---|
//! | version | any | MySQL 8, MariaDB 10.5 and later; older ones forget a prepared transaction when its session ends |
//! | setting | `max_prepared_transactions` at least the number of branches that may be prepared at once ([`BarrierError::PreparedTransactionsOff`]) | on MySQL the privilege `XA_RECOVER_ADMIN` |
//! | connections | not shared between transactions by a pooler | |
//!
//! Each prepare takes a connection of its own, which is closed afterwards.
//!
//! **How a call learns what happened.** The table `trine_xa` has one row for each branch. The row is written outside of the
//! prepared transaction. The prepared transaction itself sets the row to `committed`, so the row shows `committed` exactly when
//! the effects show. Until then the transaction that prepares has locked the row, so a second prepare, or a rollback, cannot
//! pass. The names of prepared transactions are [`Xid`](trine_protocol::Xid)s.
//!
//! The output of a prepare is not kept: a repeated prepare is done, without an output.

mod database;
mod flow;
mod literal;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod statements;
#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod tests;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use sqlx::Pool;
use trine_protocol::Op;

pub use database::{Key, Lock, Record, XaDatabase, XaState};

use crate::barrier::clock::unused_before;
use crate::barrier::{self, BarrierError, Body, Clean};
use crate::{BranchContext, Outcome};
use flow::Call;

/// XA branches on PostgreSQL.
#[cfg(feature = "postgres")]
pub type PgXa = Xa<sqlx::Postgres>;

/// XA branches on MySQL and MariaDB.
#[cfg(feature = "mysql")]
pub type MySqlXa = Xa<sqlx::MySql>;

/// How many records one statement deletes.
const CHUNK: i64 = 100;

/// Prepares, commits and rolls back branches in the database of a pool. Cheap to clone. The [module](self) has an example.
pub struct Xa<D: XaDatabase> {
    pool: Pool<D>,
}

impl<D: XaDatabase> Clone for Xa<D> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<D: XaDatabase> fmt::Debug for Xa<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xa").field("pool", &self.pool).finish()
    }
}

impl<D: XaDatabase> barrier::sealed::Sealed for Xa<D> {}

impl<D: XaDatabase> Clean for Xa<D> {
    /// Deletes the records of settled branches. A record that is not settled is kept whatever its age.
    async fn clean(&self, keep: Duration) -> Result<u64, BarrierError> {
        let keep_ms = barrier::keep_ms(keep)?;
        let mut connection = self.pool.acquire().await?;
        let Some(before) = unused_before::<D>(&mut connection, D::USES, keep_ms).await? else { return Ok(0) };
        let mut cleaned = 0;
        loop {
            let chunk = D::clean(&mut connection, before, CHUNK).await?;
            cleaned += chunk;
            if chunk < CHUNK.unsigned_abs() {
                return Ok(cleaned);
            }
        }
    }
}

impl<D: XaDatabase> Xa<D> {
    /// The statements that create the table, for services that keep their schema in migrations of their own.
    pub const SCHEMA: &'static str = D::SCHEMA;

    /// Branches in the database of `pool`.
    pub fn new(pool: Pool<D>) -> Self {
        Self { pool }
    }

    /// Creates the tables if they are missing, and checks that the server can prepare transactions.
    ///
    /// # Errors
    /// [`BarrierError::PreparedTransactionsOff`]; otherwise the database's.
    pub async fn install(&self) -> Result<(), BarrierError> {
        D::install(&mut *self.pool.acquire().await?).await
    }

    /// Runs `body` in a transaction, and prepares the transaction. The call runs in a task of its own, so it ends as a whole if
    /// the caller goes away. `body` must not begin a transaction, and must return the database's errors.
    ///
    /// | `body` answers | its effects |
    /// |---|---|
    /// | `Done` | durable; they show when the branch is committed |
    /// | `DoneReadOnly` | committed at once; the branch is left out of phase two |
    /// | `Refused` | rolled back; the refusal is remembered |
    /// | `Ongoing`, `Err` | rolled back; the next prepare runs again |
    ///
    /// Without running `body`: a branch that is prepared is `Done`, a branch that was rolled back is `Refused`, and a branch that
    /// another call is preparing now is `Ongoing`.
    ///
    /// # Errors
    /// Those of `body`; [`BarrierError`]. The coordinator takes them as *unknown*, and asks again.
    pub async fn prepare<F, E>(&self, context: &BranchContext, body: F) -> Result<Outcome, E>
    where
        F: for<'c> Body<'c, D::Connection, E> + Send + 'static,
        E: From<BarrierError> + Send + 'static,
    {
        let (pool, call) = (self.pool.clone(), Call::new(context, Op::Prepare)?);
        let task = tokio::spawn(async move { flow::prepare(&pool, &call, body).await });
        task.await.unwrap_or_else(|_| Err(BarrierError::Interrupted.into()))
    }

    /// Commits the prepared transaction. A branch that is committed already is `Done`.
    ///
    /// # Errors
    /// [`BarrierError::NothingToConfirm`] if nothing is prepared; otherwise the database's.
    pub async fn commit(&self, context: &BranchContext) -> Result<Outcome, BarrierError> {
        let (pool, call) = (self.pool.clone(), Call::new(context, Op::Commit)?);
        in_a_task(async move { flow::commit(&pool, &call).await }).await
    }

    /// Rolls back the prepared transaction, and keeps a later prepare from taking effect. If there is nothing to roll back, the
    /// answer is `Done`. While a prepare is running, the answer is `Ongoing`.
    ///
    /// # Errors
    /// [`BarrierError::AlreadyPermanent`] if the branch is committed; otherwise the database's.
    pub async fn rollback(&self, context: &BranchContext) -> Result<Outcome, BarrierError> {
        let (pool, call) = (self.pool.clone(), Call::new(context, Op::Rollback)?);
        in_a_task(async move { flow::rollback(&pool, &call).await }).await
    }
}

async fn in_a_task(
    running: impl Future<Output = Result<Outcome, BarrierError>> + Send + 'static,
) -> Result<Outcome, BarrierError> {
    tokio::spawn(running).await.unwrap_or(Err(BarrierError::Interrupted))
}
