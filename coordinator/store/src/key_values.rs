//! Small texts by category and key, beside the transactions: what a dialect keeps for its clients.
//!
//! Every change names what it was made from, so of several made from the same state one is done and the others hear that
//! they have lost. What a store could not keep cannot be said: [`Key`] and [`Value`] have the bounds.

use std::borrow::Cow;

use trine_protocol::Timestamp;

use super::StoreFuture;

/// Longest category or key.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Why a text cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// A category or key must have something in it.
    #[error("it is empty")]
    Empty,
    /// It has a bound.
    #[error("it has {bytes} bytes, {bytes_max} are allowed")]
    Long {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
    /// Not every database can keep that.
    #[error("it has a zero byte")]
    Zero,
}

/// A category, or a key in one: 1 to [`KEY_BYTES_MAX`] bytes, none of them zero. Ordered byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Cow<'static, str>);

impl Key {
    /// Takes a text that fits.
    pub fn parse(text: &str) -> Result<Self, OutOfBounds> {
        unfit(text, KEY_BYTES_MAX).map_or(Ok(()), Err)?;
        if text.is_empty() { Err(OutOfBounds::Empty) } else { Ok(Self(Cow::Owned(text.to_owned()))) }
    }

    /// For constants: one that does not fit does not compile.
    pub const fn constant(text: &'static str) -> Self {
        assert!(!text.is_empty() && unfit(text, KEY_BYTES_MAX).is_none(), "not a key");
        Self(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value: at most [`VALUE_BYTES_MAX`] bytes, none of them zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// Takes a text that fits.
    pub fn parse(text: impl Into<String>) -> Result<Self, OutOfBounds> {
        let text = text.into();
        unfit(&text, VALUE_BYTES_MAX).map_or(Ok(Self(text)), Err)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn unfit(text: &str, bytes_max: usize) -> Option<OutOfBounds> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    if bytes.len() > bytes_max {
        return Some(OutOfBounds::Long { bytes: bytes.len(), bytes_max });
    }
    while at < bytes.len() {
        if bytes[at] == 0 {
            return Some(OutOfBounds::Zero);
        }
        at += 1;
    }
    None
}

/// Which state of an entry something was made from. An entry that was deleted and made again has another one, although
/// its version begins at 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Begins at 1, grows by one with each change.
    pub version: u64,
    /// When the entry was made.
    pub created_at: Timestamp,
}

impl Revision {
    /// Bound where any revision will do: no entry has this version.
    pub(crate) const ANY: Self = Self { version: 0, created_at: Timestamp::from_millis(0) };
}

/// An entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key in the category that was asked for.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Which state of it this is.
    pub revision: Revision,
    /// When it was changed last, by the clock of whoever changed it.
    pub updated_at: Timestamp,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// It is durable.
    Done,
    /// The entry is not what the change was made from, and stays as it is.
    Lost,
}

/// Entries by category and key.
pub trait KeyValues: Send + Sync + std::fmt::Debug + 'static {
    /// One entry.
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>>;

    /// The entries of a category in the order of their keys, after `after`.
    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>>;

    /// Changes the entry that is at `expected`, or makes one where none is expected. An error may mean that nobody knows
    /// whether that was done: reading tells.
    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change>;

    /// Deletes the entry that is at `expected`, or whatever is there. [`Change::Lost`] when there is no such entry.
    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_could_not_keep_is_refused() {
        assert_eq!(Key::parse(""), Err(OutOfBounds::Empty));
        assert_eq!(Key::parse("a\0b"), Err(OutOfBounds::Zero));
        assert_eq!(Key::parse(&"é".repeat(64)).unwrap().as_str(), "é".repeat(64));
        assert_eq!(Key::parse(&"k".repeat(129)), Err(OutOfBounds::Long { bytes: 129, bytes_max: 128 }));
        assert_eq!(Value::parse("").unwrap().as_str(), "");
        assert_eq!(Value::parse("\0"), Err(OutOfBounds::Zero));
        assert!(Value::parse("v".repeat(VALUE_BYTES_MAX)).is_ok());
        let error = Value::parse("v".repeat(VALUE_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(error.to_string(), "it has 65537 bytes, 65536 are allowed");
    }
}
