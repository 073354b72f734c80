//! Connections and the pool, over transports in memory.

use bytes::Bytes;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

async fn connection() -> (Connection, DuplexStream) {
    let (ours, peer) = duplex(4_096);
    (Connection::over(Box::new(ours)).await.unwrap(), peer)
}

fn request() -> Message {
    Request::post("/").header(HOST, "a").body(Full::new(Bytes::from_static(b"{}"))).unwrap()
}

/// A connection over which one request was answered, its peer, and the body that was read.
async fn exchanged(answer: &[u8]) -> (Connection, DuplexStream, Body) {
    let (mut connection, mut peer) = connection().await;
    let asked = async {
        let response = connection.send(request()).await.map_err(|undelivered| undelivered.error).unwrap();
        connection.read(response.into_body(), 10).await.unwrap()
    };
    let answered = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"{}") {
            peer.read_buf(&mut seen).await.unwrap();
        }
        peer.write_all(answer).await.unwrap();
    };
    let (body, ()) = futures_util::future::join(asked, answered).await;
    (connection, peer, body)
}

fn pool(idle_per_host_max: usize) -> (Arc<Pool>, Arc<str>) {
    (Pool::new(Duration::from_secs(600), idle_per_host_max), "http://a:1".into())
}

fn is_kept(pool: &Arc<Pool>, origin: &Arc<str>) -> bool {
    matches!(pool.take(origin), Taken::Idle(_))
}

#[tokio::test]
async fn a_connection_is_free_for_the_next_call_once_its_answer_is_whole() {
    for (answer, kept) in [
        (NO_CONTENT, true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", false),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 409 Conflict\r\n\r\n", false),
    ] {
        let (pool, origin) = pool(1);
        let (connection, _peer, _) = exchanged(answer).await;
        pool.give(&origin, connection);
        assert_eq!(is_kept(&pool, &origin), kept, "{}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_that_was_begun_and_not_used_is_kept_for_the_next_call() {
    let (pool, origin) = pool(1);
    let (connection, mut peer) = connection().await;
    pool.give(&origin, connection);
    let Taken::Idle(mut connection) = pool.take(&origin) else { panic!("it was closed") };
    let asked = async { connection.send(request()).await.map_err(|undelivered| undelivered.error) };
    let answered = async {
        peer.read_u8().await.unwrap();
        peer.write_all(NO_CONTENT).await.unwrap();
    };
    let (response, ()) = futures_util::future::join(asked, answered).await;
    assert_eq!(response.unwrap().status(), 204);
}

#[tokio::test]
async fn a_request_on_a_connection_that_its_peer_has_closed_never_leaves_and_comes_back() {
    let (mut connection, peer, _) = exchanged(NO_CONTENT).await;
    assert!(connection.is_free());
    drop(peer);
    let undelivered = connection.send(request()).await.err().unwrap();
    assert!(undelivered.request.is_some());
    assert!(!connection.is_free());
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_no_answer_to_the_next_call() {
    let (mut connection, mut peer, _) = exchanged(NO_CONTENT).await;
    peer.write_all(b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(connection.send(request()).await.err().unwrap().request.is_some());
}

#[tokio::test]
async fn a_call_that_waits_for_a_connection_gets_the_next_one_that_is_given_back() {
    let (pool, origin) = pool(1);
    let (Taken::InLine(gone), Taken::InLine(waiting)) = (pool.take(&origin), pool.take(&origin)) else {
        panic!("the pool is empty");
    };
    drop(gone);
    pool.give(&origin, exchanged(NO_CONTENT).await.0);
    assert!(waiting.await.unwrap().is_free());
    assert!(!is_kept(&pool, &origin));
}

#[tokio::test]
async fn no_more_connections_are_kept_than_may_be() {
    for (may_keep, kept) in [(0, 0), (2, 2)] {
        let (pool, origin) = pool(may_keep);
        for _ in 0..3 {
            pool.give(&origin, exchanged(NO_CONTENT).await.0);
        }
        let found = (0..3).filter(|_| is_kept(&pool, &origin)).count();
        assert_eq!(found, kept);
    }
    let no_time = Pool::new(Duration::ZERO, 2);
    no_time.give(&"http://a:1".into(), exchanged(NO_CONTENT).await.0);
    assert_eq!(no_time.known(), 0);
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed_and_their_hosts_forgotten() {
    let pool = Pool::new(Duration::from_millis(1), 2);
    let origin: Arc<str> = "http://a:1".into();
    let (connection, mut peer, _) = exchanged(NO_CONTENT).await;
    drop(pool.take(&origin));
    pool.give(&origin, connection);
    // Ends when the connection is closed.
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    while pool.known() > 0 {
        tokio::task::yield_now().await;
    }
}
