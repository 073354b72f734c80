//! Log lines for people and for machines.
//!
//! Lines go to standard error: compact on a terminal, one JSON object per line otherwise. Convention: every line about
//! a transaction has the field `gid` (`tracing::info!(gid = %gid, ..)`), beside it where they apply `branch`, `op`,
//! `attempt`, `lane`, `host` and `error`; a gid never stands in a span's name or inside the message. Payloads and
//! outputs are never logged. Not here: metrics.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// [`Self::Pretty`] on a terminal, [`Self::Json`] otherwise.
    #[default]
    Auto,
    /// Compact lines for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The words of [`Self::parse`].
    pub const WORDS: [&str; 3] = ["auto", "pretty", "json"];

    /// The format of a word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines: `level`, or `target=level`, separated by commas.
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info,tokio_cron_scheduler=warn".into() }
    }
}

/// Why there will be no log lines.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read: {0}; write e.g. `info` or `warn,trine_coordinator=debug`")]
    Filter(String),
    /// Somebody has set up logging in this process already.
    #[error("logging is set up already")]
    Taken,
}

/// Whether a filter can be used.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

/// Sets up logging for the whole process. Once.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    let filter = parse_filter(&options.filter)?;
    let set = match resolve(options.format, std::io::stderr().is_terminal()) {
        LogFormat::Json => builder(filter).json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Auto | LogFormat::Pretty => builder(filter).compact().try_init(),
    };
    set.map_err(|_| LogError::Taken)
}

fn resolve(format: LogFormat, terminal: bool) -> LogFormat {
    match (format, terminal) {
        (LogFormat::Auto, true) => LogFormat::Pretty,
        (LogFormat::Auto, false) => LogFormat::Json,
        (LogFormat::Pretty | LogFormat::Json, _) => format,
    }
}

fn builder(
    filter: EnvFilter,
) -> SubscriberBuilder<DefaultFields, Format, EnvFilter, fn() -> std::io::Stderr> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr as fn() -> std::io::Stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        // It would complain on standard error, and panic when nobody reads that any more.
        .log_internal_errors(false)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    if filter.trim().is_empty() {
        return Err(LogError::Filter("it is empty".into()));
    }
    EnvFilter::builder().parse(filter).map_err(|error| LogError::Filter(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_people_on_a_terminal_and_for_machines_elsewhere() {
        assert_eq!(resolve(LogFormat::Auto, true), LogFormat::Pretty);
        assert_eq!(resolve(LogFormat::Auto, false), LogFormat::Json);
        assert_eq!(resolve(LogFormat::Pretty, false), LogFormat::Pretty);
        assert_eq!(resolve(LogFormat::Json, true), LogFormat::Json);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        for good in ["info", "warn,trine_coordinator=debug", "trine_coordinator::dispatch=trace", "off"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "trine=loud", "a=b=c"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_word_of_a_format_is_known() {
        assert!(LogFormat::WORDS.into_iter().all(|word| LogFormat::parse(word).is_some()));
        assert_eq!(LogFormat::parse("xml"), None);
    }
}
