//! One attempt at an op: its database transaction, from beginning to end.

use sqlx::{Connection as _, Pool, Transaction};

use super::database::BarrierDatabase;
use super::rules::{self, Admission, Guarded};
use super::{BarrierError, Body};
use crate::Outcome;

/// What is left to do after a body ran.
pub(super) enum Conclusion {
    /// Nothing. The answer is final.
    Settled(Outcome),
    /// The effects are rolled back, and the answer is not remembered. The fence must still be kept.
    Undone(Outcome),
    /// The effects are rolled back. The refusal must still be remembered.
    Refused(String),
}

pub(super) async fn execute_here<D, F, E>(pool: &Pool<D>, call: &Guarded, body: F) -> Result<Outcome, E>
where
    D: BarrierDatabase,
    F: for<'c> Body<'c, D::Connection, E>,
    E: From<BarrierError>,
{
    let mut connection = pool.acquire().await.map_err(BarrierError::from)?;
    match attempt::<D, F, E>(&mut connection, call, body).await {
        Ok(Conclusion::Settled(outcome)) => Ok(outcome),
        Ok(Conclusion::Undone(outcome)) => {
            keep_fence::<D>(&mut connection, call).await;
            Ok(outcome)
        }
        Ok(Conclusion::Refused(reason)) => {
            let mut transaction = connection.begin_with(D::BEGIN).await.map_err(BarrierError::from)?;
            let outcome = rules::remember_refusal::<D>(&mut transaction, call, reason).await?;
            transaction.commit().await.map_err(BarrierError::from)?;
            Ok(outcome)
        }
        Err(error) => {
            keep_fence::<D>(&mut connection, call).await;
            if connection.is_in_transaction() {
                // The database rolled the transaction back by itself (SQLite does so on a full disk), so the driver's rollback
                // failed. The driver would take every later transaction on this connection for a nested one.
                connection.close_on_drop();
            }
            Err(error)
        }
    }
}

/// Keeps the fence of a call that had no effect. If the database fails here, a call with a lower fence may take effect before
/// this call is repeated. The repeated call then undoes or confirms that effect.
async fn keep_fence<D: BarrierDatabase>(connection: &mut D::Connection, call: &Guarded) {
    if let Err(error) = rules::raise_fence::<D>(connection, call).await {
        tracing::debug!(%error, "the fence of a call without effect is not kept");
    }
}

async fn attempt<D, F, E>(connection: &mut D::Connection, call: &Guarded, body: F) -> Result<Conclusion, E>
where
    D: BarrierDatabase,
    F: for<'c> Body<'c, D::Connection, E>,
    E: From<BarrierError>,
{
    let mut transaction = connection.begin_with(D::BEGIN).await.map_err(BarrierError::from)?;
    if let Admission::Answered(outcome) = rules::admit::<D>(&mut transaction, call).await? {
        transaction.commit().await.map_err(BarrierError::from)?;
        return Ok(Conclusion::Settled(outcome));
    }
    let result = body(&mut transaction).await;
    conclude(transaction, call, result).await
}

/// Ends the transaction or savepoint that a body ran in. Commits the effect and the barrier's row, or neither. (`admit` wrote
/// the row before the body ran, so no path keeps one and drops the other.)
pub(super) async fn conclude<D, E>(
    mut transaction: Transaction<'_, D>,
    call: &Guarded,
    result: Result<Outcome, E>,
) -> Result<Conclusion, E>
where
    D: BarrierDatabase,
    E: From<BarrierError>,
{
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            // If the rollback fails as well, the error of the body tells more. Dropping the transaction rolls back, too.
            transaction.rollback().await.ok();
            return Err(error);
        }
    };
    match outcome {
        Outcome::Done(_) | Outcome::DoneReadOnly => {
            rules::complete::<D>(&mut transaction, call, &outcome).await?;
            transaction.commit().await.map_err(BarrierError::from)?;
            Ok(Conclusion::Settled(outcome))
        }
        Outcome::Refused(reason) if call.op.may_be_refused() => {
            transaction.rollback().await.map_err(BarrierError::from)?;
            Ok(Conclusion::Refused(reason))
        }
        Outcome::Refused(_) | Outcome::Ongoing(_) => {
            transaction.rollback().await.map_err(BarrierError::from)?;
            Ok(Conclusion::Undone(outcome))
        }
    }
}
