//! Events about parking, in version 1.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trine_engine::{Event, ParkCause};
use trine_protocol::{BranchId, Op, Timestamp};

/// Mirror of [`ParkCause`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ParkWord {
    Exhausted,
    ClientError,
    Conflict,
    NotSent,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OpParked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    op: Op,
    cause: ParkWord,
}

pub(super) fn op_parked(branch: Option<&BranchId>, op: Op, cause: ParkCause) -> OpParked {
    let cause = match cause {
        ParkCause::Exhausted => ParkWord::Exhausted,
        ParkCause::ClientError => ParkWord::ClientError,
        ParkCause::Conflict => ParkWord::Conflict,
        ParkCause::NotSent => ParkWord::NotSent,
    };
    OpParked { branch: branch.cloned(), op, cause }
}

impl OpParked {
    pub(super) fn into_event(self) -> Event {
        let cause = match self.cause {
            ParkWord::Exhausted => ParkCause::Exhausted,
            ParkWord::ClientError => ParkCause::ClientError,
            ParkWord::Conflict => ParkCause::Conflict,
            ParkWord::NotSent => ParkCause::NotSent,
        };
        Event::OpParked { branch: self.branch, op: self.op, cause }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct NotSent<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<BranchId>,
    op: Op,
    since_ms: u64,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

pub(super) fn not_sent<'a>(
    branch: Option<&BranchId>,
    op: Op,
    since: Timestamp,
    reason: &'a str,
) -> NotSent<'a> {
    NotSent { branch: branch.cloned(), op, since_ms: since.millis(), reason: reason.into() }
}

impl NotSent<'_> {
    pub(super) fn into_event(self) -> Event {
        let since = Timestamp::from_millis(self.since_ms);
        Event::NotSent { branch: self.branch, op: self.op, since, reason: self.reason.into_owned() }
    }
}
