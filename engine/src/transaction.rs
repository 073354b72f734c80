//! One global transaction: its state, and the four functions over it.
//!
//! - [`decide`]: input → the first events, without changing anything;
//! - `consequence` (in `rules`): state → the event that must follow in the same batch, if any;
//! - [`Transaction::apply`]: the only way state changes, for new events and for records that are read;
//! - [`Transaction::agenda`]: state and time → calls owed now, and when to look again.
//!
//! [`advance`] puts the first three together. Nothing here knows what is durable.

mod agenda;
mod apply;
mod certain;
mod decide;
mod effects_left;
mod rules;
mod waiting;
mod workflow;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use trine_protocol::{BranchId, Gid, Op, OutcomeKind, Pattern, Status, Timestamp};

use crate::event::{Event, ForceTo, ParkCause, Progress, Record, RollbackCause};
use crate::spec::{BranchSpec, Exposure, Payload, Spec};

pub use agenda::{Agenda, Owed};
pub use apply::Corrupt;
pub use decide::decide;
pub use waiting::WaitingOn;
pub(crate) use waiting::{NotSent, Trouble};

/// The state of one transaction: a fold of its records. Only `apply` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub(crate) gid: Gid,
    pub(crate) seq: u64,
    pub(crate) spec: Arc<Spec>,
    pub(crate) status: Status,
    /// The record that decided to commit or to roll back, if phase two follows the decision.
    pub(crate) decision_seq: Option<u64>,
    /// The first calls may go out: the start delay is over, or there was none.
    pub(crate) started: bool,
    pub(crate) start_at: Option<Timestamp>,
    pub(crate) deadline_at: Option<Timestamp>,
    pub(crate) branches: Vec<Branch>,
    /// Branch positions, dependencies first.
    pub(crate) topological: Vec<u32>,
    pub(crate) check: Option<Box<OpProgress>>,
    /// None: its executor has reported nothing, or it is no workflow.
    pub(crate) reports: Option<Box<Reports>>,
    pub(crate) cause: Option<Box<RollbackCause>>,
    pub(crate) is_quarantined: bool,
    pub(crate) forced: Option<ForceTo>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What the executor of a workflow has reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reports {
    /// The steps, in the order they were recorded.
    pub(crate) steps: Vec<Arc<Progress>>,
    /// What it returned at the end.
    pub(crate) result: Option<Payload>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub spec: Arc<BranchSpec>,
    /// The positions of the branches that must be done first.
    pub after: Box<[u32]>,
    /// It may have run: a durable state has owed its forward op, or its initiator calls it.
    pub exposed: bool,
    /// It voted read-only, and phase two leaves it out.
    pub read_only: bool,
    pub forward: OpProgress,
    /// None: no call of phase two has come back, and none is parked. See [`Self::finish`].
    pub(crate) finish: Option<Box<OpProgress>>,
}

impl Branch {
    /// The op of phase two that the decision asks for.
    pub fn finish(&self) -> &OpProgress {
        const NEW: &OpProgress =
            &OpProgress { attempts: 0, last: None, state: OpState::Pending, trouble: None };
        self.finish.as_deref().unwrap_or(NEW)
    }
}

/// What has become of one op so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpProgress {
    /// Answered attempts.
    pub attempts: u32,
    /// The outcome of the last attempt.
    pub last: Option<OutcomeKind>,
    pub state: OpState,
    /// None: nothing has gone wrong since the last answer of use.
    pub(crate) trouble: Option<Box<Trouble>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OpState {
    #[default]
    Pending,
    /// The next attempt is due then.
    Waiting {
        until: Timestamp,
    },
    Done {
        output: Payload,
    },
    Refused {
        reason: Box<str>,
    },
    Parked {
        cause: ParkCause,
    },
}

impl OpProgress {
    pub fn is_done(&self) -> bool {
        matches!(self.state, OpState::Done { .. })
    }

    pub fn is_parked(&self) -> bool {
        self.park_cause().is_some()
    }

    pub fn park_cause(&self) -> Option<ParkCause> {
        match self.state {
            OpState::Parked { cause } => Some(cause),
            OpState::Pending | OpState::Waiting { .. } | OpState::Done { .. } | OpState::Refused { .. } => {
                None
            }
        }
    }

    /// An answer may still change it.
    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(self.state, OpState::Pending | OpState::Waiting { .. } | OpState::Parked { .. })
    }
}

/// Applies `events`, and every event that must follow from the state they lead to, as one step. All records of a step are
/// appended in one batch, so that an event and its consequence are durable together or not at all.
///
/// # Panics
/// When an event is illegal in the state it meets. [`decide`] and `consequence` promise that it is legal, so the memory that
/// led here is wrong. Its lane drops the memory and reads the journals again.
pub fn advance(
    state: Option<Transaction>,
    gid: &Gid,
    events: Vec<Event>,
    now: Timestamp,
) -> (Option<Transaction>, Vec<Record>) {
    let mut events = events.into_iter();
    let mut records = Vec::new();
    let state = state.or_else(|| {
        let record = Record { gid: gid.clone(), seq: 1, at: now, event: events.next()? };
        let created = Transaction::apply(None, &record).unwrap_or_else(|corrupt| illegal(&corrupt));
        records.push(record);
        Some(created)
    });
    let Some(mut state) = state else { return (None, records) };
    state.advance(events.collect(), now, None, &mut records);
    (Some(state), records)
}

fn illegal(corrupt: &Corrupt) -> ! {
    panic!("an event was decided that its state does not allow: {corrupt}")
}

impl Transaction {
    /// Folds a gid's records, in order, into its state. None when there are none.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Option<Self>, Corrupt> {
        records.into_iter().try_fold(None, |state, record| Self::apply(state, record).map(Some))
    }

    /// See [`advance`]. `owed` are the positions of all branches whose forward op was ever owed, for a memory that knows them: a
    /// rollback then undoes no other branch (law L13).
    pub(crate) fn advance(
        &mut self,
        events: Vec<Event>,
        now: Timestamp,
        owed: Option<&BTreeSet<u32>>,
        records: &mut Vec<Record>,
    ) {
        let mut next = VecDeque::from(events);
        while let Some(mut event) = next.pop_front().or_else(|| self.consequence()) {
            if let (Event::RollbackBegun { owed: named, .. }, Some(owed)) = (&mut event, owed) {
                *named = Some(self.ids(owed));
            }
            let record = Record { gid: self.gid.clone(), seq: self.seq + 1, at: now, event };
            self.follow(&record).unwrap_or_else(|corrupt| illegal(&corrupt));
            records.push(record);
        }
    }

    pub fn gid(&self) -> &Gid {
        &self.gid
    }

    /// The `seq` of the newest record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    pub fn pattern(&self) -> Pattern {
        self.spec.pattern
    }

    pub fn status(&self) -> Status {
        self.status
    }

    /// In the order they were given.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The check of an open message or a workflow.
    pub fn check(&self) -> Option<&OpProgress> {
        self.check.as_deref()
    }

    pub fn cause(&self) -> Option<&RollbackCause> {
        self.cause.as_deref()
    }

    /// How an operator settled it, if one did.
    pub fn forced(&self) -> Option<ForceTo> {
        self.forced
    }

    /// When it stops going forward and rolls back.
    pub fn deadline_at(&self) -> Option<Timestamp> {
        self.deadline_at
    }

    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    pub fn settled_at(&self) -> Option<Timestamp> {
        self.status.is_settled().then_some(self.updated_at)
    }

    /// Why a person has to look at it: an op of the current phase is parked, or the transaction is quarantined.
    pub fn parked(&self) -> Option<&'static str> {
        if self.status.is_settled() {
            return None;
        }
        if self.is_quarantined {
            return Some("quarantined");
        }
        let cause = match self.phase_op() {
            None => self.check().and_then(OpProgress::park_cause),
            Some(_) => (0..self.branches.len()).filter_map(|i| self.phase_progress(i)?.park_cause()).max(),
        };
        cause.map(ParkCause::as_str)
    }

    /// The op that the present phase asks of branches. None while open or settled.
    pub fn phase_op(&self) -> Option<Op> {
        let pattern = self.pattern();
        match self.status {
            Status::Running => Some(Op::forward(pattern)),
            Status::Committing => Op::on_commit(pattern),
            Status::RollingBack => Op::on_rollback(pattern),
            Status::Open | Status::Committed | Status::RolledBack => None,
        }
    }

    /// The progress of the present phase's op at a branch. None when this branch is not asked, or no longer.
    pub(crate) fn phase_progress(&self, position: usize) -> Option<&OpProgress> {
        let branch = self.branches.get(position)?;
        match self.status {
            Status::Running => Some(&branch.forward),
            Status::Committing | Status::RollingBack => {
                self.is_asked_to_finish(branch).then(|| branch.finish())
            }
            Status::Open | Status::Committed | Status::RolledBack => None,
        }
    }

    /// Phase two asks a branch that may have run, holds something, and has a target.
    fn is_asked_to_finish(&self, branch: &Branch) -> bool {
        let target = match self.status {
            Status::Committing => &branch.spec.on_commit,
            Status::RollingBack => &branch.spec.on_rollback,
            Status::Open | Status::Running | Status::Committed | Status::RolledBack => return false,
        };
        branch.exposed && !branch.read_only && target.is_some()
    }

    /// When an open message may be delivered at the earliest.
    fn not_before(&self) -> Option<Timestamp> {
        let delay_ms = self.spec.start_delay_ms;
        (delay_ms > 0).then(|| self.created_at.plus_millis(delay_ms))
    }

    /// While it is open, the initiator calls the branches.
    fn is_driven_by_initiator(&self) -> bool {
        matches!(self.pattern(), Pattern::Tcc | Pattern::TwoPhase)
    }

    pub(crate) fn bytes(&self) -> usize {
        let output = |progress: &OpProgress| match &progress.state {
            OpState::Done { output } => output.as_bytes().len(),
            OpState::Pending | OpState::Waiting { .. } | OpState::Refused { .. } | OpState::Parked { .. } => {
                0
            }
        };
        let held = |branch: &Branch| {
            branch.spec.payload.as_bytes().len() + output(&branch.forward) + output(branch.finish())
        };
        let steps = self.progress_made().iter().map(|step| step.data.as_bytes().len()).sum::<usize>();
        let result = self.result().map_or(0, |result| result.as_bytes().len());
        let input = self.spec.check_payload.as_bytes().len()
            + self.spec.terms.as_ref().map_or(0, |terms| terms.len());
        self.branches.iter().map(held).sum::<usize>() + steps + result + input
    }

    /// A saga all of whose branches count as called as soon as it runs.
    pub(crate) fn is_exposed_ahead(&self) -> bool {
        self.spec.exposure == Exposure::Ahead
    }

    fn ids(&self, positions: &BTreeSet<u32>) -> Vec<BranchId> {
        positions.iter().map(|&position| self.branches[position as usize].spec.id.clone()).collect()
    }

    pub(crate) fn position(&self, id: &BranchId) -> Option<usize> {
        self.branches.iter().position(|branch| branch.spec.id == *id)
    }
}
