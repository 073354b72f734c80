//! What an initiator asked for. A [`Spec`] has been checked and can be run.
//!
//! Wire documents are turned into a [`Draft`] at the edge; [`Draft::build`] checks the rules that span fields.

mod labels;
mod policy;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use trine_protocol::limits::{AFTER_MAX, BRANCHES_MAX};
use trine_protocol::{BranchId, Op, Pattern, Target};

pub use labels::Labels;
pub use policy::{CallPolicy, OnExhausted, RetryPolicy, SharedPolicy};

/// Bytes handed through untouched: a branch's payload or a participant's output.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Payload {
    bytes: Arc<[u8]>,
    raw: bool,
}

impl Payload {
    /// Bytes that were not given as a JSON document.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), raw: true }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether they were given as bytes. Then they are sent as bytes, even if they look like JSON.
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
#[derive(Clone, PartialEq, Eq)]
pub struct BranchSpec {
    pub id: BranchId,
    /// Where action, try, prepare or deliver go.
    pub forward: Option<Target>,
    /// Where confirm or commit go.
    pub on_commit: Option<Target>,
    /// Where compensate, cancel or rollback go.
    pub on_rollback: Option<Target>,
    pub payload: Payload,
    /// Branches that must be done first (saga and message).
    pub after: Box<[BranchId]>,
    pub call: SharedPolicy,
    /// Identity of the registration request.
    pub digest: Digest,
}

impl fmt::Debug for BranchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "branch {}", self.id)
    }
}

impl BranchSpec {
    pub fn forward_policy(&self) -> &CallPolicy {
        self.call.stated_forward().unwrap_or(&self.call)
    }

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
    #[default]
    Parallel,
    /// One by one, in the order of registration.
    FirstToLast,
    /// One by one, the branch that was registered last comes first.
    LastToFirst,
}

/// When the branches of a saga count as called, and with that, how many durable writes stand between its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposure {
    /// Each branch when it is owed. The answer of a step is durable before the next step is called.
    #[default]
    Exact,
    /// All branches as soon as the saga runs. The answer of a step need not be durable before the next step is called: after a
    /// crash the steps since the last durable record are called again. Asks more of participants, see `docs/api.md`.
    Ahead,
}

/// A transaction as asked for, before the rules that span fields are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub pattern: Pattern,
    /// The initiator registers branches and decides.
    pub open: bool,
    /// For finding the transaction in lists.
    pub labels: Labels,
    /// How long going forward may take, counted from the start.
    pub deadline_ms: Option<u64>,
    /// How long to wait before the first call. For open messages of other dialects it is counted from the creation, after a
    /// check that says yes.
    pub start_delay_ms: u64,
    /// Where the check of an open message goes, or the callback of a workflow.
    pub check: Option<Target>,
    /// When the first check goes out. For workflows: how long after the last report of the executor it is called back.
    pub check_after_ms: u64,
    pub check_payload: Payload,
    pub check_call: SharedPolicy,
    /// The states of the branches share these.
    pub branches: Vec<Arc<BranchSpec>>,
    pub finish_order: FinishOrder,
    /// Sagas only.
    pub exposure: Exposure,
    /// Identity of the creation request.
    pub digest: Digest,
    /// What another dialect has to remember of the transaction. The engine passes it on to calls and does not read it. With
    /// terms, rules are relaxed: targets may be absent (an op without a target is done as soon as it is owed), there may be
    /// no branches, a saga may be open, a message may be open without a check (which then counts as answered yes), and a
    /// workflow need never be called back.
    pub terms: Option<Arc<str>>,
}

/// A transaction as asked for. It keeps the rules that [`Draft::build`] checks.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec(Draft);

impl fmt::Debug for Spec {
    // A state holds its spec several times. The whole text of the spec would hide the rest of the state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branches: Vec<&str> = self.branches.iter().map(|branch| branch.id.as_str()).collect();
        write!(f, "{} of {}", self.pattern, branches.join(" "))
    }
}

impl std::ops::Deref for Spec {
    type Target = Draft;
    fn deref(&self) -> &Draft {
        &self.0
    }
}

/// What is wrong with a draft, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {kind}")]
pub struct SpecError {
    /// A path in the v1 document, such as `branches[2].after`.
    pub field: String,
    pub kind: SpecErrorKind,
}

/// The rules that a spec can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecErrorKind {
    #[error(
        "a transaction that is not open needs at least one branch; set `open` to register branches later"
    )]
    NoBranches,
    #[error("more than {BRANCHES_MAX} branches")]
    TooManyBranches,
    #[error("branch id {0} is used twice")]
    DuplicateBranch(BranchId),
    #[error("a {0} branch needs `{1}` (or `url`)")]
    MissingTarget(Pattern, Op),
    #[error("names {0}, which is not a branch of this transaction")]
    UnknownDependency(BranchId),
    #[error("has more than {AFTER_MAX} entries")]
    TooManyDependencies,
    #[error("branch {0} waits for itself, directly or through others")]
    Cycle(BranchId),
    #[error("{0} branches run in parallel; only saga and message branches take `after`")]
    OrderedPattern(Pattern),
    #[error("a {0} cannot be open; only tcc, two_phase and message can")]
    NotOpenable(Pattern),
    #[error("an open message or workflow needs a `check` target, for when its initiator falls silent")]
    CheckMissing,
    #[error("only an open message or workflow takes a `check`")]
    CheckNotUsed,
    #[error("a message is never rolled back after it is submitted, and a workflow ends itself: no deadline")]
    DeadlineNotUsed,
    #[error("a workflow is always open, and its branches are its own: it records progress")]
    WorkflowDeclared,
    #[error("an open transaction starts when it is committed; it takes no start delay")]
    StartDelayNotUsed,
    #[error("only a saga that is created with all its branches exposes them ahead")]
    ExposureNotUsed,
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
            labels: Labels::default(),
            deadline_ms: None,
            start_delay_ms: 0,
            check: None,
            check_after_ms: trine_protocol::limits::CHECK_AFTER_MS_DEFAULT,
            check_payload: Payload::default(),
            check_call: SharedPolicy::default(),
            branches: Vec::new(),
            finish_order: FinishOrder::default(),
            exposure: Exposure::default(),
            digest: Digest::default(),
            terms: None,
        }
    }

    /// Checks every rule that spans fields.
    pub fn build(mut self) -> Result<Spec, SpecError> {
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
        // The spec stays in memory as long as its transaction.
        self.branches.shrink_to_fit();
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
        // A branch of another dialect may have a compensation and no action. Such a branch is never owed, so a narrowed rollback
        // would not undo it.
        let may_be_ahead = self.pattern == Pattern::Saga && !self.open && self.terms.is_none();
        if self.exposure == Exposure::Ahead && !may_be_ahead {
            return Err(error("options.exposure", SpecErrorKind::ExposureNotUsed));
        }
        Ok(())
    }

    /// Kahn's algorithm: the branches that are left over wait for themselves.
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

    /// Checks one branch by itself. `field` is its path in the request, and empty for a registration.
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
