//! Two-phase branches that the database itself prepares: the effects of `prepare` are durable and locked, but not
//! visible, until `commit` or `rollback`. PostgreSQL's `PREPARE TRANSACTION`, MySQL's and MariaDB's `XA`.
//!
//! [`Xa::prepare`] runs your statements and prepares them; [`Xa::commit`] and [`Xa::rollback`] end what is prepared. Each
//! is safe to repeat, and to call in any order: a repeated prepare finds the prepared transaction and does not run again,
//! also when the service died in between; a rollback that comes first keeps a late prepare from taking effect.
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
//! **When to use it.** Prefer the [`barrier`] with a reservation of your own: it holds no locks between
//! prepare and commit. A prepared transaction keeps its row locks, and on PostgreSQL holds vacuum back, until the
//! coordinator's decision arrives, however long that takes. Use it where the effect cannot be reserved.
//!
//! **What the server needs.** PostgreSQL: `max_prepared_transactions` above 0, and as high as branches may be prepared at
//! once ([`BarrierError::PreparedTransactionsOff`]); connections that are not shared between transactions by a pooler.
//! MySQL 8 or MariaDB 10.5 and later (older ones forget what is prepared when the session ends), and on MySQL the
//! privilege `XA_RECOVER_ADMIN`. Each prepare takes a connection of its own, which is closed afterwards.
//!
//! **How it tells what happened.** The table `trine_xa` has one row per branch, written outside of the prepared transaction;
//! the prepared transaction itself sets it to `committed`, so that shows exactly when the effects do. Until then the
//! row is locked by whoever prepares, which keeps a second prepare, and a rollback, from passing by. Names are
//! [`Xid`](trine_protocol::Xid)s.
//!
//! The output of a prepare that is repeated, or committed already, is lost: it is done, with nothing to tell.

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

/// Records looked for at once.
const CHUNK: i64 = 100;

/// Prepares, commits and rolls back branches in the database behind a pool. Cheap to clone.
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
    /// Deletes records of settled branches. Those that are not settled are kept whatever their age.
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

    /// Branches in this pool's database.
    pub fn new(pool: Pool<D>) -> Self {
        Self { pool }
    }

    /// Creates the table if it is not there, and checks that the server can prepare transactions.
    ///
    /// # Errors
    /// [`BarrierError::PreparedTransactionsOff`], or what the database says.
    pub async fn install(&self) -> Result<(), BarrierError> {
        D::install(&mut *self.pool.acquire().await?).await
    }

    /// Runs `body` in a transaction and prepares it. `Done`: its effects are durable, and show once the branch is
    /// committed. `DoneReadOnly`: it is committed at once, and the branch left out of phase two. `Refused`: rolled
    /// back, and remembered. `Ongoing` and `Err`: rolled back; the next prepare runs again.
    ///
    /// Without running `body`: a branch that is prepared is `Done`, one that was rolled back is `Refused`, and one that
    /// another call is preparing right now is `Ongoing`. `body` must not begin a transaction, and must hand the
    /// database's errors out. It all happens in a task of its own.
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

    /// Commits what is prepared. Done also when it is committed already.
    ///
    /// # Errors
    /// [`BarrierError::NothingToConfirm`] when nothing is prepared; otherwise the database's.
    pub async fn commit(&self, context: &BranchContext) -> Result<Outcome, BarrierError> {
        let (pool, call) = (self.pool.clone(), Call::new(context, Op::Commit)?);
        in_a_task(async move { flow::commit(&pool, &call).await }).await
    }

    /// Rolls back what is prepared, and keeps a prepare that comes later from taking effect. Done also when there is
    /// nothing to roll back. While a prepare is running it is `Ongoing`.
    ///
    /// # Errors
    /// [`BarrierError::AlreadyPermanent`] when it is committed; otherwise the database's.
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
