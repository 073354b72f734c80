//! What a workflow's executor reports, in version 1.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trine_engine::{Event, Payload, Progress};
use trine_protocol::{BranchId, Timestamp};

use super::bytes;
use crate::codec::DecodeError;

#[derive(Serialize, Deserialize)]
pub(super) struct Progressed<'a> {
    branch: BranchId,
    #[serde(borrow)]
    op: Cow<'a, str>,
    done: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data_hex: Option<Cow<'a, str>>,
    check_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Finished<'a> {
    committed: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    result: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    result_hex: Option<Cow<'a, str>>,
}

pub(super) fn progressed(progress: &Progress, check_at: Timestamp) -> Progressed<'_> {
    let (data, data_hex) = bytes::split(&progress.data);
    Progressed {
        branch: progress.branch.clone(),
        op: (&progress.op).into(),
        done: progress.done,
        data,
        data_hex,
        check_at_ms: check_at.millis(),
    }
}

pub(super) fn finished<'a>(committed: bool, reason: Option<&'a str>, result: &'a Payload) -> Finished<'a> {
    let (result, result_hex) = bytes::split(result);
    Finished { committed, reason: reason.map(Cow::from), result, result_hex }
}

impl Progressed<'_> {
    pub(super) fn into_event(self) -> Result<Event, DecodeError> {
        let progress = Progress {
            branch: self.branch,
            op: self.op.into_owned(),
            done: self.done,
            data: bytes::join(self.data, self.data_hex)?,
        };
        Ok(Event::Progressed {
            progress: progress.into(),
            check_at: Timestamp::from_millis(self.check_at_ms),
        })
    }
}

impl Finished<'_> {
    pub(super) fn into_event(self) -> Result<Event, DecodeError> {
        Ok(Event::Finished {
            committed: self.committed,
            reason: self.reason.map(Cow::into_owned),
            result: bytes::join(self.result, self.result_hex)?,
        })
    }
}
