//! What the dialect's clients can ask for, whatever wire they ask over.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trine_protocol::dtm::{BranchRequest, TransRequest};

use super::view::{Branch, Global, KeyValue};
use crate::runtime::Handle;
use crate::store::Store;

/// Everything the dialect does. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    pub(super) handle: Handle,
    pub(super) store: Arc<dyn Store>,
    /// How long a call to the store may take.
    pub(super) store_timeout: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Why a request was not done, in the dialect's three kinds. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not fit: 409, or `ABORTED`. The text ends in ` FAILURE`.
    Failure(String),
    /// Not finished yet: 425, or `FAILED_PRECONDITION`.
    Ongoing(String),
    /// Anything else: 500. Such as a request that cannot be understood.
    Other(String),
    /// The coordinator cannot take it now: 500 with `Retry-After` in seconds, or `UNAVAILABLE`. Nothing was done, or it is
    /// not known what; the same request may be repeated.
    Unavailable(String, u64),
}

/// A page of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// Where the next one begins; empty when this is the last.
    pub(crate) next_position: String,
}

/// What `all` filters by; empty texts match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query {
    /// A dialect's status.
    pub(crate) status: String,
    /// A dialect's type.
    pub(crate) trans_type: String,
    /// Created at or after, in milliseconds since 1970.
    pub(crate) created_from_ms: Option<u64>,
    /// Created before.
    pub(crate) created_to_ms: Option<u64>,
    /// `next_position` of the page before.
    pub(crate) position: String,
    /// Rows of a page.
    pub(crate) limit: usize,
}

type Done = Result<(), Trouble>;

impl Service {
    /// A gid nobody has.
    pub(crate) fn new_gid(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }

    /// Creates a transaction that waits for its initiator. (§1.3 of the facts.)
    pub(crate) async fn prepare(&self, request: TransRequest) -> Done {
        let _ = request;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Creates or advances a transaction, and lets it run; ends a workflow.
    pub(crate) async fn submit(&self, request: TransRequest) -> Done {
        let _ = request;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Rolls back what waits for its initiator.
    pub(crate) async fn abort(&self, request: TransRequest) -> Done {
        let _ = request;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Adds a branch, or records a workflow's progress.
    pub(crate) async fn register_branch(&self, request: BranchRequest) -> Done {
        let _ = request;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Creates a workflow, or says how far it is.
    pub(crate) async fn prepare_workflow(
        &self,
        request: TransRequest,
    ) -> Result<(Global, Vec<Branch>), Trouble> {
        let _ = request;
        Err(Trouble::Other("not here yet".into()))
    }

    /// An operator settles it as failed; nobody is called.
    pub(crate) async fn force_stop(&self, gid: &str) -> Done {
        let _ = gid;
        Err(Trouble::Other("not here yet".into()))
    }

    /// One transaction and its branches.
    pub(crate) async fn query(&self, gid: &str) -> Result<Option<(Global, Vec<Branch>)>, Trouble> {
        let _ = gid;
        Err(Trouble::Other("not here yet".into()))
    }

    /// A page of transactions.
    pub(crate) async fn all(&self, query: Query) -> Result<Page<Global>, Trouble> {
        let _ = query;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Makes what waits for a retry due now, when it would wait longer than `timeout_s`; at most `limit` transactions.
    /// Returns how many that were, and whether there are more.
    pub(crate) async fn reset_cron_time(&self, timeout_s: u64, limit: usize) -> Result<(u64, bool), Trouble> {
        let _ = (timeout_s, limit);
        Err(Trouble::Other("not here yet".into()))
    }

    /// The same for one.
    pub(crate) async fn reset_next_cron_time(&self, gid: &str) -> Done {
        let _ = gid;
        Err(Trouble::Other("not here yet".into()))
    }

    /// Adds a subscriber to a topic.
    pub(crate) async fn subscribe(&self, topic: &str, url: &str, remark: &str) -> Done {
        self.topics().subscribe(topic, url, remark).await
    }

    /// Takes a subscriber away.
    pub(crate) async fn unsubscribe(&self, topic: &str, url: &str) -> Done {
        self.topics().unsubscribe(topic, url).await
    }

    /// Takes a topic away.
    pub(crate) async fn delete_topic(&self, topic: &str) -> Done {
        self.topics().delete(topic).await
    }

    /// One entry of a category, or none.
    pub(crate) async fn query_kv(&self, category: &str, key: &str) -> Result<Vec<KeyValue>, Trouble> {
        self.find_entry(category, key).await
    }

    /// A page of a category.
    pub(crate) async fn scan_kv(
        &self,
        category: &str,
        position: &str,
        limit: usize,
    ) -> Result<Page<KeyValue>, Trouble> {
        self.scan_entries(category, position, limit).await
    }
}
