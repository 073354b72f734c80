//! The end of one attempt: an answer that was read, or the reason why there is none. The files that make calls, read
//! answers and report attempts share these types.

use trine_engine::{Answer, CallReport, Outcome, ParkCause};

/// An answer that arrived whole, and what it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) status_code: u16,
    pub(super) outcome: Outcome,
    /// Set when no retry can help: the branch parks for this cause.
    pub(super) parks: Option<ParkCause>,
    /// What an operator should know about the answer.
    pub(super) error: Option<String>,
}

impl Classified {
    /// The participant has the gid and branch on record from another journal, or with another payload.
    pub(super) fn conflict(status_code: u16, words: String) -> Self {
        let (outcome, parks) = (Outcome::Unknown, Some(ParkCause::Conflict));
        Self { status_code, outcome, parks, error: Some(words) }
    }
}

/// An attempt that failed before there was an answer to classify.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) status_code: Option<u16>,
    pub(super) error: String,
}

/// Why there is no answer to classify.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The attempt was made, and nobody knows whether the call ran.
    Failed(FailedAttempt),
    /// Nothing left this process: there was no attempt.
    NotSent(String),
    /// Nothing left this process, because this coordinator itself lacks something (see [`Returned::Held`](super::Returned)).
    Held(String),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreached {
    /// Nothing was sent: the name of the host is not known, or there may be no local port. No attempt is counted.
    #[error("{0}")]
    NotSent(String),
    /// Nothing was sent, because this coordinator itself lacks something, such as file descriptors.
    #[error("{0}")]
    Held(String),
    /// The host, or something on the way to the host, refused or did not answer.
    #[error("{0}")]
    Failed(String),
}

/// The answer that the engine gets, of an attempt that took `duration_ms`.
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
