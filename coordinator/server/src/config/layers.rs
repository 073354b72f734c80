//! The layers of the configuration: defaults, file, variables, flags. A later layer overrides an earlier one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::keys::{self, KEYS, Key, OTHER_VARIABLES, VARIABLE_PREFIX};
use super::kind::Raw;
use super::origin::Origin;

/// The file that is read if none is named and this one exists.
const FILE_DEFAULT: &str = "trine.toml";
const FILE_VARIABLE: &str = "TRINE_CONFIG";

/// All sources of values, beside the defaults.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<FileText>,
    /// The environment; names without the prefix are ignored.
    pub variables: Vec<(String, String)>,
    /// What the command line sets.
    pub flags: Vec<Flag>,
}

impl fmt::Debug for Sources {
    // Any value may be a password, so only names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        let flags: Vec<_> = self.flags.iter().map(|flag| flag.flag).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("variables", &variables)
            .field("flags", &flags)
            .finish()
    }
}

/// The configuration file.
#[derive(Clone, PartialEq, Eq)]
pub struct FileText {
    /// Its name, for messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl fmt::Debug for FileText {
    // The text may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.text.len())
    }
}

/// A key set on the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed, such as `--http`.
    pub flag: &'static str,
    /// The key it sets, such as `http.addr`.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

impl fmt::Debug for Flag {
    // The value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.flag, self.key)
    }
}

impl Sources {
    /// Reads the environment, and the file that is named by `file`, by `TRINE_CONFIG`, or is `./trine.toml`.
    pub fn read(file: Option<&Path>, flags: Vec<Flag>) -> Result<Self, ConfigError> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| Problem::Value {
                at: Origin::Variable(name.to_owned()),
                key: name.to_owned(),
                detail: "is not UTF-8".into(),
            })?;
            variables.push((name.to_owned(), value));
        }
        let named =
            variables.iter().find(|(name, _)| name == FILE_VARIABLE).map(|(_, value)| Path::new(value));
        let file = match file.or(named) {
            Some(path) => Some(read_file(path)?),
            None if Path::new(FILE_DEFAULT).exists() => Some(read_file(Path::new(FILE_DEFAULT))?),
            None => None,
        };
        Ok(Self { file, variables, flags })
    }
}

fn read_file(path: &Path) -> Result<FileText, Problem> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(FileText { name, text }),
        Err(error) => Err(Problem::File { file: name, detail: format!("cannot be read: {error}") }),
    }
}

/// Every key with its value and the origin of the value.
pub(super) type Layered = BTreeMap<&'static str, (Value, Origin)>;

struct Layers {
    values: Layered,
    problems: Vec<Problem>,
}

/// Applies the sources to the defaults.
pub(super) fn lay(sources: &Sources) -> Result<Layered, ConfigError> {
    let mut layers = Layers { values: BTreeMap::new(), problems: Vec::new() };
    for key in KEYS {
        layers.set(key, &Raw::Text(key.default.to_string()), Origin::Default);
    }
    if let Some(file) = &sources.file {
        layers.file(file);
    }
    let mut variables: Vec<_> = sources.variables.iter().collect();
    variables.sort();
    for (name, value) in variables {
        layers.variable(name, value);
    }
    for flag in &sources.flags {
        layers.named(flag.key, &Raw::Text(flag.value.clone()), Origin::Flag(flag.flag));
    }
    ConfigError::check(layers.problems)?;
    Ok(layers.values)
}

impl Layers {
    fn set(&mut self, key: &Key, raw: &Raw, origin: Origin) {
        match key.kind.read(raw) {
            Ok(value) => drop(self.values.insert(key.name, (value, origin))),
            Err(detail) => {
                self.problems.push(Problem::Value { at: origin, key: key.name.to_owned(), detail })
            }
        }
    }

    fn named(&mut self, name: &str, raw: &Raw, origin: Origin) {
        match keys::find(name) {
            Some(key) => self.set(key, raw, origin),
            None => self.unknown("key", name, KEYS.iter().map(|key| key.name.to_owned()), origin),
        }
    }

    fn unknown(&mut self, what: &'static str, key: &str, known: impl Iterator<Item = String>, at: Origin) {
        let nearest = keys::nearest(key, known);
        self.problems.push(Problem::Unknown { at, what, key: key.to_owned(), nearest });
    }

    fn variable(&mut self, name: &str, value: &str) {
        if !name.starts_with(VARIABLE_PREFIX) || OTHER_VARIABLES.contains(&name) {
            return;
        }
        let origin = Origin::Variable(name.to_owned());
        // Compare whole names, because an underscore may be part of a key or stand for a dot.
        match KEYS.iter().find(|key| key.variable() == name) {
            Some(key) => self.set(key, &Raw::Text(value.to_owned()), origin),
            None => {
                let known = KEYS.iter().map(Key::variable).chain(OTHER_VARIABLES.map(str::to_owned));
                self.unknown("variable", name, known, origin);
            }
        }
    }

    fn file(&mut self, file: &FileText) {
        let at = |offset: usize| {
            let before = file.text.as_bytes().iter().take(offset);
            Origin::File { name: file.name.clone(), line: 1 + before.filter(|byte| **byte == b'\n').count() }
        };
        // Parsed twice: once for the line of each key, once for the values.
        let (spans, values) = match (DeTable::parse(&file.text), file.text.parse::<toml::Table>()) {
            (Ok(spans), Ok(values)) => (spans, values),
            (Err(error), _) | (_, Err(error)) => {
                let offset = error.span().map_or(0, |span| span.start);
                let detail = error.message().lines().collect::<Vec<_>>().join(", ");
                return self.problems.push(Problem::Syntax { at: at(offset), detail });
            }
        };
        for (key, spanned) in spans.get_ref() {
            let (name, origin) = (key.get_ref().as_ref(), at(key.span().start));
            let Some(value) = values.get(name) else { continue };
            match (spanned.get_ref(), value) {
                (DeValue::Table(inner), Value::Table(values)) => {
                    self.section(name, inner, values, &at, origin);
                }
                (_, value) if keys::is_section(name) => {
                    let detail = format!("is a section, not a {}; write [{name}]", value.type_str());
                    self.problems.push(Problem::Value { at: origin, key: name.to_owned(), detail });
                }
                (_, value) => self.named(name, &Raw::Typed(value.clone()), origin),
            }
        }
    }

    fn section(
        &mut self,
        section: &str,
        spans: &DeTable<'_>,
        values: &toml::Table,
        at: &impl Fn(usize) -> Origin,
        origin: Origin,
    ) {
        if spans.is_empty() && !keys::is_section(section) {
            let known =
                KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(known, _)| known.to_owned());
            return self.unknown("section", section, known, origin);
        }
        for key in spans.keys() {
            let Some(value) = values.get(key.get_ref().as_ref()) else { continue };
            let name = format!("{section}.{}", key.get_ref());
            self.named(&name, &Raw::Typed(value.clone()), at(key.span().start));
        }
    }
}
