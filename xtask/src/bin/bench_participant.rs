//! The participant of `cargo xtask bench`: answers every call at once with `{}`, and those to `/hang` never.
//!
//! It keeps no state and knows no coordinator.

use std::error::Error;
use std::future::pending;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/hang", any(hang)).fallback(answer);
    axum::serve(listener.tap_io(without_delay), app).await?;
    Ok(())
}

/// Small answers must not wait for the peer's acknowledgement.
fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("cannot set TCP_NODELAY: {error}");
    }
}

/// Reads the body, as a service would, and says yes.
async fn answer(_body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], "{}")
}

async fn hang() {
    pending().await
}
