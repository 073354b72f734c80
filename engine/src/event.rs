//! What the journal holds: [`Record`]s and nothing else. State is what [`crate::Transaction::apply`] makes of them.

use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, OutcomeKind, Status, Timestamp};

use crate::spec::{BranchSpec, Payload, Spec};

/// An event at its place in the history of a gid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub gid: Gid,
    /// Its place, from 1. `(gid, seq)` is the journal's primary key: appending is compare-and-append.
    pub seq: u64,
    /// When it was decided, by the clock of the coordinator that decided it.
    pub at: Timestamp,
    pub event: Event,
}

/// Everything that can happen to a transaction, in lifecycle order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Created {
        spec: Arc<Spec>,
        /// When the first calls may go out; absent: at once.
        start_at: Option<Timestamp>,
        /// When going forward is given up.
        deadline_at: Option<Timestamp>,
        /// When the initiator of an open message is asked, or a workflow called back.
        check_at: Option<Timestamp>,
    },
    /// The initiator added a branch to an open transaction.
    BranchRegistered {
        branch: Arc<BranchSpec>,
    },
    /// The start delay is over.
    Started,
    /// The local transaction of an open message is known to have committed, so the message is delivered. Or the initiator
    /// committed an open saga, so the saga runs.
    Submitted {
        /// When the first calls may go out; absent: at once.
        start_at: Option<Timestamp>,
    },
    CommitDecided,
    RollbackBegun {
        cause: RollbackCause,
        /// The branches whose forward op was ever owed: no other branch can have run. None: nobody knows these branches, so every
        /// exposed branch may have run.
        owed: Option<Vec<BranchId>>,
    },
    CallAnswered {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        op: Op,
        attempt: u32,
        outcome: Outcome,
        /// When the next attempt is due, if there is to be one.
        retry_at: Option<Timestamp>,
        report: CallReport,
    },
    /// The calls of an op have not been sent for a while: the participant has no instance or no room, or this coordinator
    /// lacks something. They are offered again and again, and no attempt is counted.
    NotSent {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        op: Op,
        since: Timestamp,
        reason: String,
    },
    /// An op gets no more automatic attempts.
    OpParked {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        op: Op,
        cause: ParkCause,
    },
    /// An operator set it going again.
    Replayed {
        /// None: everything that waits.
        branch: Option<BranchId>,
        /// Everything that waited for later is due now.
        due_at: Timestamp,
    },
    /// It brought its lane down repeatedly, or its journal lost records. Nothing is done until an operator replays it.
    Quarantined {
        detail: String,
    },
    /// The coordinator that drives the transaction from this record on does not know which calls were made before. Forward calls
    /// before this record may be repeated after it.
    TakenOver,
    /// An operator settled it.
    Forced {
        to: ForceTo,
        reason: String,
        by: Option<String>,
    },
    /// An executor works on a workflow, perhaps not for the first time. It is not called back before `check_at`.
    Resumed {
        check_at: Timestamp,
    },
    /// The executor of a workflow did a step.
    Progressed {
        progress: Arc<Progress>,
        /// When the executor is called back if it reports nothing more.
        check_at: Timestamp,
    },
    /// Settled: the executor of a workflow says how the workflow ended.
    Finished {
        /// True: everything took effect. False: nothing has an effect.
        committed: bool,
        reason: Option<String>,
        /// What the executor returns.
        result: Payload,
    },
    /// Settled: every branch took effect.
    Committed,
    /// Settled: no branch has an effect.
    RolledBack,
}

/// A step that the executor of a workflow has done, and does not do again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// As the executor numbers its branches.
    pub branch: BranchId,
    /// As the executor calls it.
    pub op: String,
    /// True: it took effect. False: the answer was a business "no".
    pub done: bool,
    /// What the step returned.
    pub data: Payload,
}

impl Event {
    /// The beginning of a rollback. A memory that knows the branches that were owed adds them ([`Transaction::advance`]).
    ///
    /// [`Transaction::advance`]: crate::Transaction::advance
    pub(crate) fn rollback(cause: RollbackCause) -> Self {
        Self::RollbackBegun { cause, owed: None }
    }

    /// The event's name in history, logs and the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::BranchRegistered { .. } => "branch_registered",
            Self::Started => "started",
            Self::Submitted { .. } => "submitted",
            Self::CommitDecided => "commit_decided",
            Self::RollbackBegun { .. } => "rollback_begun",
            Self::CallAnswered { .. } => "call_answered",
            Self::NotSent { .. } => "not_sent",
            Self::OpParked { .. } => "op_parked",
            Self::Replayed { .. } => "replayed",
            Self::Quarantined { .. } => "quarantined",
            Self::TakenOver => "taken_over",
            Self::Forced { .. } => "forced",
            Self::Resumed { .. } => "resumed",
            Self::Progressed { .. } => "progressed",
            Self::Finished { .. } => "finished",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Why a transaction rolls back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackCause {
    /// A participant said no.
    Refused {
        branch: BranchId,
        /// In its words.
        reason: String,
    },
    /// Going forward took too long, or the initiator of an open transaction did not decide in time.
    Deadline {
        /// The branch that was waited for; absent when it was the initiator.
        branch: Option<BranchId>,
        /// What was wrong with it, if that is known.
        reason: Option<String>,
    },
    /// The initiator or an operator aborted it.
    Aborted { reason: Option<String> },
    /// A forward op used up its attempts, and its policy says to roll back.
    Exhausted {
        branch: BranchId,
        /// What was wrong with it, if that is known.
        reason: Option<String>,
    },
    /// The initiator of a message said its local transaction did not commit.
    CheckRefused {
        /// In its words.
        reason: String,
    },
}

impl RollbackCause {
    /// The cause's wire word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Deadline { .. } => "deadline",
            Self::Aborted { .. } => "aborted",
            Self::Exhausted { .. } => "exhausted",
            Self::CheckRefused { .. } => "check_refused",
        }
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Done {
        /// The participant's answer, bounded.
        output: Payload,
        /// two_phase: phase two leaves the branch out.
        read_only: bool,
    },
    /// A business "no".
    Refused {
        /// In the participant's words, bounded.
        reason: String,
    },
    /// Ask again later.
    Ongoing {
        /// As the participant asked, if it did.
        retry_after_ms: Option<u64>,
    },
    /// It may have run.
    Unknown,
    /// It may have run, and no retry helps: the route does not exist, or the credentials or the payload are not accepted.
    ClientError,
}

impl Outcome {
    /// The outcome's word.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Done { .. } => OutcomeKind::Done,
            Self::Refused { .. } => OutcomeKind::Refused,
            Self::Ongoing { .. } => OutcomeKind::Ongoing,
            Self::Unknown | Self::ClientError => OutcomeKind::Unknown,
        }
    }
}

/// What people want to know about an attempt. Nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallReport {
    /// The status of HTTP (100 and up) or gRPC (0 to 16), if there was an answer.
    pub status_code: Option<u16>,
    pub duration_ms: u64,
    /// What went wrong. Its length is bounded.
    pub error: Option<String>,
}

/// Why an op is parked. Where several ops are, the greatest cause is the transaction's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParkCause {
    /// Its attempts are used up.
    Exhausted,
    /// Its participant gave an answer that no retry helps against.
    ClientError,
    /// The participant has this gid and branch on record from another journal, or with another payload. The call would act
    /// on the work of another transaction. No retry helps.
    Conflict,
    /// Its calls could not be sent for as long as its attempts would have taken.
    NotSent,
}

impl ParkCause {
    pub const ALL: [Self; 4] = [Self::Exhausted, Self::ClientError, Self::Conflict, Self::NotSent];

    /// The cause's wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::ClientError => "client_error",
            Self::Conflict => "conflict",
            Self::NotSent => "not_sent",
        }
    }
}

/// What an operator may settle a transaction as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForceTo {
    Committed,
    RolledBack,
}

impl ForceTo {
    pub fn status(self) -> Status {
        match self {
            Self::Committed => Status::Committed,
            Self::RolledBack => Status::RolledBack,
        }
    }
}
