//! How a rollback begins, in version 1.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trine_engine::{Event, RollbackCause};
use trine_protocol::BranchId;

use super::required;
use crate::codec::DecodeError;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseWord {
    Refused,
    Deadline,
    Aborted,
    Exhausted,
    CheckRefused,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RollbackBegun<'a> {
    cause: CauseWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owed: Option<Cow<'a, [BranchId]>>,
}

pub(super) fn rollback_begun<'a>(
    cause: &'a RollbackCause,
    owed: Option<&'a [BranchId]>,
) -> RollbackBegun<'a> {
    let (cause, branch, reason) = match cause {
        RollbackCause::Refused { branch, reason } => (CauseWord::Refused, Some(branch), Some(reason)),
        RollbackCause::Deadline { branch, reason } => (CauseWord::Deadline, branch.as_ref(), reason.as_ref()),
        RollbackCause::Aborted { reason } => (CauseWord::Aborted, None, reason.as_ref()),
        RollbackCause::Exhausted { branch, reason } => (CauseWord::Exhausted, Some(branch), reason.as_ref()),
        RollbackCause::CheckRefused { reason } => (CauseWord::CheckRefused, None, Some(reason)),
    };
    RollbackBegun {
        cause,
        branch: branch.cloned(),
        reason: reason.map(Cow::from),
        owed: owed.map(Cow::Borrowed),
    }
}

impl RollbackBegun<'_> {
    pub(super) fn into_event(self) -> Result<Event, DecodeError> {
        let reason = self.reason.map(Cow::into_owned);
        let cause = match self.cause {
            CauseWord::Refused => RollbackCause::Refused {
                branch: required(self.branch, "branch")?,
                reason: required(reason, "reason")?,
            },
            CauseWord::Deadline => RollbackCause::Deadline { branch: self.branch, reason },
            CauseWord::Aborted => RollbackCause::Aborted { reason },
            CauseWord::Exhausted => {
                RollbackCause::Exhausted { branch: required(self.branch, "branch")?, reason }
            }
            CauseWord::CheckRefused => RollbackCause::CheckRefused { reason: required(reason, "reason")? },
        };
        Ok(Event::RollbackBegun { cause, owed: self.owed.map(Cow::into_owned) })
    }
}
