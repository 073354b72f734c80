//! Reads the key-value entries of the dialect, and shows them.

use std::time::Duration;

use super::outcome::{DtmError, ListPage};
use super::service::{Service, ask};
use super::view::KeyValue;
use trine_store::{Entry, Key, KeyValues};

/// Most rows of a page.
const PAGE_ROWS_MAX: usize = 100;

impl Service {
    /// One entry of a category, or none.
    pub(crate) async fn query_kv(&self, category: &str, key: &str) -> Result<Vec<KeyValue>, DtmError> {
        find(&*self.store, self.store_timeout, category, key).await
    }

    /// A page of a category.
    pub(crate) async fn scan_kv(
        &self,
        category: &str,
        position: &str,
        limit: usize,
    ) -> Result<ListPage<KeyValue>, DtmError> {
        scan(&*self.store, self.store_timeout, category, position, limit).await
    }
}

async fn find(
    store: &(impl KeyValues + ?Sized),
    timeout: Duration,
    category: &str,
    key: &str,
) -> Result<Vec<KeyValue>, DtmError> {
    // A name that cannot be stored has no entries.
    let (Ok(within), Ok(key)) = (Key::parse(category), Key::parse(key)) else { return Ok(Vec::new()) };
    let found = ask(timeout, store.entry(within, key)).await?;
    Ok(found.into_iter().map(|entry| shown(category, entry)).collect())
}

async fn scan(
    store: &(impl KeyValues + ?Sized),
    timeout: Duration,
    category: &str,
    position: &str,
    limit: usize,
) -> Result<ListPage<KeyValue>, DtmError> {
    let Ok(within) = Key::parse(category) else {
        return Ok(ListPage { items: Vec::new(), next_position: String::new() });
    };
    let after = (!position.is_empty()).then(|| Key::parse(position)).transpose();
    let after = after.map_err(|unfit| DtmError::Other(format!("this is no position: {unfit}")))?;
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut found = ask(timeout, store.entries(within, after, limit + 1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more);
    let next_position = next.map(|entry| entry.key.clone()).unwrap_or_default();
    let items = found.into_iter().map(|entry| shown(category, entry)).collect();
    Ok(ListPage { items, next_position })
}

/// The document of an entry.
pub(super) fn shown(category: &str, entry: Entry) -> KeyValue {
    KeyValue {
        id: 0,
        create_time: entry.revision.created_at.to_string(),
        update_time: entry.updated_at.to_string(),
        cat: category.to_owned(),
        k: entry.key,
        v: entry.value,
        version: entry.revision.version,
    }
}

#[cfg(test)]
mod tests {
    use trine_protocol::Timestamp;

    use super::*;
    use trine_store::memory::Memory;
    use trine_store::{Change, Value};

    const TIMEOUT: Duration = Duration::from_secs(10);

    async fn with(count: usize) -> Memory {
        let store = Memory::new("a");
        for i in 0..count {
            let (key, value) =
                (Key::parse(&format!("k{i:03}")).unwrap(), Value::parse(i.to_string()).unwrap());
            let put = store.put(Key::constant("c"), key, value, None, Timestamp::from_millis(1_500));
            assert_eq!(put.await, Ok(Change::Done));
        }
        store
    }

    #[tokio::test]
    async fn an_entry_is_found_with_its_times_or_is_not_there() {
        let store = with(1).await;
        let shown = KeyValue {
            id: 0,
            create_time: "1970-01-01T00:00:01.500Z".into(),
            update_time: "1970-01-01T00:00:01.500Z".into(),
            cat: "c".into(),
            k: "k000".into(),
            v: "0".into(),
            version: 1,
        };
        assert_eq!(find(&store, TIMEOUT, "c", "k000").await, Ok(vec![shown]));
        for (category, key) in [("c", "k"), ("C", "k000"), ("", "k000"), ("c", ""), ("c", "k000\0")] {
            assert_eq!(find(&store, TIMEOUT, category, key).await, Ok(Vec::new()));
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_until_there_is_no_more() {
        let store = with(250).await;
        for (limit, pages) in [(100, 3), (125, 3), (50, 5), (usize::MAX, 3)] {
            let (mut keys, mut position, mut count) = (Vec::new(), String::new(), 0);
            loop {
                let page = scan(&store, TIMEOUT, "c", &position, limit).await.unwrap();
                keys.extend(page.items.into_iter().map(|entry| entry.k));
                (position, count) = (page.next_position, count + 1);
                if position.is_empty() {
                    break;
                }
                assert_eq!(keys.last(), Some(&position));
            }
            assert_eq!(keys, (0..250).map(|i| format!("k{i:03}")).collect::<Vec<_>>());
            assert_eq!(count, pages, "pages of {limit}");
        }
        for category in ["none", ""] {
            let nothing = ListPage { items: Vec::new(), next_position: String::new() };
            assert_eq!(scan(&store, TIMEOUT, category, "", 9).await, Ok(nothing));
        }
        assert!(matches!(scan(&store, TIMEOUT, "c", "\0", 9).await, Err(DtmError::Other(_))));
    }
}
