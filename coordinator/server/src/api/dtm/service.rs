//! The service behind the dialect's three wires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trine_engine::{Command, Record, Rejection, ReplyOn, Snapshot, Transaction};
use trine_protocol::Gid;
use trine_protocol::dtm::gid_of;
use trine_protocol::errors::Code;

use super::names;
use super::outcome::{CommandError, DtmError, RETRY_AFTER_S};
use crate::runtime::Handle;
use trine_store::{Store, StoreError, StoreFuture};

/// Carries out the dialect's requests.
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

/// The filter of `all`. Empty texts match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query {
    pub(crate) status: String,
    pub(crate) trans_type: String,
    /// Created at or after, in milliseconds since 1970.
    pub(crate) created_from_ms: Option<u64>,
    /// Created before.
    pub(crate) created_to_ms: Option<u64>,
    /// `next_position` of the page before.
    pub(crate) position: String,
    pub(crate) limit: usize,
}

impl Service {
    /// Trine's gid for the client's gid. Every request of every wire passes here.
    pub(super) fn gid(text: &str) -> Result<Gid, DtmError> {
        names::ensure_kept("gid", text)?;
        gid_of(text).ok_or_else(|| DtmError::Other("key required: gid is empty".into()))
    }

    /// Submits a command and waits until its answer is durable.
    pub(super) async fn command(&self, gid: &Gid, command: Command) -> Result<Snapshot, CommandError> {
        self.submit_for(gid, command, ReplyOn::Durable).await
    }

    /// Submits a command and waits as `reply_on` says.
    pub(super) async fn submit_for(
        &self,
        gid: &Gid,
        command: Command,
        reply_on: ReplyOn,
    ) -> Result<Snapshot, CommandError> {
        Ok(self.handle.submit(gid.clone(), command, reply_on).await?)
    }

    /// A transaction and its records, read from the journal.
    pub(super) async fn load(&self, gid: &Gid) -> Result<Option<(Transaction, Vec<Record>)>, DtmError> {
        let damaged = |why: &dyn std::fmt::Display| {
            self.handle.damaged().met(gid, why);
            DtmError::Other(Rejection::Corrupt.to_string())
        };
        let found = self.bounded(self.store.readable(gid.clone(), 0)).await?;
        let records = found.whole(gid).map_err(|error| damaged(&error))?;
        match Transaction::fold(&records) {
            Ok(found) => Ok(found.map(|transaction| (transaction, records))),
            Err(corrupt) => Err(damaged(&corrupt)),
        }
    }

    /// A store call with a bounded time.
    pub(super) async fn bounded<T>(&self, call: StoreFuture<T>) -> Result<T, DtmError> {
        ask(self.store_timeout, call).await
    }

    /// A new gid.
    pub(crate) fn new_gid(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }
}

/// Waits for a store call, at most `timeout`. Dropping the future is safe: the call runs in a task of its own.
pub(super) async fn ask<T>(timeout: Duration, call: StoreFuture<T>) -> Result<T, DtmError> {
    let why = match tokio::time::timeout(timeout, call).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(StoreError::Unavailable(detail))) => detail,
        Ok(Err(error @ StoreError::Unfit(_))) => error.to_string(),
        Ok(Err(error @ StoreError::Corrupt { .. })) => {
            tracing::error!(%error, "a request met a journal that cannot be read");
            return Err(DtmError::Other(Rejection::Corrupt.to_string()));
        }
        Err(_) => "it took too long".into(),
    };
    // The detail may name files and hosts, so it goes to the log only.
    tracing::warn!(detail = %why, "the store did not answer a request");
    let text = "the store does not answer; try again";
    Err(DtmError::Unavailable(text.into(), RETRY_AFTER_S, Code::StoreUnavailable))
}
