//! Workflows: the initiator's own code does the work. The journal holds the steps that are done, and when the executor is
//! called back.
//!
//! Nothing is decided here: a workflow is open until its executor says how it ended. Every report of the executor puts the
//! next callback off, so that an executor is not called back while it works.

use std::sync::Arc;

use trine_protocol::limits::BRANCHES_MAX;
use trine_protocol::{Pattern, Status, Timestamp};

use super::decide::Decision;
use super::{OpState, Transaction};
use crate::event::{Event, Progress, RollbackCause};
use crate::input::Rejection;
use crate::spec::{Payload, SpecError, SpecErrorKind};

impl Transaction {
    /// The recorded steps, in order.
    pub fn progress_made(&self) -> &[Arc<Progress>] {
        self.reports.as_ref().map_or(&[], |reports| &reports.steps)
    }

    /// What the executor returned at the end.
    pub fn result(&self) -> Option<&Payload> {
        self.reports.as_ref()?.result.as_ref()
    }

    /// When the executor is called back if it reports nothing more.
    fn callback_at(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(self.spec.check_after_ms)
    }

    fn open_workflow(&self, what: &'static str) -> Result<(), Rejection> {
        let why = match (self.pattern(), self.status) {
            (Pattern::Workflow, Status::Open) => return Ok(()),
            (Pattern::Workflow, _) => "; it has ended",
            (Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase | Pattern::Message, _) => "; it is no workflow",
        };
        Err(Rejection::IllegalState { what, status: self.status, why })
    }

    /// Resuming a workflow that has ended is a success without events: its executor learns the end from the reply.
    pub(super) fn resume(&self, now: Timestamp) -> Decision {
        if self.pattern() == Pattern::Workflow && self.status.is_settled() {
            return Ok(Vec::new());
        }
        self.open_workflow("resume")?;
        Ok(vec![Event::Resumed { check_at: self.callback_at(now) }])
    }

    pub(super) fn record(&self, progress: &Arc<Progress>, now: Timestamp) -> Decision {
        let same = |known: &&Arc<Progress>| known.branch == progress.branch && known.op == progress.op;
        match self.progress_made().iter().find(same) {
            Some(known) if known == progress => return Ok(Vec::new()),
            Some(_) => return Err(Rejection::BranchConflict(progress.branch.clone())),
            None => self.open_workflow("record progress")?,
        }
        if self.progress_made().len() >= BRANCHES_MAX {
            return Err(SpecError { field: "branches".into(), kind: SpecErrorKind::TooManyBranches }.into());
        }
        Ok(vec![Event::Progressed { progress: Arc::clone(progress), check_at: self.callback_at(now) }])
    }

    pub(super) fn end_workflow(&self, committed: bool, reason: Option<&str>, result: &Payload) -> Decision {
        let ended = if committed { Status::Committed } else { Status::RolledBack };
        if self.pattern() == Pattern::Workflow && self.status == ended {
            return Ok(Vec::new());
        }
        self.open_workflow("finish")?;
        Ok(vec![Event::Finished { committed, reason: reason.map(str::to_owned), result: result.clone() }])
    }

    /// When a call is repeated. In a workflow not before the time that the executor's last report has set: the report is
    /// newer than the answer to a callback.
    pub(super) fn put_off_at_least(&self, at: Timestamp) -> Timestamp {
        match self.check().filter(|_| self.pattern() == Pattern::Workflow).map(|check| &check.state) {
            Some(OpState::Waiting { until }) => at.max(*until),
            Some(
                OpState::Pending | OpState::Done { .. } | OpState::Refused { .. } | OpState::Parked { .. },
            )
            | None => at,
        }
    }

    pub(super) fn apply_report(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Resumed { check_at } => self.postpone_callback(*check_at),
            Event::Progressed { progress, check_at } => {
                self.reports.get_or_insert_default().steps.push(Arc::clone(progress));
                self.postpone_callback(*check_at)
            }
            Event::Finished { committed, reason, result } => {
                self.status = if *committed { Status::Committed } else { Status::RolledBack };
                self.reports.get_or_insert_default().result = Some(result.clone());
                self.cause =
                    (!committed).then(|| Box::new(RollbackCause::Aborted { reason: reason.clone() }));
                Ok(())
            }
            Event::Created { .. }
            | Event::BranchRegistered { .. }
            | Event::Started
            | Event::Submitted { .. }
            | Event::CommitDecided
            | Event::RollbackBegun { .. }
            | Event::CallAnswered { .. }
            | Event::NotSent { .. }
            | Event::OpParked { .. }
            | Event::Replayed { .. }
            | Event::Quarantined { .. }
            | Event::TakenOver
            | Event::Forced { .. }
            | Event::Committed
            | Event::RolledBack => Err(", which is not what an executor does".into()),
        }
    }

    /// Applies a report of the executor.
    fn postpone_callback(&mut self, check_at: Timestamp) -> Result<(), String> {
        let check = self.check.as_mut().ok_or(" without anybody to call back")?;
        check.trouble = None;
        check.state = OpState::Waiting { until: check_at };
        Ok(())
    }
}
