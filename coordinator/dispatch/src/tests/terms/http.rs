//! Over HTTP, and as JSON-RPC.

use expect_test::{Expect, expect};

use super::*;

/// Makes one call over HTTP; the request, whose lines end with a line feed here.
async fn request_of(terms: &str, op: Op, branch: Option<&str>, payload: &str, path: &str) -> String {
    let (base, mut told) = recording_server(OK).await;
    let call = termed(terms, op, branch, payload.as_bytes(), &format!("{base}{path}"));
    let answer = answer_of(&caller(), call).await;
    assert_eq!(answer.report.status_code, Some(200), "{answer:?}");
    let request = String::from_utf8(told.recv().await.unwrap()).unwrap();
    request.replace("\r\n", "\n").replace(&base["http://".len()..], "HOST").replace(OURS, "trine/V")
}

async fn check_http(terms: &str, op: Op, branch: Option<&str>, payload: &str, path: &str, expected: Expect) {
    expected.assert_eq(&request_of(terms, op, branch, payload, path).await);
}

#[tokio::test]
async fn a_branch_is_told_who_it_is_in_the_query() {
    let terms = r#"{"gid":"order-42","trans_type":"saga"}"#;
    check_http(
        terms,
        Op::Action,
        Some("01"),
        "{ \"n\": 1.0 }",
        "/reserve",
        expect![[r#"
            POST /reserve?branch_id=01&gid=order-42&op=action&trans_type=saga HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-19e1a21b9e051482-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 12

            { "n": 1.0 }"#]],
    )
    .await;
    check_http(
        terms,
        Op::Compensate,
        Some("02"),
        "7",
        "/release?k=v&q=x%20y",
        expect![[r#"
            POST /release?k=v&q=x%20y&branch_id=02&gid=order-42&op=compensate&trans_type=saga HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-e174f834ebcb7e70-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 1

            7"#]],
    )
    .await;
}

#[tokio::test]
async fn a_call_without_a_payload_is_a_get() {
    let terms = r#"{"gid":"order-42","trans_type":"tcc"}"#;
    check_http(
        terms,
        Op::Confirm,
        Some("0201"),
        "",
        "/confirm?",
        expect![[r#"
            GET /confirm?branch_id=0201&gid=order-42&op=confirm&trans_type=tcc HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-2db9a073dab08046-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST

        "#]],
    )
    .await;
}

#[tokio::test]
async fn xa_is_always_posted() {
    let terms = r#"{"gid":"order-42","trans_type":"xa"}"#;
    check_http(
        terms,
        Op::Commit,
        Some("01"),
        "",
        "/xa",
        expect![[r#"
            POST /xa?branch_id=01&gid=order-42&op=commit&trans_type=xa HTTP/1.1
            content-length: 0
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-562c9a3c07b476b1-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST

        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_check_asks_by_its_fixed_names() {
    let terms = r#"{"gid":"order-42","trans_type":"msg"}"#;
    check_http(
        terms,
        Op::Check,
        None,
        "",
        "/check?k=v",
        expect![[r#"
            GET /check?k=v&branch_id=00&gid=order-42&op=msg&trans_type=msg HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST

        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_gid_of_any_spelling_reaches_the_participant_as_the_client_wrote_it() {
    let terms = r#"{"gid":"a b/&=+%ä\n","trans_type":"msg"}"#;
    check_http(
        terms,
        Op::Deliver,
        Some("01-02"),
        "null",
        "/",
        expect![[r#"
            POST /?branch_id=01-02&gid=a+b%2F%26%3D%2B%25%C3%A4%0A&op=action&trans_type=msg HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-29299c3b3667be8a-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 4

            null"#]],
    )
    .await;
}

#[tokio::test]
async fn the_clients_headers_go_with_every_call_and_framing_stays_ours() {
    let terms = r#"{"gid":"order-42","trans_type":"msg","branch_headers":{
        "Content-Type":"text/plain","X-Tenant":"müller","authorization":"Bearer abc","traceparent":"theirs",
        "Content-Length":"9","Transfer-Encoding":"chunked","Accept-Encoding":"gzip","Trailer":"x"}}"#;
    check_http(
        terms,
        Op::Deliver,
        Some("01"),
        "x",
        "/",
        expect![[r#"
            POST /?branch_id=01&gid=order-42&op=action&trans_type=msg HTTP/1.1
            content-type: text/plain
            traceparent: theirs
            x-tenant: müller
            authorization: Bearer abc
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 1

            x"#]],
    )
    .await;
    check_http(
        terms,
        Op::Check,
        None,
        "",
        "/",
        expect![[r#"
            GET /?branch_id=00&gid=order-42&op=msg&trans_type=msg HTTP/1.1
            content-type: text/plain
            traceparent: theirs
            x-tenant: müller
            authorization: Bearer abc
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST

        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_workflow_is_called_back_by_its_name() {
    let http = r#"{"gid":"order-42","trans_type":"workflow","workflow":"ship it"}"#;
    check_http(
        http,
        Op::Check,
        None,
        "input",
        "/workflow",
        expect![[r#"
            POST /workflow?branch_id=00&gid=order-42&op=ship+it&trans_type=workflow HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 5

            input"#]],
    )
    .await;
    check_http(
        http,
        Op::Check,
        None,
        "",
        "/workflow",
        expect![[r#"
            GET /workflow?branch_id=00&gid=order-42&op=ship+it&trans_type=workflow HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST

        "#]],
    )
    .await;
    let grpc = r#"{"gid":"order-42","trans_type":"workflow","workflow":"ship it","protocol":"grpc"}"#;
    let request = request_of(grpc, Op::Check, None, "input", "/workflow").await;
    assert!(request.ends_with("content-length: 7\n\n\x0a\x05input"), "{request:?}");
}

#[tokio::test]
async fn json_rpc_is_told_in_its_parameters() {
    let terms = r#"{"gid":"order-42","trans_type":"msg","protocol":"json-rpc","branch_headers":{"X-A":"b"}}"#;
    let payload = r#"{"n":12345678901234567890.10, "gid":"theirs"}"#;
    check_http(terms, Op::Deliver, Some("01"), payload, "/rpc?method=Stock.Reserve&k=v", expect![[r#"
        POST /rpc?method=Stock.Reserve&k=v HTTP/1.1
        content-type: application/json
        traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-9a00d417e75f5452-01
        x-a: b
        accept: */*
        user-agent: trine/V
        accept-encoding: identity
        host: HOST
        content-length: 176

        {"jsonrpc":"2.0","id":"order-42/01/action/3","method":"Stock.Reserve","params":{"branch_id":"01","gid":"order-42","n":12345678901234567890.10,"op":"action","trans_type":"msg"}}"#]]).await;
    check_http(terms, Op::Check, None, "", "/method", expect![[r#"
        POST /method HTTP/1.1
        content-type: application/json
        traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-df248ba590585d13-01
        x-a: b
        accept: */*
        user-agent: trine/V
        accept-encoding: identity
        host: HOST
        content-length: 129

        {"jsonrpc":"2.0","id":"order-42/00/msg/3","method":"","params":{"branch_id":"00","gid":"order-42","op":"msg","trans_type":"msg"}}"#]]).await;
    let without = request_of(terms, Op::Check, None, "", "/method").await;
    for payload in ["null", "{}"] {
        assert_eq!(request_of(terms, Op::Check, None, payload, "/method").await, without);
    }
    // Without the word it is a plain call.
    check_http(
        terms,
        Op::Deliver,
        Some("01"),
        "[1]",
        "/plain",
        expect![[r#"
            POST /plain?branch_id=01&gid=order-42&op=action&trans_type=msg HTTP/1.1
            content-type: application/json
            traceparent: 00-3bf8b157c4238eefe5ae4a66eca81c6b-9a00d417e75f5452-01
            x-a: b
            accept: */*
            user-agent: trine/V
            accept-encoding: identity
            host: HOST
            content-length: 3

            [1]"#]],
    )
    .await;
}

#[tokio::test]
async fn every_op_has_its_word() {
    let (base, mut told) = recording_server(OK).await;
    for (trans_type, op, expected) in [
        ("saga", Op::Action, "action"),
        ("saga", Op::Compensate, "compensate"),
        ("tcc", Op::Try, "try"),
        ("tcc", Op::Confirm, "confirm"),
        ("tcc", Op::Cancel, "cancel"),
        ("xa", Op::Prepare, "action"),
        ("xa", Op::Commit, "commit"),
        ("xa", Op::Rollback, "rollback"),
        ("msg", Op::Deliver, "action"),
    ] {
        let terms = format!(r#"{{"gid":"g","trans_type":"{trans_type}"}}"#);
        answer_of(&caller(), termed(&terms, op, Some("01"), b"{}", &base)).await;
        let request = String::from_utf8(told.recv().await.unwrap()).unwrap();
        let line = format!("POST /?branch_id=01&gid=g&op={expected}&trans_type={trans_type} HTTP/1.1\r\n");
        assert!(request.starts_with(&line), "{trans_type} {op}: {request}");
    }
}

#[tokio::test]
async fn payloads_pass_as_they_are() {
    let (base, mut told) = recording_server(OK).await;
    let payload = b"\x0a\x03A-1\xff\r\n\r\n\0";
    let terms = r#"{"gid":"g","trans_type":"saga"}"#;
    answer_of(&caller(), termed(terms, Op::Action, Some("01"), payload, &base)).await;
    assert!(told.recv().await.unwrap().ends_with(&[b"\r\n\r\n", &payload[..]].concat()));
}

#[tokio::test]
async fn words_in_an_answer_decide_and_its_body_is_kept() {
    for (status, body, expected) in [
        (200, "{\"left\":7}", done("{\"left\":7}")),
        (200, "FAILURE", Outcome::Refused { reason: "FAILURE".into() }),
        (409, "sold out", Outcome::Refused { reason: "sold out".into() }),
        (409, "ONGOING", ONGOING),
        (425, "", ONGOING),
        (201, "SUCCESS", Outcome::Unknown),
        (500, "boom", Outcome::Unknown),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let base = serve(Router::new().fallback(any(move || async move { (status, body) }))).await;
        let answer = answer_of(&caller(), saga(&base)).await;
        assert_eq!((answer.outcome, answer.report.status_code), (expected, Some(status.as_u16())), "{body}");
    }
}

#[tokio::test]
async fn json_rpc_codes_decide_where_the_call_was_one() {
    let refusal = r#"{"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"sold out"}}"#;
    let base = serve(Router::new().fallback(any(move || async move { refusal }))).await;
    let terms = r#"{"gid":"g","trans_type":"saga","protocol":"json-rpc"}"#;
    let outcome = async |path: &str| {
        let call = termed(terms, Op::Action, Some("01"), b"{}", &format!("{base}{path}"));
        answer_of(&caller(), call).await.outcome
    };
    assert_eq!(outcome("/?method=reserve").await, Outcome::Refused { reason: "sold out".into() });
    assert_eq!(outcome("/").await, done(refusal));
}
