//! Branches as an initiator writes them, one type per pattern, and the retry policy of calls.
//!
//! A mistake (an id or target that does not follow its grammar) is kept until the branch is used, so that building
//! reads as one sentence.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use trine_protocol::duration::HumanDuration;
use trine_protocol::v1::{self, OnExhausted};
use trine_protocol::{BranchId, Target};

use super::Error;
use super::kind::{self, PatternKind};

/// A branch of a transaction of pattern `P`. Use it by the names [`SagaBranch`], [`TccBranch`], [`TwoPhaseBranch`] and
/// [`MessageBranch`].
///
/// Targets are `http(s)://host/path`, `grpc(s)://host:port/package.Service/Method`, or `name:/path` at a registered
/// participant.
#[derive(Debug)]
#[must_use = "a branch does nothing until it is added to a transaction or registered"]
pub struct Branch<P> {
    document: Result<v1::Branch, Error>,
    pattern: PhantomData<P>,
}

/// A branch of a saga: an action, and what undoes it.
pub type SagaBranch = Branch<kind::Saga>;
/// A branch of a TCC: try, confirm and cancel.
pub type TccBranch = Branch<kind::Tcc>;
/// A branch of a two-phase commit: prepare, commit and rollback.
pub type TwoPhaseBranch = Branch<kind::TwoPhase>;
/// A target of a message.
pub type MessageBranch = Branch<kind::Message>;

impl<P: PatternKind> Branch<P> {
    /// A branch; its id is unique within the transaction, `[A-Za-z0-9._:-]{1,128}`.
    pub fn new(id: impl AsRef<str>) -> Self {
        let document = match BranchId::parse(id.as_ref()) {
            Ok(id) => Ok(v1::Branch::new(id)),
            Err(error) => Err(Error::invalid(format!("branch id `{}`", id.as_ref()), error)),
        };
        Self { document, pattern: PhantomData }
    }

    /// One target for every op of the branch; the header `Trine-Op` tells them apart.
    pub fn url(self, target: impl AsRef<str>) -> Self {
        self.target("url", target.as_ref(), |branch, target| branch.url = Some(target))
    }

    /// What every op of this branch gets as its body, as JSON (default `null`).
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Self {
        let payload = serde_json::value::to_raw_value(payload);
        self.edit(|branch| match payload {
            Ok(json) => {
                (branch.payload, branch.payload_base64) = (Some(json), None);
                Ok(())
            }
            Err(error) => Err(Error::invalid(format!("payload of branch {}", branch.id), error)),
        })
    }

    /// Bytes that every op of this branch gets as they are, instead of a JSON payload: an encoded protobuf message for a
    /// gRPC target, `application/octet-stream` for an HTTP one.
    pub fn payload_bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = v1::Base64::from(bytes.as_ref());
        self.set(|branch| (branch.payload, branch.payload_base64) = (None, Some(bytes)))
    }

    /// How long one call may take (default: the transaction's, else 10 s).
    pub fn call_timeout(self, timeout: Duration) -> Self {
        self.set(|branch| branch.options.call_timeout_ms = Some(millis(timeout)))
    }

    /// When and how often calls are repeated; what is not set stays as the transaction has it.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        self.set(|branch| branch.options.retry = Some(policy.into_document()))
    }

    /// What happens when [`RetryPolicy::max_attempts`] are used up.
    pub fn on_exhausted(self, what: OnExhausted) -> Self {
        self.set(|branch| branch.options.on_exhausted = Some(what))
    }

    /// The branch as the API takes it.
    ///
    /// # Errors
    /// The first mistake that was made while building it.
    pub fn into_document(self) -> Result<v1::Branch, Error> {
        self.document
    }

    fn edit(mut self, change: impl FnOnce(&mut v1::Branch) -> Result<(), Error>) -> Self {
        if let Ok(branch) = &mut self.document
            && let Err(error) = change(branch)
        {
            self.document = Err(error);
        }
        self
    }

    fn set(self, change: impl FnOnce(&mut v1::Branch)) -> Self {
        self.edit(|branch| {
            change(branch);
            Ok(())
        })
    }

    fn target(self, what: &str, text: &str, put: impl FnOnce(&mut v1::Branch, Target)) -> Self {
        self.edit(|branch| match Target::parse(text) {
            Ok(target) => {
                put(branch, target);
                Ok(())
            }
            Err(error) => Err(Error::invalid(format!("{what} of branch {}, `{text}`", branch.id), error)),
        })
    }

    fn after_ids<I>(self, ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parsed: Result<Vec<_>, _> = ids
            .into_iter()
            .map(|id| {
                let id = id.as_ref();
                BranchId::parse(id).map_err(|error| Error::invalid(format!("after `{id}`"), error))
            })
            .collect();
        self.edit(|branch| {
            branch.after = Some(parsed?);
            Ok(())
        })
    }
}

impl SagaBranch {
    /// Does it.
    pub fn action(self, target: impl AsRef<str>) -> Self {
        self.target("action", target.as_ref(), |branch, target| branch.action = Some(target))
    }

    /// Undoes it; a branch without one has nothing to undo.
    pub fn compensate(self, target: impl AsRef<str>) -> Self {
        self.target("compensate", target.as_ref(), |branch, target| branch.compensate = Some(target))
    }

    /// The branches that must be done first. As soon as one branch of a transaction states this (even empty), the
    /// stated dependencies are the only ones.
    pub fn after<I>(self, ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.after_ids(ids)
    }
}

impl TccBranch {
    /// Reserves.
    pub fn try_(self, target: impl AsRef<str>) -> Self {
        self.target("try", target.as_ref(), |branch, target| branch.try_ = Some(target))
    }

    /// Uses the reservation.
    pub fn confirm(self, target: impl AsRef<str>) -> Self {
        self.target("confirm", target.as_ref(), |branch, target| branch.confirm = Some(target))
    }

    /// Gives the reservation back.
    pub fn cancel(self, target: impl AsRef<str>) -> Self {
        self.target("cancel", target.as_ref(), |branch, target| branch.cancel = Some(target))
    }
}

impl TwoPhaseBranch {
    /// Votes.
    pub fn prepare(self, target: impl AsRef<str>) -> Self {
        self.target("prepare", target.as_ref(), |branch, target| branch.prepare = Some(target))
    }

    /// Makes the prepared work permanent.
    pub fn commit(self, target: impl AsRef<str>) -> Self {
        self.target("commit", target.as_ref(), |branch, target| branch.commit = Some(target))
    }

    /// Drops the prepared work.
    pub fn rollback(self, target: impl AsRef<str>) -> Self {
        self.target("rollback", target.as_ref(), |branch, target| branch.rollback = Some(target))
    }
}

impl MessageBranch {
    /// Takes the delivery.
    pub fn deliver(self, target: impl AsRef<str>) -> Self {
        self.target("deliver", target.as_ref(), |branch, target| branch.deliver = Some(target))
    }

    /// The branches that must be delivered first; as for a saga.
    pub fn after<I>(self, ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.after_ids(ids)
    }
}

/// When and how often the coordinator repeats a call that got no usable answer: capped exponential backoff with jitter.
/// What is not set keeps its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryPolicy {
    /// Pause before the second attempt (default 200 ms).
    pub initial: Option<Duration>,
    /// Growth from one pause to the next, 1 to 10 (default 2).
    pub factor: Option<f64>,
    /// Longest pause (default 30 s).
    pub max_interval: Option<Duration>,
    /// Share of each pause that is random, 0 to 1 (default 0.5).
    pub jitter: Option<f64>,
    /// Attempts without a usable answer before `on_exhausted` (default: no limit).
    pub max_attempts: Option<u32>,
    /// Answers in a row that no retry mends (404, 400, 401 and their kin) before `on_exhausted`, spread over about a minute
    /// (default 5).
    pub client_error_attempts: Option<u32>,
}

impl RetryPolicy {
    pub(crate) fn into_document(self) -> v1::Retry {
        let human = |duration: Duration| HumanDuration::from_millis(millis(duration));
        v1::Retry {
            initial: self.initial.map(human),
            factor: self.factor,
            max_interval: self.max_interval.map(human),
            jitter: self.jitter,
            max_attempts: self.max_attempts,
            client_error_attempts: self.client_error_attempts,
            ..v1::Retry::default()
        }
    }
}

/// Whole milliseconds; more than 500 million years become the most there is, which the coordinator refuses.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
