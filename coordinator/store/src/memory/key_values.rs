//! Key-value entries in memory.

use std::collections::BTreeMap;

use trine_protocol::Timestamp;

use super::Memory;
use crate::{Change, Entry, Key, KeyValues, Revision, StoreFuture, Value};

/// By category and key.
pub(super) type Entries = BTreeMap<(Key, Key), Kept>;

#[derive(Debug)]
pub(super) struct Kept {
    value: Value,
    revision: Revision,
    updated_at: Timestamp,
}

impl Kept {
    fn entry(&self, key: &Key) -> Entry {
        let Self { value, revision, updated_at } = self;
        Entry {
            key: key.as_str().to_owned(),
            value: value.as_str().to_owned(),
            revision: *revision,
            updated_at: *updated_at,
        }
    }
}

fn put(
    entries: &mut Entries,
    place: (Key, Key),
    value: Value,
    expected: Option<Revision>,
    now: Timestamp,
) -> Change {
    if entries.get(&place).map(|kept| kept.revision) != expected {
        return Change::Lost;
    }
    let next = |before: Revision| Revision { version: before.version + 1, ..before };
    let revision = expected.map_or(Revision { version: 1, created_at: now }, next);
    entries.insert(place, Kept { value, revision, updated_at: now });
    Change::Done
}

fn delete(entries: &mut Entries, place: &(Key, Key), expected: Option<Revision>) -> Change {
    let is_expected = |kept: &Kept| expected.is_none_or(|expected| expected == kept.revision);
    if !entries.get(place).is_some_and(is_expected) {
        return Change::Lost;
    }
    entries.remove(place);
    Change::Done
}

impl KeyValues for Memory {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.read(move |tables, _| {
            let place = (category, key);
            Ok(tables.entries.get(&place).map(|kept| kept.entry(&place.1)))
        })
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.read(move |tables, _| {
            let wanted = |((of, key), _): &(&(Key, Key), &Kept)| {
                *of == category && after.as_ref().is_none_or(|after| key > after)
            };
            Ok(tables
                .entries
                .iter()
                .filter(wanted)
                .take(limit)
                .map(|((_, key), kept)| kept.entry(key))
                .collect())
        })
    }

    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change> {
        self.write(move |tables, _| put(&mut tables.entries, (category, key), value, expected, now))
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        self.write(move |tables, _| delete(&mut tables.entries, &(category, key), expected))
    }
}
