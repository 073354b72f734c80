//! The SDK's client as the command line uses it: one attempt at each request, and for every error the sentence that an
//! operator needs.

use std::time::Duration;

use serde::de::DeserializeOwned;
use trine_sdk::client::StatusCode;
use trine_sdk::{ApiRequest, Client, Error};

use super::failure::Failure;
use super::human::clean;

/// Longer than the longest wait this program asks for.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How much of an answer that is not Trine's is shown.
const FOREIGN_CHARS_MAX: usize = 120;

/// Chooses the process's TLS provider; every HTTP client built later needs one.
pub(crate) fn install_crypto() {
    // An error means that one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for the coordinator at `url`. It repeats nothing: a person sees the error and decides.
pub(crate) fn connect(url: &str) -> Result<Client, Failure> {
    let client = Client::builder().coordinator(url).call_timeout(ANSWER_WITHIN).retry_for(Duration::ZERO);
    client.build().map_err(|error| match error {
        Error::Transport { source, .. } => Failure::bad(format!("no HTTP client: {}", root_cause(&source))),
        _ => Failure::usage(format!("`{}` is not the address of a coordinator", clean(url)))
            .hint("write it as http://HOST:PORT"),
    })
}

/// Sends a request and reads the answer.
pub(crate) async fn ask<T: DeserializeOwned>(client: &Client, request: ApiRequest<T>) -> Result<T, Failure> {
    read(client, &text(client, request).await?)
}

/// Sends a request and returns the answer as the coordinator wrote it.
pub(crate) async fn text<T>(client: &Client, request: ApiRequest<T>) -> Result<String, Failure> {
    request.json().await.map_err(|error| failure(client, &error))
}

/// Reads what the coordinator wrote.
pub(crate) fn read<T: DeserializeOwned>(client: &Client, body: &str) -> Result<T, Failure> {
    serde_json::from_str(body)
        .map_err(|error| not_a_coordinator(client, &format!("{} ({error})", shortened(body))))
}

/// The failure of the command for an error of the client.
pub(crate) fn failure(client: &Client, error: &Error) -> Failure {
    match error {
        Error::GaveUp { last, .. } => failure(client, last),
        Error::Refused(problem) => Failure::problem(problem),
        Error::Transport { source, .. } => {
            let (what, remedy) = if source.is_connect() {
                (
                    "cannot be reached",
                    "start it with `trine serve`, or say where it is with --url or TRINE_URL",
                )
            } else if source.is_timeout() {
                ("does not answer", "look at its log, and at /readyz")
            } else {
                ("broke off its answer", "try again; it may be restarting")
            };
            no_answer(client, what, &root_cause(source)).hint(remedy)
        }
        Error::Silent { .. } => no_answer(client, "does not answer", "operation timed out")
            .hint("look at its log, and at /readyz"),
        Error::Gateway { status, server, excerpt, .. } => {
            let who = if server.is_empty() { String::new() } else { format!(" ({})", clean(server)) };
            Failure::unreachable(format!(
                "a proxy{who} at {} answers, and no coordinator behind it: {}, {}",
                client.address(),
                http(*status),
                shortened(excerpt)
            ))
            .hint("see whether coordinators run and are ready, and what the proxy's log says of them")
        }
        Error::NotACoordinator { status, excerpt, .. } => {
            not_a_coordinator(client, &format!("{}, {}", http(*status), shortened(excerpt)))
        }
        other => Failure::usage(clean(&other.to_string())),
    }
}

fn no_answer(client: &Client, what: &str, cause: &str) -> Failure {
    Failure::unreachable(format!("the coordinator at {} {what}: {cause}", client.address()))
}

fn not_a_coordinator(client: &Client, what: &str) -> Failure {
    Failure::unreachable(format!("{} does not answer like a coordinator: {what}", client.address()))
        .hint("check --url and TRINE_URL, and that both programs are of the same version")
}

/// `HTTP 503 Service Unavailable`.
fn http(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| format!("HTTP {status}"), |status| format!("HTTP {status}"))
}

/// The innermost reason: the outer ones say "error sending request" and no more.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
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
    use trine_sdk::Problem;

    use super::super::Exit;
    use super::*;

    #[test]
    fn an_address_is_a_url_with_a_host() {
        for bad in ["", "localhost:36789", "ftp://h/", "http://", "36789"] {
            assert_eq!(connect(bad).unwrap_err().exit(), Exit::Usage, "{bad:?}");
        }
        assert_eq!(connect("http://h:1/").unwrap().address(), "http://h:1");
        assert_eq!(connect("http://h/trine/").unwrap().address(), "http://h/trine");
    }

    #[test]
    fn what_is_not_a_coordinator_is_told_apart() {
        let client = connect("http://h").unwrap();
        let failure = read::<Problem>(&client, "<html>\u{1b}").unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(
            failure.to_string().contains("does not answer like a coordinator: `<html>\\u{1b}`"),
            "{failure}"
        );
    }

    #[test]
    fn an_answer_of_a_proxy_is_not_taken_for_a_coordinators() {
        let client = connect("http://h").unwrap();
        let page = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>";
        let (url, excerpt) = ("http://h/v1/transactions".to_owned(), page.to_owned());
        let gateway = Error::Gateway {
            url: url.clone(),
            status: 503,
            server: "nginx/1.22.1".into(),
            excerpt: excerpt.clone(),
        };
        let said = failure(&client, &gateway);
        assert_eq!(said.exit(), Exit::Unreachable);
        let said = said.to_string();
        assert!(
            said.contains(
                "a proxy (nginx/1.22.1) at http://h answers, and no coordinator behind it: HTTP 503 Service Unavailable"
            ),
            "{said}"
        );
        let missing = failure(&client, &Error::NotACoordinator { url, status: 404, excerpt }).to_string();
        assert!(
            missing.contains("does not answer like a coordinator: HTTP 404 Not Found, `<html>"),
            "{missing}"
        );
    }

    #[tokio::test]
    async fn a_closed_port_is_not_reachable_and_says_what_to_do() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = connect(&format!("http://127.0.0.1:{port}")).unwrap();
        let failure = ask(&client, client.list().page()).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("Connection refused"), "{failure}");
        assert!(failure.to_string().contains("try: start it with `trine serve`"), "{failure}");
    }
}
