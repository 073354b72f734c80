//! What came back from a call, as one of four words. The data that goes with each lives in the engine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The four things an attempt can end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OutcomeKind {
    /// It took effect (2xx; gRPC: OK).
    Done,
    /// A business "no" (409; gRPC: ABORTED).
    Refused,
    /// Still at it: ask again later (425, or 503/429 with `Retry-After`; gRPC: FAILED_PRECONDITION, or UNAVAILABLE or
    /// RESOURCE_EXHAUSTED with `retry-after`).
    Ongoing,
    /// No usable answer: it may have run.
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
