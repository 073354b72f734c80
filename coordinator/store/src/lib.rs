//! The store: where the coordinator keeps its journal. SQLite, PostgreSQL, MySQL and MariaDB, or memory for tests.
//!
//! A store appends batches, reads journals back, answers lists, and keeps three small tables (participants,
//! coordinators, key-value entries). A store decides nothing about transactions and calls no participant.
//!
//! The traits here say what each store promises; the conformance tests in `suite` run against all of them. [`open`]
//! chooses a store by its URL.
//!
//! A caller may drop the future of any method at any moment. The stores therefore run their database work in a task of its
//! own, or hand the rest to one (`detach`), so that a dropped future never leaves a connection inside an open database
//! transaction.

// This crate is not published: a name that says everything needs no sentence.
#![allow(missing_docs)]

pub mod check;
mod checksum;
pub mod codec;
mod columns;
mod detach;
mod group;
mod inspect;
mod journal_id;
mod key_values;
mod listing;
pub mod memory;
mod migrations;
mod open_error;
mod remote;
mod retention;
mod rows;
mod scheme;
mod sql;
pub mod sqlite;
#[cfg(test)]
mod suite;
mod upkeep;
pub mod vitals;
mod watched;
mod writing;
pub mod xa;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use trine_engine::{Batch, Record};
use trine_protocol::v1::Page;
use trine_protocol::{Gid, JournalId, Pattern, Status, Timestamp};

pub use group::{Readable, ReadablePage, Unreadable};
pub use inspect::{IndexColumns, Inspect, Inspected, Names, inspect};
pub use key_values::{
    Change, Entry, KEY_BYTES_MAX, Key, KeyValues, OutOfBounds, Revision, VALUE_BYTES_MAX, Value,
};
pub use open_error::OpenError;
pub use remote::{Risk, Unfit, Why};
pub use sqlite::outlive_file_limit;
pub use upkeep::{Beat, HeartbeatAnswer, Maintenance, Membership, Registration, Registrations, Registry};
pub use watched::{Leap, WATCH_EVERY};

use scheme::{Scheme, scheme};

/// Prefix of the gids of probes, which belong to no transaction. A probe is one record: a coordinator appends it to find out
/// whether appending works ([`vitals`]), and removes it again. No index row has such a gid.
pub const PROBE_PREFIX: &str = "trine-probe:";

/// The future of every store call. It may be dropped at any moment.
pub type StoreFuture<T, E = StoreError> = BoxFuture<'static, Result<T, E>>;

pub type Journals = Vec<Loaded>;

/// The journal of one transaction, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub gid: Gid,
    /// Whether the index row names the coordinator that asked as the owner.
    pub owned: bool,
    /// The records in the order of their seqs, or why they cannot be read.
    pub records: Result<Vec<Record>, StoreError>,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:PATH`, `postgres://..`, `mysql://..`, or `memory:`. May hold a password.
    pub url: String,
    /// The name of this coordinator. Transactions are owned by name.
    pub owner: String,
    /// How many lanes append side by side, where the database can do that.
    pub lanes: usize,
    /// When a coordinator has sent no heartbeat for so long, the others may adopt its transactions.
    pub lapse_after_ms: u64,
    /// When the name is in use already, its process has so long to show by a heartbeat that it lives. 0: do not look.
    pub name_wait_ms: u64,
    /// The longest time that one piece of work may take in a database server.
    pub timeout_ms: u64,
    /// Unsafe settings of the database server that are accepted.
    pub allow: Vec<Risk>,
    /// The file with the password of a database server. It is read for each new connection, so that a password can change.
    pub password_file: Option<std::path::PathBuf>,
}

impl Options {
    /// The default of `lanes`. This and the next two are the defaults of the configuration's keys, too.
    ///
    /// One batch of all records costs the database and the coordinator less than several small ones, and is durable as soon.
    pub const LANES: usize = 1;
    /// The default of `lapse_after_ms`.
    pub const LAPSE_AFTER_MS: u64 = 10_000;
    /// The default of `timeout_ms`.
    pub const TIMEOUT_MS: u64 = 30_000;

    /// The defaults; a process that has the name already is not looked for.
    pub fn new(url: &str, owner: &str) -> Self {
        Self {
            url: url.to_owned(),
            owner: owner.to_owned(),
            lanes: Self::LANES,
            lapse_after_ms: Self::LAPSE_AFTER_MS,
            name_wait_ms: 0,
            timeout_ms: Self::TIMEOUT_MS,
            allow: Vec::new(),
            password_file: None,
        }
    }
}

/// Opens a store, brings its tables up to date, and joins it as the coordinator `options.owner`.
///
/// | URL | The journal is |
/// |---|---|
/// | `sqlite:` and a path | in that file |
/// | `postgres://`, `mysql://`, `mariadb://` | in a database server; the URL may name several hosts |
/// | `memory:` | in memory, for tests |
pub async fn open(options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match scheme(&options.url)? {
        Scheme::Memory => Arc::new(memory::Memory::new(&options.owner)),
        Scheme::Sqlite(path) => Arc::new(sqlite::Sqlite::open(path, options.owner.clone()).await?),
        Scheme::Postgres => Arc::new(remote::open::<remote::Postgres>(options).await?),
        Scheme::MySql => Arc::new(remote::open::<remote::MySql>(options).await?),
    })
}

/// Brings the tables of a store up to date without running a coordinator on it; returns how many migrations that took.
pub async fn migrate(options: &Options) -> Result<u64, OpenError> {
    match scheme(&options.url)? {
        Scheme::Memory => Ok(0),
        Scheme::Sqlite(path) => sqlite::migrate(path).await,
        Scheme::Postgres => remote::migrate::<remote::Postgres>(options).await,
        Scheme::MySql => remote::migrate::<remote::MySql>(options).await,
    }
}

/// Whether the URL of a database server can be read, or why not: the end of a sentence, without a word of the URL.
pub fn check_server_url(url: &str) -> Result<(), String> {
    remote::check_url(url)
}

pub(crate) use remote::driver_words;

/// Everything that the coordinator asks of a store.
pub trait Store: Journal + Queries + Registry + KeyValues + Membership + Maintenance {
    /// How many lanes may append side by side.
    fn lanes_max(&self) -> usize;

    /// Whether several coordinators may use the store at once. Then any of them may append to a transaction that another
    /// one drives.
    fn is_shared(&self) -> bool;

    /// Which journal this is. The id is made with the store, never changes, and is the same for all coordinators that
    /// share the store.
    fn journal_id(&self) -> JournalId;
}

/// A batch is durable, but for the gids in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// Gids of which nothing was appended, because another coordinator had appended to them (law L7).
    pub conflicts: Vec<Gid>,
}

/// A batch is not durable, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing of the batch is in the journal.
    #[error("the batch was not appended: {0}")]
    Failed(String),
    /// The batch may be in the journal, for example because the acknowledgement of its commit was lost. Only reading the
    /// journal tells.
    #[error("nobody knows whether the batch was appended: {0}")]
    Doubtful(String),
}

/// A read or a small write has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store does not answer; the same call may succeed later.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The store answers and must not be used, for example because it is a standby. The same call may succeed later.
    #[error("the store is not used: {0}")]
    Unfit(Unfit),
    /// A record is damaged, or was written by a newer version.
    #[error("the journal of {gid} cannot be read: {detail}")]
    Corrupt {
        gid: Gid,
        /// The seq and the reason.
        detail: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unfit(_))
    }
}

/// The journal: the ordered records of each transaction. Everything else is derived from them.
pub trait Journal: Send + Sync + std::fmt::Debug + 'static {
    /// Appends a batch in one database transaction. When this returns, the batch is durable.
    ///
    /// The records of a gid must follow the last one in the journal. Where a `(gid, seq)` exists already, or one is missing
    /// in between, nothing of that gid is written, its index row included, and the gid is in [`Appended::conflicts`].
    ///
    /// Index rows are written in the same database transaction, with this coordinator as the owner. Labels are written
    /// together with the first record of a gid.
    fn append(&self, lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError>;

    /// The journals of these gids. Gids without a journal are left out. A journal that cannot be read is an error for its
    /// gid alone.
    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals>;

    /// Keeps a connection open for each lane, for requests that read and for lists. These then go on while the server
    /// accepts no new connection.
    fn warm(&self) -> StoreFuture<()>;

    /// Removes a probe (see [`PROBE_PREFIX`]) over the lane's own connection.
    fn remove_probe(&self, lane: usize, gid: Gid) -> StoreFuture<()>;

    /// Gids, in order and after `after`, that this coordinator owns, that are not settled, and that either belong in memory
    /// (`due_at` is absent) or are due by `due_by`.
    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>>;

    /// Gids that this coordinator owns and that are due by `due_by`, most overdue first. The sweep asks every second, so
    /// this must be cheap when there are none.
    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>>;
}

/// The filter of a list. Every part that is given must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Empty: all statuses.
    pub statuses: Vec<Status>,
    pub pattern: Option<Pattern>,
    pub parked: Option<bool>,
    /// Key and value.
    pub label: Option<(String, String)>,
    /// The `host[:port]` or the participant of one of the branches.
    pub host: Option<String>,
    /// Inclusive.
    pub created_from: Option<Timestamp>,
    /// Exclusive.
    pub created_to: Option<Timestamp>,
}

/// Where a page of a list starts: after this row. Lists are newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub created_at: Timestamp,
    pub gid: Gid,
}

impl Cursor {
    /// The text in a page's `next_cursor`: `<millis>_<gid>`.
    pub fn encode(&self) -> String {
        format!("{}_{}", self.created_at.millis(), self.gid)
    }

    /// Reads [`Self::encode`] back.
    pub fn decode(text: &str) -> Option<Self> {
        let (millis, gid) = text.split_once('_')?;
        let created_at = Timestamp::from_millis(millis.parse().ok()?);
        Some(Self { created_at, gid: Gid::parse(gid).ok()? })
    }
}

/// Counts for the gauges in the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// How many transactions are not settled, by pattern and status.
    pub unfinished: Vec<(Pattern, Status, u64)>,
    pub parked: u64,
    /// When the oldest transaction was created that is not settled.
    pub oldest_unfinished: Option<Timestamp>,
}

/// Reads for requests. None of them writes.
pub trait Queries: Send + Sync + std::fmt::Debug + 'static {
    /// The records of a gid after `after_seq`, in order, as far as they can be read.
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable>;

    /// The same, or an error that names the first record that is damaged or missing.
    fn records(&self, gid: Gid, after_seq: u64) -> StoreFuture<Vec<Record>> {
        let read = self.readable(gid.clone(), after_seq);
        Box::pin(async move { read.await?.whole(&gid) })
    }

    /// The first `limit` records of a gid after `after_seq`, in order, as far as they can be read.
    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage>;

    /// A page of transactions, newest first: by `created_at`, then by gid.
    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page>;

    fn census(&self) -> StoreFuture<Census>;
}
