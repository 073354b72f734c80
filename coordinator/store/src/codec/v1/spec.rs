//! What an initiator asked for, in version 1.
//!
//! A policy that is absent from the text is [`USUAL`]. `USUAL` never changes: the defaults of the protocol may change, and
//! what a journal means must not change with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use trine_engine::{
    BranchSpec, CallPolicy, Draft, Exposure, FinishOrder, Labels, OnExhausted, Payload, RetryPolicy,
    SharedPolicy, Spec,
};
use trine_protocol::{BranchId, Pattern, Target};

use super::bytes;
use crate::codec::DecodeError;

/// The policy of most calls. See above.
const USUAL: CallPolicy = CallPolicy {
    timeout_ms: 10_000,
    retry: RetryPolicy {
        initial_ms: 200,
        factor_permille: 2_000,
        max_interval_ms: 30_000,
        jitter_permille: 500,
        max_attempts: None,
        client_error_attempts: CLIENT_ERROR_ATTEMPTS,
    },
    on_exhausted: OnExhausted::Park,
    ongoing_ms: ONGOING_MS,
    ongoing_counts: false,
};
/// What a policy without this field means. The field is younger than many journals. In those no answer is marked as a client
/// error, so they still fold to the same state, and only new answers count.
const CLIENT_ERROR_ATTEMPTS: u32 = 5;
/// After an ongoing answer.
const ONGOING_MS: u64 = 1_000;

/// Mirror of [`Spec`].
#[derive(Serialize, Deserialize)]
pub(super) struct SpecText<'a> {
    pattern: Pattern,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    #[serde(default, skip_serializing_if = "LabelsText::is_empty")]
    labels: LabelsText<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    #[serde(default)]
    start_delay_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Target>,
    check_after_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check_call: Option<CallText>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    check_payload: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    check_payload_hex: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "FinishWord::is_usual")]
    finish_order: FinishWord,
    #[serde(default, skip_serializing_if = "ExposureWord::is_usual")]
    exposure: ExposureWord,
    #[serde(borrow)]
    branches: Vec<BranchText<'a>>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    terms: Option<Cow<'a, str>>,
}

/// Mirror of [`Labels`]. Borrowed while encoding, owned while decoding.
#[derive(Default)]
struct LabelsText<'a>(Cow<'a, Labels>);

impl LabelsText<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for LabelsText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for LabelsText<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self(Cow::Owned(labels.into())))
    }
}

/// Mirror of [`FinishOrder`].
#[derive(Serialize, Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum FinishWord {
    #[default]
    Parallel,
    FirstToLast,
    LastToFirst,
}

impl FinishWord {
    fn is_usual(&self) -> bool {
        *self == Self::Parallel
    }

    fn of(order: FinishOrder) -> Self {
        match order {
            FinishOrder::Parallel => Self::Parallel,
            FinishOrder::FirstToLast => Self::FirstToLast,
            FinishOrder::LastToFirst => Self::LastToFirst,
        }
    }

    fn into_order(self) -> FinishOrder {
        match self {
            Self::Parallel => FinishOrder::Parallel,
            Self::FirstToLast => FinishOrder::FirstToLast,
            Self::LastToFirst => FinishOrder::LastToFirst,
        }
    }
}

/// Mirror of [`Exposure`].
#[derive(Serialize, Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ExposureWord {
    #[default]
    Exact,
    Ahead,
}

impl ExposureWord {
    fn is_usual(&self) -> bool {
        *self == Self::Exact
    }

    fn of(exposure: Exposure) -> Self {
        match exposure {
            Exposure::Exact => Self::Exact,
            Exposure::Ahead => Self::Ahead,
        }
    }

    fn into_exposure(self) -> Exposure {
        match self {
            Self::Exact => Exposure::Exact,
            Self::Ahead => Exposure::Ahead,
        }
    }
}

/// Mirror of [`BranchSpec`].
#[derive(Serialize, Deserialize)]
pub(super) struct BranchText<'a> {
    id: BranchId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forward: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_commit: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_rollback: Option<Target>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    payload: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    payload_hex: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    payload_raw: bool,
    #[serde(default, skip_serializing_if = "<[BranchId]>::is_empty")]
    after: Cow<'a, [BranchId]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<CallText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forward_call: Option<CallText>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
}

/// Mirror of [`CallPolicy`].
#[derive(Serialize, Deserialize)]
struct CallText {
    timeout_ms: u64,
    retry: RetryText,
    on_exhausted: ExhaustedWord,
    #[serde(default = "ongoing_ms", skip_serializing_if = "is_usual_ongoing")]
    ongoing_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ongoing_counts: bool,
}

fn ongoing_ms() -> u64 {
    ONGOING_MS
}

fn is_usual_ongoing(ongoing_ms: &u64) -> bool {
    *ongoing_ms == ONGOING_MS
}

/// Mirror of [`RetryPolicy`].
#[derive(Serialize, Deserialize)]
struct RetryText {
    initial_ms: u64,
    factor_permille: u32,
    max_interval_ms: u64,
    jitter_permille: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(default = "client_error_attempts", skip_serializing_if = "is_usual_client_error_attempts")]
    client_error_attempts: u32,
}

fn client_error_attempts() -> u32 {
    CLIENT_ERROR_ATTEMPTS
}

fn is_usual_client_error_attempts(attempts: &u32) -> bool {
    *attempts == CLIENT_ERROR_ATTEMPTS
}

impl RetryText {
    fn of(retry: RetryPolicy) -> Self {
        let RetryPolicy {
            initial_ms,
            factor_permille,
            max_interval_ms,
            jitter_permille,
            max_attempts,
            client_error_attempts,
        } = retry;
        Self {
            initial_ms,
            factor_permille,
            max_interval_ms,
            jitter_permille,
            max_attempts,
            client_error_attempts,
        }
    }

    fn into_retry(self) -> RetryPolicy {
        let Self {
            initial_ms,
            factor_permille,
            max_interval_ms,
            jitter_permille,
            max_attempts,
            client_error_attempts,
        } = self;
        RetryPolicy {
            initial_ms,
            factor_permille,
            max_interval_ms,
            jitter_permille,
            max_attempts,
            client_error_attempts,
        }
    }
}

/// Mirror of [`OnExhausted`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExhaustedWord {
    Park,
    RollBack,
}

impl<'a> SpecText<'a> {
    pub(super) fn of(spec: &'a Spec) -> Self {
        // Naming every field makes the compiler ask here when one is added.
        let Draft {
            pattern,
            open,
            labels,
            deadline_ms,
            start_delay_ms,
            check,
            check_after_ms,
            check_payload,
            check_call,
            branches,
            finish_order,
            exposure,
            digest,
            terms,
        } = &**spec;
        let (check_payload, check_payload_hex) = bytes::split(check_payload);
        Self {
            pattern: *pattern,
            open: *open,
            labels: LabelsText(Cow::Borrowed(labels)),
            deadline_ms: *deadline_ms,
            start_delay_ms: *start_delay_ms,
            check: check.clone(),
            check_after_ms: *check_after_ms,
            check_call: CallText::of(**check_call),
            check_payload,
            check_payload_hex,
            finish_order: FinishWord::of(*finish_order),
            exposure: ExposureWord::of(*exposure),
            branches: branches.iter().map(|branch| BranchText::of(branch)).collect(),
            digest: bytes::digest_text(*digest).into(),
            terms: terms.as_deref().map(Cow::Borrowed),
        }
    }

    pub(super) fn into_spec(self) -> Result<Spec, DecodeError> {
        let check_call = SharedPolicy::from(self.check_call.map_or(USUAL, CallText::into_policy));
        let branch = |text: BranchText<'_>| text.into_branch(&check_call).map(Arc::new);
        let draft = Draft {
            pattern: self.pattern,
            open: self.open,
            labels: self.labels.0.into_owned(),
            deadline_ms: self.deadline_ms,
            start_delay_ms: self.start_delay_ms,
            check: self.check,
            check_after_ms: self.check_after_ms,
            check_payload: bytes::join(self.check_payload, self.check_payload_hex)?,
            finish_order: self.finish_order.into_order(),
            exposure: self.exposure.into_exposure(),
            branches: self.branches.into_iter().map(branch).collect::<Result<_, _>>()?,
            check_call,
            digest: bytes::digest(&self.digest)?,
            terms: self.terms.map(|terms| terms.into()),
        };
        draft.build().map_err(|error| DecodeError::Damaged(error.to_string()))
    }
}

impl<'a> BranchText<'a> {
    pub(super) fn of(branch: &'a BranchSpec) -> Self {
        let BranchSpec { id, forward, on_commit, on_rollback, payload, after, call, digest } = branch;
        let payload_raw = payload.is_raw();
        let (payload, payload_hex) = bytes::split(payload);
        Self {
            id: id.clone(),
            forward: forward.clone(),
            on_commit: on_commit.clone(),
            on_rollback: on_rollback.clone(),
            payload,
            payload_hex,
            payload_raw,
            after: Cow::Borrowed(&**after),
            call: CallText::of(**call),
            forward_call: call.stated_forward().copied().map(CallText::whole),
            digest: bytes::digest_text(*digest).into(),
        }
    }

    /// `shared` is the policy of its transaction.
    pub(super) fn into_branch(self, shared: &SharedPolicy) -> Result<BranchSpec, DecodeError> {
        let payload = bytes::join(self.payload, self.payload_hex)?;
        let call = self.call.map_or(USUAL, CallText::into_policy);
        let forward_call = self.forward_call.map(CallText::into_policy);
        Ok(BranchSpec {
            id: self.id,
            forward: self.forward,
            on_commit: self.on_commit,
            on_rollback: self.on_rollback,
            payload: if self.payload_raw { Payload::raw(payload.as_bytes()) } else { payload },
            after: self.after.into_owned().into(),
            call: forward_call
                .map_or_else(|| shared.for_branch(call), |forward| SharedPolicy::with_forward(call, forward)),
            digest: bytes::digest(&self.digest)?,
        })
    }
}

impl CallText {
    fn of(policy: CallPolicy) -> Option<Self> {
        (policy != USUAL).then(|| Self::whole(policy))
    }

    fn whole(policy: CallPolicy) -> Self {
        let CallPolicy { timeout_ms, retry, on_exhausted, ongoing_ms, ongoing_counts } = policy;
        let retry = RetryText::of(retry);
        let on_exhausted = match on_exhausted {
            OnExhausted::Park => ExhaustedWord::Park,
            OnExhausted::RollBack => ExhaustedWord::RollBack,
        };
        Self { timeout_ms, retry, on_exhausted, ongoing_ms, ongoing_counts }
    }

    fn into_policy(self) -> CallPolicy {
        let Self { timeout_ms, retry, on_exhausted, ongoing_ms, ongoing_counts } = self;
        let retry = retry.into_retry();
        let on_exhausted = match on_exhausted {
            ExhaustedWord::Park => OnExhausted::Park,
            ExhaustedWord::RollBack => OnExhausted::RollBack,
        };
        CallPolicy { timeout_ms, retry, on_exhausted, ongoing_ms, ongoing_counts }
    }
}
