//! The seam to whatever keeps the journal: traits, and the errors every store speaks.
//!
//! A store appends batches, reads journals back, answers lists, and keeps three small tables (participants,
//! coordinators, key-value entries). It decides nothing about transactions and knows no participant's address.
//!
//! Every method returns a future that may be dropped by its caller at any moment: implementations run their database work
//! in a task of their own, so that a dropped future never leaves a connection inside an open database transaction.
//!
//! [`open`] chooses a store by its URL. What each promises is in the traits; `suite` holds all of them to it.

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
pub use upkeep::{Beat, Liveness, Maintenance, Membership, Registration, Registrations, Registry};
pub use watched::{Leap, WATCH_EVERY};

use scheme::{Scheme, scheme};
/// How gids begin that belong to no transaction: records that were appended to see whether that works. Nothing in the
/// index points to them.
pub const PROBES: &str = "trine-probe:";

/// What every store call returns.
pub type StoreFuture<T, E = StoreError> = BoxFuture<'static, Result<T, E>>;

/// Journals as read.
pub type Journals = Vec<Loaded>;

/// One journal as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Whose.
    pub gid: Gid,
    /// The index says that the coordinator that asked owns it.
    pub owned: bool,
    /// Its records in `seq` order, or why they cannot be understood.
    pub records: Result<Vec<Record>, StoreError>,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:PATH`, `postgres://..`, `mysql://..`, or `memory:`. May hold a password.
    pub url: String,
    /// The name of this coordinator, which owns transactions.
    pub owner: String,
    /// How many lanes append side by side, where the database can do that.
    pub lanes: usize,
    /// A coordinator of which another has seen no new heartbeat for so long has lost what it owns to whoever adopts it.
    pub lapse_after_ms: u64,
    /// A process that has the name already is given so long to show by a heartbeat that it lives; 0: it is not looked for.
    pub name_wait_ms: u64,
    /// Longest time one piece of work may take in a database server.
    pub timeout_ms: u64,
    /// Unsafe settings of the database server that are accepted.
    pub allow: Vec<Risk>,
    /// Where the password of a database server is: read for each connection that is made.
    pub password_file: Option<std::path::PathBuf>,
}

impl Options {
    /// The defaults.
    pub fn new(url: &str, owner: &str) -> Self {
        Self {
            url: url.to_owned(),
            owner: owner.to_owned(),
            lanes: 4,
            lapse_after_ms: 10_000,
            name_wait_ms: 0,
            timeout_ms: 30_000,
            allow: Vec::new(),
            password_file: None,
        }
    }
}

/// Opens a store, brings its tables up to date, and joins it as the coordinator `options.owner`.
///
/// `sqlite:` and a path keeps the journal in that file; `postgres://` and `mysql://` (or `mariadb://`) in a database
/// server, whose URL may name several hosts. `memory:` keeps it nowhere: for tests.
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

/// Everything the coordinator asks of a store.
pub trait Store: Journal + Queries + Registry + KeyValues + Membership + Maintenance {
    /// How many lanes may append side by side.
    fn lanes_max(&self) -> usize;

    /// Whether several coordinators may use it at once, so that any of them may move what another drives.
    fn is_shared(&self) -> bool;

    /// Which journal this is: made once per store, and the same for all coordinators that share it, for ever.
    fn journal_id(&self) -> JournalId;
}

/// A batch was made durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// Gids of which nothing was appended, because somebody else had appended to them (law L7).
    pub conflicts: Vec<Gid>,
}

/// A batch was not made durable, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing of the batch is in the journal.
    #[error("the batch was not appended: {0}")]
    Failed(String),
    /// The batch may be in the journal: reading tells.
    #[error("nobody knows whether the batch was appended: {0}")]
    Doubtful(String),
}

/// A read or a small write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store does not answer; the same call may succeed later.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// It answers, and is not used; the same call may succeed later.
    #[error("the store is not used: {0}")]
    Unfit(Unfit),
    /// A row cannot be understood by this version.
    #[error("the journal of {gid} cannot be read: {detail}")]
    Corrupt {
        /// Whose.
        gid: Gid,
        /// Seq and reason.
        detail: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unfit(_))
    }
}

/// The ordered records: the truth.
pub trait Journal: Send + Sync + std::fmt::Debug + 'static {
    /// Appends a batch in one database transaction, all or nothing per gid: a gid whose records do not follow the last
    /// one in the journal (a `(gid, seq)` exists, or one is missing in between) is left out whole (its index row, too)
    /// and reported in [`Appended::conflicts`]; everything else is durable when this returns. Index rows are written in the same database transaction and carry this coordinator as owner. Labels are
    /// written when a gid's first record is in the batch.
    fn append(&self, lane: usize, batch: Arc<Batch>) -> StoreFuture<Appended, AppendError>;

    /// All records of each gid in `seq` order; absent gids are absent from the answer. A gid whose records cannot be
    /// decoded has an error of its own.
    fn load(&self, gids: Vec<Gid>) -> StoreFuture<Journals>;

    /// Makes sure that lanes, requests that read, and lists find a connection open, so that they need none when there are none
    /// to be had.
    fn warm(&self) -> StoreFuture<()>;

    /// Removes a record that was appended to see whether that works; see [`PROBES`]. Over the lane's own connection.
    fn remove_probe(&self, lane: usize, gid: Gid) -> StoreFuture<()>;

    /// Gids this coordinator owns that are not settled and either belong in memory (`due_at` absent) or are due by
    /// `due_by`, in gid order, after `after`.
    fn unfinished(&self, after: Option<Gid>, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>>;

    /// Gids this coordinator owns whose `due_at` is present and not after `due_by`, most overdue first. Cheap when
    /// there are none: the sweep asks every second.
    fn due(&self, due_by: Timestamp, limit: usize) -> StoreFuture<Vec<Gid>>;
}

/// A list's filter; every given part must match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only these statuses; empty: all.
    pub statuses: Vec<Status>,
    /// Only this pattern.
    pub pattern: Option<Pattern>,
    /// Only parked, or only not parked.
    pub parked: Option<bool>,
    /// Only with this label.
    pub label: Option<(String, String)>,
    /// Only with a branch at this `host[:port]` or participant.
    pub host: Option<String>,
    /// Created at or after.
    pub created_from: Option<Timestamp>,
    /// Created before.
    pub created_to: Option<Timestamp>,
}

/// Where a page starts: strictly after this row in newest-first order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The row's creation time.
    pub created_at: Timestamp,
    /// The row's gid.
    pub gid: Gid,
}

impl Cursor {
    /// As it stands in a page's `next_cursor`: `<millis>_<gid>`.
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

/// Counts for gauges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Rows by pattern and status, unsettled only.
    pub unfinished: Vec<(Pattern, Status, u64)>,
    /// Parked rows.
    pub parked: u64,
    /// Creation time of the oldest unsettled row.
    pub oldest_unfinished: Option<Timestamp>,
}

/// Reads that never write.
pub trait Queries: Send + Sync + std::fmt::Debug + 'static {
    /// A gid's records with `seq` greater than `after_seq`, in order, as far as they can be read.
    fn readable(&self, gid: Gid, after_seq: u64) -> StoreFuture<Readable>;

    /// A gid's records with `seq` greater than `after_seq`, in order: all of them, or an error that names the first that
    /// is damaged or missing. Empty when there are none.
    fn records(&self, gid: Gid, after_seq: u64) -> StoreFuture<Vec<Record>> {
        let read = self.readable(gid.clone(), after_seq);
        Box::pin(async move { read.await?.whole(&gid) })
    }

    /// The first `limit` of a gid's records with `seq` greater than `after_seq`, in order, as far as they can be read.
    fn readable_page(&self, gid: Gid, after_seq: u64, limit: usize) -> StoreFuture<ReadablePage>;

    /// A page of the index, newest first (`created_at`, then gid, descending).
    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page>;

    /// Counts over the index.
    fn census(&self) -> StoreFuture<Census>;
}
