//! Cases: entries by category and key.

use std::sync::Arc;

use futures_util::FutureExt;
use trine_protocol::Timestamp;

use super::Subject;
use super::fixture::at;
use crate::{Change, Entry, Key, Revision, Store, VALUE_BYTES_MAX, Value};

const CATEGORY: Key = Key::constant("topics");

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn put(
    store: &dyn Store,
    name: &str,
    value: &str,
    expected: Option<Revision>,
    now: Timestamp,
) -> Change {
    store.put(CATEGORY, key(name), Value::parse(value).unwrap(), expected, now).await.unwrap()
}

async fn entry(store: &dyn Store, name: &str) -> Option<Entry> {
    store.entry(CATEGORY, key(name)).await.unwrap()
}

/// The keys of a category, some at a time.
async fn keys(store: &dyn Store, category: Key, limit: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map(|last| key(last));
        let page = store.entries(category.clone(), after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return found;
        }
        found.extend(page.into_iter().map(|entry| entry.key));
    }
}

pub(crate) async fn an_entry_counts_its_changes<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(entry(&*store, "k").await, None);
    assert_eq!(put(&*store, "k", "one", None, at(1)).await, Change::Done);
    let first = Entry {
        key: "k".into(),
        value: "one".into(),
        revision: Revision { version: 1, created_at: at(1) },
        updated_at: at(1),
    };
    assert_eq!(entry(&*store, "k").await.as_ref(), Some(&first));
    assert_eq!(put(&*store, "k", "two", Some(first.revision), at(2)).await, Change::Done);
    let second = Revision { version: 2, created_at: at(1) };
    // A change that leaves the value as it is counts, too.
    assert_eq!(put(&*store, "k", "two", Some(second), at(2)).await, Change::Done);
    let third = Entry {
        value: "two".into(),
        revision: Revision { version: 3, ..second },
        updated_at: at(2),
        ..first
    };
    assert_eq!(entry(&*store, "k").await.as_ref(), Some(&third));
    assert_eq!(store.entries(CATEGORY, None, 9).await, Ok(vec![third]));
}

pub(crate) async fn a_change_that_lost_changes_nothing<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let never = Revision { version: 1, created_at: at(1) };
    assert_eq!(put(&*store, "k", "no", Some(never), at(1)).await, Change::Lost);
    assert_eq!(store.delete(CATEGORY, key("k"), None).await, Ok(Change::Lost));
    assert_eq!(entry(&*store, "k").await, None);
    assert_eq!(put(&*store, "k", "yes", None, at(1)).await, Change::Done);
    let kept = entry(&*store, "k").await;
    let later = Revision { version: 2, ..never };
    assert_eq!(put(&*store, "k", "no", None, at(2)).await, Change::Lost);
    assert_eq!(put(&*store, "k", "no", Some(later), at(2)).await, Change::Lost);
    assert_eq!(store.delete(CATEGORY, key("k"), Some(later)).await, Ok(Change::Lost));
    assert_eq!(store.delete(key("other"), key("k"), None).await, Ok(Change::Lost));
    assert_eq!(entry(&*store, "k").await, kept);
}

pub(crate) async fn an_entry_made_again_is_another_one<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(put(&*store, "k", "old", None, at(1)).await, Change::Done);
    let old = entry(&*store, "k").await.unwrap().revision;
    assert_eq!(store.delete(CATEGORY, key("k"), Some(old)).await, Ok(Change::Done));
    assert_eq!(entry(&*store, "k").await, None);
    assert_eq!(put(&*store, "k", "new", None, at(2)).await, Change::Done);
    let new = entry(&*store, "k").await.unwrap();
    assert_eq!(new.revision, Revision { version: 1, created_at: at(2) });
    // Both are at version 1; what was made from the old one is lost all the same.
    assert_eq!(put(&*store, "k", "from old", Some(old), at(3)).await, Change::Lost);
    assert_eq!(store.delete(CATEGORY, key("k"), Some(old)).await, Ok(Change::Lost));
    assert_eq!(entry(&*store, "k").await, Some(new));
    assert_eq!(store.delete(CATEGORY, key("k"), None).await, Ok(Change::Done));
    assert_eq!(keys(&*store, CATEGORY, 9).await, [""; 0]);
}

/// Each adds one to the number it has read: one that was overwritten unseen would be missing from the sum.
pub(crate) async fn of_changes_side_by_side_exactly_those_done_are_counted<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let writer = |store: Arc<dyn Store>| async move {
        let mut done = 0_u64;
        for _ in 0..10 {
            let found = entry(&*store, "sum").await;
            let sum: u64 = found.as_ref().map_or(0, |found| found.value.parse().unwrap());
            let revision = found.map(|found| found.revision);
            let changed = put(&*store, "sum", &(sum + 1).to_string(), revision, at(sum)).await;
            done += u64::from(changed == Change::Done);
        }
        done
    };
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(writer(Arc::clone(&store)))).collect();
    let mut done = 0;
    for writer in writers {
        done += writer.await.unwrap();
    }
    let found = entry(&*store, "sum").await.unwrap();
    assert_eq!((found.value, found.revision.version), (done.to_string(), done));
}

pub(crate) async fn of_many_that_make_and_delete_an_entry_one_does_each<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    for round in 0..10 {
        for deletes in [false, true] {
            let one = |store: Arc<dyn Store>| async move {
                let value = Value::parse("v").unwrap();
                let changed = if deletes {
                    store.delete(CATEGORY, key("k"), None)
                } else {
                    store.put(CATEGORY, key("k"), value, None, at(round))
                };
                changed.await.unwrap()
            };
            let all: Vec<_> = (0..8).map(|_| tokio::spawn(one(Arc::clone(&store)))).collect();
            let mut done = 0;
            for one in all {
                done += usize::from(one.await.unwrap() == Change::Done);
            }
            assert_eq!((done, entry(&*store, "k").await.is_none()), (1, deletes));
        }
    }
}

pub(crate) async fn a_category_is_scanned_byte_by_byte_and_without_gaps<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    // In this order by bytes; most are alike to some collation.
    let names = [" ", "A", "A ", "B", "a", "a ", "a%", "a'\\", "a_b", "aa", "b", "ä", "日本", "🦀"];
    for name in names.iter().rev() {
        assert_eq!(put(&*store, name, name, None, at(1)).await, Change::Done);
    }
    for category in ["topic", "topics ", "Topics", "topics2"] {
        let value = Value::parse(category).unwrap();
        assert_eq!(store.put(key(category), key("a"), value, None, at(1)).await, Ok(Change::Done));
    }
    for limit in [1, 2, 5, names.len(), 100] {
        assert_eq!(keys(&*store, CATEGORY, limit).await, names);
    }
    assert_eq!(keys(&*store, key("Topics"), 9).await, ["a"]);
    assert_eq!(keys(&*store, key("none"), 9).await, [""; 0]);
    for name in names {
        assert_eq!(entry(&*store, name).await.unwrap().value, name);
    }
    // A page begins after a key, be it there or not.
    assert_eq!(store.delete(CATEGORY, key("a"), None).await, Ok(Change::Done));
    let page = store.entries(CATEGORY, Some(key("a")), 2).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a ", "a%"]);
}

pub(crate) async fn the_largest_entries_are_there_after_reopening<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let name = "é".repeat(64);
    let value = "日本'\"\\\n ".repeat(VALUE_BYTES_MAX / 11);
    let largest = "x".repeat(VALUE_BYTES_MAX);
    assert_eq!(put(&*store, &name, &value, None, at(1)).await, Change::Done);
    let other = Value::parse(largest.clone()).unwrap();
    assert_eq!(store.put(key(&name), key(&name), other, None, Timestamp::MAX).await, Ok(Change::Done));
    assert_eq!(put(&*store, "empty", "", None, at(1)).await, Change::Done);
    store.close().await.unwrap();
    drop(store);
    let store = subject.open("a").await;
    let found = entry(&*store, &name).await.unwrap();
    assert_eq!((found.key, found.value), (name.clone(), value));
    let found = store.entry(key(&name), key(&name)).await.unwrap().unwrap();
    assert_eq!((found.value, found.revision.created_at), (largest, Timestamp::MAX));
    let empty = entry(&*store, "empty").await.unwrap();
    assert_eq!(empty.value, "");
    assert_eq!(put(&*store, "empty", "no more", Some(empty.revision), at(2)).await, Change::Done);
}

/// Some futures are never polled, some once, some by a task that is aborted: each change is made whole, or not at all.
pub(crate) async fn dropped_changes_are_made_whole_or_not_at_all<S: Subject>(subject: &S) {
    const DROPPED: u64 = 60;
    let store = subject.open("a").await;
    for i in 0..DROPPED {
        let revision = entry(&*store, "k").await.map(|found| found.revision);
        let version = revision.map_or(1, |revision| revision.version + 1);
        let value = Value::parse(version.to_string()).unwrap();
        let future = store.put(CATEGORY, key("k"), value, revision, at(i));
        match i % 3 {
            0 => drop(future),
            1 => drop(future.now_or_never()),
            _ => {
                let task = tokio::spawn(future);
                tokio::task::yield_now().await;
                task.abort();
            }
        }
    }
    loop {
        let found = entry(&*store, "k").await;
        let revision = found.as_ref().map(|found| found.revision);
        let version = revision.map_or(0, |revision| revision.version);
        assert!(version <= DROPPED && found.is_none_or(|found| found.value == version.to_string()));
        if put(&*store, "k", &(version + 1).to_string(), revision, at(99)).await == Change::Done {
            break;
        }
    }
    assert_eq!(keys(&*store, CATEGORY, 9).await, ["k"]);
}
