//! Log lines for people and for machines.
//!
//! Lines go to standard error: compact on a terminal, one JSON object per line otherwise. Convention: every line about
//! a transaction has the field `gid` (`tracing::info!(gid = %gid, ..)`), beside it where they apply `branch`, `op`,
//! `attempt`, `lane`, `host` and `error`; a gid never stands in a span's name or inside the message. Payloads and
//! outputs are never logged. Not here: metrics.
//!
//! Logging never waits for the reader of the lines: they go through a bounded queue (`queue`), and repeated lines are limited
//! (`limit`).

mod limit;
mod queue;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use limit::{Limit, Limited};
use queue::{Note, Queue};

pub(crate) use queue::dropped;

/// The queue of lines for standard error, once logging is set up.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How long the exit waits for lines that are not written yet.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The format of lines.
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
    /// The format of lines.
    pub format: LogFormat,
    /// The filter of lines: `level`, or `target=level`, separated by commas.
    pub filter: String,
}

/// Why there will be no log lines.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read: {0}; write e.g. `info` or `warn,trine_server=debug`")]
    Filter(String),
    /// Logging is set up in this process already.
    #[error("logging is set up already")]
    Taken,
    /// No thread can be started.
    #[error("there is no thread to write the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// Whether a filter can be used.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

/// Sets up logging for the whole process. Once.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    let filter = parse_filter(&options.filter)?;
    let (terminal, limit) = (std::io::stderr().is_terminal(), Arc::<Limit>::default());
    let format = resolve(options.format, terminal);
    let note: Note = if format == LogFormat::Json { as_json } else { as_text };
    let queue = Queue::start(std::io::stderr(), Arc::clone(&limit), note)?;
    subscriber(format, terminal, filter, limit, queue.clone()).try_init().map_err(|_| LogError::Taken)?;
    let _ = QUEUE.set(queue);
    // The default hook writes to standard error itself and would wait for its reader.
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Waits until all lines are written, for a bounded time, because nobody may be reading.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_WITHIN);
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(tracing::field::display);
    let thread = std::thread::current();
    let detail = panic.payload_as_str().unwrap_or("a panic without a text");
    tracing::error!(place, thread = thread.name(), detail, "panicked");
}

fn resolve(format: LogFormat, terminal: bool) -> LogFormat {
    match (format, terminal) {
        (LogFormat::Auto, true) => LogFormat::Pretty,
        (LogFormat::Auto, false) => LogFormat::Json,
        (LogFormat::Pretty | LogFormat::Json, _) => format,
    }
}

fn subscriber(
    format: LogFormat,
    terminal: bool,
    filter: EnvFilter,
    limit: Arc<Limit>,
    queue: Queue,
) -> Box<dyn Subscriber + Send + Sync> {
    // tracing-subscriber would report its own errors on standard error, and panic if that is closed.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(queue).with_ansi(terminal).log_internal_errors(false);
    let rest = tracing_subscriber::registry().with(filter).with(Limited(limit));
    match format {
        LogFormat::Json => Box::new(rest.with(lines.json().flatten_event(true).with_current_span(false))),
        LogFormat::Auto | LogFormat::Pretty => Box::new(rest.with(lines.compact())),
    }
}

fn as_json(level: Level, target: &str, text: &str) -> Vec<u8> {
    let line =
        serde_json::json!({"timestamp": time(), "level": level.as_str(), "message": text, "target": target});
    format!("{line}\n").into_bytes()
}

fn as_text(level: Level, target: &str, text: &str) -> Vec<u8> {
    format!("{} {level:>5} {target}: {text}\n", time()).into_bytes()
}

fn time() -> String {
    let mut text = String::new();
    // On an error the line has no time, which is better than no line.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
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
        for good in ["info", "warn,trine_server=debug", "trine_server::dispatch=trace", "off"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "trine=loud", "a=b=c"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_of_one_kind_are_limited_and_counted_and_hold_no_others_back() {
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let (reader, limit) = (queue::tests::Reader::default(), Arc::<Limit>::default());
            let note: Note = if format == LogFormat::Json { as_json } else { as_text };
            let queue = Queue::start(reader.clone(), Arc::clone(&limit), note).unwrap();
            let filter = parse_filter("debug").unwrap();
            tracing::subscriber::with_default(
                subscriber(format, false, filter, limit, queue.clone()),
                || {
                    for number in 0..360 {
                        tracing::warn!(gid = number, "parked: needs a person");
                    }
                    for number in 0..50 {
                        tracing::debug!(number, "whoever asks for details gets them");
                    }
                    tracing::info!("something else");
                    reader.goes_on();
                    queue.flush(Duration::from_secs(30));
                    tracing::info!("afterwards");
                    queue.flush(Duration::from_secs(30));
                },
            );
            let read = reader.read();
            let count = |text: &str| read.lines().filter(|line| line.contains(text)).count();
            let admitted = limit::LINES_MAX as usize;
            // One more says how many there were.
            assert_eq!(count("parked: needs a person"), admitted + 1, "{read}");
            assert_eq!(count(&format!("and {} more: parked: needs a person", 360 - admitted)), 1, "{read}");
            assert_eq!(count("gets them"), 50);
            assert_eq!((count("something else"), count("afterwards")), (1, 1));
            if format == LogFormat::Json {
                for line in read.lines() {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
                }
            }
        }
    }

    #[test]
    fn every_word_of_a_format_is_known() {
        assert!(LogFormat::WORDS.into_iter().all(|word| LogFormat::parse(word).is_some()));
        assert_eq!(LogFormat::parse("xml"), None);
    }
}
