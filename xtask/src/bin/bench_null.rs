//! The null coordinator of `cargo xtask bench`: axum in, two sequential calls out, nothing decided, nothing durable.
//!
//! Its speed is the limit for any coordinator built from the same libraries.

use std::error::Error;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use clap::Parser;
use reqwest::Client;
use tokio::net::{TcpListener, TcpStream};

/// What each participant is sent: the payload of the benchmark's saga.
const PAYLOAD: &str = r#"{"sku":"A-1","quantity":2}"#;

#[derive(Parser)]
struct Options {
    /// Base URL of the participant
    #[arg(long)]
    participant: String,
}

#[derive(Clone)]
struct Calls {
    client: Client,
    first: String,
    second: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { participant } = Options::parse();
    let calls = Calls {
        client: Client::builder().no_proxy().tcp_nodelay(true).build()?,
        first: format!("{participant}/stock/reserve"),
        second: format!("{participant}/orders/create"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().fallback(coordinate).with_state(calls);
    axum::serve(listener.tap_io(without_delay), app).await?;
    Ok(())
}

/// Small answers must not wait for the peer's acknowledgement.
fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("cannot set TCP_NODELAY: {error}");
    }
}

async fn coordinate(State(calls): State<Calls>, _body: Bytes) -> Response {
    for url in [&calls.first, &calls.second] {
        if let Err(error) = call(&calls.client, url).await {
            return (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
        }
    }
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"committed"}"#).into_response()
}

async fn call(client: &Client, url: &str) -> reqwest::Result<()> {
    let request = client.post(url).header("content-type", "application/json").body(PAYLOAD);
    request.send().await?.error_for_status()?.bytes().await?;
    Ok(())
}
