//! How many connections there are, and for how long.

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::super::{Client, Destination};
use super::*;
use crate::names::Names;
use crate::sockets::Sockets;

/// A reply without a message.
fn nothing_but_ok() -> axum::http::Response<()> {
    let head = axum::http::Response::builder();
    head.header("content-type", "application/grpc").header("grpc-status", "0").body(()).unwrap()
}

async fn exchange(client: &Client, target: &str, timeout_ms: u64) -> Option<Outcome> {
    let call = Call { timeout_ms, ..call(target) };
    let destination = Destination::of(call.target.grpc().unwrap()).unwrap();
    let dialect = crate::dispatcher::dialect_of(&call, &crate::on_paper::native()).unwrap();
    client.exchange(&call, &*dialect, &destination).await.ok().map(|classified| classified.outcome)
}

fn client(options: Options) -> Client {
    // Sets TLS up for the process.
    drop(caller());
    Client::new(&options, Names::of(&options), Sockets::new(options.connections_max))
}

/// A server that answers nothing, and tells when it was asked.
async fn hanging() -> (GrpcServer, Arc<Notify>) {
    let inside = Arc::new(Notify::new());
    let tell = inside.clone();
    let server = GrpcServer::start(move |_| {
        tell.notify_one();
        std::future::pending()
    });
    (server.await, inside)
}

#[tokio::test]
async fn one_connection_serves_many_calls_at_once() {
    let server = GrpcServer::start(async |request| ok(request.into_inner())).await;
    let caller = caller();
    let calls = (0..100).map(|_| answer_of(&caller, call(&server.target("Reserve"))));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.outcome == done(MESSAGE)), "{answers:?}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_on_which_a_call_timed_out_is_replaced_and_still_serves_the_calls_on_it() {
    let gate = Arc::new(Semaphore::new(0));
    let hung = gate.clone();
    let server = GrpcServer::start(move |request| {
        let gate = hung.clone();
        async move {
            if metadata(&request, "trine-attempt") == "1" {
                gate.acquire().await.unwrap().forget();
            }
            ok("")
        }
    })
    .await;
    let caller = caller();
    let slow = |timeout_ms| {
        let mut call = call(&server.target("Reserve"));
        (call.key.attempt, call.timeout_ms) = (1, timeout_ms);
        call
    };
    let patient = tokio::spawn({
        let (caller, call) = (caller.clone(), slow(30_000));
        async move { answer_of(&caller, call).await }
    });
    assert_eq!(answer_of(&caller, slow(100)).await.outcome, Outcome::Unknown);
    assert_eq!(answer_of(&caller, call(&server.target("Reserve"))).await.outcome, done(b""));
    assert_eq!(server.accepted(), 2);
    gate.add_permits(2);
    assert_eq!(patient.await.unwrap().outcome, done(b""));
}

#[tokio::test]
async fn an_unused_connection_is_closed_and_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("grpc://{}/shop.v1.Stock/Reserve", listener.local_addr().unwrap());
    let closed = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(tcp).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(nothing_but_ok(), true).unwrap();
        }
    });
    let client = client(Options { idle_timeout_ms: 50, ..Options::default() });
    assert_eq!(exchange(&client, &target, 30_000).await, Some(done(b"")));
    assert_eq!(client.connections.known(), 1);
    closed.await.unwrap();
    while client.connections.known() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_for_a_connection_hears_that_it_cannot_be_made() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (client, target) = (client(Options::default()), format!("grpc://127.0.0.1:{port}/a.B/C"));
    let outcomes = join_all((0..20).map(|_| exchange(&client, &target, 30_000))).await;
    assert!(outcomes.iter().all(Option::is_none));
    assert_eq!(client.connections.known(), 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_its_connection_out_of_use() {
    let (server, inside) = hanging().await;
    let client = client(Options::default());
    let dropped = tokio::spawn({
        let (client, target) = (client.clone(), server.target("Reserve"));
        async move { exchange(&client, &target, 30_000).await }
    });
    inside.notified().await;
    assert_eq!(client.connections.known(), 1);
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    assert_eq!(client.connections.known(), 0);
}

#[tokio::test]
async fn a_server_that_says_goodbye_between_calls_costs_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("grpc://{}/shop.v1.Stock/Reserve", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            respond.send_response(nothing_but_ok(), true).unwrap();
            connection.graceful_shutdown();
            assert!(connection.accept().await.is_none());
        }
    });
    let client = client(Options { idle_timeout_ms: 3_600_000, ..Options::default() });
    for _ in 0..5 {
        assert_eq!(exchange(&client, &target, 30_000).await, Some(done(b"")));
        while client.connections.known() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_says_goodbye_still_answers_what_it_took_and_is_asked_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("grpc://{}/shop.v1.Stock/Reserve", listener.local_addr().unwrap());
    let (answer_first, answered) = oneshot::channel::<()>();
    let (tell, goodbye_heard) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut first = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let (_, mut respond) = first.accept().await.unwrap().unwrap();
        let mut pings = first.ping_pong().unwrap();
        first.graceful_shutdown();
        tokio::spawn(async move {
            answered.await.unwrap();
            respond.send_response(nothing_but_ok(), true).unwrap();
        });
        tokio::spawn(async move { assert!(first.accept().await.is_none(), "asked after its goodbye") });
        // Whoever answers a ping has read what came before it.
        pings.ping(h2::Ping::opaque()).await.unwrap();
        tell.send(()).unwrap();
        let mut second = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((_, mut respond))) = second.accept().await {
            respond.send_response(nothing_but_ok(), true).unwrap();
        }
    });
    let client = client(Options { idle_timeout_ms: 3_600_000, ..Options::default() });
    let first = tokio::spawn({
        let (client, target) = (client.clone(), target.clone());
        async move { exchange(&client, &target, 30_000).await }
    });
    goodbye_heard.await.unwrap();
    assert_eq!(exchange(&client, &target, 30_000).await, Some(done(b"")));
    answer_first.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Some(done(b"")));
}

#[tokio::test]
async fn places_at_a_host_are_those_of_http() {
    let (server, inside) = hanging().await;
    let caller = caller_with(Options { per_service_max: 1, queue_wait_ms: 20, ..Options::default() });
    let first = tokio::spawn(caller.call(call(&server.target("Reserve"))));
    inside.notified().await;
    let second = caller.call(call(&server.target("Release"))).await;
    assert!(matches!(second, Returned::Held { retry_after_ms, .. } if retry_after_ms > 0), "{second:?}");
    first.abort();
}
