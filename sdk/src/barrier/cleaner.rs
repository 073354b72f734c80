//! Deleting what the barrier no longer needs: bounded chunks, in the background, of branches nobody has asked for in a
//! long time. Which those are is in [`Barrier::clean`].

use std::future::Future;
use std::time::Duration;

use sqlx::{Connection as _, Pool};
use tokio::task::JoinHandle;

use super::clock::unused_before;
use super::database::BarrierDatabase;
use super::{Barrier, BarrierError};

/// The shortest time rows may be kept: one day.
pub const KEEP_MIN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a [`Cleaner`] keeps rows unless it is told otherwise: 60 days, twice the coordinator's default retention.
pub const KEEP_DEFAULT: Duration = Duration::from_secs(60 * 24 * 60 * 60);
const EVERY_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Branches of one database transaction.
const CHUNK: i64 = 100;

impl<D: BarrierDatabase> Barrier<D> {
    /// Deletes the rows of branches (and of messages on their initiator's side) that were last asked for more than
    /// `keep` ago, and returns of how many. All rows of a branch go together, in chunks of 100 branches per database
    /// transaction; a call that comes meanwhile waits for its chunk, or the chunk leaves its branch alone.
    ///
    /// **Choose `keep` longer than the longest time a call can come late**: the life of your longest transaction, the
    /// time one may be parked included, and the coordinator's `retention.settled_after` (30 days by default) on top. To
    /// the barrier, a branch whose rows are gone is one that never was: a late duplicate takes effect again, and a
    /// late compensation is taken for an empty one. A branch with a try or prepare that nobody has confirmed or undone
    /// is kept whatever its age, since its end is still to come. The age counts from the last call, by the database's
    /// clock, in time that calls show to have passed: a silence of more than a day (or of an eighth of `keep`, where that
    /// is shorter) counts for nothing, because it may be a clock that leapt ahead.
    ///
    /// # Errors
    /// [`BarrierError::KeptTooShort`] below [`KEEP_MIN`]; otherwise the database's. Chunks that were deleted before the
    /// error stay deleted.
    pub async fn clean(&self, keep: Duration) -> Result<u64, BarrierError> {
        let keep_ms = keep_ms(keep)?;
        let pool = self.pool.clone();
        let task = tokio::spawn(async move {
            let unused = unused_before::<D>(&mut *pool.acquire().await?, D::USES, keep_ms).await?;
            let Some(before) = unused else { return Ok(0) };
            let mut cleaned = 0;
            loop {
                let chunk = clean_chunk(&pool, before).await?;
                cleaned += chunk;
                if chunk < CHUNK.unsigned_abs() {
                    return Ok(cleaned);
                }
            }
        });
        task.await.unwrap_or(Err(BarrierError::Interrupted))
    }
}

pub(crate) fn keep_ms(keep: Duration) -> Result<i64, BarrierError> {
    if keep < KEEP_MIN {
        return Err(BarrierError::KeptTooShort { asked: keep, least: KEEP_MIN });
    }
    Ok(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX / 2))
}

async fn clean_chunk<D: BarrierDatabase>(pool: &Pool<D>, before: i64) -> Result<u64, BarrierError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(D::BEGIN).await?;
    let unused = D::unused(&mut transaction, before, CHUNK).await?;
    for (gid, branch) in &unused {
        D::forget(&mut transaction, gid, branch).await?;
    }
    transaction.commit().await?;
    Ok(unused.len() as u64)
}

/// What a [`Cleaner`] can clean. Sealed: a [`Barrier`], or an `Xa`.
pub trait Clean: sealed::Sealed + Send + Sync + 'static {
    /// Deletes what nobody has asked for in `keep`, and tells how many branches that were.
    fn clean(&self, keep: Duration) -> impl Future<Output = Result<u64, BarrierError>> + Send;
}

impl<D: BarrierDatabase> Clean for Barrier<D> {
    async fn clean(&self, keep: Duration) -> Result<u64, BarrierError> {
        Self::clean(self, keep).await
    }
}

pub(crate) mod sealed {
    /// Keeps [`super::Clean`] closed.
    pub trait Sealed {}
    impl<D: super::BarrierDatabase> Sealed for super::Barrier<D> {}
}

/// Cleans in the background: see [`Barrier::clean`]. Several instances of a service may each have one.
#[derive(Debug)]
#[must_use = "nothing is cleaned before `start`"]
pub struct Cleaner<T> {
    target: T,
    keep: Duration,
    every: Duration,
}

impl<T: Clean> Cleaner<T> {
    /// A cleaner that keeps what was asked for in the last 60 days, and looks every hour.
    pub fn new(target: T) -> Self {
        Self { target, keep: KEEP_DEFAULT, every: EVERY_DEFAULT }
    }

    /// How long rows are kept; see [`Barrier::clean`] for how long that must be.
    ///
    /// # Errors
    /// [`BarrierError::KeptTooShort`] below [`KEEP_MIN`].
    pub fn keep(self, keep: Duration) -> Result<Self, BarrierError> {
        keep_ms(keep)?;
        Ok(Self { keep, ..self })
    }

    /// How long it pauses between two looks.
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Cleans now and then, until the handle is dropped. Must be called within a tokio runtime.
    pub fn start(self) -> CleanerHandle {
        let Self { target, keep, every } = self;
        CleanerHandle(tokio::spawn(async move {
            loop {
                match target.clean(keep).await {
                    Ok(0) => {}
                    Ok(branches) => {
                        tracing::info!(branches, "the barrier forgot branches not asked for lately")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the barrier was not cleaned; it will be tried again")
                    }
                }
                tokio::time::sleep(every).await;
            }
        }))
    }
}

/// A running [`Cleaner`]; dropping it stops it after the chunk it is at.
#[derive(Debug)]
#[must_use = "dropping it stops the cleaner"]
pub struct CleanerHandle(JoinHandle<()>);

impl Drop for CleanerHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}
