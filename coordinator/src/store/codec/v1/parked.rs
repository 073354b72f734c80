//! Events that say why nothing more happens by itself, in version 1.

use serde::{Deserialize, Serialize};
use trine_engine::{Event, ParkCause};
use trine_protocol::{BranchId, Op};

/// Mirror of [`ParkCause`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ParkWord {
    Exhausted,
    ClientError,
    Conflict,
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
    };
    OpParked { branch: branch.cloned(), op, cause }
}

impl OpParked {
    pub(super) fn into_event(self) -> Event {
        let cause = match self.cause {
            ParkWord::Exhausted => ParkCause::Exhausted,
            ParkWord::ClientError => ParkCause::ClientError,
            ParkWord::Conflict => ParkCause::Conflict,
        };
        Event::OpParked { branch: self.branch, op: self.op, cause }
    }
}
