//! One request of the API, and the two forms in which its answer can be had.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::transport::Request;
use super::{Client, Error, whole_seconds};

/// One request, ready to be sent. Awaiting it sends it and gives the answer as a `T`; [`Self::json`] gives the answer
/// as the coordinator wrote it. It is repeated on transport errors and while coordinators are busy, as every request of
/// the [`Client`] is.
///
/// ```no_run
/// # async fn example(client: trine_sdk::Client, gid: trine_sdk::Gid) -> Result<(), trine_sdk::Error> {
/// let view = client.get(&gid).await?;
/// println!("{} is {}", view.gid, view.status);
/// println!("{}", client.get(&gid).json().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct ApiRequest<T> {
    client: Client,
    request: Request,
    mistake: Option<Error>,
    answer: PhantomData<fn() -> T>,
}

impl<T> ApiRequest<T> {
    pub(crate) fn new(client: &Client, method: Method, path: impl Into<String>) -> Self {
        let request = Request { method, path: path.into(), body: None, wait_secs: None };
        Self { client: client.clone(), request, mistake: None, answer: PhantomData }
    }

    /// As [`Self::new`], unless the path could not be put together: then awaiting it gives that error.
    pub(crate) fn new_or(client: &Client, method: Method, path: Result<String, Error>) -> Self {
        let (path, mistake) = match path {
            Ok(path) => (path, None),
            Err(error) => (String::new(), Some(error)),
        };
        Self { mistake, ..Self::new(client, method, path) }
    }

    /// Adds a parameter to the query.
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let mut encoder = Url::parse("http://unused/").expect("it is the URL of a host");
        encoder.query_pairs_mut().append_pair(name, value.as_ref());
        let sign = if self.request.path.contains('?') { '&' } else { '?' };
        self.request.path.push(sign);
        self.request.path.push_str(encoder.query().unwrap_or_default());
        self
    }

    /// Sends this document as the body.
    pub fn body<B: Serialize + ?Sized>(mut self, document: &B) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => self.request.body = Some(body),
            Err(error) => self.mistake = Some(Error::invalid("document", error)),
        }
        self
    }

    /// Asks the coordinator to answer once the transaction is settled or parked, or this much later (rounded up to
    /// whole seconds, at most 20 s).
    pub fn wait(mut self, wait: Duration) -> Self {
        self.request.wait_secs = whole_seconds(wait);
        self
    }

    /// The path that is asked, with its query.
    pub fn path(&self) -> &str {
        &self.request.path
    }

    /// Sends the request and returns the answer as the coordinator wrote it; empty where it writes none. For programs
    /// that pass the answer on: fields that this version of the SDK does not know are kept.
    ///
    /// # Errors
    /// [`Error::Refused`] with a stable code, [`Error::GaveUp`] when no coordinator answers in time,
    /// [`Error::NotACoordinator`] for an answer that is no coordinator's.
    pub async fn json(self) -> Result<String, Error> {
        let body = self.send().await?.2;
        Ok(String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    async fn send(self) -> Result<super::transport::Answered, Error> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => {
                let transport = &self.client.inner.transport;
                transport.repeat(&self.request, transport.patience.retry_for).await
            }
        }
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for ApiRequest<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { super::transport::read(self.send().await?) })
    }
}
