//! Calls of transactions that carry a dialect's terms: what a participant gets, to the byte, and what becomes of its answer.

mod grpc;
mod http;

use axum::routing::any;
use bytes::Bytes;
use trine_engine::Call;
use trine_protocol::{BranchId, Target};

use super::support::{answer_of, call, caller, counter, done, error_of, hang, recording_server, serve};
use super::*;
use crate::grpc_server::{GrpcServer, ok};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
/// Who asks.
const OURS: &str = concat!("trine/", env!("CARGO_PKG_VERSION"));
const ONGOING: Outcome = Outcome::Ongoing { retry_after_ms: None };

/// A call in these terms, in the form the journal keeps them.
fn termed(terms: &str, op: Op, branch: Option<&str>, payload: &[u8], target: &str) -> Call {
    Call {
        key: CallKey { branch: branch.map(|_| 0), op, attempt: 3 },
        branch: branch.map(|branch| BranchId::parse(branch).unwrap()),
        target: Target::parse(target).unwrap(),
        payload: Payload::raw(payload),
        terms: Some(terms.into()),
        ..call("http://a/")
    }
}

fn saga(target: &str) -> Call {
    termed(r#"{"gid":"order-42","trans_type":"saga"}"#, Op::Action, Some("01"), b"{}", target)
}

#[tokio::test]
async fn silence_and_a_broken_connection_are_unknown() {
    let base = serve(Router::new().fallback(any(hang))).await;
    let answer = answer_of(&caller(), Call { timeout_ms: 50, ..saga(&base) }).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("within 50 ms; it may have run"), "{answer:?}");
    let (base, _told) = recording_server("").await;
    let answer = answer_of(&caller(), saga(&base)).await;
    assert_eq!(answer.outcome, Outcome::Unknown);
    assert!(error_of(&answer).contains("before it answered"), "{answer:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_unknown_says_why_and_is_not_sent() {
    let (contacted, counting) = counter();
    let http = serve(Router::new().fallback(counting)).await;
    let counted = contacted.clone();
    let grpc = GrpcServer::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { ok("") }
    })
    .await;
    let grpc = grpc.target("Reserve");
    let rpc = format!("{http}/?method=reserve");
    let name = r#"{"gid":"g","trans_type":"saga","branch_headers":{"x y":"hunter2"}}"#;
    let value = r#"{"gid":"g","trans_type":"saga","branch_headers":{"x":"hunter2\n"}}"#;
    let empty = r#"{"gid":"g","trans_type":"saga","branch_headers":{"":"hunter2"}}"#;
    let many: Vec<_> = (0..40_000).map(|n| format!("\"{n}\":\"\"")).collect();
    let many = format!(r#"{{"gid":"g","trans_type":"saga","branch_headers":{{{}}}}}"#, many.join(","));
    let json_rpc = r#"{"gid":"g","trans_type":"saga","protocol":"json-rpc"}"#;
    for (terms, target, words) in [
        ("", &http, "terms cannot be read"),
        ("{}", &http, "terms cannot be read"),
        (r#"{"gid":"g","trans_type":"other"}"#, &grpc, "terms cannot be read"),
        (name, &http, r#"the header "x y" cannot be sent, so nothing was: no header can have such a name"#),
        (name, &grpc, r#"the header "x y" cannot be sent"#),
        (value, &http, r#"the header "x" cannot be sent, so nothing was: no header can have such a value"#),
        (value, &grpc, r#"the header "x" cannot be sent"#),
        (empty, &http, r#"the header "" cannot be sent"#),
        (r#"{"gid":"a\nb","trans_type":"saga"}"#, &grpc, r#"the header "dtm-gid" cannot be sent"#),
        (&many, &http, "more headers than can be sent"),
        (&many, &grpc, "more headers than can be sent"),
        (json_rpc, &rpc, "the branch's payload is not a JSON object"),
    ] {
        let answer =
            answer_of(&caller(), termed(terms, Op::Action, Some("01"), b"[\"hunter2\"]", target)).await;
        assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None), "{words}");
        let error = error_of(&answer);
        assert!(error.contains(words) && error.contains("nothing was"), "{words}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(contacted.load(Ordering::SeqCst), 0);
}
