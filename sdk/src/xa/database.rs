//! What XA branches need of a database: the record of a branch, and the statements of two-phase commit.

use std::future::Future;

use trine_protocol::Xid;

use crate::Origin;
use crate::barrier::BarrierError;
use crate::barrier::clock::DatabaseClock;

/// A database that can prepare transactions. No other crate can implement this trait.
pub trait XaDatabase: DatabaseClock {
    /// Creates the tables.
    const SCHEMA: &'static str;
    /// Begins a transaction on the record alone. The transaction waits for locks for a short time only.
    const BEGIN: &'static str;
    /// Finds when records were used last.
    const USES: &'static str;

    /// Runs [`Self::SCHEMA`], and checks that the server can prepare transactions.
    fn install(connection: &mut Self::Connection) -> impl Future<Output = Result<(), BarrierError>> + Send;

    /// The record as committed last. Waits for no lock.
    fn find(
        connection: &mut Self::Connection,
        key: &Key,
    ) -> impl Future<Output = sqlx::Result<Option<Record>>> + Send;

    /// Inserts the record unless it exists. Returns whether it inserted the record.
    fn create(
        connection: &mut Self::Connection,
        key: &Key,
        state: XaState,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Locks the record and reads it. Waits for no lock.
    fn lock(connection: &mut Self::Connection, key: &Key) -> impl Future<Output = sqlx::Result<Lock>> + Send;

    /// Writes the record, which the transaction has locked.
    fn write(
        connection: &mut Self::Connection,
        key: &Key,
        state: XaState,
        reason: Option<&str>,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Sets the time of the record's last use to now.
    fn touch(connection: &mut Self::Connection, key: &Key) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Deletes records that are settled and were used last before the time `before`. Returns how many.
    fn clean(
        connection: &mut Self::Connection,
        before: i64,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Whether the transaction is prepared.
    fn is_prepared(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Begins the transaction to be prepared. Returns `false` if the name is in use.
    fn start(connection: &mut Self::Connection, xid: &Xid)
    -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Prepares the transaction that is open.
    fn prepare(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = Result<(), BarrierError>> + Send;

    /// Commits the transaction that is open, without preparing it.
    fn commit_at_once(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Rolls back the transaction that is open.
    fn abandon(connection: &mut Self::Connection, xid: &Xid)
    -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Records where a branch's calls come from, unless an origin is on record. Returns the recorded origin.
    fn origin(
        connection: &mut Self::Connection,
        key: &Key,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<Origin>> + Send;

    /// Commits a prepared transaction. Returns `false` if there is none, or if the session that prepared it still holds it.
    fn commit_prepared(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Rolls back a prepared transaction. Returns `false` if there is none, or if the session that prepared it still holds it.
    fn rollback_prepared(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
}

/// A branch, and its name in the database.
#[derive(Debug, Clone)]
pub struct Key {
    /// The gid of the transaction.
    pub gid: String,
    /// The branch.
    pub branch: String,
    /// The name of the prepared transaction.
    pub xid: Xid,
}

/// The record of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The state of the branch.
    pub state: XaState,
    /// The reason of a refusal.
    pub reason: Option<String>,
    /// The highest fence that the branch has seen.
    pub fence: i64,
}

/// The state of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XaState {
    /// Prepared, being prepared, or not prepared yet.
    Open,
    /// The effects are committed.
    Committed,
    /// The branch has no effects, and must not have effects later.
    RolledBack,
    /// The participant refused the prepare for a business reason.
    Refused,
    /// The prepare had nothing to commit.
    ReadOnly,
}

/// The result of locking a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// The record is locked.
    Held(Record),
    /// Another transaction has locked the record: the branch is being prepared, or is prepared.
    Busy,
    /// There is no record.
    Missing,
}

impl XaState {
    const ALL: [Self; 5] = [Self::Open, Self::Committed, Self::RolledBack, Self::Refused, Self::ReadOnly];

    /// The word for this state in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Refused => "refused",
            Self::ReadOnly => "read_only",
        }
    }
}

/// A row of the table: state, reason, fence.
pub(super) type Row = (String, Option<String>, i64);

pub(super) fn record((state, reason, fence): Row) -> sqlx::Result<Record> {
    let known = XaState::ALL.into_iter().find(|known| known.as_str() == state);
    let state = known.ok_or_else(|| sqlx::Error::Decode(format!("trine_xa.state is {state:?}").into()))?;
    Ok(Record { state, reason, fence })
}
