//! The participant of `cargo xtask bench`: answers every call at once with `{}`. Between GET `/switch/hang` and GET
//! `/switch/answer` it keeps every call waiting.
//!
//! It keeps no other state and knows no coordinator.

use std::error::Error;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Whether calls are kept waiting.
type Hangs = watch::Sender<bool>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let hang = |State(hangs): State<Hangs>| async move { hangs.send_replace(true).to_string() };
    let release = |State(hangs): State<Hangs>| async move { hangs.send_replace(false).to_string() };
    let app = Router::new()
        .route("/switch/hang", get(hang))
        .route("/switch/answer", get(release))
        .fallback(answer)
        .with_state(watch::Sender::new(false));
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
async fn answer(State(hangs): State<Hangs>, _body: Bytes) -> impl IntoResponse {
    if *hangs.borrow() {
        // The sender is kept by the router, so the wait ends only when the switch is turned back.
        let _ = hangs.subscribe().wait_for(|hangs| !hangs).await;
    }
    ([(CONTENT_TYPE, "application/json")], "{}")
}
