//! What a database must be able to do for the barrier, and the rows they speak about.

use std::future::Future;

use super::clock::DatabaseClock;
use crate::Origin;

/// A database that can hold a barrier. Sealed: implementations are part of this crate.
///
/// Every statement runs on the connection it is given, inside the transaction that is open there. Statements are few
/// fixed texts, so that each connection prepares each of them once.
pub trait BarrierDatabase: DatabaseClock {
    /// Creates the tables.
    const SCHEMA: &'static str;
    /// Begins a transaction that is going to write, and sees what others have committed meanwhile.
    const BEGIN: &'static str;
    /// Finds when branches were called last.
    const USES: &'static str;

    /// Runs [`Self::SCHEMA`].
    fn install(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Writes the row of a branch, raising its fence to `fence` if that is higher, and returns the highest. The row stays
    /// locked until the transaction ends: this is where concurrent calls for one branch, and the cleaner, queue up.
    fn touch(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Keeps where a branch's calls come from unless that is on record, and tells whether it did.
    fn insert_origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Where a branch's calls come from, as committed last.
    fn origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
    ) -> impl Future<Output = sqlx::Result<Option<Origin>>> + Send;

    /// Adds to the record of where a branch's calls come from what it does not say.
    fn complete_origin(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Inserts a row unless its key is taken, and tells whether it did. Waits for a transaction under way that has
    /// inserted the same key.
    fn insert(
        connection: &mut Self::Connection,
        row: &NewRow<'_>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Replaces outcome and output of a row, and tells whether there was one.
    fn complete(
        connection: &mut Self::Connection,
        key: &Key<'_>,
        outcome: Recorded,
        output: Option<&str>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Every row of a branch (at most one per op), as committed last.
    fn rows(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<StoredRow>>> + Send;

    /// Gids and branches that were asked for last before `before`, the longest first, locked; those that others have
    /// locked, and those with a try or prepare that nobody has decided, are left out.
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

/// The identity of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The transaction.
    pub gid: &'a str,
    /// The branch; empty for the initiator of a message.
    pub branch: &'a str,
    /// The op's wire word, or `local` for the initiator of a message.
    pub op: &'a str,
}

/// A row to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRow<'a> {
    /// Its identity.
    pub key: Key<'a>,
    /// What is remembered.
    pub outcome: Recorded,
    /// A refusal's reason.
    pub output: Option<&'a str>,
    /// The fence of the call that wrote it.
    pub fence: i64,
}

/// A row as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The op's word.
    pub op: String,
    /// The word of what is remembered.
    pub outcome: String,
    /// The output as JSON, or a refusal's reason as text.
    pub output: Option<String>,
}

/// What a row remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The op took effect.
    Done,
    /// A prepare that voted read-only.
    ReadOnly,
    /// A business "no".
    Refused,
    /// The op did not happen and must not happen any more.
    Blocked,
}

impl Recorded {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ReadOnly => "read_only",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
        }
    }

    /// The meaning of a word in the table.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Done, Self::ReadOnly, Self::Refused, Self::Blocked]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}
