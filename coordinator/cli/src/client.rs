//! The command line's HTTP client: one request at a time, no proxy, no redirect. Every answer that is not a success
//! becomes a [`Failure`] with the sentence an operator needs; nothing is retried here.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, SERVER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trine_protocol::errors::Problem;

use super::failure::Failure;
use super::human::clean;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longer than the longest `Prefer: wait` this program asks for.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A stream says that it is still there far more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How much of an answer that is not Trine's is shown.
const FOREIGN_CHARS_MAX: usize = 120;

/// Parameters of a query, in order.
pub(crate) type Query<'a> = Vec<(&'a str, String)>;

/// Chooses the process's TLS provider; every HTTP client built later needs one.
pub(crate) fn install_crypto() {
    // An error means that one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client for the coordinator at `url`.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let base = Url::parse(url)
            .ok()
            .filter(|base| matches!(base.scheme(), "http" | "https") && base.host().is_some())
            .ok_or_else(|| {
                Failure::usage(format!("`{}` is not the address of a coordinator", clean(url)))
                    .hint("write it as http://HOST:PORT")
            })?;
        install_crypto();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE_MAX)
            .build()
            .map_err(|error| Failure::bad(format!("no HTTP client: {}", root_cause(&error))))?;
        Ok(Self { http, base })
    }

    /// The address as it is printed.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads a document.
    pub(crate) async fn get(&self, path: &str, query: &Query<'_>) -> Result<String, Failure> {
        self.text(self.request(Method::GET, path, query)?.timeout(ANSWER_WITHIN)).await
    }

    /// Sends a document.
    pub(crate) async fn post<B: Serialize + ?Sized>(&self, path: &str, body: &B) -> Result<String, Failure> {
        let request = self.request(Method::POST, path, &Query::new())?;
        self.text(request.json(body).timeout(ANSWER_WITHIN)).await
    }

    /// Sends a document and asks for the answer once the transaction is settled, or this many seconds later.
    #[cfg(feature = "demo")]
    pub(crate) async fn post_and_wait<B: Serialize + ?Sized>(
        &self,
        path: &str,
        body: &B,
        wait_seconds: u32,
    ) -> Result<String, Failure> {
        let request = self.request(Method::POST, path, &Query::new())?;
        let request = request.header("prefer", format!("wait={wait_seconds}"));
        self.text(request.json(body).timeout(ANSWER_WITHIN)).await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str, query: &Query<'_>) -> Result<String, Failure> {
        self.text(self.request(Method::DELETE, path, query)?.timeout(ANSWER_WITHIN)).await
    }

    /// Opens a stream of Server-Sent Events that continues after `last_event_id`.
    pub(crate) async fn stream(&self, path: &str, last_event_id: Option<u64>) -> Result<Response, Failure> {
        let mut request = self.request(Method::GET, path, &Query::new())?.header(ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        self.send(request).await
    }

    fn request(&self, method: Method, path: &str, query: &Query<'_>) -> Result<RequestBuilder, Failure> {
        let mut url = Url::parse(&format!("{}{path}", self.address()))
            .map_err(|error| Failure::usage(format!("`{}{path}` is no address: {error}", self.address())))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url))
    }

    async fn text(&self, request: RequestBuilder) -> Result<String, Failure> {
        let response = self.send(request).await?;
        response.text().await.map_err(|error| self.no_answer(&error))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let server = response.headers().get(SERVER).and_then(|value| value.to_str().ok());
        let server = server.unwrap_or_default().to_owned();
        let body = response.text().await.map_err(|error| self.no_answer(&error))?;
        Err(match serde_json::from_str::<Problem>(&body) {
            Ok(problem) => Failure::problem(&problem),
            Err(_) => self.foreign(status, &server, &body),
        })
    }

    /// An answer that is not a coordinator's. What stands between answers like this when no coordinator answers it.
    fn foreign(&self, status: StatusCode, server: &str, body: &str) -> Failure {
        let gateway = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        if !gateway.contains(&status) {
            return self.not_ours(&format!("HTTP {status}, {}", shortened(body)));
        }
        let who = if server.is_empty() { String::new() } else { format!(" ({})", clean(server)) };
        Failure::unreachable(format!(
            "a proxy{who} at {} answers, and no coordinator behind it: HTTP {status}, {}",
            self.address(),
            shortened(body)
        ))
        .hint("see whether coordinators run and are ready, and what the proxy's log says of them")
    }

    /// Reads what the coordinator wrote.
    pub(crate) fn read<T: DeserializeOwned>(&self, body: &str) -> Result<T, Failure> {
        serde_json::from_str(body).map_err(|error| self.not_ours(&format!("{} ({error})", shortened(body))))
    }

    fn not_ours(&self, what: &str) -> Failure {
        Failure::unreachable(format!("{} does not answer like a coordinator: {what}", self.address()))
            .hint("check --url and TRINE_URL, and that both programs are of the same version")
    }

    /// Nobody answered, or not to the end.
    pub(crate) fn no_answer(&self, error: &reqwest::Error) -> Failure {
        let (what, remedy) = if error.is_connect() {
            ("cannot be reached", "start it with `trine serve`, or say where it is with --url or TRINE_URL")
        } else if error.is_timeout() {
            ("does not answer", "look at its log, and at /readyz")
        } else {
            ("broke off its answer", "try again; it may be restarting")
        };
        Failure::unreachable(format!("the coordinator at {} {what}: {}", self.address(), root_cause(error)))
            .hint(remedy)
    }
}

/// The innermost reason: the outer ones say "error sending request" and no more.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    clean(&cause.to_string())
}

fn shortened(body: &str) -> String {
    let body = body.trim();
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    let start: String = body.chars().take(FOREIGN_CHARS_MAX).collect();
    let rest = if start.len() < body.len() { "..." } else { "" };
    format!("`{}{rest}`", clean(&start))
}

#[cfg(test)]
mod tests {
    use super::super::Exit;
    use super::*;

    #[test]
    fn an_address_is_a_url_with_a_host() {
        for bad in ["", "localhost:36789", "ftp://h/", "http://", "36789"] {
            assert_eq!(Client::new(bad).unwrap_err().exit(), Exit::Usage, "{bad:?}");
        }
        assert_eq!(Client::new("http://h:1/").unwrap().address(), "http://h:1");
        assert_eq!(Client::new("http://h/trine/").unwrap().address(), "http://h/trine");
    }

    #[test]
    fn queries_are_encoded() {
        let client = Client::new("http://h/trine").unwrap();
        let query = vec![("label", "customer=7 & 8".to_owned())];
        let request = client.request(Method::GET, "/v1/transactions", &query).unwrap().build().unwrap();
        assert_eq!(request.url().as_str(), "http://h/trine/v1/transactions?label=customer%3D7+%26+8");
    }

    #[test]
    fn what_is_not_a_coordinator_is_told_apart() {
        let client = Client::new("http://h").unwrap();
        let failure = client.read::<Problem>("<html>\u{1b}").unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(
            failure.to_string().contains("does not answer like a coordinator: `<html>\\u{1b}`"),
            "{failure}"
        );
    }

    #[test]
    fn an_answer_of_a_proxy_is_not_taken_for_a_coordinators() {
        let client = Client::new("http://h").unwrap();
        let page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>";
        let failure = client.foreign(StatusCode::SERVICE_UNAVAILABLE, "nginx/1.22.1", page);
        assert_eq!(failure.exit(), Exit::Unreachable);
        let said = failure.to_string();
        assert!(
            said.contains(
                "a proxy (nginx/1.22.1) at http://h answers, and no coordinator behind it: HTTP 503"
            ),
            "{said}"
        );
        assert!(!client.foreign(StatusCode::NOT_FOUND, "nginx", page).to_string().contains("a proxy"));
    }

    #[tokio::test]
    async fn a_closed_port_is_not_reachable_and_says_what_to_do() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let failure = client.get("/v1/transactions", &Query::new()).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("Connection refused"), "{failure}");
        assert!(failure.to_string().contains("try: start it with `trine serve`"), "{failure}");
    }
}
