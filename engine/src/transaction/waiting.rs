//! What a transaction waits for: errors that are remembered, calls that could not be sent, and which op is shown when
//! somebody asks.
//!
//! A call that could not be sent counts as no attempt. If it cannot be sent for long, a few records say so. If the policy
//! limits attempts, the op is given up after the time that these attempts would have taken.

use trine_protocol::limits::{LAST_ERROR_BYTES_MAX, NOT_SENT_PARKS_AFTER_MS, NOT_SENT_TOLD_AFTER_MS};
use trine_protocol::{BranchId, Op, OutcomeKind, Pattern, Status, Timestamp};

use super::{OpProgress, OpState, Transaction};
use crate::event::{CallReport, Event, Outcome, ParkCause, RollbackCause};
use crate::input::CallKey;
use crate::spec::OnExhausted;

/// What was recorded because the calls of an op could not be sent for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSent {
    pub since: Timestamp,
    pub reason: String,
    /// When it was recorded last.
    pub told_at: Timestamp,
}

/// What a transaction waits for: of all ops that are owed, the most urgent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingOn {
    /// None for a check.
    pub branch: Option<BranchId>,
    pub op: Op,
    pub attempts: u32,
    pub last: Option<OutcomeKind>,
    /// The error of the newest answer, or why a call could not be sent.
    pub last_error: Option<String>,
    /// When the next attempt is due. None: now, or never by itself if the op is parked.
    pub next_at: Option<Timestamp>,
    /// Since when it has been asked in vain. None while nothing is known to be wrong.
    pub since: Option<Timestamp>,
}

impl Transaction {
    /// Leaves out the initiator of an open transaction and a start delay. None when it is settled.
    pub fn waiting_on(&self) -> Option<WaitingOn> {
        if self.quarantined.is_some() || self.status.is_settled() {
            return None;
        }
        let Some(op) = self.phase_op() else {
            let check = self.check.as_ref().filter(|_| self.spec.check.is_some())?;
            return check.is_unsettled().then(|| waiting_on(None, Op::Check, check));
        };
        let ready = match self.status {
            Status::Running if !self.started => return None,
            Status::Running => self.forward_ready(),
            Status::Open
            | Status::Committing
            | Status::RollingBack
            | Status::Committed
            | Status::RolledBack => self.finish_ready(),
        };
        let asked =
            (0..self.branches.len()).filter_map(|position| Some((position, self.phase_progress(position)?)));
        let (position, progress) = asked
            .filter(|(position, progress)| {
                progress.is_parked() || (ready[*position] && progress.is_unsettled())
            })
            .min_by_key(|(_, progress)| urgency(progress))?;
        Some(waiting_on(Some(self.branches[position].spec.id.clone()), op, progress))
    }

    /// What a call that could not be sent leads to. `tried_ms` is for how long this coordinator has tried: time in which no
    /// coordinator ran does not count.
    pub(super) fn not_sent(&self, key: CallKey, tried_ms: u64, reason: &str, now: Timestamp) -> Vec<Event> {
        let Some((branch, progress, policy)) = self.owed_op(key) else { return Vec::new() };
        let waits = matches!(progress.state, OpState::Pending | OpState::Waiting { .. });
        let owed = waits && progress.attempts + 1 == key.attempt && !self.is_late_forward(key.op);
        if !owed || tried_ms < NOT_SENT_TOLD_AFTER_MS {
            return Vec::new();
        }
        let known = progress.not_sent.as_ref();
        let since = Timestamp::from_millis(now.millis().saturating_sub(tried_ms));
        let since = known.map_or(since, |known| known.since.min(since));
        let lasted_ms = now.millis_since(since);
        let is_news = known.is_none_or(|known| {
            known.reason != bounded(reason) && lasted_ms >= 2 * known.told_at.millis_since(known.since)
        });
        let limit_ms = policy.retry.not_sent_ms_max(progress.failures);
        let over =
            tried_ms >= NOT_SENT_PARKS_AFTER_MS && limit_ms.is_some_and(|limit_ms| lasted_ms >= limit_ms);
        let mut events = Vec::new();
        if is_news || over {
            let (branch, reason) = (branch.clone(), bounded(reason));
            events.push(Event::NotSent { branch, op: key.op, since, reason });
        }
        if over {
            let forward = key.op == Op::forward(self.pattern()) && self.pattern() != Pattern::Message;
            events.push(match branch {
                Some(branch) if forward && policy.on_exhausted == OnExhausted::RollBack => {
                    let cause = RollbackCause::Exhausted { branch, reason: Some(bounded(reason)) };
                    Event::rollback(cause)
                }
                branch => Event::OpParked { branch, op: key.op, cause: ParkCause::NotSent },
            });
        }
        events
    }
}

impl OpProgress {
    /// Keeps what is wrong, and since when.
    pub(super) fn remember(&mut self, outcome: &Outcome, report: &CallReport, at: Timestamp) {
        self.not_sent = None;
        let ongoing = matches!(outcome, Outcome::Ongoing { .. });
        self.ongoing_since = ongoing.then(|| self.ongoing_since.unwrap_or(at));
        match outcome {
            Outcome::Done { .. } | Outcome::Refused { .. } => (self.last_error, self.since) = (None, None),
            Outcome::Ongoing { .. } | Outcome::Unknown | Outcome::ClientError => {
                self.last_error = report.error.as_deref().map(bounded);
                self.since.get_or_insert(at);
            }
        }
    }

    /// What is wrong now, in words for people.
    pub fn error(&self) -> Option<&str> {
        let unsent = self.not_sent.as_ref().map(|not_sent| not_sent.reason.as_str());
        unsent.or(self.last_error.as_deref())
    }

    pub fn in_vain_since(&self) -> Option<Timestamp> {
        let unsent = self.not_sent.as_ref().map(|not_sent| not_sent.since);
        unsent.into_iter().chain(self.since).min()
    }
}

/// Smaller is more urgent: parked, not sent, answered with errors, ongoing, anything else.
fn urgency(progress: &OpProgress) -> u8 {
    if progress.is_parked() {
        0
    } else if progress.not_sent.is_some() {
        1
    } else {
        match progress.last {
            Some(OutcomeKind::Unknown) => 2,
            Some(OutcomeKind::Ongoing) => 3,
            Some(OutcomeKind::Done | OutcomeKind::Refused) | None => 4,
        }
    }
}

fn waiting_on(branch: Option<BranchId>, op: Op, progress: &OpProgress) -> WaitingOn {
    let next_at = match progress.state {
        OpState::Waiting { until } if progress.not_sent.is_none() => Some(until),
        OpState::Waiting { .. }
        | OpState::Pending
        | OpState::Done { .. }
        | OpState::Refused { .. }
        | OpState::Parked { .. } => None,
    };
    WaitingOn {
        branch,
        op,
        attempts: progress.attempts,
        last: progress.last,
        last_error: progress.error().map(str::to_owned),
        next_at,
        since: progress.in_vain_since(),
    }
}

/// The part of an error text that is kept.
pub(super) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(LAST_ERROR_BYTES_MAX)].to_owned()
}
