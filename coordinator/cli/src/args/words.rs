//! How the words of the command line are read: times, durations, labels, and the words of the API.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use trine_protocol::duration::HumanDuration;
use trine_protocol::v1::ForceOutcome;
use trine_protocol::{Pattern, Status, Timestamp};

/// A point in time as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This many milliseconds before now.
    Ago(u64),
    /// Exactly then.
    At(Timestamp),
}

impl When {
    /// The point in time, seen from `now`.
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(millis) => Timestamp::from_millis(now.millis().saturating_sub(millis)),
            Self::At(at) => at,
        }
    }
}

pub(super) fn parse_when(text: &str) -> Result<When, String> {
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Ok(When::At(at));
    }
    let ago = HumanDuration::parse(text.strip_suffix(" ago").unwrap_or(text));
    ago.map(|ago| When::Ago(ago.millis()))
        .map_err(|_| "write how long ago (90s, 1h, 2days) or when (2026-01-31T12:00:00Z)".to_owned())
}

pub(super) fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /".to_owned()) }
}

pub(super) fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    HumanDuration::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Wire words with underscores, which people may also write with a dash.
fn words<T: Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
    parse: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    let values = words.into_iter().map(|word| match DASHED.iter().find(|(wire, _)| *wire == word) {
        Some((wire, dashed)) => PossibleValue::new(*dashed).alias(*wire),
        None => PossibleValue::new(word),
    });
    PossibleValuesParser::new(values).try_map(move |word| {
        parse(&word.replace('-', "_")).ok_or_else(|| format!("{word} is not one of the words"))
    })
}

const DASHED: [(&str, &str); 3] =
    [("rolling_back", "rolling-back"), ("rolled_back", "rolled-back"), ("two_phase", "two-phase")];

pub(super) fn status_parser() -> impl TypedValueParser<Value = Status> {
    words(Status::ALL.map(Status::as_str), Status::parse)
}

pub(super) fn pattern_parser() -> impl TypedValueParser<Value = Pattern> {
    words(Pattern::ALL.map(Pattern::as_str), Pattern::parse)
}

pub(super) fn outcome_parser() -> impl TypedValueParser<Value = ForceOutcome> {
    words(["committed", "rolled_back"], |word| match word {
        "committed" => Some(ForceOutcome::Committed),
        "rolled_back" => Some(ForceOutcome::RolledBack),
        _ => None,
    })
}
