//! One connection to a database server, as the code that all of them share sees it: texts with `$1 ..`, values, rows.
//!
//! A [`Client`] knows its dialect and nothing of when it is used; who keeps connections is in `connections`, what is asked
//! of them in `queries`, `tables` and `append`.

use std::fmt;
use std::time::Duration;

use trine_protocol::Gid;

use super::safety::{Inspection, Unfit};
use super::texts::{Text, Texts};
use super::writing::Writing;
use crate::retention::Candidate;
use crate::rows::Columns;
use crate::{Registration, StoreError};

/// A value to bind.
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
    /// Something else than its column holds, and why. Whoever needs it fails; the other rows are as good as ever.
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

/// Why a server did not do what it was asked. The texts never hold a password: drivers do not put one in theirs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The driver's words.
    #[error("{}", driver_words(.0))]
    Sql(#[from] sqlx::Error),
    /// It did not answer in time; the connection is of no more use.
    #[error("no answer within {0} ms")]
    Slow(u64),
    /// Too many wait for a connection.
    #[error("too many wait for a connection to the store")]
    Crowded,
    /// It answers, and must not be written to.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A row is not what its table says.
    #[error("a row cannot be understood: {0}")]
    Unreadable(String),
    /// The file with the password cannot be read.
    #[error("the password of the store cannot be read from {0}")]
    Password(String),
    /// This coordinator has closed its store.
    #[error("the store is closed")]
    Closed,
}

impl ClientError {
    pub(crate) fn slow(limit: Duration) -> Self {
        Self::Slow(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What a driver says, without saying again and again that it is about its configuration.
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
            ClientError::Unfit(unfit) => Self::Unfit(unfit),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// What an error says about the statement it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Undone: a key exists, or a record before it is missing.
    Conflict,
    /// Undone, because of others who wrote at the same time: worth another try at once.
    Contended,
    /// Undone, for good.
    Failed,
    /// Nobody knows.
    Doubtful,
}

/// A connection to one kind of database server.
pub(crate) trait Client: Sized + Send + fmt::Debug + 'static {
    /// Where one server is, and how to get in.
    type Address: Clone + Send + Sync + fmt::Debug + 'static;
    /// Whether what can be read may be lost although it is visible, so that a small write of our own must be acknowledged
    /// before what was read is answered. See [`super::connections::Connections::settling`].
    const READS_NEED_SETTLING: bool;
    /// Parameters a URL may have.
    const PARAMETERS: &'static [&'static str];

    /// The SQL texts in its dialect.
    fn texts() -> &'static Texts;

    /// The server a URL names; the URL has one host.
    fn address(url: &str) -> Result<Self::Address, String>;

    /// The same server with another password.
    fn with_password(address: &Self::Address, password: &str) -> Self::Address;

    /// Connects, and sets what every session needs.
    fn connect(address: &Self::Address) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;

    /// What this server is, as far as safety depends on it.
    fn inspect(&mut self) -> impl Future<Output = Result<Inspection, ClientError>> + Send;

    /// The node of a cluster it is connected to, where that matters.
    fn node(&self) -> &str;

    /// Says that a coordinator is alive: name, incarnation, node. Answers whose the name is, the heartbeat
    /// before this one, and this one; nothing when that must be asked.
    fn beat(&mut self, values: &[Param]) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Runs a text that answers rows.
    fn query(
        &mut self,
        text: Text,
        values: &[Param],
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Runs a text that changes rows; returns how many.
    fn execute(
        &mut self,
        text: Text,
        values: &[Param],
    ) -> impl Future<Output = Result<u64, ClientError>> + Send;

    /// Journals: gid, seq, at, event, and whether `owner` owns it, by gid and seq.
    fn load(
        &mut self,
        owner: &str,
        gids: &[Gid],
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// The last seq of each gid that has one.
    fn ends(&mut self, gids: &[&Gid]) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Writes all of a batch in one database transaction, or nothing. After an error the connection is as before, or
    /// of no more use: then the error is [`Verdict::Doubtful`] or [`Verdict::Failed`].
    fn write(&mut self, writing: &Writing<'_>) -> impl Future<Output = Result<(), WriteFailure>> + Send;

    /// Makes `owner` the owner of at most `limit` unfinished transactions of `from`, if the row of `from` says that it is
    /// gone ([`super::tables::GONE_MAX`]); returns their gids.
    fn claim(
        &mut self,
        owner: &str,
        from: &str,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Row>, ClientError>> + Send;

    /// Deletes everything of these transactions whose index rows still say the same; returns how many that were.
    fn retire(&mut self, settled: &[Candidate]) -> impl Future<Output = Result<u64, ClientError>> + Send;

    /// Inserts instances of participants, or extends their lives, which begin at `now`.
    fn register(
        &mut self,
        registrations: &[Registration],
        now: i64,
    ) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Applies the migrations that are missing; returns how many.
    fn migrate(&mut self) -> impl Future<Output = Result<u64, sqlx::migrate::MigrateError>> + Send;

    /// [`Verdict::Conflict`] or [`Verdict::Contended`] where that is why a statement that stood alone was undone; none for
    /// every other error, after which it may or may not have been done.
    fn undone(error: &ClientError) -> Option<Verdict>;

    /// Whether the connection can go on being used after an error.
    fn survives(error: &ClientError) -> bool;

    /// Says goodbye.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// How writing a batch went wrong.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) verdict: Verdict,
    pub(crate) error: ClientError,
}
