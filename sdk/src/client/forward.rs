//! How a forward call that the initiator makes itself ended.

use serde_json::Value;

/// How a try or prepare that the initiator drove itself ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Forward {
    /// The participant did it; this is its output.
    Done(Value),
    /// The participant voted read-only (prepare): it has nothing to commit.
    ReadOnly,
    /// A business "no": abort with this reason.
    Refused(String),
    /// No usable answer in time: it may have run. Abort, or try again with the same branch. Also at once, when the participant
    /// has the gid and branch on record from another journal, or with another payload: then abort, and use another gid.
    Unknown(String),
}

impl Forward {
    /// Whether the branch is ready to be committed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_) | Self::ReadOnly)
    }
}
