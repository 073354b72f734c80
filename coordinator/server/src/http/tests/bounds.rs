//! The resources of many clients together: connections, and memory for bodies.

use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::*;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

/// A router that answers with the size of the body, or with its error.
fn counting() -> Router {
    let count = |request: axum::extract::Request| async {
        match request.into_body().collect().await {
            Ok(body) => format!("{} bytes", body.to_bytes().len()),
            Err(error) => {
                let mut cause: &dyn std::error::Error = &error;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                format!("{:?}", cause.downcast_ref::<BodyFault>().expect("a fault of ours"))
            }
        }
    };
    Router::new().route("/", post(count))
}

fn announced(bytes: usize, more: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {bytes}\r\n{more}\r\n")
        .into_bytes()
}

fn reserved() -> Router {
    Router::new().route("/healthz", get(|| async { "alive" })).fallback(|| async { "come back" })
}

#[tokio::test]
async fn with_all_connections_in_use_health_is_served_and_others_are_told_to_come_back() {
    let (router, entered, gate) = gated();
    let options = Options { connections_max: 1, ..Options::default() };
    let routers = Routers { all: router, reserved: Some(reserved()) };
    let served = start_with(routers, options, Budget::new(1 << 20)).await;
    let mut first = TcpStream::connect(served.addr).await.unwrap();
    first.write_all(LAST_REQUEST).await.unwrap();
    entered.notified().await;
    // Reading to the end works because the server closes the connection.
    for _ in 0..3 {
        let answer = said(served.addr, HEALTH).await;
        assert!(answer.ends_with("alive") && answer.contains("connection: close"), "{answer}");
    }
    assert!(said(served.addr, REQUEST).await.ends_with("come back"));
    gate.notify_one();
    assert!(read_all(&mut first).await.contains("done"));
}

#[tokio::test]
async fn clients_that_ask_nothing_keep_no_health_check_out() {
    let options = Options { connections_max: 1, reserved_max: 2, ..Options::default() };
    let routers = Routers { all: quick(), reserved: Some(reserved()) };
    let served = start_with(routers, options, Budget::new(1 << 20)).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(served.addr).await.unwrap());
    }
    assert!(said(served.addr, HEALTH).await.ends_with("alive"));
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let served = start(quick(), Options::default()).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "200"),
        ("GET / HTTP/1.0\r\n\r\n", "200"),
    ] {
        let answer = said(served.addr, request.as_bytes()).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:?}: {answer}");
        assert_eq!(answer.contains(r#""field":"Host""#), status == "400", "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_asked_for() {
    let options = Options { body_bytes_max: 10, ..Options::default() };
    let served = start(counting(), options).await;
    let answer = said(served.addr, &announced(11, "expect: 100-continue\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("TooLarge"), "{answer}");
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(&announced(3, "expect: 100-continue\r\n")).await.unwrap();
    let mut line = [0; 25];
    stream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    assert!(read_all(&mut stream).await.ends_with("3 bytes"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let options = Options { body_timeout: Duration::from_millis(50), ..Options::default() };
    let served = start(counting(), options).await;
    let mut unfinished = announced(10, "");
    unfinished.extend_from_slice(b"half");
    assert!(said(served.addr, &unfinished).await.ends_with("TooSlow"));
}

#[tokio::test]
async fn unfinished_bodies_share_one_budget_and_small_ones_are_served_all_the_same() {
    const LEN: usize = 200_000;
    let budget = Budget::new(2 * LEN);
    let routers = Routers { all: counting(), reserved: None };
    let served = start_with(routers, Options::default(), budget.clone()).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(&announced(LEN, "")).await.unwrap();
        stream.write_all(&vec![b'x'; LEN - 1]).await.unwrap();
        clients.push(stream);
    }
    // Bodies without room are refused. A body with room is answered when it is complete.
    let answers =
        futures_util::future::select_all(clients.iter_mut().map(|stream| Box::pin(read_all(stream))));
    let (refused, _, _) = answers.await;
    assert!(refused.ends_with("NoRoom"), "{refused}");
    assert!(budget.used_bytes() <= 2 * LEN && budget.refused() > 0);
    let small = [announced(100, ""), vec![b'x'; 100]].concat();
    assert!(said(served.addr, &small).await.ends_with("100 bytes"));
}

#[tokio::test]
async fn the_requests_of_a_connection_of_http2_share_the_budget() {
    let budget = Budget::new(64 * 1024);
    let routers = Routers { all: counting(), reserved: None };
    let options = Options { wire: Wire::Http2, ..Options::default() };
    let served = start_with(routers, options, budget.clone()).await;
    let (mut client, _connection) = client(served.addr).await;
    let mut unfinished = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..8 {
        let (answer, mut body) =
            client.send_request(axum::http::Request::post("http://a/").body(()).unwrap(), false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; 20_000]), false).unwrap();
        unfinished.push(body);
        answers.push(answer);
    }
    let (answer, _, _) = futures_util::future::select_all(answers).await;
    let body = answer.unwrap().into_body().data().await.unwrap().unwrap();
    assert_eq!(body, "NoRoom");
    assert!(budget.used_bytes() <= 64 * 1024);
}

/// A router with an answer of so many bytes, and a channel that closes when the answer is freed.
fn large(bytes: usize) -> (Router, tokio::sync::mpsc::Receiver<()>) {
    let (held, dropped) = tokio::sync::mpsc::channel::<()>(1);
    let held = Arc::new(std::sync::Mutex::new(Some(held)));
    let handler = move || {
        let held = held.lock().unwrap().take();
        let owner = Owner { bytes: vec![b'x'; bytes], _held: held };
        async move { Body::from(Bytes::from_owner(owner)) }
    };
    (Router::new().route("/", get(|| async { "done" })).route("/large", get(handler)), dropped)
}

struct Owner {
    bytes: Vec<u8>,
    _held: Option<tokio::sync::mpsc::Sender<()>>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    // More than the socket buffers of the system can hold.
    let (router, mut dropped) = large(32 << 20);
    let budget = Budget::new(128 << 20);
    let options = Options { write_timeout: Duration::from_millis(50), ..Options::default() };
    let served = start_with(Routers { all: router, reserved: None }, options, budget.clone()).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(dropped.recv().await, None);
    assert_eq!(budget.used_bytes(), 0);
    let answer = read_all(&mut stream).await;
    assert!(answer.contains("content-length: 33554432") && answer.len() < 32 << 20, "{}", answer.len());
}

#[tokio::test]
async fn a_client_that_does_not_read_a_stream_is_cut_off() {
    // Small parts take nothing from the budget and have no time limit.
    for part in [4_000, 40_000] {
        let (held, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
        let held = Arc::new(std::sync::Mutex::new(Some(held)));
        let endless = move || {
            let held = held.lock().unwrap().take();
            let chunks = futures_util::stream::repeat_with(move || {
                let _stays = &held;
                Ok::<_, std::io::Error>(vec![b'x'; part])
            });
            async move { Body::from_stream(chunks) }
        };
        let options = Options { write_timeout: Duration::from_millis(50), ..Options::default() };
        let served = start(Router::new().route("/", get(endless)), options).await;
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let late = tokio::time::timeout(Duration::from_secs(20), dropped.recv()).await.is_err();
        assert!(!late, "parts of {part} bytes hold the connection");
    }
}

#[tokio::test]
async fn the_parts_of_streams_share_the_budget() {
    const PART: usize = 200_000;
    let endless = || {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; PART]));
        async { Body::from_stream(chunks) }
    };
    // Answers may take half of the budget: room for one part.
    let budget = Budget::new(2 * PART + 2 * 1024);
    let routers = Routers { all: Router::new().route("/", get(endless)), reserved: None };
    let served = start_with(routers, Options::default(), budget.clone()).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        clients.push(stream);
    }
    let refused = async {
        while budget.refused() == 0 {
            assert!(budget.used_bytes() <= PART + 1024);
            tokio::task::yield_now().await;
        }
    };
    let late = tokio::time::timeout(Duration::from_secs(20), refused).await.is_err();
    assert!(!late, "parts that nobody fetches hold {} bytes of the budget", budget.used_bytes());
}

#[tokio::test]
async fn an_answer_that_is_not_fetched_is_given_up_although_its_connection_asks_on() {
    let (router, mut dropped) = large(1 << 20);
    let options =
        Options { wire: Wire::Http2, write_timeout: Duration::from_millis(100), ..Options::default() };
    let served = start(router, options).await;
    let (mut client, _connection) = client(served.addr).await;
    let request = axum::http::Request::get("http://a/large").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let unread = answer.await.unwrap();
    let asking_on = async {
        // Until the connection is gone.
        while let Ok((answer, _)) = client.send_request(asking(), true) {
            if answer.await.is_err() {
                break;
            }
        }
    };
    let (_, gone) = tokio::join!(asking_on, dropped.recv());
    assert_eq!(gone, None);
    drop(unread);
}

#[tokio::test]
async fn a_large_answer_arrives_whole_over_both_wires() {
    let (router, _held) = large(3_000_001);
    let served = start(router.clone(), Options::default()).await;
    let answer = said(served.addr, b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 3000001\r\n") && answer.ends_with(&"x".repeat(3_000_001)));
    let served = start(router, Options { wire: Wire::Http2, ..Options::default() }).await;
    let (mut client, _connection) = client(served.addr).await;
    let request = axum::http::Request::get("http://a/large").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut len = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        len += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(len, 3_000_001);
}
