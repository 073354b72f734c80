//! What can be told to a transaction, and how it says no.

use std::sync::Arc;

use trine_protocol::errors::Code;
use trine_protocol::{BranchId, Op, Status};

use crate::event::{CallReport, ForceTo, Outcome, ParkCause, Progress};
use crate::spec::{BranchSpec, Payload, Spec, SpecError};

/// Anything that may make a transaction move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody asks for something.
    Command(Command),
    /// A call came back.
    Answer(CallKey, Answer),
    /// A call that is owed could not be sent.
    NotSent {
        /// Which.
        key: CallKey,
        /// For how long this has been so, as far as whoever tries remembers.
        tried_ms: u64,
        /// Why, in words for people.
        reason: String,
    },
    /// Time passed.
    Tick,
    /// Its lane gave up on it.
    Quarantine {
        /// What was seen.
        detail: String,
    },
}

/// What initiators and operators ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create it; repeating the same creation succeeds and changes nothing.
    Create(Arc<Spec>),
    /// Add a branch to an open transaction.
    Register(Arc<BranchSpec>),
    /// Decide yes.
    Commit,
    /// Decide yes, but begin only when the transaction is so old (messages and open sagas).
    CommitAt {
        /// Counted from its creation.
        age_ms: u64,
    },
    /// Nothing: for whoever only waits, or asks where it stands.
    Look,
    /// Somebody executes this workflow.
    Resume,
    /// A workflow's executor did a step. Repeating it changes nothing.
    Record(Arc<Progress>),
    /// A workflow's executor says how it ended.
    Finish {
        /// Everything took effect; otherwise nothing has an effect.
        committed: bool,
        /// Why not.
        reason: Option<String>,
        /// What it came to.
        result: Payload,
    },
    /// Decide no.
    Abort {
        /// For the record.
        reason: Option<String>,
    },
    /// Unpark, and make what waits for a retry due now.
    Replay {
        /// Only this branch.
        branch: Option<BranchId>,
    },
    /// Settle by hand.
    Force {
        /// As what.
        to: ForceTo,
        /// Why.
        reason: String,
        /// Who.
        by: Option<String>,
    },
}

/// Names one attempt at one op of one branch: what an answer must match to count (law L8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// Position of the branch; absent for a check.
    pub branch: Option<u32>,
    /// The op.
    pub op: Op,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// A call that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// No retry mends what the participant said, so an unknown outcome parks the op at once.
    pub parks: Option<ParkCause>,
    /// For people.
    pub report: CallReport,
    /// Drawn by the caller, 0 to 1000: spreads retries.
    pub random_permille: u32,
}

/// Why a command is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such transaction.
    #[error("there is no transaction with this gid")]
    NotFound,
    /// The gid is taken.
    #[error(
        "a transaction with this gid but another body exists; choose another gid, or repeat the request unchanged"
    )]
    GidConflict,
    /// The branch id is taken.
    #[error("branch {0} exists with another body; choose another id, or repeat the request unchanged")]
    BranchConflict(BranchId),
    /// The spec of a registered branch is unusable.
    #[error(transparent)]
    Branch(#[from] SpecError),
    /// Too late, too early, or not for this kind of transaction.
    #[error("cannot {what}: the transaction is {status}{why}")]
    IllegalState {
        /// The command's verb.
        what: &'static str,
        /// Where it stands.
        status: Status,
        /// More words, starting with a separator, or empty.
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
