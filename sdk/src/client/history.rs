//! What happened to a transaction: all of it, or page by page.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use reqwest::Method;
use trine_protocol::Gid;
use trine_protocol::v1::History;

use super::request::ApiRequest;
use super::{Client, Error, transaction_path};

/// The history of a transaction. Awaiting it gives every event; [`Self::page`] and [`Self::pages`] give parts. Made by
/// [`Client::history`].
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
/// for event in client.history(&gid).await?.events {
///     println!("{} {}", event.at, event.event);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is asked before it is awaited"]
pub struct Records {
    client: Client,
    gid: Gid,
    after: Option<u64>,
    limit: Option<u32>,
}

impl Records {
    pub(super) fn new(client: &Client, gid: &Gid) -> Self {
        Self { client: client.clone(), gid: gid.clone(), after: None, limit: None }
    }

    /// Only events after the one with this `seq`.
    pub fn after(mut self, seq: u64) -> Self {
        self.after = Some(seq);
        self
    }

    /// Events of a page (at most 1000, which is the default).
    pub fn limit(mut self, events: u32) -> Self {
        self.limit = Some(events);
        self
    }

    /// One page. Its `next_after_seq` is where the next page begins ([`Self::after`]).
    pub fn page(&self) -> ApiRequest<History> {
        let request = ApiRequest::new(&self.client, Method::GET, transaction_path(&self.gid, "/history"));
        let pairs = [("after_seq", self.after), ("limit", self.limit.map(u64::from))];
        pairs.into_iter().fold(request, |request, (name, value)| match value {
            Some(value) => request.query(name, value.to_string()),
            None => request,
        })
    }

    /// Page after page, for histories that are not to be held in memory whole.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
    /// let mut pages = client.history(&gid).limit(100).pages();
    /// while let Some(page) = pages.next().await? {
    ///     println!("{} events", page.events.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pages(self) -> RecordPages {
        RecordPages { rest: Some(self) }
    }

    async fn whole(self) -> Result<History, Error> {
        let mut history = self.page().await?;
        while let Some(seq) = history.next_after_seq.take() {
            let page = self.clone().after(seq).page().await?;
            history.events.extend(page.events);
            history.unreadable.extend(page.unreadable);
            history.next_after_seq = page.next_after_seq;
        }
        Ok(history)
    }
}

impl IntoFuture for Records {
    type Output = Result<History, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.whole())
    }
}

/// The pages of a history. Made by [`Records::pages`].
#[derive(Debug)]
pub struct RecordPages {
    rest: Option<Records>,
}

impl RecordPages {
    /// The next page; none after the last. After an error it may be called again, and asks for the same page.
    ///
    /// # Errors
    /// As [`ApiRequest::json`].
    pub async fn next(&mut self) -> Result<Option<History>, Error> {
        let Some(rest) = &self.rest else { return Ok(None) };
        let page = rest.page().await?;
        self.rest = page.next_after_seq.map(|seq| rest.clone().after(seq));
        Ok(Some(page))
    }
}
