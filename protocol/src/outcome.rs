//! The outcome of an attempt, as one of four words. The engine has the type with the data of each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OutcomeKind {
    /// The op took effect (2xx; gRPC: OK).
    Done,
    /// A business "no" (409; gRPC: ABORTED).
    Refused,
    /// The participant is still at work: ask again later (425, or 503/429 with `Retry-After`; gRPC: FAILED_PRECONDITION, or
    /// UNAVAILABLE or RESOURCE_EXHAUSTED with `retry-after`).
    Ongoing,
    /// No usable answer: the op may have run.
    Unknown,
}

impl OutcomeKind {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Ongoing => "ongoing",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
