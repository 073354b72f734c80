//! The null coordinator of `cargo xtask bench`: axum in, the calls of a transaction out, nothing decided, nothing durable.
//!
//! Its speed is the limit for any coordinator built from the same libraries. The path of a request is its plan: `/1,2,1`
//! makes one call, then two side by side, then one.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use clap::Parser;
use futures_util::future::try_join_all;
use reqwest::Client;
use tokio::net::{TcpListener, TcpStream};

/// What each participant is sent: the payload of the benchmark's transactions.
const PAYLOAD: &str = r#"{"sku":"A-1","quantity":2}"#;
/// Calls that one plan may have.
const CALLS_MAX: usize = 100;

#[derive(Parser)]
struct Options {
    /// Base URL of the participant
    #[arg(long)]
    participant: String,
}

struct Calls {
    client: Client,
    urls: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { participant } = Options::parse();
    let calls = Calls {
        client: Client::builder().no_proxy().tcp_nodelay(true).build()?,
        urls: (1..=CALLS_MAX).map(|number| format!("{participant}/b{number}/action")).collect(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/{plan}", post(coordinate)).with_state(Arc::new(calls));
    axum::serve(listener.tap_io(without_delay), app).await?;
    Ok(())
}

/// Small answers must not wait for the peer's acknowledgement.
fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("cannot set TCP_NODELAY: {error}");
    }
}

async fn coordinate(State(calls): State<Arc<Calls>>, Path(plan): Path<String>, _body: Bytes) -> Response {
    let Some(plan) = rounds(&plan) else { return StatusCode::NOT_FOUND.into_response() };
    let mut urls = calls.urls.iter();
    for count in plan {
        let made = match urls.next() {
            Some(url) if count == 1 => call(&calls.client, url).await,
            _ => {
                let round = calls.urls.iter().take(count).map(|url| call(&calls.client, url));
                try_join_all(round).await.map(drop)
            }
        };
        if let Err(error) = made {
            return (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
        }
    }
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"committed"}"#).into_response()
}

/// How many calls each round makes.
fn rounds(plan: &str) -> Option<Vec<usize>> {
    let rounds: Option<Vec<usize>> = plan.split(',').map(|count| count.parse().ok()).collect();
    rounds.filter(|rounds| rounds.iter().sum::<usize>() <= CALLS_MAX)
}

async fn call(client: &Client, url: &str) -> reqwest::Result<()> {
    let request = client.post(url).header("content-type", "application/json").body(PAYLOAD);
    request.send().await?.error_for_status()?.bytes().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_counts_between_commas() {
        assert_eq!(rounds("1,2,1"), Some(vec![1, 2, 1]));
        for plan in ["", "1,", "a", "1000"] {
            assert_eq!(rounds(plan), None, "{plan}");
        }
    }
}
