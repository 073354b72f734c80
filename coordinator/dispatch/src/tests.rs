//! [`Dispatcher`] against real servers on port 0.

mod broken;
mod limits;
mod names;
mod short;
mod support;
mod terms;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router};
use trine_engine::{CallKey, Outcome, ParkCause, Payload};
use trine_protocol::{Op, Pattern, PayloadDigest, Target};

use super::directory::participant;
use super::on_paper::journal;
use super::*;
use support::{answer_of, call, caller, done, error_of, raw_server, serve};

#[tokio::test]
async fn an_answer_becomes_an_outcome_with_its_report() {
    let base = serve(Router::new().route("/reserve", post(|| async { Json(7) }))).await;
    let answer = answer_of(&caller(), call(&format!("{base}/reserve"))).await;
    assert_eq!(answer.outcome, done("7"));
    assert_eq!((answer.report.status_code, answer.report.error), (Some(200), None));
    assert!(answer.random_permille <= 1_000);
}

#[tokio::test]
async fn a_call_carries_its_identity_and_its_payload() {
    let echo = |headers: HeaderMap, body: String| async move {
        let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let names = [
            "trine-gid",
            "trine-branch",
            "trine-op",
            "trine-pattern",
            "trine-attempt",
            "trine-fence",
            "trine-journal",
            "trine-payload-digest",
            "idempotency-key",
            "content-type",
            "content-length",
            "accept-encoding",
            "traceparent",
        ];
        let pairs: Vec<_> = names.iter().map(|name| (*name, of(name))).collect();
        Json((pairs, body))
    };
    let base = serve(Router::new().route("/echo", post(echo))).await;
    let with_payload = call(&format!("{base}/echo"));
    let seen = answer_of(&caller(), with_payload.clone()).await.outcome;
    let trace = "00-3bf8b157c4238eefe5ae4a66eca81c6b-62aab193cc7ed756-01";
    let expected = |branch: &str, op: &str, key: &str, payload: &str, length: &str, trace: &str| {
        let header = |name: &str, value: &str| format!(r#"["{name}",{value}]"#);
        let quoted = |value: &str| format!("{value:?}");
        let pairs = [
            header("trine-gid", r#""order-42""#),
            header("trine-branch", branch),
            header("trine-op", &quoted(op)),
            header("trine-pattern", r#""saga""#),
            header("trine-attempt", r#""3""#),
            header("trine-fence", r#""17""#),
            header("trine-journal", r#""journal-1""#),
            header("trine-payload-digest", &quoted(PayloadDigest::of(payload.as_bytes()).as_str())),
            header("idempotency-key", &quoted(key)),
            header("content-type", r#""application/json""#),
            header("content-length", &quoted(length)),
            header("accept-encoding", r#""identity""#),
            header("traceparent", &quoted(trace)),
        ];
        done(&format!("[[{}],{}]", pairs.join(","), serde_json::to_string(payload).unwrap()))
    };
    assert_eq!(
        seen,
        expected(r#""stock""#, "action", "order-42/stock/action", r#"{"sku":"A-1"}"#, "13", trace)
    );

    let check = Call {
        key: CallKey { branch: None, op: Op::Check, attempt: 3 },
        branch: None,
        payload: Payload::default(),
        ..with_payload
    };
    let seen = answer_of(&caller(), check).await.outcome;
    let trace = "00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01";
    assert_eq!(seen, expected("null", "check", "order-42//check", "null", "4", trace));
}

#[tokio::test]
async fn bytes_are_sent_as_bytes_whatever_they_look_like() {
    let echo = |headers: HeaderMap, body: axum::body::Bytes| async move {
        [headers["content-type"].as_bytes(), b" ", &body].concat()
    };
    let base = serve(Router::new().route("/", post(echo))).await;
    for (payload, expected) in [
        (Payload::raw(b"\x0a\x03A-1\xff"), &b"application/octet-stream \x0a\x03A-1\xff"[..]),
        (Payload::raw(b"7"), b"application/octet-stream 7"),
        (Payload::raw(b""), b"application/octet-stream "),
        (Payload::from("7"), b"application/json 7"),
        (Payload::default(), b"application/json null"),
    ] {
        let call = Call { payload: payload.clone(), ..call(&base) };
        let outcome = answer_of(&caller(), call).await.outcome;
        assert_eq!(
            outcome,
            Outcome::Done { output: Payload::from(expected), read_only: false },
            "{payload:?}"
        );
    }
}

#[tokio::test]
async fn a_target_arrives_byte_for_byte() {
    for path in ["/a/../b/./c//d?sig='x'&e=%27&f=+%20", "/%7euser;v=1/{id}|^?{}|^&&", "/?", "/x?a=/../b"] {
        let (base, mut told) = support::recording_server("HTTP/1.1 204 No Content\r\n\r\n").await;
        answer_of(&caller(), call(&format!("{base}{path}"))).await;
        let request = String::from_utf8(told.recv().await.unwrap()).unwrap();
        assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
    }
}

#[tokio::test]
async fn an_answer_in_gzip_is_read_although_none_was_asked_for() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(br#"{"detail":"out of stock for A-1"}"#).unwrap();
    let packed = encoder.finish().unwrap();
    let answer =
        move || std::future::ready((StatusCode::CONFLICT, [("content-encoding", "gzip")], packed.clone()));
    let base = serve(Router::new().route("/", post(answer))).await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!(answer.outcome, Outcome::Refused { reason: "out of stock for A-1".into() });
}

#[tokio::test]
async fn every_call_of_a_transaction_is_in_one_trace_and_every_attempt_its_own_span() {
    let parent = |attempt| {
        let mut call = call("http://a/");
        call.key.attempt = attempt;
        let headers = request::headers(&call, &"journal-1".into()).unwrap();
        headers["traceparent"].to_str().unwrap().to_owned()
    };
    let (first, second) = (parent(1), parent(2));
    assert_eq!(first, parent(1));
    assert_eq!(first[..36], second[..36]);
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (contacted, counting) = support::counter();
    let target = serve(Router::new().fallback(counting)).await;
    let app = Router::new().route("/old", post(move || async move { Redirect::permanent(&target) }));
    let base = serve(app).await;
    let answer = answer_of(&caller(), call(&format!("{base}/old"))).await;
    assert_eq!(answer.outcome, Outcome::ClientError);
    assert_eq!(answer.report.status_code, Some(308));
    assert!(error_of(&answer).contains("which is not followed"), "{answer:?}");
    assert_eq!(contacted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let text = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let (base, _written) = raw_server(vec![text.into()], false).await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!((answer.outcome, answer.report.status_code), (done(""), Some(204)));
}

#[tokio::test]
async fn a_read_only_vote_reaches_the_engine() {
    let vote = || async { ([("Trine-Vote", "read-only")], StatusCode::NO_CONTENT.into_response()) };
    let base = serve(Router::new().route("/", post(vote))).await;
    let mut prepare = call(&base);
    prepare.key.op = Op::Prepare;
    prepare.pattern = Pattern::TwoPhase;
    let outcome = answer_of(&caller(), prepare).await.outcome;
    assert_eq!(outcome, Outcome::Done { output: Payload::default(), read_only: true });
}

#[tokio::test]
async fn a_connection_serves_many_calls() {
    let (accepted, base) = support::counting_server(Router::new().route("/", post(|| async {}))).await;
    let caller = caller();
    for _ in 0..5 {
        assert_eq!(answer_of(&caller, call(&base)).await.outcome, done(""));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn named_targets_go_round_the_live_instances() {
    let instance = |name: &'static str| Router::new().route("/v2/reserve", post(move || async move { name }));
    let (a, b) = (serve(instance("a")).await, serve(instance("b")).await);
    let directory = Arc::new(Directory::new());
    let caller = Dispatcher::new(Options::default(), directory.clone(), journal());
    let far = u64::MAX;
    directory.refresh().found(
        trine_clock::now(),
        vec![participant(
            "inventory",
            &[(&format!("{a}/v2"), far), ("http://127.0.0.1:1/lapsed", 1), (&format!("{b}/v2/"), far)],
        )],
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(answer_of(&caller, call("inventory:/reserve")).await.outcome);
    }
    // By their URLs, of which nobody knows which comes first.
    assert!(seen[..2].contains(&done("a")) && seen[..2].contains(&done("b")), "{seen:?}");
    assert_eq!(seen[..2], seen[2..]);

    // Nobody was asked, so no attempt is used up: the service may be about to start.
    let returned = caller.call(call("billing:/pay")).await;
    let Returned::NotSent { reason, .. } = returned else { panic!("{returned:?}") };
    assert!(reason.starts_with("no participant is registered as `billing`"), "{reason}");
}

#[tokio::test]
async fn a_call_to_a_participant_without_a_live_instance_waits_and_counts_as_no_attempt() {
    let directory = Arc::new(Directory::new());
    let caller = Dispatcher::new(Options::default(), directory.clone(), journal());
    directory.refresh().found(trine_clock::now(), vec![participant("gone", &[("http://127.0.0.1:1", 1)])]);
    let returned = caller.call(call("gone:/x")).await;
    let Returned::NotSent { retry_after_ms, reason } = returned else { panic!("{returned:?}") };
    assert!(retry_after_ms > 0);
    assert!(reason.starts_with("no live instance of participant `gone`"), "{reason}");
}

#[tokio::test]
async fn urls_that_cannot_be_called_are_unknown_without_a_connection() {
    let directory = Arc::new(Directory::new());
    directory.refresh().found(
        trine_clock::now(),
        vec![
            participant("a", &[("http://joe:hunter2@127.0.0.1:1", u64::MAX)]),
            participant("b", &[("ftp://127.0.0.1:1", u64::MAX)]),
        ],
    );
    let caller = Dispatcher::new(Options::default(), directory, journal());
    for target in ["http://127.0.0.1:99999/", "http://[::1/", "a:/x", "b:/x"] {
        // As journals of earlier versions may have them.
        let target: Target = serde_json::from_value(target.into()).unwrap();
        let answer = answer_of(&caller, Call { target: target.clone(), ..call("http://a/") }).await;
        assert_eq!(answer.outcome, Outcome::ClientError, "{target}");
        let error = error_of(&answer);
        assert!(error.starts_with("the branch's URL cannot be called"), "{target}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// Runs itself in a process whose environment names a proxy.
#[tokio::test]
async fn proxies_from_the_environment_are_ignored() {
    const TARGET: &str = "DISPATCH_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        let answer = answer_of(&caller(), call(&target)).await;
        assert_eq!(answer.outcome, done("direct"));
        return;
    }
    let (proxied, proxy) = support::slamming_server().await;
    let base = serve(Router::new().route("/", post(|| async { "direct" }))).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &proxy);
    }
    let module = module_path!().split_once("::").unwrap().1;
    let output = child
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env(TARGET, base)
        .args(["--exact", &format!("{module}::proxies_from_the_environment_are_ignored")])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxied.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn only_post_is_used() {
    let base = serve(Router::new().route("/", get(|| async {}))).await;
    let answer = answer_of(&caller(), call(&base)).await;
    assert_eq!(answer.report.status_code, Some(405));
    assert!(error_of(&answer).contains("no POST"), "{answer:?}");
}

#[tokio::test]
async fn a_participant_that_has_the_gid_from_somebody_else_parks_the_branch() {
    let answer = |of: &'static str| {
        post(
            move || async move { (StatusCode::PRECONDITION_FAILED, [("trine-conflict", of)], "of journal 7") },
        )
    };
    let fenced = post(|| async { (StatusCode::PRECONDITION_FAILED, "fenced off") });
    let routes = Router::new().route("/journal", answer("journal")).route("/payload", answer("payload"));
    let base = serve(routes.route("/fenced", fenced)).await;
    for path in ["journal", "payload"] {
        let answer = answer_of(&caller(), call(&format!("{base}/{path}"))).await;
        assert_eq!((answer.outcome, answer.parks), (Outcome::Unknown, Some(ParkCause::Conflict)), "{path}");
        assert!(answer.report.error.unwrap().ends_with("nothing was done: of journal 7"), "{path}");
    }
    assert_eq!(answer_of(&caller(), call(&format!("{base}/fenced"))).await.parks, None);
}
