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
pub(crate) struct NotSent {
    pub since: Timestamp,
    pub reason: String,
    /// When it was recorded last.
    pub told_at: Timestamp,
}

/// What has gone wrong with an op since its last answer of use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trouble {
    /// Unknown answers since the last replay. Backoff and exhaustion count these.
    pub(super) failures: u32,
    /// The client errors among them since the last other answer.
    pub(super) client_errors: u32,
    /// The error of the last attempt that was in vain. Its length is bounded.
    pub(super) last_error: Option<String>,
    /// When the first attempt since the last replay was in vain.
    pub(super) since: Option<Timestamp>,
    /// Since when all its answers have been ongoing.
    pub(super) ongoing_since: Option<Timestamp>,
    /// Its calls have not been sent for a while.
    pub(super) not_sent: Option<NotSent>,
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
        if self.is_quarantined || self.status.is_settled() {
            return None;
        }
        let Some(op) = self.phase_op() else {
            let check = self.check().filter(|_| self.spec.check.is_some())?;
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
        let trouble = progress.trouble();
        let known = trouble.not_sent.as_ref();
        let since = Timestamp::from_millis(now.millis().saturating_sub(tried_ms));
        let since = known.map_or(since, |known| known.since.min(since));
        let lasted_ms = now.millis_since(since);
        let is_news = known.is_none_or(|known| {
            known.reason != bounded(reason) && lasted_ms >= 2 * known.told_at.millis_since(known.since)
        });
        let limit_ms = policy.retry.not_sent_ms_max(trouble.failures);
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
        match outcome {
            Outcome::Done { .. } | Outcome::Refused { .. } => self.trouble = None,
            Outcome::Ongoing { .. } | Outcome::Unknown | Outcome::ClientError => {
                let trouble = self.trouble_mut();
                trouble.not_sent = None;
                let ongoing = matches!(outcome, Outcome::Ongoing { .. });
                trouble.ongoing_since = ongoing.then(|| trouble.ongoing_since.unwrap_or(at));
                trouble.last_error = report.error.as_deref().map(bounded);
                trouble.since.get_or_insert(at);
            }
        }
    }

    pub(super) fn trouble(&self) -> &Trouble {
        const NONE: &Trouble = &Trouble {
            failures: 0,
            client_errors: 0,
            last_error: None,
            since: None,
            ongoing_since: None,
            not_sent: None,
        };
        self.trouble.as_deref().unwrap_or(NONE)
    }

    pub(super) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// An operator sets the op going again: attempts are counted anew.
    pub(super) fn forgive(&mut self) {
        let is_parked = self.is_parked();
        let Some(trouble) = &mut self.trouble else { return };
        (trouble.failures, trouble.client_errors) = (0, 0);
        if is_parked {
            (trouble.since, trouble.not_sent) = (None, None);
        }
    }

    /// Its calls have not been sent for a while.
    pub fn is_not_sent(&self) -> bool {
        self.trouble().not_sent.is_some()
    }

    /// What is wrong now, in words for people.
    pub fn error(&self) -> Option<&str> {
        let Trouble { not_sent, last_error, .. } = self.trouble();
        let unsent = not_sent.as_ref().map(|not_sent| not_sent.reason.as_str());
        unsent.or(last_error.as_deref())
    }

    pub fn in_vain_since(&self) -> Option<Timestamp> {
        let Trouble { not_sent, since, .. } = self.trouble();
        let unsent = not_sent.as_ref().map(|not_sent| not_sent.since);
        unsent.into_iter().chain(*since).min()
    }
}

/// Smaller is more urgent: parked, not sent, answered with errors, ongoing, anything else.
fn urgency(progress: &OpProgress) -> u8 {
    if progress.is_parked() {
        0
    } else if progress.is_not_sent() {
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
        OpState::Waiting { until } if !progress.is_not_sent() => Some(until),
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
