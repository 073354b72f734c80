//! Lists of transactions: filters, pages, and rows one after the other.

use std::collections::VecDeque;

use reqwest::Method;
use trine_protocol::v1::{Page, TransactionSummary};
use trine_protocol::{Pattern, Status, Timestamp};

use super::request::ApiRequest;
use super::{Client, Error, TRANSACTIONS};

/// The most rows of a page that a coordinator gives.
const ROWS_MAX: u32 = 500;

/// Which transactions to list, newest first. Every filter that is given must match. Made by [`Client::list`].
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
/// let mut parked = client.list().parked(true).host("inventory").rows();
/// while let Some(row) = parked.next().await? {
///     println!("{} is parked: {}", row.gid, row.parked.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is asked before a page or a row is"]
pub struct List {
    client: Client,
    filters: Vec<(&'static str, String)>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl List {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), filters: Vec::new(), limit: None, cursor: None }
    }

    fn filter(mut self, name: &'static str, value: impl ToString) -> Self {
        self.filters.push((name, value.to_string()));
        self
    }

    /// With this status. Called again, it adds a status: any of them matches.
    pub fn status(self, status: Status) -> Self {
        self.filter("status", status)
    }

    /// With this pattern.
    pub fn pattern(self, pattern: Pattern) -> Self {
        self.filter("pattern", pattern)
    }

    /// Those that need a person; with `false`, those that do not.
    pub fn parked(self, parked: bool) -> Self {
        self.filter("parked", parked)
    }

    /// With this label.
    pub fn label(self, key: &str, value: &str) -> Self {
        self.filter("label", format!("{key}={value}"))
    }

    /// With a branch at this `host[:port]` or participant.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.filter("host", host.into())
    }

    /// Created at that time or later.
    pub fn created_from(self, at: Timestamp) -> Self {
        self.filter("created_from", at)
    }

    /// Created before that time.
    pub fn created_to(self, at: Timestamp) -> Self {
        self.filter("created_to", at)
    }

    /// Rows of a page (at most 500; 50 by default, and 500 for [`Self::rows`]).
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Starts where a page ended: the [`Page::next_cursor`] of the page before.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// One page.
    ///
    /// ```no_run
    /// # async fn example(client: trine_sdk::Client) -> Result<(), trine_sdk::Error> {
    /// let page = client.list().label("customer", "7").limit(20).page().await?;
    /// println!("{} rows, more: {}", page.transactions.len(), page.next_cursor.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn page(&self) -> ApiRequest<Page> {
        let request = ApiRequest::new(&self.client, Method::GET, TRANSACTIONS);
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let cursor = self.cursor.clone().map(|cursor| ("cursor", cursor));
        let pairs = self.filters.iter().cloned().chain(limit).chain(cursor);
        pairs.fold(request, |request, (name, value)| request.query(name, value))
    }

    /// Every row of every page.
    pub fn rows(mut self) -> Rows {
        self.limit = self.limit.or(Some(ROWS_MAX));
        Rows { list: self, ready: VecDeque::new(), is_last: false }
    }
}

/// The rows of a list, read page by page as they are needed. A transaction that is created meanwhile is not in it.
#[derive(Debug)]
pub struct Rows {
    list: List,
    ready: VecDeque<TransactionSummary>,
    is_last: bool,
}

impl Rows {
    /// The next row; none after the last. After an error it may be called again, and goes on where it was.
    ///
    /// # Errors
    /// As [`ApiRequest::json`].
    pub async fn next(&mut self) -> Result<Option<TransactionSummary>, Error> {
        while self.ready.is_empty() && !self.is_last {
            let page = self.list.page().await?;
            self.ready.extend(page.transactions);
            self.is_last = page.next_cursor.is_none();
            self.list.cursor = page.next_cursor;
        }
        Ok(self.ready.pop_front())
    }
}
