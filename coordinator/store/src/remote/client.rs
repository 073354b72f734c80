//! [`Client`]: one connection to a database server, with everything that differs between PostgreSQL and MySQL.
//!
//! The code that both share is in `connections` (which keeps clients), and in `queries`, `tables`, `retention`, `key_values`
//! and `append` (which use them).

use std::fmt;
use std::time::Duration;

use trine_protocol::Gid;

use super::safety::{Inspection, Unfit};
use super::texts::{Text, Texts};
use crate::retention::Candidate;
use crate::rows::Columns;
use crate::writing::Writing;
use crate::{Registration, StoreError};

/// A value that is bound to a text.
#[derive(Debug, Clone)]
pub(crate) enum Param {
    Int(i64),
    MaybeInt(Option<i64>),
    MaybeBool(Option<bool>),
    Text(String),
    MaybeText(Option<String>),
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&Gid> for Param {
    fn from(gid: &Gid) -> Self {
        Self::Text(gid.as_str().to_owned())
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    /// A value that cannot be read, and why. Reading this cell is an error; the other cells and rows are not affected.
    Unreadable(String),
}

/// A row, by the position of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Columns for Row {
    type Error = ClientError;

    fn text(&self, column: usize) -> Result<&str, ClientError> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(text),
            other => Err(unexpected(column, other)),
        }
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, ClientError> {
        match self.0.get(column) {
            Some(Cell::Null) => Ok(None),
            // No None for all the rest: a value that cannot be read must not be taken for one that was never written.
            _ => self.text(column).map(Some),
        }
    }

    fn bytes(&self, column: usize) -> Result<&[u8], ClientError> {
        // These databases keep no text that is not valid.
        self.text(column).map(str::as_bytes)
    }

    fn int(&self, column: usize) -> Result<i64, ClientError> {
        match self.0.get(column) {
            Some(Cell::Int(number)) => Ok(*number),
            other => Err(unexpected(column, other)),
        }
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, ClientError> {
        match self.0.get(column) {
            Some(Cell::Null) => Ok(None),
            _ => self.int(column).map(Some),
        }
    }

    fn unreadable(detail: String) -> ClientError {
        ClientError::Unreadable(detail)
    }
}

fn unexpected(column: usize, found: Option<&Cell>) -> ClientError {
    ClientError::Unreadable(format!("column {column} is {found:?}"))
}

/// Why a server did not do what was asked. No message holds a password: drivers do not put one into theirs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// What the driver or the server says.
    #[error("{}", driver_words(.0))]
    Sql(#[from] sqlx::Error),
    /// No answer until the deadline. The connection must not be used any more.
    #[error("no answer within {0} ms")]
    Slow(u64),
    #[error("too many wait for a connection to the store")]
    Crowded,
    /// The server must not be written to.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A value in a row has another type, or makes no sense.
    #[error("a row cannot be understood: {0}")]
    Unreadable(String),
    #[error("the password of the store cannot be read from {0}")]
    Password(String),
    /// This coordinator has closed the store.
    #[error("the store is closed")]
    Closed,
}

impl ClientError {
    pub(crate) fn slow(limit: Duration) -> Self {
        Self::Slow(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The driver's message. Errors of configuration are wrapped several times, and each wrapper repeats its prefix: only the
/// innermost message is told.
pub(crate) fn driver_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(inner) => {
            inner.downcast_ref().map_or_else(|| inner.to_string(), driver_words)
        }
        other => other.to_string(),
    }
}

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> Self {
        match error {
            // Kept apart from the other errors: clients may be told its reason, while a driver's message may name hosts
            // and users.
            ClientError::Unfit(unfit) => Self::Unfit(unfit),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// What an error means for the write that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Undone, because a key exists, or because the record before is missing.
    Conflict,
    /// Undone, because others wrote at the same time. Another try is likely to succeed.
    Contended,
    /// Undone.
    Failed,
    /// The write may have been committed.
    Doubtful,
}

/// A connection to a database server of one kind.
pub(crate) trait Client: Sized + Send + fmt::Debug + 'static {
    /// Host, user and options of one server.
    type Address: Clone + Send + Sync + fmt::Debug + 'static;
    /// Whether what can be read may be lost although it is visible, so that a small write of our own must be acknowledged
    /// before what was read is answered. See [`super::connections::Connections::settling`].
    const READS_NEED_SETTLING: bool;
    /// The parameters that a URL may have.
    const PARAMETERS: &'static [&'static str];

    /// The SQL texts in its dialect.
    fn texts() -> &'static Texts;

    /// The address of a URL that names one host.
    fn address(url: &str) -> Result<Self::Address, String>;

    /// The same address with another password.
    fn with_password(address: &Self::Address, password: &str) -> Self::Address;

    /// Connects and makes the settings that every session needs.
    fn connect(address: &Self::Address) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;

    /// Reads the settings of the server that safety depends on.
    fn inspect(&mut self) -> impl Future<Output = Result<Inspection, ClientError>> + Send;

    /// The node of the cluster, where that matters. Empty elsewhere.
    fn node(&self) -> &str;

    /// Writes a heartbeat. `values`: name, incarnation, node. Answers the incarnation that has the name, the heartbeat
    /// before and this heartbeat. The answer may be empty where another incarnation has the name.
    fn beat(&mut self, values: &[Param]) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Runs a text that answers rows.
    fn query(
        &mut self,
        text: Text,
        values: &[Param],
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Runs a text that changes rows. Returns how many.
    fn execute(
        &mut self,
        text: Text,
        values: &[Param],
    ) -> impl Future<Output = Result<u64, ClientError>> + Send;

    /// The records of `gids` in the order of gid and seq, with the columns of [`crate::sql::RECORDS`]. The flag says whether
    /// `owner` is the owner.
    fn load(
        &mut self,
        owner: &str,
        gids: &[Gid],
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Gid and last seq, of each gid that has a journal.
    fn ends(&mut self, gids: &[&Gid]) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Writes a batch in one database transaction. After [`Verdict::Conflict`] and [`Verdict::Contended`] the connection
    /// can be used again; after the others it must be closed.
    fn write(&mut self, writing: &Writing<'_>) -> impl Future<Output = Result<(), WriteFailure>> + Send;

    /// Makes `owner` the owner of at most `limit` transactions of `from` that are not settled. Checks in the same database
    /// transaction that the row of `from` says that it is gone ([`super::tables::GONE_MAX`]). Returns the gids.
    fn claim(
        &mut self,
        owner: &str,
        from: &str,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Deletes everything of these transactions, if their index rows still say what the candidates say. Returns how many.
    fn retire(&mut self, settled: &[Candidate]) -> impl Future<Output = Result<u64, ClientError>> + Send;

    /// Inserts or renews registrations that count from `now`.
    fn register(
        &mut self,
        registrations: &[Registration],
        now: i64,
    ) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Applies the migrations that are missing. Returns how many.
    fn migrate(&mut self) -> impl Future<Output = Result<u64, sqlx::migrate::MigrateError>> + Send;

    /// Why a single statement was undone: [`Verdict::Conflict`] or [`Verdict::Contended`]. None for every other error, after
    /// which the statement may have been executed.
    fn undone(error: &ClientError) -> Option<Verdict>;

    /// Whether the connection is in a known state after this error, so that it can be used again.
    fn survives(error: &ClientError) -> bool;

    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) verdict: Verdict,
    pub(crate) error: ClientError,
}
