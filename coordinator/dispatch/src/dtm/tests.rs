//! Every kind of answer, as the dialect reads it: over HTTP, of JSON-RPC, and over gRPC.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use trine_engine::{Outcome, Payload};
use trine_protocol::limits::{OUTPUT_BYTES_MAX, TEXT_BYTES_MAX};

use super::answer;
use crate::decode::Body;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn whole(body: &str) -> Body {
    Body::Whole(body.as_bytes().to_vec())
}

fn http(status: u16, body: &str) -> (Outcome, Option<String>) {
    answer::http(status, &HeaderMap::new(), &whole(body))
}

fn json_rpc(status: u16, body: &str) -> (Outcome, Option<String>) {
    answer::json_rpc(status, &HeaderMap::new(), &whole(body))
}

fn done(output: &str) -> Outcome {
    Outcome::Done { output: Payload::from(output), read_only: false }
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused { reason: reason.into() }
}

const ONGOING: Outcome = Outcome::Ongoing { retry_after_ms: None };

/// The first letter of an outcome.
fn letter(outcome: &Outcome) -> char {
    match outcome {
        Outcome::Done { .. } => 'D',
        Outcome::Refused { .. } => 'R',
        Outcome::Ongoing { .. } => 'O',
        Outcome::Unknown => 'U',
        Outcome::ClientError => 'C',
    }
}

#[test]
fn words_in_a_body_decide_before_the_status_does() {
    let bodies = [
        "",
        r#"{"dtm_result":"SUCCESS"}"#,
        r#"{"dtm_result":"FAILURE"}"#,
        r#"{"dtm_result":"ONGOING"}"#,
        "FAILURE, no, ONGOING",
        "xFAILUREx",
        "failure ongoing Failure FAIL URE",
    ];
    for (status, expected) in [
        (101, "UUROORU"),
        (200, "DDROORD"),
        (201, "UUROORU"),
        (202, "UUROORU"),
        (204, "UUROORU"),
        (299, "UUROORU"),
        (302, "UUROORU"),
        (400, "UUROORU"),
        (401, "UUROORU"),
        (404, "UUROORU"),
        (405, "UUROORU"),
        (408, "UUROORU"),
        (409, "RRROORR"),
        (410, "UUROORU"),
        (422, "UUROORU"),
        (424, "UUROORU"),
        (425, "OOOOOOO"),
        (426, "UUROORU"),
        (429, "UUROORU"),
        (500, "UUROORU"),
        (502, "UUROORU"),
        (503, "UUROORU"),
        (504, "UUROORU"),
        (999, "UUROORU"),
    ] {
        let read: String = bodies.iter().map(|body| letter(&http(status, body).0)).collect();
        assert_eq!(read, expected, "{status}");
    }
}

#[test]
fn an_outcome_carries_what_the_body_says() {
    assert_eq!(http(200, r#"{"left": 7}"#), (done(r#"{"left": 7}"#), None));
    assert_eq!(http(200, ""), (done(""), None));
    assert_eq!(http(425, "FAILURE"), (ONGOING, None));
    assert_eq!(http(409, ""), (refused("refused without a reason"), None));
    assert_eq!(http(409, " sold\r\n out\u{1b}"), (refused("sold out"), None));
    let body = r#"{"dtm_result":"FAILURE","detail":"sold out"}"#;
    assert_eq!(http(500, body), (refused(body), None));
    let (Outcome::Refused { reason }, None) = http(409, &"x".repeat(OUTPUT_BYTES_MAX)) else {
        panic!("not refused");
    };
    assert!(reason.len() <= TEXT_BYTES_MAX);
}

#[test]
fn what_is_not_200_says_what_to_do() {
    for (status, words) in [
        (201, "HTTP 201: only 200 means that it took effect: SUCCESS"),
        (204, "only 200 means"),
        (302, "a redirect"),
        (405, "a call without a payload is a GET"),
        (429, "limits the rate"),
        (500, "look at its log: SUCCESS"),
        (503, "not available"),
    ] {
        let (outcome, error) = http(status, "SUCCESS");
        let error = error.unwrap();
        assert_eq!(outcome, Outcome::Unknown);
        assert!(error.contains(words) && error.contains(&status.to_string()), "{status}: {error}");
    }
}

#[test]
fn a_stated_delay_and_a_vote_mean_nothing() {
    let hints = headers(&[("retry-after", "3"), ("trine-vote", "read-only")]);
    let read = |status| answer::http(status, &hints, &whole("")).0;
    assert_eq!(
        [read(200), read(425), read(429), read(503)],
        [done(""), ONGOING, Outcome::Unknown, Outcome::Unknown]
    );
}

#[test]
fn words_count_wherever_they_stand_and_what_was_not_read_is_not_done() {
    let read = |status, body| answer::http(status, &HeaderMap::new(), &body);
    let last = answer::BODY_BYTES_MAX - "FAILURE".len();
    let said = [vec![b'x'; last], b"FAILURE".to_vec()].concat();
    assert_eq!(letter(&read(200, Body::Cut(said.clone())).0), 'R');
    assert_eq!(letter(&read(200, Body::Whole(said)).0), 'R');
    let cut_short = [vec![b'x'; last + 1], b"FAILUR".to_vec()].concat();
    let (outcome, error) = read(200, Body::Cut(cut_short));
    assert_eq!(outcome, Outcome::Unknown);
    assert!(error.unwrap().contains("longer than 1048576 bytes"));
    let (outcome, error) = read(200, Body::Whole(vec![b'x'; OUTPUT_BYTES_MAX + 1]));
    assert_eq!(outcome, done(""));
    assert!(error.unwrap().contains("larger than 16384 bytes"));
    assert_eq!(letter(&read(200, Body::Cut(b"\xff\xfeONGOING\xff".to_vec())).0), 'O');
}

#[test]
fn an_answer_whose_words_are_hidden_is_not_done() {
    let gzip = headers(&[("content-encoding", "gzip")]);
    let read =
        |status, body| answer::http(status, &gzip, &whole(body).decoded(&gzip, answer::BODY_BYTES_MAX));
    for status in [200, 409, 500] {
        let (outcome, error) = read(status, "\u{1f}ONGOING");
        assert_eq!(outcome, Outcome::Unknown, "{status}");
        assert!(error.unwrap().contains("encoded as gzip"));
    }
    assert_eq!(read(425, "\u{1f}").0, ONGOING);
    assert_eq!(read(200, "").0, done(""));
    assert_eq!(letter(&read(409, "").0), 'R');
    let utf16 =
        Body::Whole("{\"dtm_result\":\"FAILURE\"}".encode_utf16().flat_map(u16::to_le_bytes).collect());
    let kind = headers(&[("content-type", "application/json; charset=utf-16le")]);
    assert_eq!(answer::http(200, &kind, &utf16).0, refused(r#"{"dtm_result":"FAILURE"}"#));
    let plain = headers(&[("content-encoding", "identity")]);
    assert_eq!(answer::http(200, &plain, &whole("{}")).0, done("{}"));
}

#[test]
fn an_error_of_json_rpc_is_read_by_its_code() {
    for (code, expected) in [
        ("-32901", 'R'),
        ("-32901.0", 'R'),
        (r#""-32901""#, 'R'),
        ("-32902", 'O'),
        ("-32902.0", 'O'),
        (r#""-32902""#, 'O'),
        ("-32900", 'U'),
        ("-32901.5", 'U'),
        ("32901", 'U'),
        ("-32700", 'U'),
        ("-32603", 'U'),
        ("0", 'U'),
        (r#""""#, 'U'),
        ("null", 'U'),
        ("true", 'U'),
        ("[-32901]", 'U'),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":"1","error":{{"code":{code},"message":"no"}}}}"#);
        let (outcome, error) = json_rpc(200, &body);
        assert_eq!(letter(&outcome), expected, "{code}");
        assert_eq!(error.is_some(), expected == 'U', "{code}");
    }
}

#[test]
fn json_rpc_is_http_first() {
    let refusal = r#"{"error":{"code":-32901,"message":"ONGOING"}}"#;
    for (status, body, expected) in [
        (200, refusal, 'O'),
        (500, r#"{"error":{"code":-32901,"message":"no"}}"#, 'U'),
        (409, r#"{"error":{"code":-32902,"message":"no"}}"#, 'R'),
        (425, r#"{"result":{}}"#, 'O'),
        (200, r#"{"error":{"code":-32603,"message":"FAILURE"}}"#, 'R'),
        (200, r#"{"result":{"dtm_result":"FAILURE"}}"#, 'R'),
        (200, r#"{"error":"no"}"#, 'U'),
        (200, r#"{"error":{}}"#, 'U'),
        (200, r#"{"error":0}"#, 'U'),
        (200, "", 'U'),
        (200, "OK", 'U'),
        (200, "7", 'U'),
        (200, "[]", 'U'),
        (200, "null", 'U'),
        (200, r#"{"result""#, 'U'),
    ] {
        assert_eq!(letter(&json_rpc(status, body).0), expected, "{status} {body}");
    }
    for body in [r#"{"jsonrpc":"2.0","id":"1","result":7}"#, r#"{"result":{},"error":null}"#, "{}"] {
        assert_eq!(json_rpc(200, body), (done(body), None));
    }
    let cut = Body::Cut(br#"{"result":"#.to_vec());
    let (outcome, error) = answer::json_rpc(200, &HeaderMap::new(), &cut);
    assert_eq!(outcome, Outcome::Unknown);
    assert!(error.unwrap().contains("longer than"));
}

#[test]
fn a_refusal_of_json_rpc_has_the_errors_words() {
    let of = |error: &str| json_rpc(200, &format!(r#"{{"error":{error}}}"#)).0;
    assert_eq!(of(r#"{"code":-32901,"message":" sold\n out"}"#), refused("sold out"));
    assert_eq!(of(r#"{"code":-32901,"message":" "}"#), refused(r#"{"code":-32901,"message":" "}"#));
    assert_eq!(of(r#"{"code":"-32901"}"#), refused(r#"{"code":"-32901"}"#));
}
