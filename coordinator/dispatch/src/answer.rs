//! What one attempt came back with: an answer that was read, or why there is none. Files that make, read and report calls
//! share these words.

use trine_engine::{Answer, CallReport, Outcome, ParkCause};

/// An answer that arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) status_code: u16,
    pub(super) outcome: Outcome,
    /// Why no retry mends it, if that is so.
    pub(super) parks: Option<ParkCause>,
    /// What an operator should know about it.
    pub(super) error: Option<String>,
}

impl Classified {
    /// The participant has the gid and branch on record from somebody else.
    pub(super) fn conflict(status_code: u16, words: String) -> Self {
        let (outcome, parks) = (Outcome::Unknown, Some(ParkCause::Conflict));
        Self { status_code, outcome, parks, error: Some(words) }
    }
}

/// A call that failed before there was anything to classify.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) status_code: Option<u16>,
    pub(super) error: String,
}

/// Why there is nothing to classify.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The attempt was made, and came to nothing that is known.
    Failed(FailedAttempt),
    /// Nothing left this process: there was no attempt.
    NotSent(String),
    /// The same, for want of something that is this coordinator's own.
    Held(String),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreached {
    /// The host was asked for nothing: its name is not known, or there may be no port for it. No attempt is counted.
    #[error("{0}")]
    NotSent(String),
    /// The host was asked for nothing, for want of something that is this coordinator's own.
    #[error("{0}")]
    Held(String),
    /// The host, or the way to it, did not let us.
    #[error("{0}")]
    Failed(String),
}

/// What the engine is told of an attempt that took this long.
pub(super) fn report(end: Result<Classified, FailedAttempt>, duration_ms: u64) -> Answer {
    let (outcome, parks, status_code, error) = match end {
        Ok(classified) => {
            (classified.outcome, classified.parks, Some(classified.status_code), classified.error)
        }
        Err(failed) => (Outcome::Unknown, None, failed.status_code, Some(failed.error)),
    };
    let report = CallReport { status_code, duration_ms, error };
    Answer { outcome, parks, report, random_permille: fastrand::u32(0..=1_000) }
}
