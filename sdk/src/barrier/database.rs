//! What the barrier needs of a database, and the rows of the barrier.

use std::future::Future;

use super::clock::DatabaseClock;
use crate::Origin;

/// A database that can hold a barrier. No other crate can implement this trait.
///
/// Every method runs on the connection that it gets, inside the transaction that is open there. The statements are a few fixed
/// texts, so that each connection prepares each statement once.
pub trait BarrierDatabase: DatabaseClock {
    /// Creates the tables.
    const SCHEMA: &'static str;
    /// Begins a transaction that will write, and that sees what other transactions commit meanwhile.
    const BEGIN: &'static str;
    /// Finds when branches were called last.
    const USES: &'static str;

    /// Runs [`Self::SCHEMA`].
    fn install(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Writes the row of a branch, raises its fence to `fence` if `fence` is higher, and returns the highest fence. The row stays
    /// locked until the transaction ends. Here concurrent calls for one branch, and the cleaner, wait for each other.
    fn touch(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Records where a branch's calls come from, unless an origin is on record. Returns whether it recorded the origin.
    fn insert_origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// The recorded origin of a branch's calls, as committed last.
    fn origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
    ) -> impl Future<Output = sqlx::Result<Option<Origin>>> + Send;

    /// Adds the journal and the digest to the recorded origin of a branch, where the record has none.
    fn complete_origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Inserts a row unless its key is taken. Returns whether it inserted the row. Waits for a transaction under way that has
    /// inserted the same key.
    fn insert(
        connection: &mut Self::Connection,
        row: &NewRow<'_>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Replaces the outcome and the output of a row. Returns whether the row exists.
    fn complete(
        connection: &mut Self::Connection,
        key: &Key<'_>,
        outcome: Recorded,
        output: Option<&str>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Every row of a branch (at most one for each op), as committed last.
    fn rows(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<StoredRow>>> + Send;

    /// The gids and branches that were called last before the time `before`, the oldest first. Locks their rows. Leaves out the
    /// branches that another transaction has locked, and those with a try or prepare that is not decided.
    fn unused(
        connection: &mut Self::Connection,
        before: i64,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<(String, String)>>> + Send;

    /// Deletes every row of a branch.
    fn forget(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// The key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The gid of the transaction.
    pub gid: &'a str,
    /// The branch; empty for the initiator of a message.
    pub branch: &'a str,
    /// The op's wire word, or `local` for the initiator of a message.
    pub op: &'a str,
}

/// A row to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRow<'a> {
    /// The key of the row.
    pub key: Key<'a>,
    /// The outcome that the row remembers.
    pub outcome: Recorded,
    /// The reason of a refusal.
    pub output: Option<&'a str>,
    /// The fence of the call that wrote it.
    pub fence: i64,
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The op's wire word, or `local`.
    pub op: String,
    /// The word of the outcome: [`Recorded::parse`] reads it.
    pub outcome: String,
    /// The output as JSON, or the reason of a refusal as text.
    pub output: Option<String>,
}

/// The outcome that a row remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The op took effect.
    Done,
    /// A prepare that voted read-only.
    ReadOnly,
    /// The participant refused the op for a business reason.
    Refused,
    /// The op had no effect, and must not take effect any more.
    Blocked,
}

impl Recorded {
    /// The word for this outcome in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ReadOnly => "read_only",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
        }
    }

    /// The outcome that a word in the table stands for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Done, Self::ReadOnly, Self::Refused, Self::Blocked]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}
