//! Patterns and statuses of transactions, in the words of all APIs, log lines and metrics.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The way in which a transaction becomes all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Pattern {
    /// Actions in sequence or as a graph; compensated in reverse when one is refused.
    Saga,
    /// Try everywhere, then confirm everywhere or cancel everywhere.
    Tcc,
    /// Prepare everywhere (votes), then commit everywhere or roll back everywhere.
    TwoPhase,
    /// A two-phase message: delivered to every target once its initiator's local transaction is known to have committed.
    Message,
    /// The initiator's own code. Its progress is recorded, and it is called back when it falls silent.
    Workflow,
}

impl Pattern {
    /// Every pattern, for tables and metrics.
    pub const ALL: [Self; 5] = [Self::Saga, Self::Tcc, Self::TwoPhase, Self::Message, Self::Workflow];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Saga => "saga",
            Self::Tcc => "tcc",
            Self::TwoPhase => "two_phase",
            Self::Message => "message",
            Self::Workflow => "workflow",
        }
    }

    /// The pattern of a wire word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a transaction. `parked` is stated beside the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Status {
    /// The initiator is still adding branches.
    Open,
    /// Going forward.
    Running,
    /// Decided to commit; phase two is under way.
    Committing,
    /// Decided to roll back; branches that may have run are being undone.
    RollingBack,
    /// Settled: every branch took effect.
    Committed,
    /// Settled: no branch has an effect.
    RolledBack,
}

impl Status {
    /// Every status in lifecycle order.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Running, Self::Committing, Self::RollingBack, Self::Committed, Self::RolledBack];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Running => "running",
            Self::Committing => "committing",
            Self::RollingBack => "rolling_back",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
        }
    }

    /// The status of a wire word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Committed or rolled back: no more events.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Committed | Self::RolledBack)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
