//! The initiator's side of a message: the local transaction that belongs to it, and the coordinator's check.

use sqlx::{Connection as _, Pool, Transaction};

use super::database::BarrierDatabase;
use super::deadlock::{self, Retries};
use super::local_message::LocalMessage;
use super::{Barrier, BarrierError, rules};
use crate::CheckAnswer;

impl<D: BarrierDatabase> Barrier<D> {
    /// For the initiator of a message: records, in *your* local transaction, that the message is to be delivered once this
    /// transaction commits. `message` is the [`Open`](crate::Open) message, or its gid. Call this method before the business
    /// effects. After an error the transaction must be rolled back.
    ///
    /// ```
    /// # use trine_sdk::barrier::SqliteBarrier;
    /// # use trine_sdk::{CheckAnswer, Gid};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool: sqlx::SqlitePool = options.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE orders (id TEXT)").execute(&pool).await?;
    /// # let barrier = SqliteBarrier::new(pool.clone());
    /// # barrier.install().await?;
    /// let gid = Gid::parse("order-1")?;
    /// let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// barrier.record_local(&mut transaction, &gid).await?;
    /// sqlx::query("INSERT INTO orders VALUES ('4711')").execute(&mut *transaction).await?;
    /// transaction.commit().await?;
    ///
    /// assert_eq!(barrier.check(&gid).await?, CheckAnswer::Committed);
    ///
    /// // After "not committed", a local transaction of that message cannot be recorded any more.
    /// let other = Gid::parse("order-2")?;
    /// assert_eq!(barrier.check(&other).await?, CheckAnswer::NotCommitted);
    /// let mut late = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// assert!(barrier.record_local(&mut late, &other).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`BarrierError::AlreadyAnswered`]: a check was answered "not committed", so this transaction may not commit any more.
    /// - [`BarrierError::AlreadyRecorded`]: a local transaction with this gid has committed before.
    /// - [`BarrierError::Conflict`]: the gid is on record as a message of another journal.
    /// - The database's.
    pub async fn record_local<'m>(
        &self,
        transaction: &mut Transaction<'_, D>,
        message: impl Into<LocalMessage<'m>>,
    ) -> Result<(), BarrierError> {
        rules::record_local::<D>(transaction, message.into()).await
    }

    /// For the initiator of a message: answers the coordinator's check. If the local transaction has not committed, the answer
    /// is "not committed", and [`Barrier::record_local`] fails from then on. If the local transaction is still under way, the
    /// check waits for its end (on SQLite for at most the `busy_timeout`). A check that loses a deadlock runs again, as an op in
    /// [`Barrier::execute`]. `asked` is the [`CheckContext`](crate::CheckContext) of the call, or its gid.
    ///
    /// # Errors
    /// - [`BarrierError::Conflict`]: the gid is on record as a message of another journal.
    /// - The database's. Nothing is known then, and the coordinator asks again.
    pub async fn check<'m>(&self, asked: impl Into<LocalMessage<'m>>) -> Result<CheckAnswer, BarrierError> {
        let (pool, LocalMessage { gid, journal }) = (self.pool.clone(), asked.into());
        let (gid, journal) = (gid.clone(), journal.cloned());
        // In a task of its own: a `begin` that is dropped before it ends leaves its transaction to the next user of the
        // connection.
        let task = tokio::spawn(async move {
            let message = LocalMessage { gid: &gid, journal: journal.as_ref() };
            let mut retries = Retries::default();
            loop {
                match check_here(&pool, message).await {
                    Err(error) if retries.again(&error) => deadlock::pause().await,
                    ended => return ended,
                }
            }
        });
        task.await.unwrap_or(Err(BarrierError::Interrupted))
    }
}

async fn check_here<D: BarrierDatabase>(
    pool: &Pool<D>,
    message: LocalMessage<'_>,
) -> Result<CheckAnswer, BarrierError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(D::BEGIN).await?;
    let answer = rules::check::<D>(&mut transaction, message).await?;
    transaction.commit().await?;
    Ok(answer)
}
