//! Key-value entries: small texts that the dtm dialect keeps for its clients.
//!
//! Every change names the revision that it was made from. Of several changes from the same revision one is made, and the
//! others learn that they have lost. [`Key`] and [`Value`] have the bounds of what every store can keep.

use std::borrow::Cow;

use trine_protocol::Timestamp;

use super::StoreFuture;

/// The longest category or key.
pub const KEY_BYTES_MAX: usize = 128;
/// The longest value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Why a text cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    #[error("it is empty")]
    Empty,
    #[error("it has {bytes} bytes, {bytes_max} are allowed")]
    Long { bytes: usize, bytes_max: usize },
    /// PostgreSQL cannot keep a zero byte in a text.
    #[error("it has a zero byte")]
    Zero,
}

/// A category, or a key in a category: 1 to [`KEY_BYTES_MAX`] bytes, none of them zero. Ordered byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Cow<'static, str>);

impl Key {
    pub fn parse(text: &str) -> Result<Self, OutOfBounds> {
        unfit(text, KEY_BYTES_MAX).map_or(Ok(()), Err)?;
        if text.is_empty() { Err(OutOfBounds::Empty) } else { Ok(Self(Cow::Owned(text.to_owned()))) }
    }

    /// For constants. A text that is not a key does not compile.
    pub const fn constant(text: &'static str) -> Self {
        assert!(!text.is_empty() && unfit(text, KEY_BYTES_MAX).is_none(), "not a key");
        Self(Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value: at most [`VALUE_BYTES_MAX`] bytes, none of them zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    pub fn parse(text: impl Into<String>) -> Result<Self, OutOfBounds> {
        let text = text.into();
        unfit(&text, VALUE_BYTES_MAX).map_or(Ok(Self(text)), Err)
    }

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

/// A state of an entry. If an entry is deleted and made again, its version begins at 1 again and `created_at` differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Begins at 1 and grows by one with each change.
    pub version: u64,
    pub created_at: Timestamp,
}

impl Revision {
    /// Stands for any revision in [`crate::sql::DELETE_ENTRY`]. No entry has the version 0.
    pub(crate) const ANY: Self = Self { version: 0, created_at: Timestamp::from_millis(0) };
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub revision: Revision,
    /// The time of the last change, by the clock of the coordinator that made it.
    pub updated_at: Timestamp,
}

/// The result of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// The change is durable.
    Done,
    /// The entry is not at the revision that the change was made from. Nothing was changed.
    Lost,
}

/// The key-value entries of a store.
pub trait KeyValues: Send + Sync + std::fmt::Debug + 'static {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>>;

    /// The entries of a category after the key `after`, in the order of their keys.
    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>>;

    /// Changes the entry that is at the revision `expected`; without `expected`, makes a new entry. After an error the
    /// change may have been made: only reading tells.
    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change>;

    /// Deletes the entry if it is at the revision `expected`; without `expected`, at any revision. [`Change::Lost`] if
    /// there is no such entry.
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
