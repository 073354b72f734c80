//! Facts. The journal is made of [`Record`]s and nothing else; state is what [`crate::Transaction::apply`] makes of them.

use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, OutcomeKind, Status, Timestamp};

use crate::spec::{BranchSpec, Payload, Spec};

/// A fact about a gid at its place in that gid's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose history.
    pub gid: Gid,
    /// Its place, from 1. `(gid, seq)` is the journal's primary key: appending is compare-and-append.
    pub seq: u64,
    /// When it was decided, by the deciding coordinator's clock.
    pub at: Timestamp,
    /// The fact.
    pub event: Event,
}

/// Everything that can happen to a transaction, in lifecycle order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was accepted.
    Created {
        /// What was asked for.
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
        /// The branch.
        branch: Arc<BranchSpec>,
    },
    /// The start delay is over.
    Started,
    /// An open message's local transaction is known to have committed: deliver. An open saga is to run.
    Submitted {
        /// When the first calls may go out; absent: at once.
        start_at: Option<Timestamp>,
    },
    /// Decided yes.
    CommitDecided,
    /// Decided no.
    RollbackBegun {
        /// Why.
        cause: RollbackCause,
    },
    /// One attempt ended.
    CallAnswered {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        /// The op.
        op: Op,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// When the next attempt is due, if there is to be one.
        retry_at: Option<Timestamp>,
        /// For people.
        report: CallReport,
    },
    /// Its calls have not been sent for a while: nobody to send them to, no place, or a shortage of our own. They are
    /// offered again and again; no attempt is counted.
    NotSent {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        /// The op.
        op: Op,
        /// Since when.
        since: Timestamp,
        /// Why, for people.
        reason: String,
    },
    /// An op gets no more automatic attempts.
    OpParked {
        /// The branch; absent for a check.
        branch: Option<BranchId>,
        /// The op.
        op: Op,
        /// Why.
        cause: ParkCause,
    },
    /// A person set it going again.
    Replayed {
        /// Only this branch; absent: everything that waits.
        branch: Option<BranchId>,
        /// When: what was waiting is due from here on.
        due_at: Timestamp,
    },
    /// It brought its lane down repeatedly; nothing is done until a person replays it.
    Quarantined {
        /// What was seen.
        detail: String,
    },
    /// A person settled it by hand.
    Forced {
        /// As what.
        to: ForceTo,
        /// Why; mandatory.
        reason: String,
        /// Who, if said.
        by: Option<String>,
    },
    /// Somebody executes a workflow (again): it is not called back before then.
    Resumed {
        /// When it is.
        check_at: Timestamp,
    },
    /// A workflow's executor did a step of it.
    Progressed {
        /// Which, and how it ended.
        progress: Arc<Progress>,
        /// When it is called back if nothing more is heard.
        check_at: Timestamp,
    },
    /// Settled: a workflow's executor says how it ended.
    Finished {
        /// Everything took effect; otherwise nothing has an effect.
        committed: bool,
        /// Why not.
        reason: Option<String>,
        /// What it came to.
        result: Payload,
    },
    /// Settled: every branch took effect.
    Committed,
    /// Settled: no branch has an effect.
    RolledBack,
}

/// One step of a workflow, done by its executor: what it does not do again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which branch, in the executor's numbering.
    pub branch: BranchId,
    /// Which op of it, in the executor's words.
    pub op: String,
    /// It took effect; otherwise it was a business "no".
    pub done: bool,
    /// What it came to.
    pub data: Payload,
}

impl Event {
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
        /// Which branch.
        branch: BranchId,
        /// In its words.
        reason: String,
    },
    /// Going forward took too long, or the initiator of an open transaction fell silent.
    Deadline {
        /// The branch that was waited for; absent when it was the initiator.
        branch: Option<BranchId>,
        /// What was wrong with it, if that is known.
        reason: Option<String>,
    },
    /// The initiator, or an operator, said so.
    Aborted {
        /// In their words.
        reason: Option<String>,
    },
    /// A forward op used up its attempts and its policy says roll back.
    Exhausted {
        /// Which branch.
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

/// How one attempt ended, in data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Done {
        /// The participant's answer, bounded.
        output: Payload,
        /// two_phase: leave the branch out of phase two.
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
    /// It may have run, and no retry mends what is wrong: nothing is mounted there, credentials or payload are not taken.
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

/// What people want to know of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallReport {
    /// The status of HTTP (100 and up) or gRPC (0 to 16), if there was an answer.
    pub status_code: Option<u16>,
    /// How long it took.
    pub duration_ms: u64,
    /// What went wrong, bounded.
    pub error: Option<String>,
}

/// Why an op is parked. Where several ops are, the greatest cause is the transaction's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParkCause {
    /// Its attempts are used up.
    Exhausted,
    /// Its participant answered what no retry mends.
    ClientError,
    /// The participant has this gid and branch on record from another journal, or with another payload: the call
    /// would act on somebody else's work. No retry mends that.
    Conflict,
    /// Its calls could not be sent for as long as its attempts would have taken.
    NotSent,
}

impl ParkCause {
    /// Every cause.
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
    /// Committed.
    Committed,
    /// Rolled back.
    RolledBack,
}

impl ForceTo {
    /// The status it leads to.
    pub fn status(self) -> Status {
        match self {
            Self::Committed => Status::Committed,
            Self::RolledBack => Status::RolledBack,
        }
    }
}
