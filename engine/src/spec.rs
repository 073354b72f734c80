//! What an initiator asked for, checked: a [`Spec`] that exists can be run.
//!
//! Wire documents are turned into a [`Draft`] at the edge; [`Draft::build`] checks the rules that span fields.

mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use trine_protocol::limits::{AFTER_MAX, BRANCHES_MAX};
use trine_protocol::{BranchId, Op, Pattern, Target};

pub use policy::{CallPolicy, OnExhausted, RetryPolicy};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

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
    /// How those of its forward op are, where that differs.
    pub forward_call: Option<CallPolicy>,
    /// Identity of the registration request.
    pub digest: Digest,
}

impl BranchSpec {
    /// How the forward op's calls are made.
    pub fn forward_policy(&self) -> &CallPolicy {
        self.forward_call.as_ref().unwrap_or(&self.call)
    }

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

/// In which order phase two goes through branches that do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinishOrder {
    /// All at once.
    #[default]
    Parallel,
    /// One by one, as they were registered.
    FirstToLast,
    /// One by one, the latest first.
    LastToFirst,
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
    /// Wait before the first call. Open messages of other dialects: counted from the creation, when a check says yes.
    pub start_delay_ms: u64,
    /// Open messages: whom to ask. Workflows: whom to call back.
    pub check: Option<Target>,
    /// When to ask or call back first; workflows: how long after the last sign of their executor.
    pub check_after_ms: u64,
    /// Body of every check.
    pub check_payload: Payload,
    /// How checks are called.
    pub check_call: CallPolicy,
    /// The branches.
    pub branches: Vec<BranchSpec>,
    /// How phase two goes through them.
    pub finish_order: FinishOrder,
    /// Identity of the creation request.
    pub digest: Digest,
    /// What a dialect other than the native one has to remember of it. Handed through to its calls, not looked into.
    /// Other dialects may leave targets out (an op without one is done as soon as it is owed), have no branches, open a
    /// saga, open a message without a check (which then counts as answered yes), or a workflow that is never called back.
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
    #[error("an open message or workflow needs a `check` target, for when its initiator falls silent")]
    CheckMissing,
    /// A check on anything else.
    #[error("only an open message or workflow takes a `check`")]
    CheckNotUsed,
    /// A deadline on a message.
    #[error("a message is never rolled back after it is submitted, and a workflow ends itself: no deadline")]
    DeadlineNotUsed,
    /// A workflow with branches, or one that is not open.
    #[error("a workflow is always open, and its branches are its own: it records progress")]
    WorkflowDeclared,
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
            check_payload: Payload::default(),
            check_call: CallPolicy::default(),
            branches: Vec::new(),
            finish_order: FinishOrder::default(),
            digest: Digest::default(),
            terms: None,
        }
    }

    /// Checks every rule that spans fields.
    pub fn build(self) -> Result<Spec, SpecError> {
        self.check_form()?;
        if self.branches.is_empty() && !self.open && self.terms.is_none() {
            return Err(error("branches", SpecErrorKind::NoBranches));
        }
        if self.branches.len() > BRANCHES_MAX {
            return Err(error("branches", SpecErrorKind::TooManyBranches));
        }
        let mut ids = BTreeSet::new();
        for (position, branch) in self.branches.iter().enumerate() {
            self.check_branch(branch, &format!("branches[{position}]"))?;
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
        let workflow = self.pattern == Pattern::Workflow;
        if self.open && self.pattern == Pattern::Saga && self.terms.is_none() {
            return Err(error("open", SpecErrorKind::NotOpenable(self.pattern)));
        }
        if workflow && (!self.open || !self.branches.is_empty()) {
            return Err(error("open", SpecErrorKind::WorkflowDeclared));
        }
        match (self.open && (message || workflow), self.check.is_some()) {
            (true, false) if self.terms.is_none() => {
                return Err(error("check", SpecErrorKind::CheckMissing));
            }
            (false, true) => return Err(error("check", SpecErrorKind::CheckNotUsed)),
            (true, _) | (false, false) => {}
        }
        if (message || workflow) && self.deadline_ms.is_some() {
            return Err(error("options.deadline", SpecErrorKind::DeadlineNotUsed));
        }
        if self.open && self.start_delay_ms > 0 && self.terms.is_none() {
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

    /// Checks one branch by itself. `field` is where it stands in the request; empty for a registration.
    pub(crate) fn check_branch(&self, branch: &BranchSpec, field: &str) -> Result<(), SpecError> {
        let pattern = self.pattern;
        let at = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        if self.terms.is_none() {
            self.check_targets(branch, &at)?;
        }
        if !branch.after.is_empty() && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) {
            return Err(error(at("after"), SpecErrorKind::OrderedPattern(pattern)));
        }
        if branch.after.len() > AFTER_MAX {
            return Err(error(at("after"), SpecErrorKind::TooManyDependencies));
        }
        Ok(())
    }

    fn check_targets(&self, branch: &BranchSpec, at: &dyn Fn(&str) -> String) -> Result<(), SpecError> {
        let pattern = self.pattern;
        let missing = |op: Op| Err(error(at(op.as_str()), SpecErrorKind::MissingTarget(pattern, op)));
        // The initiator of an open tcc or two_phase drives the forward op itself.
        let forward_needed = !(self.open && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase));
        if forward_needed && branch.forward.is_none() {
            return missing(Op::forward(pattern));
        }
        if let Some(op) = Op::on_commit(pattern)
            && branch.on_commit.is_none()
        {
            return missing(op);
        }
        // A saga branch without compensate has nothing to undo; a reservation always has.
        match Op::on_rollback(pattern) {
            Some(op) if branch.on_rollback.is_none() && pattern != Pattern::Saga => missing(op),
            Some(_) | None => Ok(()),
        }
    }
}
