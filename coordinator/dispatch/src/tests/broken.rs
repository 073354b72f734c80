//! Answers that do not arrive, do not arrive whole, or are too large.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use tokio::sync::oneshot;
use trine_engine::Outcome;
use trine_protocol::limits::OUTPUT_BYTES_MAX;

use super::super::Call;
use super::support::{self, answer_of, call, caller, done, error_of, hang, raw_server, serve, unused_port};

#[tokio::test]
async fn a_refused_connection_is_unknown_and_says_so() {
    let port = unused_port().await;
    let answer = answer_of(&caller(), call(&format!("http://127.0.0.1:{port}/?token=hunter2"))).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    let error = error_of(&answer);
    assert!(error.starts_with(&format!("127.0.0.1:{port} refuses connections")), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn plain_http_behind_https_is_unknown_and_says_so() {
    let base = serve(Router::new()).await;
    let answer = answer_of(&caller(), call(&base.replace("http://", "https://"))).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).starts_with("no trusted TLS connection to 127.0.0.1:"), "{answer:?}");
}

#[tokio::test]
async fn silence_ends_at_the_calls_timeout() {
    let base = serve(Router::new().route("/", post(hang))).await;
    let answer = answer_of(&caller(), Call { timeout_ms: 50, ..call(&base) }).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    assert!(error_of(&answer).contains("within 50 ms; it may have run"), "{answer:?}");
    assert!(answer.report.duration_ms >= 50);
}

#[tokio::test]
async fn a_body_that_stalls_ends_at_the_calls_timeout_and_is_not_done() {
    let stalled = || async {
        let stream = futures_util::stream::once(async { Ok::<_, std::io::Error>("{") });
        Body::from_stream(futures_util::StreamExt::chain(stream, futures_util::stream::pending()))
    };
    let base = serve(Router::new().route("/", post(stalled))).await;
    let answer = answer_of(&caller(), Call { timeout_ms: 200, ..call(&base) }).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, Some(200)));
    assert!(error_of(&answer).contains("its body did not end within 200 ms"), "{answer:?}");
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_bound_and_no_further() {
    let (dropped, was_dropped) = oneshot::channel::<()>();
    let dropped = Arc::new(Mutex::new(Some(dropped)));
    let endless = move || {
        let dropped = dropped.lock().unwrap().take();
        std::future::ready(Body::from_stream(futures_util::stream::repeat_with(move || {
            let _held = &dropped;
            Ok::<_, std::io::Error>(vec![b'x'; 1_024])
        })))
    };
    let base = serve(Router::new().route("/", post(endless))).await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!(answer.outcome, done(""));
    assert!(error_of(&answer).starts_with("answer body larger than"), "{answer:?}");
    // The stream is dropped, unfinished, because the caller hung up.
    assert!(was_dropped.await.is_err());
}

#[tokio::test]
async fn a_body_of_a_gibibyte_is_not_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
    let (base, written) = raw_server(vec![head.into(), "x".repeat(4 * OUTPUT_BYTES_MAX)], true).await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!(answer.outcome, done(""));
    assert!(error_of(&answer).starts_with("answer body larger than"), "{answer:?}");
    written.await.unwrap();
}

#[tokio::test]
async fn the_largest_output_is_kept_whole() {
    for (len, kept) in [(OUTPUT_BYTES_MAX, true), (OUTPUT_BYTES_MAX + 1, false)] {
        let body = "x".repeat(len);
        let base = serve(Router::new().route("/", post(move || async move { body }))).await;
        let answer = answer_of(&caller(), call(&base)).await;
        assert_eq!(answer.outcome, done(&if kept { "x".repeat(len) } else { String::new() }));
        assert_eq!(answer.report.error.is_none(), kept);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unknown_whatever_its_status() {
    for (parts, status_code, words) in [
        (vec![], None, "closed the connection before it answered"),
        (vec!["HTTP/1.1 200 OK\r\ncontent-"], None, "closed the connection before it answered"),
        (vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", "{"], Some(200), "its body broke off"),
        (vec!["HTTP/1.1 409 Conflict\r\ncontent-length: 9\r\n\r\n", "no"], Some(409), "its body broke off"),
        (vec!["SSH-2.0-OpenSSH_9\r\n\r\n"], None, "is not HTTP"),
    ] {
        let (base, _written) = raw_server(parts.iter().map(|part| part.to_string()).collect(), false).await;
        let answer = answer_of(&caller(), call(&base)).await;
        assert_eq!(
            (&answer.outcome, answer.report.status_code),
            (&Outcome::Unknown, status_code),
            "{parts:?}"
        );
        assert!(error_of(&answer).contains(words), "{parts:?}: {answer:?}");
        assert!(error_of(&answer).contains("127.0.0.1:"), "{parts:?}: {answer:?}");
    }
}

#[tokio::test]
async fn the_head_of_an_answer_has_an_end() {
    let line = format!("x-filler: {}\r\n", "x".repeat(3_000));
    for (lines, answers) in [(20, true), (90, false)] {
        let head = format!("HTTP/1.1 204 No Content\r\n{}\r\n", line.repeat(lines));
        let (base, _written) = raw_server(vec![head], false).await;
        let answer = answer_of(&caller(), call(&base)).await;
        assert_eq!(answer.outcome == done(""), answers, "{answer:?}");
        if !answers {
            assert_eq!(answer.outcome, Outcome::Unknown);
            assert!(
                error_of(&answer).contains("is too large (64 KiB, 100 headers); it may have run"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_broken_call_is_not_repeated_behind_our_back() {
    let (accepted, base) = support::slamming_server().await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_lost_on_a_reused_connection_is_not_repeated_either() {
    let (requests, base) = support::fickle_server().await;
    let caller = caller();
    assert_eq!(answer_of(&caller, call(&base)).await.outcome, done(""));
    let answer = answer_of(&caller, call(&base)).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("it may have run"), "{answer:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}
