//! Real sockets: the resources of one client are bounded.

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

struct Served {
    addr: std::net::SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(router: Router, options: Options) -> Served {
    start_with(Routers { all: router, reserved: None }, options, Budget::new(1 << 24)).await
}

async fn start_with(routers: Routers, options: Options, budget: Budget) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, routers, options, budget, shutdown.clone()));
    Served { addr, shutdown, task }
}

async fn said(addr: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_all(&mut stream).await
}

fn quick() -> Router {
    Router::new().route("/", get(|| async { "done" }))
}

/// A router that signals when a request has arrived, and answers when it is released.
fn gated() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inner_entered, inner_gate) = (Arc::clone(&entered), Arc::clone(&gate));
    let handler = move || {
        let (entered, gate) = (Arc::clone(&inner_entered), Arc::clone(&inner_gate));
        async move {
            entered.notify_one();
            gate.notified().await;
            "done"
        }
    };
    (Router::new().route("/", get(handler)), entered, gate)
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A cut connection may end in a reset. Only the bytes before it count.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let options = Options { header_timeout: Duration::from_millis(100), ..Options::default() };
    let served = start(quick(), options).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let options = Options { header_timeout: Duration::from_millis(100), ..Options::default() };
    let served = start(quick(), options).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    assert!(read_all(&mut stream).await.contains("done"));
}

#[tokio::test]
async fn a_shutdown_lets_the_request_in_flight_finish() {
    let (router, entered, gate) = gated();
    let served = start(router, Options::default()).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    entered.notified().await;
    let mut idle = TcpStream::connect(served.addr).await.unwrap();
    served.shutdown.cancel();
    gate.notify_one();
    assert!(read_all(&mut stream).await.contains("done"));
    assert_eq!(read_all(&mut idle).await, "");
    served.task.await.unwrap();
    assert!(TcpStream::connect(served.addr).await.is_err(), "it still listens");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (router, entered, _gate) = gated();
    let options = Options { drain: Duration::from_millis(50), ..Options::default() };
    let served = start(router, options).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    entered.notified().await;
    served.shutdown.cancel();
    served.task.await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let (router, entered, gate) = gated();
    let options = Options { connections_max: 1, ..Options::default() };
    let served = start(router, options).await;
    let mut first = TcpStream::connect(served.addr).await.unwrap();
    first.write_all(LAST_REQUEST).await.unwrap();
    entered.notified().await;
    let mut second = TcpStream::connect(served.addr).await.unwrap();
    second.write_all(LAST_REQUEST).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), entered.notified()).await;
    assert!(early.is_err(), "the second was served beside the first");
    gate.notify_one();
    assert!(read_all(&mut first).await.contains("done"));
    entered.notified().await;
    gate.notify_one();
    assert!(read_all(&mut second).await.contains("done"));
}

#[tokio::test]
async fn a_client_of_http2_that_asks_nothing_gives_its_place_up() {
    let options =
        Options { wire: Wire::Http2, header_timeout: Duration::from_millis(50), ..Options::default() };
    let served = start(quick(), options).await;
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(said).await.unwrap();
        // The connection has ended, by a close or a reset.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

/// A client of HTTP/2; the task ends with the connection.
async fn client(
    addr: std::net::SocketAddr,
) -> (h2::client::SendRequest<bytes::Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

fn asking() -> axum::http::Request<()> {
    axum::http::Request::get("http://a/").body(()).unwrap()
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_told_to_go_although_it_answers_pings() {
    let options =
        Options { wire: Wire::Http2, header_timeout: Duration::from_millis(50), ..Options::default() };
    let served = start(quick(), options).await;
    let (mut client, connection) = client(served.addr).await;
    let (answer, _) = client.send_request(asking(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    // A GOAWAY without an error is no error.
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_of_http2_is_not_idle_while_a_request_is_under_way() {
    let (router, entered, gate) = gated();
    let options =
        Options { wire: Wire::Http2, header_timeout: Duration::from_millis(20), ..Options::default() };
    let served = start(router, options).await;
    let (mut client, connection) = client(served.addr).await;
    let (answer, _) = client.send_request(asking(), true).unwrap();
    entered.notified().await;
    let mut connection = connection;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut connection).await;
    assert!(early.is_err(), "it was closed under a request: {early:?}");
    gate.notify_one();
    assert_eq!(answer.await.unwrap().status(), 200);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_lets_the_request_of_http2_in_flight_finish() {
    let (router, entered, gate) = gated();
    let served = start(router, Options { wire: Wire::Http2, ..Options::default() }).await;
    let (mut client, connection) = client(served.addr).await;
    let (answer, _) = client.send_request(asking(), true).unwrap();
    entered.notified().await;
    served.shutdown.cancel();
    gate.notify_one();
    assert_eq!(answer.await.unwrap().status(), 200);
    connection.await.unwrap().unwrap();
    served.task.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_not_fetched_holds_no_connection_of_http2() {
    let endless = || async {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0; 1_024]));
        axum::body::Body::from_stream(chunks)
    };
    let options =
        Options { wire: Wire::Http2, header_timeout: Duration::from_millis(50), ..Options::default() };
    let served = start(Router::new().route("/", get(endless)), options).await;
    let (mut client, connection) = client(served.addr).await;
    let (answer, _) = client.send_request(asking(), true).unwrap();
    let _unread = answer.await.unwrap();
    // The connection is cut. The client's error depends on the state of its streams.
    let _ = connection.await.unwrap();
}

mod bounds;
