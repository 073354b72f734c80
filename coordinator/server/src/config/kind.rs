//! The kinds of values: how each is parsed and checked. `keys` says which key has which kind.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;
use trine_protocol::duration::HumanDuration;

use super::secret;
use crate::telemetry::{LogFormat, check_filter};
use trine_store::{self as store, Risk};

const YEAR_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
const NEVER: &str = "never";

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[A-Za-z0-9._-]{0,64}`.
    Name,
    /// `host:port`.
    Addr,
    /// `host:port`, or `off`, which an empty text means, too.
    AddrOrOff,
    /// A store's URL.
    StoreUrl,
    /// A file, or an empty text for none.
    Path,
    /// Names of risks, separated by commas.
    Risks,
    /// Addresses with ports, separated by commas.
    NameServers,
    /// A whole number.
    Count { min: i64, max: i64 },
    /// A humantime string.
    Duration { min_ms: u64, max_ms: u64 },
    /// A humantime string, or `never`.
    Keep,
    /// Cron with seconds.
    Cron,
    /// `auto`, `pretty` or `json`.
    LogFormat,
    /// A filter of log lines.
    LogFilter,
}

/// A value as a source gave it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// Variables and flags know only text; it becomes a number only where a number is wanted.
    Text(String),
    /// Files know types.
    Typed(Value),
}

impl Kind {
    /// The value as it is kept, or the end of a sentence that starts with the key.
    pub(super) fn read(self, raw: &Raw) -> Result<Value, String> {
        if let Self::Count { min, max } = self {
            let number = match raw {
                Raw::Text(text) => text
                    .trim()
                    .replace('_', "")
                    .parse()
                    .map_err(|_| format!("is not a whole number: {text:?}"))?,
                Raw::Typed(Value::Integer(number)) => *number,
                Raw::Typed(other) => {
                    return Err(format!("must be a whole number, not a {}", other.type_str()));
                }
            };
            return if (min..=max).contains(&number) {
                Ok(Value::Integer(number))
            } else {
                Err(format!("is {number}; it must be {min} to {max}"))
            };
        }
        let text = match raw {
            Raw::Text(text) | Raw::Typed(Value::String(text)) => text,
            Raw::Typed(other) => {
                return Err(format!("must be a string{}, not a {}", self.example(), other.type_str()));
            }
        };
        self.check(text)?;
        Ok(Value::String(text.clone()))
    }

    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Name => name(text),
            Self::Addr => addr(text),
            Self::AddrOrOff if is_off(text) => Ok(()),
            Self::AddrOrOff => addr(text).map_err(|error| format!("{error}, or off")),
            Self::StoreUrl => store_url(text),
            Self::Path if text.contains('\0') => Err("is no path: it has a NUL in it".into()),
            Self::Path => Ok(()),
            Self::Risks => risks(text).map(drop),
            Self::NameServers => name_servers(text).map(drop),
            Self::Count { .. } => Ok(()),
            Self::Duration { min_ms, max_ms } => {
                let duration =
                    HumanDuration::parse(text).map_err(|error| format!("is not a duration: {error}"))?;
                if (min_ms..=max_ms).contains(&duration.millis()) {
                    return Ok(());
                }
                let (min, max) = (HumanDuration::from_millis(min_ms), HumanDuration::from_millis(max_ms));
                Err(format!("is {duration}; it must be {min} to {max}"))
            }
            Self::Keep => Keep::parse(text).map(drop),
            Self::Cron => cron(text),
            Self::LogFormat if LogFormat::parse(text).is_some() => Ok(()),
            Self::LogFormat => Err(format!("is {text:?}; it must be one of {}", LogFormat::WORDS.join(", "))),
            Self::LogFilter => check_filter(text).map_err(|error| format!("cannot be used: {error}")),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Duration { .. } | Self::Keep => " such as \"30s\"",
            Self::Cron => " such as \"*/5 * * * * *\"",
            _ => "",
        }
    }
}

fn name(text: &str) -> Result<(), String> {
    let good = text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if good { Ok(()) } else { Err(format!("is {text:?}; it must be at most 64 of A-Z a-z 0-9 . _ -")) }
}

fn addr(text: &str) -> Result<(), String> {
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains([':', '/', '@'])) && port.parse::<u16>().is_ok()
    });
    if good {
        Ok(())
    } else {
        Err(format!("is {text:?}; write host:port, such as 127.0.0.1:36789 or [::1]:36789"))
    }
}

/// Whether a listener is not wanted.
pub(super) fn is_off(text: &str) -> bool {
    matches!(text, "" | "off")
}

/// Never shows a password.
fn store_url(text: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    match scheme {
        "memory" if text == "memory:" => Ok(()),
        "sqlite" if !rest.trim_start_matches('/').is_empty() => Ok(()),
        "sqlite" => Err("names no file; write sqlite:PATH, such as sqlite:./trine-data/trine.db".into()),
        "postgres" | "postgresql" | "mysql" | "mariadb" if rest.starts_with("//") => {
            store::check_server_url(text).map_err(|detail| format!("cannot be used: {detail}"))
        }
        "postgres" | "postgresql" | "mysql" | "mariadb" => {
            Err(format!("names no host; write {scheme}://user:password@host/database"))
        }
        _ => {
            let shown = if text.contains('@') { format!("{scheme}:") } else { secret::redact(text) };
            Err(format!("is {shown:?}; write sqlite:PATH, postgres://.., mysql://.. or memory:"))
        }
    }
}

/// The risks a text names.
pub(super) fn risks(text: &str) -> Result<Vec<Risk>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let risk = |name: &str| {
        Risk::parse(name).ok_or_else(|| {
            let known = Risk::ALL.map(Risk::as_str).join(", ");
            format!("names {name:?}, which is no risk; known are {known}")
        })
    };
    names.map(risk).collect()
}

/// The name servers a text names.
pub(super) fn name_servers(text: &str) -> Result<Vec<SocketAddr>, String> {
    let named = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let address = |one: &str| {
        one.parse().map_err(|_| {
            format!("names {one:?}; write addresses with ports, such as 127.0.0.53:53 or [::1]:53, separated by commas")
        })
    };
    named.map(address).collect()
}

/// Asks the scheduler itself, so that what passes here also starts.
fn cron(text: &str) -> Result<(), String> {
    match tokio_cron_scheduler::Job::new(text, |_, _| {}) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "is {text:?}, which is no schedule; write six fields: second minute hour day month weekday (UTC), \
             such as \"0 */10 * * * *\""
        )),
    }
}

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This long.
    For {
        /// At least a second, at most a hundred years.
        millis: u64,
    },
    /// It is never deleted.
    Never,
}

impl Keep {
    /// Reads `never` or a humantime string.
    fn parse(text: &str) -> Result<Self, String> {
        if text == NEVER {
            return Ok(Self::Never);
        }
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("is neither \"{NEVER}\" nor a duration: {error}"))?;
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if !(1_000..=100 * YEAR_MS).contains(&millis) {
            return Err(format!("is {text}; it must be 1s to 100 years, or \"{NEVER}\""));
        }
        Ok(Self::For { millis })
    }

    /// In milliseconds; none: for ever.
    pub fn millis(self) -> Option<u64> {
        match self {
            Self::For { millis } => Some(millis),
            Self::Never => None,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For { millis } => {
                write!(f, "{}", humantime::format_duration(Duration::from_millis(*millis)))
            }
            Self::Never => f.write_str(NEVER),
        }
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
