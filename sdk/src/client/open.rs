//! An open transaction in its initiator's hands: registering branches, driving try or prepare, deciding.
//!
//! A branch is registered durably before it is called, always: what the coordinator does not know it cannot cancel.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use trine_protocol::v1::Answer;
use trine_protocol::{Gid, JournalId, Op};

use super::branch::{Branch, TccBranch, TwoPhaseBranch};
use super::call::Call;
use super::forward::Forward;
use super::kind::{self, Openable};
use super::{Client, Error};

/// An open transaction. Dropping it decides nothing: the coordinator rolls it back at its deadline, or, if it is a
/// message, asks its check URL.
pub struct Open<P> {
    client: Client,
    gid: Gid,
    journal: Option<JournalId>,
    pattern: PhantomData<P>,
}

impl<P> fmt::Debug for Open<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("gid", &self.gid).finish_non_exhaustive()
    }
}

impl<P: Openable> Open<P> {
    /// Of a transaction that a coordinator has just answered for.
    pub(crate) fn new(client: Client, gid: Gid) -> Self {
        let journal = client.inner.transport.journal();
        Self { client, gid, journal, pattern: PhantomData }
    }

    /// The journal that holds it, if the coordinator says (one of an earlier version does not).
    pub fn journal(&self) -> Option<&JournalId> {
        self.journal.as_ref()
    }

    /// Its gid.
    pub fn gid(&self) -> &Gid {
        &self.gid
    }

    /// Registers a branch, durably when this returns. The same branch again changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] (the branch id belongs to another branch, the transaction is decided, ..) or
    /// [`Error::GaveUp`].
    pub async fn register(&self, branch: Branch<P>) -> Result<Answer, Error> {
        self.client.register(&self.gid, &branch.into_document()?).await
    }

    /// Decides yes: see [`Client::commit`].
    ///
    /// # Errors
    /// As [`Client::commit`].
    pub async fn commit(&self) -> Result<Answer, Error> {
        self.client.commit(&self.gid).await
    }

    /// Decides yes and waits: see [`Client::commit_and_wait`].
    ///
    /// # Errors
    /// As [`Client::commit_and_wait`].
    pub async fn commit_and_wait(&self, wait: Duration) -> Result<Answer, Error> {
        self.client.commit_and_wait(&self.gid, wait).await
    }

    /// Decides no: see [`Client::abort`].
    ///
    /// # Errors
    /// As [`Client::abort`].
    pub async fn abort(&self, reason: &str) -> Result<Answer, Error> {
        self.client.abort(&self.gid, reason).await
    }

    /// Decides no and waits: see [`Client::abort_and_wait`].
    ///
    /// # Errors
    /// As [`Client::abort_and_wait`].
    pub async fn abort_and_wait(&self, reason: &str, wait: Duration) -> Result<Answer, Error> {
        self.client.abort_and_wait(&self.gid, reason, wait).await
    }

    /// Registers the branch, then calls `op` on it until there is a definite answer or the client's patience ends.
    async fn drive(&self, branch: Branch<P>, op: Op) -> Result<Forward, Error> {
        let document = branch.into_document()?;
        let own = if op == Op::Try { &document.try_ } else { &document.prepare };
        let target = own.as_ref().or(document.url.as_ref()).cloned();
        let target = target
            .ok_or_else(|| Error::invalid(format!("branch {}", document.id), format!("has no {op}")))?;
        self.client.register(&self.gid, &document).await?;
        let call = Call {
            gid: &self.gid,
            branch: &document.id,
            op,
            pattern: P::PATTERN,
            target: &target,
            payload: document.payload.as_ref().map_or("null", |payload| payload.get()).as_bytes(),
            journal: self.journal.as_ref(),
            // Bytes are not tried from here: the body below is not what the coordinator would send.
            one_payload: document.payload_base64.is_none(),
            timeout: document.options.call_timeout_ms.map(Duration::from_millis),
        };
        self.client.drive(&call).await
    }
}

impl Open<kind::Tcc> {
    /// Registers a branch, then tries it, repeating until there is a definite answer or the client's `retry_for` is
    /// over. The headers are those of the coordinator's own calls.
    ///
    /// # Errors
    /// When the branch cannot be registered; what became of the call itself is told by [`Forward`].
    pub async fn try_branch(&self, branch: TccBranch) -> Result<Forward, Error> {
        self.drive(branch, Op::Try).await
    }
}

impl Open<kind::TwoPhase> {
    /// Registers a branch, then asks it to prepare; otherwise as [`Open::try_branch`].
    ///
    /// # Errors
    /// As [`Open::try_branch`].
    pub async fn prepare_branch(&self, branch: TwoPhaseBranch) -> Result<Forward, Error> {
        self.drive(branch, Op::Prepare).await
    }
}
