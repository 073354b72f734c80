//! Which answers count, and how the others are described.

use std::error::Error;

use clap::ValueEnum;
use reqwest::StatusCode;
use serde_json::Value;

const ERROR_TEXT_CHARS_MAX: usize = 160;

/// The wanted answer.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Expect {
    /// Waited for, and committed
    Committed,
    /// Accepted, not waited for
    Accepted,
    /// The dtm dialect's yes
    Success,
}

/// How a server has answered one request.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Expected,
    /// Refused for lack of capacity; nothing was done.
    Busy,
    Other(String),
}

impl Expect {
    pub(crate) fn judge(self, status: StatusCode, body: &[u8]) -> Answer {
        let expected = match self {
            Self::Committed => status == StatusCode::OK && says(body, "status", "committed"),
            Self::Accepted => status.is_success(),
            Self::Success => status == StatusCode::OK && says(body, "dtm_result", "SUCCESS"),
        };
        if expected {
            Answer::Expected
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            Answer::Busy
        } else {
            Answer::Other(describe(status, body))
        }
    }
}

impl Answer {
    pub(crate) fn lost(what: &str, error: &reqwest::Error) -> Self {
        Self::Other(format!("{what}: {}", innermost(error)))
    }
}

fn says(body: &[u8], key: &str, word: &str) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| value[key] == word)
}

/// Problem documents by their code, other answers by their text.
fn describe(status: StatusCode, body: &[u8]) -> String {
    let value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let words = ["code", "title", "status"].iter().filter_map(|key| value[*key].as_str());
    let known = words.collect::<Vec<_>>().join(" ");
    let text = if known.is_empty() { String::from_utf8_lossy(body).into_owned() } else { known };
    format!("{status}: {}", text.chars().take(ERROR_TEXT_CHARS_MAX).collect::<String>())
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_committed_transaction_counts_as_committed() {
        let judge = |body: &str| Expect::Committed.judge(StatusCode::OK, body.as_bytes());
        assert_eq!(judge(r#"{"gid":"a","status":"committed"}"#), Answer::Expected);
        for body in [r#"{"status":"running"}"#, r#"{"branches":[{"status":"committed"}]}"#, "committed", ""] {
            assert_ne!(judge(body), Answer::Expected, "{body}");
        }
    }

    #[test]
    fn only_the_dialects_own_word_is_its_yes() {
        let judge = |body: &str| Expect::Success.judge(StatusCode::OK, body.as_bytes());
        assert_eq!(judge(r#"{"dtm_result":"SUCCESS"}"#), Answer::Expected);
        assert_ne!(judge(r#"{"dtm_result":"ONGOING"}"#), Answer::Expected);
    }

    #[test]
    fn a_refusal_for_lack_of_capacity_is_not_an_error() {
        let busy = br#"{"code":"TX0009","title":"Busy","status":503}"#;
        assert_eq!(Expect::Committed.judge(StatusCode::SERVICE_UNAVAILABLE, busy), Answer::Busy);
    }

    #[test]
    fn an_unexpected_answer_is_named_by_its_code() {
        let problem = br#"{"code":"TX0006","title":"Another body","status":409,"detail":"gid 1"}"#;
        assert_eq!(describe(StatusCode::CONFLICT, problem), "409 Conflict: TX0006 Another body");
        assert_eq!(describe(StatusCode::BAD_GATEWAY, b"oops"), "502 Bad Gateway: oops");
    }
}
