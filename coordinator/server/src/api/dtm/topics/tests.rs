//! Topics over a store in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use trine_protocol::Timestamp;

use super::super::entries::shown;
use super::*;
use trine_store::memory::Memory;
use trine_store::{Revision, StoreFuture};

fn over(store: impl KeyValues) -> Topics {
    Topics { store: Arc::new(store), store_timeout: Duration::from_secs(10) }
}

fn fresh() -> Topics {
    over(Memory::new("a"))
}

fn told(text: &str) -> Result<(), DtmError> {
    Err(DtmError::Other(text.to_owned()))
}

async fn urls(topics: &Topics, topic: &str) -> Vec<String> {
    topics.expand(topic).await.unwrap().unwrap_or_default()
}

async fn entry(topics: &Topics, topic: &str) -> Entry {
    topics.store.entry(CATEGORY, Key::parse(topic).unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn subscribers_are_called_in_the_order_they_came() {
    let topics = fresh();
    for url in ["http://b", "http://a", "localhost:58081/busi.Busi/TransIn"] {
        topics.subscribe("t", url, "remark").await.unwrap();
    }
    topics.subscribe("T", "http://other", "").await.unwrap();
    assert_eq!(urls(&topics, "t").await, ["http://b", "http://a", "localhost:58081/busi.Busi/TransIn"]);
    topics.unsubscribe("t", "http://a").await.unwrap();
    assert_eq!(urls(&topics, "t").await, ["http://b", "localhost:58081/busi.Busi/TransIn"]);
    topics.subscribe("t", "http://a", "again").await.unwrap();
    assert_eq!(urls(&topics, "t").await, ["http://b", "localhost:58081/busi.Busi/TransIn", "http://a"]);
}

#[tokio::test]
async fn a_topic_is_kept_as_json_with_a_version_for_each_change() {
    let topics = fresh();
    topics.subscribe("t", "http://a", "first").await.unwrap();
    topics.subscribe("t", "http://b", "").await.unwrap();
    let kept = shown("topics", entry(&topics, "t").await);
    let value = r#"[{"url":"http://a","remark":"first"},{"url":"http://b","remark":""}]"#;
    assert_eq!((kept.cat.as_str(), kept.k.as_str(), kept.v.as_str()), ("topics", "t", value));
    assert_eq!(kept.version, 2);
    for time in [&kept.create_time, &kept.update_time] {
        assert!(Timestamp::parse_rfc3339(time).is_some_and(|time| time.millis() > 0), "{time}");
    }
    topics.unsubscribe("t", "http://a").await.unwrap();
    topics.unsubscribe("t", "http://b").await.unwrap();
    let kept = entry(&topics, "t").await;
    assert_eq!((kept.value.as_str(), kept.revision.version), ("[]", 4));
}

#[tokio::test]
async fn wrong_changes_of_topics_are_errors_in_dtms_words() {
    let topics = fresh();
    assert_eq!(topics.subscribe("", "http://a", "").await, told("empty topic"));
    assert_eq!(topics.subscribe("t", "", "").await, told("empty url"));
    assert_eq!(topics.unsubscribe("", "http://a").await, told("empty topic"));
    assert_eq!(topics.unsubscribe("t", "").await, told("empty url"));
    assert_eq!(topics.unsubscribe("t", "http://a").await, told("no such a topic"));
    assert_eq!(topics.delete("t").await, told("storage: NotFound"));
    topics.subscribe("t", "http://a", "").await.unwrap();
    assert_eq!(topics.subscribe("t", "http://a", "other").await, told("this url exists"));
    assert_eq!(topics.unsubscribe("t", "http://b").await, told("no such an url "));
    topics.unsubscribe("t", "http://a").await.unwrap();
    assert_eq!(topics.unsubscribe("t", "http://a").await, told("this topic is empty"));
    assert_eq!(entry(&topics, "t").await.revision.version, 2);
}

#[tokio::test]
async fn a_topic_that_is_unknown_empty_or_deleted_expands_to_nothing() {
    let topics = fresh();
    for unknown in ["", "t", "a\0b", &"x".repeat(1_000)] {
        assert_eq!(topics.expand(unknown).await, Ok(None));
    }
    topics.subscribe("t", "http://a", "").await.unwrap();
    topics.unsubscribe("t", "http://a").await.unwrap();
    assert_eq!(topics.expand("t").await, Ok(None));
    topics.subscribe("t", "http://a", "").await.unwrap();
    assert_eq!(urls(&topics, "t").await, ["http://a"]);
    topics.delete("t").await.unwrap();
    assert_eq!(topics.expand("t").await, Ok(None));
    topics.subscribe("t", "http://b", "").await.unwrap();
    assert_eq!(
        (urls(&topics, "t").await, entry(&topics, "t").await.revision.version),
        (vec!["http://b".to_owned()], 1)
    );
}

#[tokio::test]
async fn a_change_holds_at_every_coordinator_at_once() {
    let store = Memory::new("a");
    let (here, there) = (over(store.clone()), over(store.another("b")));
    here.subscribe("t", "http://a", "").await.unwrap();
    assert_eq!(urls(&there, "t").await, ["http://a"]);
    there.delete("t").await.unwrap();
    assert_eq!(here.expand("t").await, Ok(None));
}

#[tokio::test]
async fn a_topic_is_bounded() {
    let topics = fresh();
    let long = "x".repeat(129);
    assert!(matches!(topics.subscribe(&long, "http://a", "").await, Err(DtmError::Other(_))));
    let remark = "x".repeat(40_000);
    topics.subscribe("t", "http://a", &remark).await.unwrap();
    assert!(matches!(topics.subscribe("t", "http://b", &remark).await, Err(DtmError::Other(_))));
    assert_eq!(urls(&topics, "t").await, ["http://a"]);
}

#[tokio::test]
async fn a_store_that_does_not_answer_makes_topics_unavailable() {
    let store = Memory::new("a");
    let topics = over(store.clone());
    store.faults().set_writes_down(true);
    assert!(matches!(topics.subscribe("t", "http://a", "").await, Err(DtmError::Unavailable(..))));
    assert!(matches!(topics.delete("t").await, Err(DtmError::Unavailable(..))));
    store.faults().set_reads_down(true);
    assert!(matches!(topics.expand("t").await, Err(DtmError::Unavailable(..))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_subscribers_at_once_exactly_the_successful_are_there_and_counted() {
    let store = Memory::new("a");
    let subscribing: Vec<_> = (0..100)
        .map(|i| {
            let topics = over(store.another(&format!("c{}", i % 3)));
            tokio::spawn(async move {
                let url = format!("http://{i}");
                (topics.subscribe("t", &url, "").await, url)
            })
        })
        .collect();
    let mut successful = BTreeSet::new();
    for subscribing in subscribing {
        match subscribing.await.unwrap() {
            (Ok(()), url) => assert!(successful.insert(url)),
            (Err(error), _) => assert_eq!(Err(error), told("storage: NotFound")),
        }
    }
    let topics = over(store);
    let found = urls(&topics, "t").await;
    assert_eq!(entry(&topics, "t").await.revision.version, successful.len() as u64);
    assert_eq!(found.len(), successful.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), successful);
}

/// A store in which another client changes the topic first, a given number of times.
#[derive(Debug)]
struct Overtaken {
    store: Memory,
    left: AtomicU32,
    deletes: bool,
}

impl Overtaken {
    fn times(times: u32, deletes: bool) -> Self {
        Self { store: Memory::new("a"), left: AtomicU32::new(times), deletes }
    }
}

impl KeyValues for Overtaken {
    fn entry(&self, category: Key, key: Key) -> StoreFuture<Option<Entry>> {
        self.store.entry(category, key)
    }

    fn entries(&self, category: Key, after: Option<Key>, limit: usize) -> StoreFuture<Vec<Entry>> {
        self.store.entries(category, after, limit)
    }

    fn put(
        &self,
        category: Key,
        key: Key,
        value: Value,
        expected: Option<Revision>,
        now: Timestamp,
    ) -> StoreFuture<Change> {
        let store = self.store.clone();
        let overtaken =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let Ok(left) = overtaken else { return store.put(category, key, value, expected, now) };
        let deletes = self.deletes;
        Box::pin(async move {
            let topics = over(store.clone());
            if deletes && expected.is_some() {
                topics.delete(key.as_str()).await.unwrap();
            } else {
                topics.subscribe(key.as_str(), &format!("http://other/{left}"), "").await.unwrap();
            }
            store.put(category, key, value, expected, now).await
        })
    }

    fn delete(&self, category: Key, key: Key, expected: Option<Revision>) -> StoreFuture<Change> {
        self.store.delete(category, key, expected)
    }
}

#[tokio::test]
async fn a_lost_race_is_tried_again_on_the_winners_topic() {
    let topics = over(Overtaken::times(3, false));
    topics.subscribe("t", "http://a", "").await.unwrap();
    let expected = ["http://other/3", "http://other/2", "http://other/1", "http://a"];
    assert_eq!(urls(&topics, "t").await, expected);
    assert_eq!(entry(&topics, "t").await.revision.version, 4);
}

#[tokio::test]
async fn a_url_that_somebody_else_subscribed_meanwhile_exists() {
    let topics = over(Overtaken::times(1, false));
    assert_eq!(topics.subscribe("t", "http://other/1", "").await, told("this url exists"));
    assert_eq!(entry(&topics, "t").await.revision.version, 1);
}

#[tokio::test]
async fn races_that_are_lost_again_and_again_are_given_up_in_the_dialects_words() {
    let topics = over(Overtaken::times(TRIES_MAX, false));
    assert_eq!(topics.subscribe("t", "http://a", "").await, told("storage: NotFound"));
    assert_eq!(urls(&topics, "t").await.len(), TRIES_MAX as usize);
    // The other client subscribes and deletes in turn, and TRIES_MAX is even, so the topic was just deleted at the last try.
    let topics = over(Overtaken::times(TRIES_MAX, true));
    assert_eq!(topics.subscribe("t", "http://a", "").await, told("storage: NotFound"));
    assert_eq!(topics.expand("t").await, Ok(None));
    // With one more change the topic was just made at the last try.
    let topics = over(Overtaken::times(TRIES_MAX + 1, true));
    let made = topics.store.put(CATEGORY, Key::constant("t"), value(&[]).unwrap(), None, clock::now()).await;
    assert_eq!(made, Ok(Change::Lost), "the other one made it");
    assert_eq!(topics.subscribe("t", "http://a", "").await, told("storage: UniqueKeyConflict"));
    assert_eq!(urls(&topics, "t").await.len(), 1);
}
