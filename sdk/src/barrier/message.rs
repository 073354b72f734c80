//! The initiator's side of a message: the local transaction that belongs to it, and the coordinator's check.

use sqlx::{Connection as _, Pool, Transaction};
use trine_protocol::{Gid, JournalId};

use super::database::BarrierDatabase;
use super::deadlock::{self, Retries};
use super::{Barrier, BarrierError, rules};
use crate::{CheckAnswer, CheckContext};

impl<D: BarrierDatabase> Barrier<D> {
    /// Initiator of a message: records, in *your* local transaction, that the message is to be delivered once this
    /// transaction commits. `message` is the [`Open`](crate::Open) message, or its gid. Call it before the business effects, with `?`: on an error the transaction must be
    /// rolled back.
    ///
    /// # Errors
    /// [`BarrierError::AlreadyAnswered`]: a check was answered "not committed" meanwhile, so it may not commit any more.
    /// [`BarrierError::AlreadyRecorded`]: a transaction with this gid has committed before. Otherwise the database's.
    /// [`BarrierError::Conflict`]: the gid is on record as a message of another journal.
    pub async fn record_local<'m>(
        &self,
        transaction: &mut Transaction<'_, D>,
        message: impl Into<LocalMessage<'m>>,
    ) -> Result<(), BarrierError> {
        rules::record_local::<D>(transaction, message.into()).await
    }

    /// Initiator of a message: answers the coordinator's check. If the local transaction has not committed, this makes
    /// sure it never will: [`Barrier::record_local`] fails from now on. While it is still under way, the check waits
    /// for it (on SQLite for at most the `busy_timeout`). `asked` is the [`CheckContext`] of the call, or its gid.
    ///
    /// # Errors
    /// The database's. Nothing is known then; the coordinator asks again.
    /// [`BarrierError::Conflict`]: the gid is on record as a message of another journal.
    pub async fn check<'m>(&self, asked: impl Into<LocalMessage<'m>>) -> Result<CheckAnswer, BarrierError> {
        let (pool, LocalMessage { gid, journal }) = (self.pool.clone(), asked.into());
        let (gid, journal) = (gid.clone(), journal.cloned());
        // In a task of its own: a `begin` that is dropped half way would leave its transaction to the next borrower.
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

/// The message that a local transaction belongs to: its gid, and the journal that holds it, if that is known. A check from
/// another journal than the local transaction was recorded for is about another message.
#[derive(Debug, Clone, Copy)]
pub struct LocalMessage<'m> {
    /// The message.
    pub gid: &'m Gid,
    /// The journal that holds it, if it is known.
    pub journal: Option<&'m JournalId>,
}

impl<'m> From<&'m Gid> for LocalMessage<'m> {
    fn from(gid: &'m Gid) -> Self {
        Self { gid, journal: None }
    }
}

impl<'m> From<&'m CheckContext> for LocalMessage<'m> {
    fn from(call: &'m CheckContext) -> Self {
        Self { gid: &call.gid, journal: call.journal.as_ref() }
    }
}

#[cfg(feature = "client")]
impl<'m> From<&'m crate::Open<crate::client::kind::Message>> for LocalMessage<'m> {
    fn from(open: &'m crate::Open<crate::client::kind::Message>) -> Self {
        Self { gid: open.gid(), journal: open.journal() }
    }
}
