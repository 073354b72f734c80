//! Deletes the rows of branches that were not called for a long time, chunk by chunk. [`Barrier::clean`] says which branches
//! those are.

use std::future::Future;
use std::time::Duration;

use sqlx::{Connection as _, Pool};
use tokio::task::JoinHandle;

use super::clock::unused_before;
use super::database::BarrierDatabase;
use super::{Barrier, BarrierError};

/// The shortest time rows may be kept: one day.
pub const KEEP_MIN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a [`Cleaner`] keeps rows by default: 60 days, twice the coordinator's default retention.
pub const KEEP_DEFAULT: Duration = Duration::from_secs(60 * 24 * 60 * 60);
const EVERY_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// How many branches one database transaction deletes.
const CHUNK: i64 = 100;

impl<D: BarrierDatabase> Barrier<D> {
    /// Deletes the rows of branches (and of an initiator's messages) that were called last more than `keep` ago. Returns how
    /// many branches and messages those were. All rows of a branch are deleted together, in chunks of 100 branches for each
    /// database transaction. A call that comes meanwhile waits for its chunk, or the chunk leaves its branch alone.
    ///
    /// **Choose `keep` longer than the longest time that a call can be late**: the life of your longest transaction, with the
    /// time it may be parked, and on top of that the coordinator's `retention.settled_after` (30 days by default). The barrier
    /// does not know a branch whose rows are deleted. A late duplicate then takes effect again, and a late compensation is
    /// taken for an empty one.
    ///
    /// A branch with a try or prepare that is neither confirmed nor undone is kept whatever its age: its end is still to come.
    ///
    /// The age counts from the last call, by the database's clock. Only time in which the barrier was called counts. A silence
    /// of more than a day (or of an eighth of `keep`, if that is shorter) counts as nothing: the clock may have leapt ahead.
    ///
    /// # Errors
    /// [`BarrierError::KeptTooShort`] below [`KEEP_MIN`]; otherwise the database's. Chunks that were deleted before an error
    /// stay deleted.
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

/// What a [`Cleaner`] can clean: a [`Barrier`] or an `Xa`. No other crate can implement this trait.
pub trait Clean: sealed::Sealed + Send + Sync + 'static {
    /// Deletes the rows of branches that were called last more than `keep` ago. Returns how many branches those were.
    fn clean(&self, keep: Duration) -> impl Future<Output = Result<u64, BarrierError>> + Send;
}

impl<D: BarrierDatabase> Clean for Barrier<D> {
    async fn clean(&self, keep: Duration) -> Result<u64, BarrierError> {
        Self::clean(self, keep).await
    }
}

pub(crate) mod sealed {
    /// Keeps other crates from implementing [`super::Clean`].
    pub trait Sealed {}
    impl<D: super::BarrierDatabase> Sealed for super::Barrier<D> {}
}

/// Cleans in the background, by the rules of [`Barrier::clean`]. Each instance of a service may have a cleaner.
///
/// ```
/// use std::time::Duration;
/// use trine_sdk::barrier::{Cleaner, SqliteBarrier};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
/// # let pool: sqlx::SqlitePool = options.connect("sqlite::memory:").await?;
/// let barrier = SqliteBarrier::new(pool);
/// barrier.install().await?;
/// let ninety_days = Duration::from_secs(90 * 24 * 60 * 60);
/// // Runs for as long as the handle lives.
/// let cleaner = Cleaner::new(barrier.clone()).keep(ninety_days)?.start();
/// # drop(cleaner);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is cleaned before `start`"]
pub struct Cleaner<T> {
    target: T,
    keep: Duration,
    every: Duration,
}

impl<T: Clean> Cleaner<T> {
    /// A cleaner that keeps branches that were called in the last 60 days, and runs every hour.
    pub fn new(target: T) -> Self {
        Self { target, keep: KEEP_DEFAULT, every: EVERY_DEFAULT }
    }

    /// How long rows are kept. [`Barrier::clean`] says how long they must be kept.
    ///
    /// # Errors
    /// [`BarrierError::KeptTooShort`] below [`KEEP_MIN`].
    pub fn keep(self, keep: Duration) -> Result<Self, BarrierError> {
        keep_ms(keep)?;
        Ok(Self { keep, ..self })
    }

    /// How long the cleaner pauses between two runs.
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Starts cleaning, until the handle is dropped. Must be called within a tokio runtime.
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

/// A running [`Cleaner`]. Dropping the handle stops the cleaner when its present chunk is deleted.
#[derive(Debug)]
#[must_use = "dropping it stops the cleaner"]
pub struct CleanerHandle(JoinHandle<()>);

impl Drop for CleanerHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}
