//! Servers that hang, hang up, or speak something else. None of it is ever done, and nothing is sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http;
use axum::routing::post;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a server does with the requests of one connection.
#[derive(Clone, Copy, Debug)]
enum Vice {
    /// Closes the TCP connection.
    HangUp,
    /// Resets the stream.
    Reset,
    /// Says that it is going, and does not answer.
    GoAway,
    /// Answers OK and hangs up before the status.
    HangUpInReply,
    /// Ends the reply without a status.
    NoStatus,
    /// Answers the first request, and closes when the second comes.
    Fickle,
}

/// Counts requests.
async fn vicious(vice: Vice) -> (Arc<AtomicUsize>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("grpc://{}/shop.v1.Stock/Reserve", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(converse(tcp, vice, counted.clone()));
        }
    });
    (count, target)
}

async fn converse(tcp: TcpStream, vice: Vice, counted: Arc<AtomicUsize>) {
    let mut connection = h2::server::handshake(tcp).await.unwrap();
    let mut here = 0;
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        counted.fetch_add(1, Ordering::SeqCst);
        here += 1;
        match vice {
            Vice::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
            Vice::GoAway => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            Vice::HangUpInReply => {
                let _stream = begin(&mut respond);
                return drain(connection).await;
            }
            Vice::NoStatus => begin(&mut respond).send_data(Bytes::new(), true).unwrap(),
            Vice::Fickle if here == 1 => {
                let head = head().header("grpc-status", "0").body(()).unwrap();
                respond.send_response(head, true).unwrap();
            }
            Vice::HangUp | Vice::Fickle => return,
        }
    }
}

fn head() -> http::response::Builder {
    http::Response::builder().header("content-type", "application/grpc")
}

fn begin(respond: &mut SendResponse<Bytes>) -> h2::SendStream<Bytes> {
    respond.send_response(head().body(()).unwrap(), false).unwrap()
}

/// Lets what was written go out; then the connection is dropped.
async fn drain(mut connection: Connection<TcpStream, Bytes>) {
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        let _ = connection.poll_closed(context);
        if polls > 1 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn whatever_breaks_off_is_unknown_and_sent_once() {
    for (vice, words) in [
        (Vice::HangUp, "before it answered; it may have run"),
        (Vice::Reset, "before it answered; it may have run"),
        (Vice::GoAway, "before it answered; it may have run"),
        (Vice::NoStatus, "answered without a grpc-status; it may have run"),
    ] {
        let (requests, target) = vicious(vice).await;
        let answer = answer_of(&caller(), call(&target)).await;
        assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None), "{vice:?}");
        assert!(error_of(&answer).contains(words), "{vice:?}: {answer:?}");
        assert!(error_of(&answer).starts_with("127.0.0.1:"), "{vice:?}: {answer:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{vice:?}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_not_done() {
    let (requests, target) = vicious(Vice::HangUpInReply).await;
    let answer = answer_of(&caller(), call(&target)).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    assert!(error_of(&answer).contains("it may have run"), "{answer:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_lost_on_a_reused_connection_is_not_repeated() {
    let (requests, target) = vicious(Vice::Fickle).await;
    let caller = caller();
    assert_eq!(answer_of(&caller, call(&target)).await.outcome, done(b""));
    let answer = answer_of(&caller, call(&target)).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("it may have run"), "{answer:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    // The next one gets a connection that works.
    assert_eq!(answer_of(&caller, call(&target)).await.outcome, done(b""));
}

#[tokio::test]
async fn silence_ends_at_the_calls_timeout() {
    let server = GrpcServer::start(async |_| std::future::pending().await).await;
    let answer = answer_of(&caller(), Call { timeout_ms: 100, ..call(&server.target("Reserve")) }).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(answer.report.duration_ms >= 50, "{answer:?}");
    // Client and server both know the deadline; either may be first to notice.
    let words = error_of(&answer);
    assert!(words.contains("within 100 ms; it may have run") || words.starts_with("grpc status"), "{words}");
}

#[tokio::test]
async fn a_server_that_never_speaks_is_given_up_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("grpc://{}/shop.v1.Stock/Reserve", listener.local_addr().unwrap());
    let answer = answer_of(&caller(), Call { timeout_ms: 100, ..call(&target) }).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("within 100 ms; it may have run"), "{answer:?}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_unknown_and_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (target, words) in [
        (format!("grpc://127.0.0.1:{port}/a.B/C"), format!("127.0.0.1:{port} refuses connections")),
        ("grpc://1.2.3.256:81/a.B/C".into(), "the branch's URL cannot be called".into()),
    ] {
        let answer = answer_of(&caller(), call(&target)).await;
        // A target that cannot be called is a mistake; one that cannot be reached may be there in a moment.
        let mistake = words.contains("URL");
        let expected = if mistake { Outcome::ClientError } else { Outcome::Unknown };
        assert_eq!((&answer.outcome, answer.report.status_code), (&expected, None), "{target}");
        assert!(error_of(&answer).starts_with(&words), "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn http_that_is_not_grpc_is_unknown_with_the_status_of_http() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let app = Router::new().route("/a.B/Hello", post(|| async { "hello" }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (method, status, outcome, words) in [
        ("Hello", 200, Outcome::Unknown, "content type text/plain; charset=utf-8, which is not gRPC"),
        ("Gone", 404, Outcome::ClientError, "did not answer as gRPC"),
    ] {
        let answer = answer_of(&caller(), call(&format!("grpc://{host}/a.B/{method}"))).await;
        assert_eq!((&answer.outcome, answer.report.status_code), (&outcome, Some(status)));
        assert!(error_of(&answer).contains(words), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_of_http_1_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_buf(&mut Vec::new()).await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let answer = answer_of(&caller(), call(&format!("grpc://{host}/a.B/C"))).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    assert!(error_of(&answer).contains("it may have run"), "{answer:?}");
}
