//! The end of one attempt: an answer that was read ([`Classified`]), or the reason why there is none ([`NoAnswer`]). The files
//! that make calls, read answers and report attempts share these types.
//!
//! The words for a call without an answer, from the connection ([`Unreached`]) to the lane ([`Returned`](super::Returned)):
//!
//! | Word | Meaning |
//! |---|---|
//! | failed | The attempt counts. The call may have run, unless there was no connection |
//! | not sent | Nothing left this process, so no attempt counts: the name has no address or no live instance, or there may be no local port |
//! | held | Nothing left this process, because this coordinator lacks a place, a look-up, a descriptor or memory. No attempt counts, and the branch never parks for this reason |

use trine_engine::{Answer, CallReport, Outcome, ParkCause};

use super::text::clean;

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

/// Why there is no answer to classify. The words are defined at the top of this file.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Failed(FailedAttempt),
    NotSent(String),
    Held(String),
}

/// Why there is no connection. The words are defined at the top of this file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreached {
    #[error("{0}")]
    NotSent(String),
    #[error("{0}")]
    Held(String),
    /// The host, or something on the way to the host, refused or did not answer.
    #[error("{0}")]
    Failed(String),
}

impl From<Unreached> for NoAnswer {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::NotSent(words) => Self::NotSent(clean(&words)),
            Unreached::Held(words) => Self::Held(clean(&words)),
            Unreached::Failed(words) => {
                Self::Failed(FailedAttempt { status_code: None, error: clean(&words) })
            }
        }
    }
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
