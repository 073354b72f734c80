//! A transaction's events as they happen. A stream that breaks off is continued where it ended.

use std::fmt;
use std::time::Duration;

use trine_protocol::Gid;
use trine_protocol::v1::{HistoryEvent, TransactionView};

use super::sse::{Message, Parser};
use super::stopwatch::Stopwatch;
use super::{Client, Error, get, transaction_path};

/// A coordinator says that it is still there far more often than this.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Follows a transaction: its events so far, then each as it happens, until it is settled. Made by [`Client::watch`].
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
/// let mut watch = client.watch(&gid);
/// while let Some(event) = watch.next().await? {
///     println!("{} {}", event.at, event.event);
/// }
/// if let Some(settled) = watch.settled() {
///     println!("{} is {}", settled.gid, settled.status);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is asked before `next`"]
pub struct Watch {
    client: Client,
    gid: Gid,
    seen: Option<u64>,
    reconnect_for: Duration,
    on_break: Option<Tell>,
    link: Link,
}

/// What a program does when the stream broke off.
type Tell = Box<dyn FnMut(&Error) + Send>;

/// The connection to a coordinator.
enum Link {
    /// None was made yet.
    New,
    Live(Box<Events>),
    /// It ended, whoever ended it: the transaction has settled, or the rest is to be asked for.
    Ended,
    /// A new one is to be made.
    Lost {
        since: Stopwatch,
        attempts: u32,
    },
    /// There are no more events.
    Settled(Box<TransactionView>),
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("gid", &self.gid).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn new(client: &Client, gid: &Gid) -> Self {
        Self {
            client: client.clone(),
            gid: gid.clone(),
            seen: None,
            reconnect_for: Duration::from_secs(60),
            on_break: None,
            link: Link::New,
        }
    }

    /// Only events after the one with this `seq`.
    pub fn after(mut self, seq: u64) -> Self {
        self.seen = Some(seq);
        self
    }

    /// For how long a stream that broke off is tried to be continued (default 60 s: a coordinator that is restarted is
    /// back sooner).
    pub fn reconnect_for(mut self, time: Duration) -> Self {
        self.reconnect_for = time;
        self
    }

    /// Is called when the stream broke off and no coordinator answers; the watch goes on trying.
    pub fn on_break(mut self, tell: impl FnMut(&Error) + Send + 'static) -> Self {
        self.on_break = Some(Box::new(tell));
        self
    }

    /// The transaction, once [`Self::next`] has given its last event.
    pub fn settled(&self) -> Option<&TransactionView> {
        match &self.link {
            Link::Settled(view) => Some(view),
            Link::New | Link::Live(_) | Link::Ended | Link::Lost { .. } => None,
        }
    }

    /// The next event; none once the transaction is settled and every event was given. Each event is given once. A call
    /// that is dropped before it ends loses no event.
    ///
    /// # Errors
    /// [`Error::Refused`] with `TX0009` when there is no such transaction; transport errors when nobody answers
    /// for longer than [`Self::reconnect_for`].
    pub async fn next(&mut self) -> Result<Option<HistoryEvent>, Error> {
        Ok(self.step().await?.map(|(event, _)| event))
    }

    /// As [`Self::next`], the event as the coordinator wrote it.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_json(&mut self) -> Result<Option<String>, Error> {
        Ok(self.step().await?.map(|(_, text)| text))
    }

    async fn step(&mut self) -> Result<Option<(HistoryEvent, String)>, Error> {
        loop {
            match &mut self.link {
                Link::New => self.connect_first().await?,
                Link::Live(events) => match events.next().await? {
                    Some(message) => {
                        let event: HistoryEvent = serde_json::from_str(&message.data)
                            .map_err(|error| events.unreadable(&error, &message.data))?;
                        if Some(event.seq) > self.seen {
                            self.seen = Some(event.seq);
                            return Ok(Some((event, message.data)));
                        }
                    }
                    None => self.link = Link::Ended,
                },
                Link::Ended => self.look().await?,
                Link::Lost { .. } => self.reconnect().await?,
                Link::Settled(_) => return Ok(None),
            }
        }
    }

    async fn connect_first(&mut self) -> Result<(), Error> {
        let patience = self.client.inner.transport.patience;
        let began = Stopwatch::start();
        for attempt in 1.. {
            let pause = patience.pause(attempt);
            match self.connect().await {
                Err(error) if error.is_transient() && began.elapsed() + pause <= patience.retry_for => {
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let transport = &self.client.inner.transport;
        let path = transaction_path(&self.gid, "/events");
        let (url, response) = transport.stream(&path, self.seen).await?;
        self.link =
            Link::Live(Box::new(Events { url, response, parser: Parser::default(), ready: Vec::new() }));
        Ok(())
    }

    /// Whether the stream ended because there is nothing more to tell.
    async fn look(&mut self) -> Result<(), Error> {
        let transport = &self.client.inner.transport;
        let request = get(transaction_path(&self.gid, ""));
        match transport.send_within::<TransactionView>(&request, Duration::ZERO).await {
            Ok(view) if view.settled && self.seen >= Some(view.seq) => {
                self.link = Link::Settled(Box::new(view));
                return Ok(());
            }
            Ok(_) => {}
            Err(error) if error.is_transient() => {
                if let Some(tell) = &mut self.on_break {
                    tell(&error);
                }
            }
            Err(error) => return Err(error),
        }
        self.link = Link::Lost { since: Stopwatch::start(), attempts: 0 };
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        let Link::Lost { since, attempts } = &mut self.link else { return Ok(()) };
        *attempts += 1;
        let (since, pause) = (*since, self.client.inner.transport.patience.pause(*attempts));
        tokio::time::sleep(pause).await;
        match self.connect().await {
            Err(error) if error.is_transient() && since.elapsed() < self.reconnect_for => Ok(()),
            result => result,
        }
    }
}

/// One stream.
struct Events {
    url: String,
    response: reqwest::Response,
    parser: Parser,
    /// Complete and not given yet, the last one first.
    ready: Vec<Message>,
}

impl Events {
    /// The next event; none when the stream ends, whoever ends it.
    async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if let Some(message) = self.ready.pop() {
                return Ok(Some(message));
            }
            // A piece that does not come is an end like any other: what is missing is asked for again.
            let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await else {
                return Ok(None);
            };
            self.ready = self.parser.feed(&piece).map_err(|error| self.unreadable(&error, ""))?;
            self.ready.reverse();
        }
    }

    fn unreadable(&self, error: &dyn fmt::Display, text: &str) -> Error {
        let excerpt = super::transport::excerpt(text.as_bytes());
        let excerpt = if excerpt.is_empty() { error.to_string() } else { format!("{error}: {excerpt}") };
        Error::NotACoordinator { url: self.url.clone(), status: self.response.status().as_u16(), excerpt }
    }
}
