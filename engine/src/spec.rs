//! What an initiator asked for, checked: a [`Spec`] that exists can be run.
//!
//! Wire documents are turned into a [`Draft`] at the edge; [`Draft::build`] checks the rules that span fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use trine_protocol::limits::{
    AFTER_MAX, BRANCHES_MAX, CALL_TIMEOUT_MS_DEFAULT, RETRY_FACTOR_PERMILLE_DEFAULT,
    RETRY_INITIAL_MS_DEFAULT, RETRY_JITTER_PERMILLE_DEFAULT, RETRY_MAX_INTERVAL_MS_DEFAULT,
};
use trine_protocol::{BranchId, Op, Pattern, Target};

/// Bytes handed through untouched: a branch's payload or a participant's output.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Payload {
    bytes: Arc<[u8]>,
    raw: bool,
}

impl Payload {
    /// Bytes that were given as bytes, and not as a JSON document.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), raw: true }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// No bytes at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether they were given as bytes: then they are sent as such, whatever they look like.
    pub fn is_raw(&self) -> bool {
        self.raw
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), raw: false }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl fmt::Debug for Payload {
    // Payloads are business data: their size may be logged, their content not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// Identity of a request body: equal bodies, equal digests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When a call without a usable answer is repeated. Delays grow by `factor`, are capped, and then shortened by a
/// random share of at most `jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// First delay.
    pub initial_ms: u64,
    /// Growth in thousandths, at least 1000.
    pub factor_permille: u32,
    /// Longest delay.
    pub max_interval_ms: u64,
    /// Random share in thousandths, at most 1000.
    pub jitter_permille: u32,
    /// Unknown answers before the op is exhausted; none: no limit.
    pub max_attempts: Option<u32>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_ms: RETRY_INITIAL_MS_DEFAULT,
            factor_permille: RETRY_FACTOR_PERMILLE_DEFAULT,
            max_interval_ms: RETRY_MAX_INTERVAL_MS_DEFAULT,
            jitter_permille: RETRY_JITTER_PERMILLE_DEFAULT,
            max_attempts: None,
        }
    }
}

impl RetryPolicy {
    /// Delay after the `failures`-th unknown answer (from 1). `random_permille` is drawn by the caller, 0 to 1000.
    pub fn delay_ms(&self, failures: u32, random_permille: u32) -> u64 {
        let mut delay = self.initial_ms.min(self.max_interval_ms);
        for _ in 1..failures {
            if delay == 0 || delay >= self.max_interval_ms || self.factor_permille <= 1_000 {
                break;
            }
            // Wide, so that nothing saturates; and at least one longer, so that rounding down does not stop the growth.
            let grown = u128::from(delay) * u128::from(self.factor_permille) / 1_000;
            let grown = u64::try_from(grown).unwrap_or(u64::MAX).max(delay.saturating_add(1));
            delay = grown.min(self.max_interval_ms);
        }
        let share = u128::from(self.jitter_permille.min(1_000)) * u128::from(random_permille.min(1_000));
        let shortened = u128::from(delay) * share / 1_000_000;
        delay - u64::try_from(shortened).unwrap_or(delay)
    }
}

/// What happens to an op whose attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExhausted {
    /// No more automatic attempts until a person replays it.
    Park,
    /// A forward op rolls the transaction back; any other op parks.
    RollBack,
}

/// How calls of one branch are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPolicy {
    /// How long one call may take.
    pub timeout_ms: u64,
    /// When it is repeated.
    pub retry: RetryPolicy,
    /// What then.
    pub on_exhausted: OnExhausted,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            timeout_ms: CALL_TIMEOUT_MS_DEFAULT,
            retry: RetryPolicy::default(),
            on_exhausted: OnExhausted::Park,
        }
    }
}

/// One branch as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchSpec {
    /// Its id, unique within the transaction.
    pub id: BranchId,
    /// Where action, try, prepare or deliver go.
    pub forward: Option<Target>,
    /// Where confirm or commit go.
    pub on_commit: Option<Target>,
    /// Where compensate, cancel or rollback go.
    pub on_rollback: Option<Target>,
    /// Body of every call.
    pub payload: Payload,
    /// Branches that must be done first (saga and message).
    pub after: Vec<BranchId>,
    /// How its calls are made.
    pub call: CallPolicy,
    /// Identity of the registration request.
    pub digest: Digest,
}

impl BranchSpec {
    /// Where an op's calls go.
    pub fn target(&self, pattern: Pattern, op: Op) -> Option<&Target> {
        if op == Op::forward(pattern) {
            self.forward.as_ref()
        } else if Some(op) == Op::on_commit(pattern) {
            self.on_commit.as_ref()
        } else if Some(op) == Op::on_rollback(pattern) {
            self.on_rollback.as_ref()
        } else {
            None
        }
    }
}

/// A transaction as asked for, before the rules that span fields are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The pattern.
    pub pattern: Pattern,
    /// The initiator registers branches and decides.
    pub open: bool,
    /// For finding it again.
    pub labels: BTreeMap<String, String>,
    /// How long going forward may take, from the start.
    pub deadline_ms: Option<u64>,
    /// Wait before the first call.
    pub start_delay_ms: u64,
    /// Open messages: whom to ask.
    pub check: Option<Target>,
    /// Open messages: when to ask first.
    pub check_after_ms: u64,
    /// How checks are called.
    pub check_call: CallPolicy,
    /// The branches.
    pub branches: Vec<BranchSpec>,
    /// Identity of the creation request.
    pub digest: Digest,
    /// What a dialect other than the native one has to remember of it. Handed through to its calls, not looked into.
    pub terms: Option<Arc<str>>,
}

/// A transaction as asked for; it keeps the rules [`Draft::build`] checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec(Draft);

impl std::ops::Deref for Spec {
    type Target = Draft;
    fn deref(&self) -> &Draft {
        &self.0
    }
}

/// What is wrong with a draft, and where: `field` is a path into the v1 document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {kind}")]
pub struct SpecError {
    /// Path such as `branches[2].after`.
    pub field: String,
    /// The rule that is broken.
    pub kind: SpecErrorKind,
}

/// The rules of a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecErrorKind {
    /// A declared transaction needs branches.
    #[error("a declared transaction needs at least one branch; set `open` to register them later")]
    NoBranches,
    /// More than [`BRANCHES_MAX`].
    #[error("more than {BRANCHES_MAX} branches")]
    TooManyBranches,
    /// Two branches share an id.
    #[error("branch id {0} is used twice")]
    DuplicateBranch(BranchId),
    /// An op the pattern needs has no target.
    #[error("a {0} branch needs `{1}` (or `url`)")]
    MissingTarget(Pattern, Op),
    /// `after` names no branch of this transaction.
    #[error("names {0}, which is not a branch of this transaction")]
    UnknownDependency(BranchId),
    /// `after` has too many entries.
    #[error("has more than {AFTER_MAX} entries")]
    TooManyDependencies,
    /// Branches wait for each other.
    #[error("branch {0} waits for itself, directly or through others")]
    Cycle(BranchId),
    /// `after` where order means nothing.
    #[error("{0} branches run in parallel; only saga and message branches take `after`")]
    OrderedPattern(Pattern),
    /// The pattern has no open form.
    #[error("a {0} is always declared; only tcc, two_phase and message can be opened")]
    NotOpenable(Pattern),
    /// An open message without a check.
    #[error("an open message needs a `check` target, to ask when its initiator falls silent")]
    CheckMissing,
    /// A check on anything else.
    #[error("only an open message takes a `check`")]
    CheckNotUsed,
    /// A deadline on a message.
    #[error("a message is never rolled back after it is submitted; it takes no deadline")]
    DeadlineNotUsed,
    /// A start delay on an open transaction.
    #[error("an open transaction starts when it is committed; it takes no start delay")]
    StartDelayNotUsed,
}

fn error(field: impl Into<String>, kind: SpecErrorKind) -> SpecError {
    SpecError { field: field.into(), kind }
}

impl Draft {
    /// An empty declared transaction of a pattern.
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            open: false,
            labels: BTreeMap::new(),
            deadline_ms: None,
            start_delay_ms: 0,
            check: None,
            check_after_ms: trine_protocol::limits::CHECK_AFTER_MS_DEFAULT,
            check_call: CallPolicy::default(),
            branches: Vec::new(),
            digest: Digest::default(),
            terms: None,
        }
    }

    /// Checks every rule that spans fields.
    pub fn build(self) -> Result<Spec, SpecError> {
        self.check_form()?;
        if self.branches.is_empty() && !self.open {
            return Err(error("branches", SpecErrorKind::NoBranches));
        }
        if self.branches.len() > BRANCHES_MAX {
            return Err(error("branches", SpecErrorKind::TooManyBranches));
        }
        let mut ids = BTreeSet::new();
        for (position, branch) in self.branches.iter().enumerate() {
            check_branch(self.pattern, self.open, branch, &format!("branches[{position}]"))?;
            if !ids.insert(&branch.id) {
                let kind = SpecErrorKind::DuplicateBranch(branch.id.clone());
                return Err(error(format!("branches[{position}].id"), kind));
            }
        }
        for (position, branch) in self.branches.iter().enumerate() {
            if let Some(missing) = branch.after.iter().find(|id| !ids.contains(id)) {
                let kind = SpecErrorKind::UnknownDependency(missing.clone());
                return Err(error(format!("branches[{position}].after"), kind));
            }
        }
        self.check_acyclic()?;
        Ok(Spec(self))
    }

    fn check_form(&self) -> Result<(), SpecError> {
        let message = self.pattern == Pattern::Message;
        if self.open && self.pattern == Pattern::Saga {
            return Err(error("open", SpecErrorKind::NotOpenable(self.pattern)));
        }
        match (self.open && message, self.check.is_some()) {
            (true, false) => return Err(error("check", SpecErrorKind::CheckMissing)),
            (false, true) => return Err(error("check", SpecErrorKind::CheckNotUsed)),
            (true, true) | (false, false) => {}
        }
        if message && self.deadline_ms.is_some() {
            return Err(error("options.deadline", SpecErrorKind::DeadlineNotUsed));
        }
        if self.open && self.start_delay_ms > 0 {
            return Err(error("options.start_delay", SpecErrorKind::StartDelayNotUsed));
        }
        Ok(())
    }

    /// Kahn's algorithm; what is left over waits for itself.
    fn check_acyclic(&self) -> Result<(), SpecError> {
        let mut done = BTreeSet::new();
        let mut left: Vec<usize> = (0..self.branches.len()).collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|&position| {
                let branch = &self.branches[position];
                let ready = branch.after.iter().all(|id| done.contains(id));
                if ready {
                    done.insert(&branch.id);
                }
                !ready
            });
            if left.len() == before {
                let position = left[0];
                let kind = SpecErrorKind::Cycle(self.branches[position].id.clone());
                return Err(error(format!("branches[{position}].after"), kind));
            }
        }
        Ok(())
    }
}

/// Checks one branch by itself. `field` is where it stands in the request; empty for a registration.
pub(crate) fn check_branch(
    pattern: Pattern,
    open: bool,
    branch: &BranchSpec,
    field: &str,
) -> Result<(), SpecError> {
    let at = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    // The initiator of an open tcc or two_phase drives the forward op itself.
    let forward_needed = !(open && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase));
    let forward = Op::forward(pattern);
    if forward_needed && branch.forward.is_none() {
        return Err(error(at(forward.as_str()), SpecErrorKind::MissingTarget(pattern, forward)));
    }
    if let Some(op) = Op::on_commit(pattern)
        && branch.on_commit.is_none()
    {
        return Err(error(at(op.as_str()), SpecErrorKind::MissingTarget(pattern, op)));
    }
    // A saga branch without compensate has nothing to undo; a reservation always has.
    if let Some(op) = Op::on_rollback(pattern)
        && branch.on_rollback.is_none()
        && pattern != Pattern::Saga
    {
        return Err(error(at(op.as_str()), SpecErrorKind::MissingTarget(pattern, op)));
    }
    if !branch.after.is_empty() && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) {
        return Err(error(at("after"), SpecErrorKind::OrderedPattern(pattern)));
    }
    if branch.after.len() > AFTER_MAX {
        return Err(error(at("after"), SpecErrorKind::TooManyDependencies));
    }
    Ok(())
}
