//! What a database must be able to do for XA branches: the record of a branch, and the words of two-phase commit.

use std::future::Future;

use trine_protocol::Xid;

use crate::Origin;
use crate::barrier::BarrierError;
use crate::barrier::clock::DatabaseClock;

/// A database that can prepare transactions. Sealed: implementations are part of this crate.
pub trait XaDatabase: DatabaseClock {
    /// Creates the table.
    const SCHEMA: &'static str;
    /// Begins a transaction on the record alone, which waits for nobody for long.
    const BEGIN: &'static str;
    /// Finds when records were used last.
    const USES: &'static str;

    /// Runs [`Self::SCHEMA`], and checks that the server prepares transactions.
    fn install(connection: &mut Self::Connection) -> impl Future<Output = Result<(), BarrierError>> + Send;

    /// The record as committed last. Waits for nobody.
    fn find(
        connection: &mut Self::Connection,
        key: &Key,
    ) -> impl Future<Output = sqlx::Result<Option<Record>>> + Send;

    /// Inserts the record unless there is one, and tells whether it did.
    fn create(
        connection: &mut Self::Connection,
        key: &Key,
        state: XaState,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Locks the record and reads it. Waits for nobody.
    fn lock(connection: &mut Self::Connection, key: &Key) -> impl Future<Output = sqlx::Result<Lock>> + Send;

    /// Writes the record, which the transaction has locked.
    fn write(
        connection: &mut Self::Connection,
        key: &Key,
        state: XaState,
        reason: Option<&str>,
        fence: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Makes the record young.
    fn touch(connection: &mut Self::Connection, key: &Key) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Deletes records that are settled and were used last before `before`, and tells how many.
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

    /// Begins the transaction to be prepared; `false` when the name is in use.
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

    /// Rolls the transaction that is open back.
    fn abandon(connection: &mut Self::Connection, xid: &Xid)
    -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Keeps where a branch's calls come from unless that is on record, and returns what is.
    fn origin(
        connection: &mut Self::Connection,
        key: &Key,
        origin: &Origin,
    ) -> impl Future<Output = sqlx::Result<Origin>> + Send;

    /// Commits a prepared transaction; `false` when there is none, or its session has not let go of it yet.
    fn commit_prepared(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Rolls a prepared transaction back; `false` as above.
    fn rollback_prepared(
        connection: &mut Self::Connection,
        xid: &Xid,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
}

/// Which branch.
#[derive(Debug, Clone)]
pub struct Key {
    /// The transaction.
    pub gid: String,
    /// The branch.
    pub branch: String,
    /// Its name in the database.
    pub xid: Xid,
}

/// What is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How far the branch is.
    pub state: XaState,
    /// A refusal's reason.
    pub reason: Option<String>,
    /// The highest fence seen.
    pub fence: i64,
}

/// How far a branch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XaState {
    /// Prepared, being prepared, or not prepared yet.
    Open,
    /// Its effects are committed.
    Committed,
    /// It has no effects, and must not have any.
    RolledBack,
    /// A business "no".
    Refused,
    /// It had nothing to commit.
    ReadOnly,
}

/// A record that was to be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// It is.
    Held(Record),
    /// Another transaction has it: the branch is being prepared, or prepared.
    Busy,
    /// There is none.
    Missing,
}

impl XaState {
    const ALL: [Self; 5] = [Self::Open, Self::Committed, Self::RolledBack, Self::Refused, Self::ReadOnly];

    /// The word in the table.
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
