//! Headers that refine an answer, over HTTP or gRPC: a vote, a conflict, and when to ask again.

use hyper::header::HeaderValue;
use trine_engine::Outcome;
use trine_protocol::{Op, Timestamp, headers};

use super::retry_after;
use super::text::clean;

/// The reason of a refusal that states none.
pub(super) const NO_REASON: &str = "refused without a reason";

/// Whether an answer to `prepare` votes read-only, and what is wrong with a vote that is none.
pub(super) fn read_only(op: Op, vote: Option<&HeaderValue>) -> (bool, Option<String>) {
    match (op, vote.map(|value| value.as_bytes().trim_ascii())) {
        (Op::Prepare, Some(vote)) if vote.eq_ignore_ascii_case(headers::VOTE_READ_ONLY.as_bytes()) => {
            (true, None)
        }
        (Op::Prepare, Some(other)) => (false, Some(unknown_vote(other))),
        (_, _) => (false, None),
    }
}

/// The words for a conflict that the header states: the participant has the gid and branch on record from elsewhere. The status
/// alone proves no conflict, because a cache or the participant's own code may answer it for other reasons.
pub(super) fn conflict(stated: Option<&HeaderValue>) -> Option<&'static str> {
    let stated = stated?.as_bytes().trim_ascii();
    if stated.eq_ignore_ascii_case(headers::CONFLICT_JOURNAL.as_bytes()) {
        Some("the participant has this gid and branch on record from another journal, and nothing was done")
    } else if stated.eq_ignore_ascii_case(headers::CONFLICT_PAYLOAD.as_bytes()) {
        Some("the participant has this gid and branch on record with another payload, and nothing was done")
    } else {
        Some("the participant has this gid and branch on record from somebody else")
    }
}

fn unknown_vote(vote: &[u8]) -> String {
    format!(
        "{}: {} is not a vote this version knows; taken as yes",
        headers::VOTE,
        String::from_utf8_lossy(vote)
    )
}

/// "Not yet": asked again after the stated delay, or the default when none is stated or it cannot be read.
pub(super) fn ongoing(retry_after: Option<&HeaderValue>, now: Timestamp) -> (Outcome, Option<String>) {
    let stated = retry_after.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let retry_after_ms = stated.as_deref().and_then(|value| retry_after::parse(value, now));
    let error = match (&stated, retry_after_ms) {
        (Some(value), None) => {
            Some(clean(&format!("Retry-After `{value}` cannot be read; the default is used")))
        }
        (Some(_), Some(_)) | (None, _) => None,
    };
    (Outcome::Ongoing { retry_after_ms }, error)
}
