//! Prints the effective configuration, and the reference of all keys.

use std::fmt::Write as _;

use toml::Value;

use super::keys::{KEYS, Key};
use super::kind::{Kind, Raw};
use super::{Config, Origin, secret};

impl Config {
    /// The effective configuration as TOML. Passwords are left out, and comments name the origin of each value.
    pub fn effective_toml(&self) -> String {
        let document = toml::Table::try_from(self).unwrap_or_default();
        let mut text = String::new();
        let mut section = None;
        for key in KEYS {
            let (this, name) = key.name.split_once('.').map_or((None, key.name), |(s, name)| (Some(s), name));
            if this != section {
                section = this;
                let _ = write!(text, "\n[{}]\n", this.unwrap_or_default());
            }
            let value = match this {
                Some(section) => document.get(section).and_then(|section| section.get(name)),
                None => document.get(name),
            };
            let value = value.map(|value| shown(key, value)).unwrap_or_default();
            let origin = self.origin(key.name).unwrap_or(&Origin::Default);
            let _ = writeln!(text, "{name} = {value}  # {}", one_line(&origin.to_string()));
        }
        text
    }
}

/// The value in TOML.
fn shown(key: &Key, value: &Value) -> String {
    match value {
        Value::String(text) if key.is_secret() => Value::String(secret::redact(text)).to_string(),
        value => value.to_string(),
    }
}

/// Removes line breaks: a file name with a line break must not end a comment.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Every key as a Markdown table: key, variable, default, meaning.
pub fn reference_markdown() -> String {
    let mut text = String::from("| Key | Variable | Default | Meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = key
            .kind
            .read(&Raw::Text(key.default.to_string()))
            .map_or_else(|_| key.default.to_string(), |value| value.to_string());
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{default}` | {}{} |",
            key.name,
            key.variable(),
            key.meaning,
            range(key.kind)
        );
    }
    text
}

fn range(kind: Kind) -> String {
    use trine_protocol::duration::HumanDuration;
    match kind {
        Kind::Count { min, max } => format!(". {min} to {max}"),
        Kind::Duration { min_ms, max_ms } => {
            format!(". {} to {}", HumanDuration::from_millis(min_ms), HumanDuration::from_millis(max_ms))
        }
        Kind::Risks => format!(". Of {}", trine_store::Risk::ALL.map(trine_store::Risk::as_str).join(", ")),
        Kind::Cron => ". Six fields: second minute hour day month weekday, UTC".into(),
        Kind::Name
        | Kind::Addr
        | Kind::AddrOrOff
        | Kind::StoreUrl
        | Kind::NameServers
        | Kind::Path
        | Kind::Keep
        | Kind::LogFormat
        | Kind::LogFilter => String::new(),
    }
}
