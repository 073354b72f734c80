//! Servers that behave and servers that do not.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use trine_engine::{Answer, Call, CallKey, Outcome, Payload};
use trine_protocol::{BranchId, Gid, Op, Pattern, Target};

use super::super::on_paper::journal;
use super::super::{Caller, Directory, Dispatcher, Options, Returned};

pub(super) fn caller() -> Dispatcher {
    caller_with(Options::default())
}

pub(super) fn caller_with(options: Options) -> Dispatcher {
    Dispatcher::new(options, Arc::new(Directory::new()), journal())
}

pub(super) fn call(target: &str) -> Call {
    Call {
        gid: Gid::parse("order-42").unwrap(),
        pattern: Pattern::Saga,
        key: CallKey { branch: Some(0), op: Op::Action, attempt: 3 },
        branch: Some(BranchId::parse("stock").unwrap()),
        target: Target::parse(target).unwrap(),
        payload: Payload::from(r#"{"sku":"A-1"}"#),
        timeout_ms: 30_000,
        fence: 17,
        terms: None,
    }
}

pub(super) async fn answer_of(caller: &dyn Caller, call: Call) -> Answer {
    match caller.call(call).await {
        Returned::Answer(answer) => answer,
        Returned::NotSent { .. } | Returned::Held { .. } => panic!("not sent"),
    }
}

pub(super) fn error_of(answer: &Answer) -> &str {
    answer.report.error.as_deref().unwrap_or_default()
}

pub(super) fn done(output: &str) -> Outcome {
    Outcome::Done { output: Payload::from(output), read_only: false }
}

pub(super) async fn hang() {
    std::future::pending().await
}

/// A handler that counts its requests.
pub(super) fn counter() -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<()> + Clone) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let handler = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    };
    (count, handler)
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

pub(super) async fn serve(app: Router) -> String {
    let (listener, base) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

/// Counts the connections it accepts.
pub(super) async fn counting_server(app: Router) -> (Arc<AtomicUsize>, String) {
    use axum::serve::ListenerExt;
    let (listener, base) = listen().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let listener = listener.tap_io(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (count, base)
}

/// A port nobody listens on.
pub(super) async fn unused_port() -> u16 {
    let (listener, _) = listen().await;
    listener.local_addr().unwrap().port()
}

fn accept_each<F, Work>(listener: TcpListener, handle: F)
where
    F: Fn(TcpStream) -> Work + Send + 'static,
    Work: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
}

/// Reads a request (they are small and end with the payload), then hangs up without a word.
pub(super) async fn slamming_server() -> (Arc<AtomicUsize>, String) {
    let (listener, base) = listen().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    accept_each(listener, move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { read_request(&mut stream).await }
    });
    (count, base)
}

/// Answers the first request of each connection, takes the second, and hangs up. Counts requests.
pub(super) async fn fickle_server() -> (Arc<AtomicUsize>, String) {
    let (listener, base) = listen().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    accept_each(listener, move |mut stream| {
        let counted = counted.clone();
        async move {
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (count, base)
}

/// Answers the first request with bytes as they are, then hangs up, or waits for the caller to do so.
pub(super) async fn raw_server(parts: Vec<String>, stay: bool) -> (String, oneshot::Receiver<()>) {
    let (listener, base) = listen().await;
    let (done, written) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        for part in parts {
            // The caller may have hung up already.
            let _ = stream.write_all(part.as_bytes()).await;
        }
        if stay {
            let _ = stream.read(&mut [0; 1]).await;
        }
        let _ = done.send(());
    });
    (base, written)
}

async fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(br#"{"sku":"A-1"}"#) {
        match stream.read_buf(&mut seen).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Tells every request it gets, byte by byte, and answers with the bytes given, each on a connection of its own.
pub(super) async fn recording_server(answer: &'static str) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (listener, base) = listen().await;
    let (tell, told) = mpsc::unbounded_channel();
    accept_each(listener, move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut seen = Vec::new();
            while !is_whole(&seen) && stream.read_buf(&mut seen).await.unwrap() > 0 {}
            tell.send(seen).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (base, told)
}

/// Whether a request has its body, if it announces one.
fn is_whole(seen: &[u8]) -> bool {
    let Some(head) = seen.windows(4).position(|part| part == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&seen[..head]);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    seen.len() >= head + 4 + length.unwrap_or(0)
}
