//! Over gRPC.

use expect_test::{Expect, expect};
use tokio::sync::mpsc;
use tonic::{Code, Request, Status};

use super::*;
use crate::grpc_server::metadata;

/// Makes one call over gRPC; the metadata that is not the protocol's own, sorted, and the message.
async fn heard_by_grpc(call: impl Fn(&str) -> Call) -> (Vec<(String, String)>, Bytes) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = GrpcServer::start(move |request: Request<Bytes>| {
        let (metadata, _, message) = request.into_parts();
        let pair = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            (name.to_string(), String::from_utf8(value.as_bytes().to_vec()).unwrap())
        };
        let mut pairs: Vec<_> = metadata.into_headers().iter().map(pair).collect();
        pairs.retain(|(name, _)| !name.starts_with("grpc-"));
        pairs.sort();
        tell.send((pairs, message)).unwrap();
        async { ok("kept") }
    })
    .await;
    let answer = answer_of(&caller(), call(&server.target("Reserve"))).await;
    assert_eq!((answer.outcome, answer.report.status_code), (done("kept"), Some(0)));
    told.recv().await.unwrap()
}

async fn check_grpc(terms: &str, op: Op, branch: Option<&str>, expected: Expect) {
    let (pairs, message) =
        heard_by_grpc(|target| termed(terms, op, branch, b"\x0a\x03A-1\xff", target)).await;
    let lines = pairs.into_iter().map(|(name, value)| format!("{name}: {value:?}\n"));
    expected.assert_eq(&lines.collect::<String>().replace(OURS, "trine/V"));
    assert_eq!(&message[..], b"\x0a\x03A-1\xff");
}

#[tokio::test]
async fn a_method_is_told_who_it_is_in_its_metadata() {
    let saga = r#"{"gid":"order-42","trans_type":"saga","protocol":"grpc"}"#;
    check_grpc(
        saga,
        Op::Compensate,
        Some("02"),
        expect![[r#"
            content-length: "11"
            content-type: "application/grpc"
            dtm-branch_id: "02"
            dtm-dtm: ""
            dtm-gid: "order-42"
            dtm-op: "compensate"
            dtm-trans_type: "saga"
            te: "trailers"
            traceparent: "00-3bf8b157c4238eefe5ae4a66eca81c6b-e174f834ebcb7e70-01"
            user-agent: "trine/V"
        "#]],
    )
    .await;
    let msg = r#"{"gid":"a b/ä","trans_type":"msg","protocol":"grpc"}"#;
    check_grpc(
        msg,
        Op::Check,
        None,
        expect![[r#"
            content-length: "11"
            content-type: "application/grpc"
            dtm-branch_id: "00"
            dtm-dtm: ""
            dtm-gid: "a b/ä"
            dtm-op: "msg"
            dtm-trans_type: "msg"
            te: "trailers"
            traceparent: "00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01"
            user-agent: "trine/V"
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_clients_headers_become_metadata_and_the_protocols_own_stay_ours() {
    let terms = r#"{"gid":"order-42","trans_type":"xa","protocol":"grpc","branch_headers":{
        "X-Tenant":"müller","Key-Bin":"a?b","traceparent":"theirs","dtm-gid":"other","Content-Type":"text/plain",
        "TE":"gzip","User-Agent":"theirs","Grpc-Timeout":"1n","grpc-encoding":"gzip","Connection":"close",
        "Content-Length":"9","Host":"theirs","Keep-Alive":"1","Proxy-Connection":"x","Trailer":"x",
        "Transfer-Encoding":"chunked","Upgrade":"h2c"}}"#;
    check_grpc(
        terms,
        Op::Commit,
        Some("01"),
        expect![[r#"
            content-length: "11"
            content-type: "application/grpc"
            dtm-branch_id: "01"
            dtm-dtm: ""
            dtm-gid: "order-42"
            dtm-op: "commit"
            dtm-trans_type: "xa"
            key-bin: "YT9i"
            te: "trailers"
            traceparent: "theirs"
            user-agent: "trine/V"
            x-tenant: "müller"
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_workflow_that_speaks_grpc_gets_its_input_in_a_message() {
    let terms = r#"{"gid":"g","trans_type":"workflow","workflow":"ship","protocol":"grpc"}"#;
    for (len, prefix) in [
        (0, &b""[..]),
        (1, b"\x0a\x01"),
        (0x7f, b"\x0a\x7f"),
        (0x80, b"\x0a\x80\x01"),
        (0x3fff, b"\x0a\xff\x7f"),
        (0x4000, b"\x0a\x80\x80\x01"),
    ] {
        let input = vec![0xa5; len];
        let (pairs, message) = heard_by_grpc(|target| termed(terms, Op::Check, None, &input, target)).await;
        assert_eq!(message, [prefix, &input].concat(), "{len}");
        for (name, value) in [("dtm-op", "ship"), ("dtm-branch_id", "00"), ("dtm-trans_type", "workflow")] {
            assert!(pairs.contains(&(name.into(), value.into())), "{pairs:?}");
        }
    }
}

#[tokio::test]
async fn every_status_has_its_outcome_and_one_word_of_an_aborted_call_another() {
    let server = GrpcServer::start(async |request: Request<Bytes>| {
        let words = metadata(&request, "words");
        let code = Code::from_i32(i32::from(request.into_inner()[0]));
        if code == Code::Ok { ok("FAILURE") } else { Err(Status::new(code, words)) }
    })
    .await;
    let caller = caller();
    for code in 0..=16u8 {
        for words in ["", "ONGOING", "ONGOING.", "ongoing", "FAILURE", "sold out"] {
            let terms =
                format!(r#"{{"gid":"g","trans_type":"saga","branch_headers":{{"words":"{words}"}}}}"#);
            let call = termed(&terms, Op::Action, Some("01"), &[code], &server.target("Reserve"));
            let answer = answer_of(&caller, call).await;
            let expected = match (code, words) {
                (0, _) => done("FAILURE"),
                (9, _) | (10, "ONGOING") => ONGOING,
                (10, "") => Outcome::Refused { reason: "refused without a reason".into() },
                (10, words) => Outcome::Refused { reason: words.into() },
                _ => Outcome::Unknown,
            };
            assert_eq!(answer.report.error.is_some(), expected == Outcome::Unknown, "{answer:?}");
            assert_eq!((answer.outcome, answer.report.status_code), (expected, Some(code.into())), "{words}");
        }
    }
}
