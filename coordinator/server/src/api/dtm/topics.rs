//! Topics: names for lists of URLs to which messages are published.
//!
//! A topic is an entry of the store and is read from there each time, so a change at one coordinator holds at all of them at
//! once.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names;
use super::outcome::DtmError;
use super::service::{Service, ask};
use trine_clock as clock;
use trine_store::{Change, Entry, Key, KeyValues, Value};

const CATEGORY: Key = Key::constant("topics");

/// Most tries of a change that loses against other changes. The pauses between them add up to two seconds at most.
const TRIES_MAX: u32 = 12;
/// Upper bound of the first pause. The bound doubles with each try.
const PAUSE_MS: u64 = 2;
/// Upper bound of every pause.
const PAUSE_MS_MAX: u64 = 256;

/// One URL of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subscriber {
    url: String,
    #[serde(default)]
    remark: String,
}

/// Reads and changes topics.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    store: Arc<dyn KeyValues>,
    /// How long one call to the store may take.
    store_timeout: Duration,
}

impl Service {
    pub(super) fn topics(&self) -> Topics {
        let store: Arc<dyn KeyValues> = self.store.clone();
        Topics { store, store_timeout: self.store_timeout }
    }

    /// Adds a subscriber to a topic.
    pub(crate) async fn subscribe(&self, topic: &str, url: &str, remark: &str) -> Result<(), DtmError> {
        self.topics().subscribe(topic, url, remark).await
    }

    /// Removes a subscriber from a topic.
    pub(crate) async fn unsubscribe(&self, topic: &str, url: &str) -> Result<(), DtmError> {
        self.topics().unsubscribe(topic, url).await
    }

    /// Deletes a topic.
    pub(crate) async fn delete_topic(&self, topic: &str) -> Result<(), DtmError> {
        self.topics().delete(topic).await
    }
}

impl Topics {
    /// Adds a URL at the end of a topic.
    pub(super) async fn subscribe(&self, topic: &str, url: &str, remark: &str) -> Result<(), DtmError> {
        self.change(topic, url, |subscribers| {
            let mut subscribers = subscribers.unwrap_or_default();
            if subscribers.iter().any(|subscriber| subscriber.url == url) {
                return Err(other("this url exists"));
            }
            subscribers.push(Subscriber { url: url.to_owned(), remark: remark.to_owned() });
            Ok(subscribers)
        })
        .await
    }

    /// Removes a URL. The topic stays, even if this was its last URL.
    pub(super) async fn unsubscribe(&self, topic: &str, url: &str) -> Result<(), DtmError> {
        self.change(topic, url, |subscribers| {
            let mut subscribers = subscribers.ok_or_else(|| other("no such a topic"))?;
            if subscribers.is_empty() {
                return Err(other("this topic is empty"));
            }
            let before = subscribers.len();
            subscribers.retain(|subscriber| subscriber.url != url);
            if subscribers.len() == before { Err(other("no such an url ")) } else { Ok(subscribers) }
        })
        .await
    }

    /// Deletes a topic with all its subscribers.
    pub(super) async fn delete(&self, topic: &str) -> Result<(), DtmError> {
        let topic = key(topic)?;
        match ask(self.store_timeout, self.store.delete(CATEGORY, topic, None)).await? {
            Change::Done => Ok(()),
            Change::Lost => Err(other("storage: NotFound")),
        }
    }

    /// The URLs of a topic in the order of subscription; none if the topic is unknown or empty.
    pub(super) async fn expand(&self, topic: &str) -> Result<Option<Vec<String>>, DtmError> {
        // A name that cannot be stored has no subscribers.
        let Ok(topic) = Key::parse(topic) else { return Ok(None) };
        let Some(entry) = self.read(&topic).await? else { return Ok(None) };
        let urls: Vec<_> = subscribers(&entry)?.into_iter().map(|subscriber| subscriber.url).collect();
        Ok(Some(urls).filter(|urls| !urls.is_empty()))
    }

    /// Applies `edit` to the stored topic with compare-and-set, and tries again if another change was faster.
    async fn change(
        &self,
        topic: &str,
        url: &str,
        edit: impl Fn(Option<Vec<Subscriber>>) -> Result<Vec<Subscriber>, DtmError>,
    ) -> Result<(), DtmError> {
        let topic = key(topic)?;
        if url.is_empty() {
            return Err(other("empty url"));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let found = self.read(&topic).await?;
            let after = edit(found.as_ref().map(subscribers).transpose()?)?;
            let value = value(&after)?;
            let revision = found.map(|entry| entry.revision);
            let put = self.store.put(CATEGORY, topic.clone(), value, revision, clock::now());
            match ask(self.store_timeout, put).await? {
                Change::Done => return Ok(()),
                Change::Lost if tries < TRIES_MAX => {
                    let pause_ms = (PAUSE_MS << (tries - 1)).min(PAUSE_MS_MAX);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..pause_ms))).await;
                }
                Change::Lost if revision.is_some() => return Err(other("storage: NotFound")),
                Change::Lost => return Err(other("storage: UniqueKeyConflict")),
            }
        }
    }

    async fn read(&self, topic: &Key) -> Result<Option<Entry>, DtmError> {
        ask(self.store_timeout, self.store.entry(CATEGORY, topic.clone())).await
    }
}

fn key(topic: &str) -> Result<Key, DtmError> {
    if topic.is_empty() {
        return Err(other("empty topic"));
    }
    names::ensure_kept("topic", topic)?;
    Key::parse(topic).map_err(|unfit| other(&format!("this topic cannot be kept: {unfit}")))
}

fn value(subscribers: &[Subscriber]) -> Result<Value, DtmError> {
    let text = serde_json::to_string(subscribers).map_err(|error| other(&error.to_string()))?;
    Value::parse(text).map_err(|unfit| other(&format!("this topic has too many subscribers: {unfit}")))
}

fn subscribers(entry: &Entry) -> Result<Vec<Subscriber>, DtmError> {
    serde_json::from_str(&entry.value)
        .map_err(|error| other(&format!("the subscribers of {} cannot be read: {error}", entry.key)))
}

fn other(text: &str) -> DtmError {
    DtmError::Other(text.to_owned())
}

#[cfg(test)]
mod tests;
