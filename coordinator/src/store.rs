//! The seam to whatever keeps the journal: traits, and the errors every store speaks.
//!
//! A store appends batches, reads journals back, answers lists, and keeps two small tables (participants,
//! coordinators). It decides nothing about transactions and knows no participant's address.
//!
//! Every method returns a future that may be dropped by its caller at any moment: implementations run their database work
//! in a task of their own, so that a dropped future never leaves a connection inside an open database transaction.
//!
//! [`open`] chooses a store by its URL. What each promises is in the traits; `suite` holds all of them to it.

pub mod codec;
mod detach;
mod group;
pub mod memory;
pub mod sqlite;
#[cfg(test)]
mod suite;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use trine_engine::{Batch, Record};
use trine_protocol::v1::{Page, Participant};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

/// What every store call returns.
pub type StoreFuture<T, E = StoreError> = BoxFuture<'static, Result<T, E>>;

/// Journals as read: each gid with its records, or with why they cannot be understood.
pub type Journals = Vec<(Gid, Result<Vec<Record>, StoreError>)>;

/// Why a store cannot be opened. The text is for whoever starts the coordinator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error("{url:?} is not a store: {detail}; write sqlite:./folder/file.db or sqlite:///folder/file.db")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process has it.
    #[error(
        "{file} is in use by another coordinator, which holds {file}.lock; stop it first, or give this one a file of its own"
    )]
    InUse {
        /// The database file.
        file: String,
    },
    /// It was written by a newer version.
    #[error(
        "the tables in {store} were made by a newer version of Trine (migration {migration}); run that version"
    )]
    Newer {
        /// Which store.
        store: String,
        /// Its number.
        migration: i64,
    },
    /// Anything else.
    #[error("cannot open {store}: {detail}")]
    Failed {
        /// Which store.
        store: String,
        /// Why.
        detail: String,
    },
}

/// Opens the store of a URL, brings its tables up to date, and joins it as the coordinator `owner`.
///
/// `sqlite:` and a path keeps it in that file. `memory:` keeps it nowhere: for tests.
pub async fn open(url: &str, owner: String) -> Result<Arc<dyn Store>, OpenError> {
    match scheme(url)? {
        Scheme::Memory => Ok(Arc::new(memory::Memory::new(&owner))),
        Scheme::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path, owner).await?)),
    }
}

/// Brings the tables of a store up to date without running a coordinator on it; returns how many migrations that took.
pub async fn migrate(url: &str) -> Result<u64, OpenError> {
    match scheme(url)? {
        Scheme::Memory => Ok(0),
        Scheme::Sqlite(path) => sqlite::migrate(path).await,
    }
}

enum Scheme<'a> {
    Memory,
    Sqlite(&'a std::path::Path),
}

fn scheme(url: &str) -> Result<Scheme<'_>, OpenError> {
    let wrong = |detail: &str| OpenError::Url { url: url.to_owned(), detail: detail.to_owned() };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Scheme::Memory),
        Some(("sqlite", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.contains('?') {
                return Err(wrong("it takes no parameters"));
            }
            if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
                return Err(wrong("it names no file"));
            }
            Ok(Scheme::Sqlite(std::path::Path::new(path)))
        }
        // The rest of the URL may carry a password.
        Some((scheme, _)) => Err(OpenError::Url {
            url: format!("{scheme}:"),
            detail: "this version keeps its journal in SQLite".to_owned(),
        }),
        None => Err(wrong("it has no scheme")),
    }
}

/// Everything the coordinator asks of a store.
pub trait Store: Journal + Queries + Registry + Membership + Maintenance {
    /// How many lanes may append side by side.
    fn lanes_max(&self) -> usize;
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
        matches!(self, Self::Unavailable(_))
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
    /// A gid's records with `seq` greater than `after_seq`, in order. Empty when there are none.
    fn records(&self, gid: Gid, after_seq: u64) -> StoreFuture<Vec<Record>>;

    /// A page of the index, newest first (`created_at`, then gid, descending).
    fn list(&self, filter: Filter, cursor: Option<Cursor>, limit: usize) -> StoreFuture<Page>;

    /// Counts over the index.
    fn census(&self) -> StoreFuture<Census>;
}

/// Participants that registered themselves.
pub trait Registry: Send + Sync + std::fmt::Debug + 'static {
    /// Inserts an instance or extends its life.
    fn register(
        &self,
        name: String,
        base_url: String,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> StoreFuture<()>;

    /// Removes one instance, or all of a name; returns how many.
    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64>;

    /// Every participant with its instances (`alive` judged by `now`), by name and then base URL.
    fn participants(&self, now: Timestamp) -> StoreFuture<Vec<Participant>>;

    /// Removes instances that expired before `before`, except the last instance of a name (a name once known stays
    /// known); returns how many.
    fn sweep_participants(&self, before: Timestamp) -> StoreFuture<u64>;
}

/// Coordinators that share this store.
pub trait Membership: Send + Sync + std::fmt::Debug + 'static {
    /// Says that this coordinator is alive.
    fn heartbeat(&self) -> StoreFuture<()>;

    /// Takes over every unsettled transaction whose owner is not this coordinator and, in a store that several
    /// coordinators may share, whose owner's heartbeat has lapsed; returns how many.
    fn adopt(&self) -> StoreFuture<u64>;
}

/// Housekeeping.
pub trait Maintenance: Send + Sync + std::fmt::Debug + 'static {
    /// Whether a write would be accepted now.
    fn ping(&self) -> StoreFuture<()>;

    /// Deletes journal, labels and index rows of at most `limit` transactions settled before `before`; returns how many.
    fn retire(&self, before: Timestamp, limit: usize) -> StoreFuture<u64>;

    /// Finishes what is in flight and closes every connection.
    fn close(&self) -> StoreFuture<()>;
}
