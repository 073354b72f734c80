//! What can move a transaction, and why a command is refused.

use std::sync::Arc;

use trine_protocol::errors::Code;
use trine_protocol::{BranchId, Op, Status};

use crate::event::{CallReport, ForceTo, Outcome, ParkCause, Progress};
use crate::spec::{BranchSpec, Payload, Spec, SpecError};

/// Anything that may move a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Command(Command),
    /// A call came back.
    Answer(CallKey, Answer),
    /// A call that is owed could not be sent.
    NotSent {
        key: CallKey,
        /// For how long this coordinator has tried.
        tried_ms: u64,
        reason: String,
    },
    /// Time passed.
    Tick,
    /// This coordinator is about to make calls, and does not know which calls were made before.
    TakeOver,
    /// Its lane gives up on it.
    Quarantine {
        detail: String,
    },
}

/// What initiators and operators ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Repeating the same creation succeeds and changes nothing.
    Create(Arc<Spec>),
    /// Add a branch to an open transaction.
    Register(Arc<BranchSpec>),
    Commit,
    /// Commit, but begin only `age_ms` after the creation (messages and open sagas).
    CommitAt {
        age_ms: u64,
    },
    /// Changes nothing: its sender waits, or asks where the transaction stands.
    Look,
    /// An executor works on this workflow.
    Resume,
    /// The executor of a workflow did a step. Repeating the command changes nothing.
    Record(Arc<Progress>),
    /// The executor of a workflow says how the workflow ended.
    Finish {
        /// True: everything took effect. False: nothing has an effect.
        committed: bool,
        reason: Option<String>,
        result: Payload,
    },
    Abort {
        reason: Option<String>,
    },
    /// Unparks, and makes what waits for a retry due now.
    Replay {
        branch: Option<BranchId>,
    },
    /// An operator settles it.
    Force {
        to: ForceTo,
        reason: String,
        by: Option<String>,
    },
}

/// Names one attempt at one op of one branch: what an answer must match to count (law L8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// The position of the branch. None for a check.
    pub branch: Option<u32>,
    pub op: Op,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// A call that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// No retry helps against this answer, so an unknown outcome parks the op at once.
    pub parks: Option<ParkCause>,
    pub report: CallReport,
    /// A random number from 0 to 1000. It spreads retries.
    pub random_permille: u32,
}

/// Why a command is refused. The command changed nothing, except: after `Unavailable` the store may hold its records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no transaction with this gid")]
    NotFound,
    #[error(
        "a transaction with this gid but another body exists; choose another gid, or repeat the request unchanged"
    )]
    GidConflict,
    /// The branch id is taken.
    #[error("branch {0} exists with another body; choose another id, or repeat the request unchanged")]
    BranchConflict(BranchId),
    /// The spec of a branch to register breaks a rule.
    #[error(transparent)]
    Branch(#[from] SpecError),
    /// Too late, too early, or not for this kind of transaction.
    #[error("cannot {what}: the transaction is {status}{why}")]
    IllegalState {
        /// The verb of the command.
        what: &'static str,
        /// Where it stands.
        status: Status,
        /// More words with a separator before them, or nothing.
        why: &'static str,
    },
    /// The branch named does not exist.
    #[error("the transaction has no branch {0}")]
    BranchNotFound(BranchId),
    /// The store did not answer.
    #[error("the store does not answer; repeat the request unchanged, nothing accepted is lost")]
    Unavailable,
    /// The journal of this gid cannot be understood.
    #[error(
        "the journal of this transaction cannot be read: a record is damaged, or a newer version wrote it. Nothing was \
         done, nothing is done for it until that is mended, and repeating the request does not mend it; its history \
         shows what can be read, and the coordinator's log what is wrong"
    )]
    Corrupt,
}

impl Rejection {
    /// The stable code it has on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::TransactionNotFound,
            Self::GidConflict => Code::GidConflict,
            Self::BranchConflict(_) => Code::BranchConflict,
            Self::Branch(error) => error.kind.code(),
            Self::IllegalState { .. } => Code::IllegalState,
            Self::BranchNotFound(_) => Code::BranchNotFound,
            Self::Unavailable => Code::StoreUnavailable,
            Self::Corrupt => Code::DamagedRecord,
        }
    }
}

impl crate::spec::SpecErrorKind {
    /// The stable code it has on the wire.
    pub fn code(&self) -> Code {
        if *self == Self::TooManyBranches { Code::TooManyBranches } else { Code::InvalidField }
    }
}
