//! Every row of the outcome table, and what people put where it does not belong.

use hyper::header::{HeaderName, HeaderValue};
use trine_protocol::OutcomeKind;
use trine_protocol::limits::TEXT_BYTES_MAX;

use super::super::retry_after;
use super::*;

/// 1994-11-06T08:49:37Z
const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn whole(body: &str) -> Body {
    Body::Whole(body.as_bytes().to_vec())
}

fn ask(op: Op, status: u16, pairs: &[(&'static str, &str)], body: &str) -> (Outcome, Option<String>) {
    let headers = headers(pairs);
    read(op, status, &headers, &whole(body).decoded(&headers, OUTPUT_BYTES_MAX))
}

fn read(op: Op, status: u16, headers: &HeaderMap, body: &Body) -> (Outcome, Option<String>) {
    let classified = classify(op, status, headers, body, NOW);
    (classified.outcome, classified.error)
}

fn done_with(output: &str) -> Outcome {
    Outcome::Done { output: Payload::from(output), read_only: false }
}

#[test]
fn any_2xx_is_done_whatever_its_body_says() {
    for status in [200, 201, 202, 204, 206, 299] {
        for body in ["", r#"{"dtm_result":"FAILURE"}"#, "FAILURE", "ONGOING", "{garbage", "\u{0}"] {
            for op in Op::ALL {
                assert_eq!(ask(op, status, &[], body), (done_with(body), None), "{op} {status} {body:?}");
            }
        }
    }
}

#[test]
fn any_409_is_refused_whatever_its_body_says() {
    for (body, reason) in [
        ("SUCCESS", "SUCCESS"),
        (r#"{"dtm_result":"SUCCESS"}"#, r#"{"dtm_result":"SUCCESS"}"#),
        (r#"{"type":"x","title":"No stock","detail":"A-1 is\r\nsold out"}"#, "A-1 is sold out"),
        (r#"{"title":"No stock"}"#, "No stock"),
        (r#"{"detail":"  ","title":"No stock"}"#, r#"{"detail":" ","title":"No stock"}"#),
        (r#"{"detail":7}"#, r#"{"detail":7}"#),
        ("sold out\n", "sold out"),
        ("", "refused without a reason"),
        (" \n", "refused without a reason"),
    ] {
        for op in Op::ALL {
            let (outcome, error) = ask(op, 409, &[("content-type", "application/problem+json")], body);
            assert_eq!((outcome, error), (Outcome::Refused { reason: reason.into() }, None), "{op} {body:?}");
        }
    }
}

#[test]
fn a_reason_is_bounded_and_fit_for_a_terminal() {
    let body = Body::Cut([b"\x1b[2J\xff".as_slice(), &[b'x'; OUTPUT_BYTES_MAX]].concat());
    let (Outcome::Refused { reason }, None) = read(Op::Action, 409, &HeaderMap::new(), &body) else {
        panic!("not refused");
    };
    assert!(reason.len() <= TEXT_BYTES_MAX && !reason.contains(char::is_control), "{reason}");
}

#[test]
fn a_read_only_vote_counts_on_2xx_to_prepare_alone() {
    let read_only = Outcome::Done { output: Payload::default(), read_only: true };
    for vote in ["read-only", "Read-Only", " read-only "] {
        assert_eq!(ask(Op::Prepare, 200, &[("trine-vote", vote)], ""), (read_only.clone(), None), "{vote:?}");
    }
    for op in Op::ALL.into_iter().filter(|op| *op != Op::Prepare) {
        assert_eq!(ask(op, 200, &[("trine-vote", "read-only")], ""), (done_with(""), None), "{op}");
    }
    let (outcome, error) = ask(Op::Prepare, 200, &[("trine-vote", "no")], "");
    assert_eq!(outcome, done_with(""));
    assert!(error.is_some_and(|error| error.contains("trine-vote: no is not a vote")));
    let refused = ask(Op::Prepare, 409, &[("trine-vote", "read-only")], "no").0;
    assert_eq!(refused, Outcome::Refused { reason: "no".into() });
}

#[test]
fn not_yet_is_ongoing_after_the_stated_or_the_default_delay() {
    let date = "Sun, 06 Nov 1994 08:49:40 GMT";
    for (status, retry_after, expected) in [
        (425, None, Some(None)),
        (425, Some("3"), Some(Some(3_000))),
        (425, Some("soon"), Some(None)),
        (503, Some("3"), Some(Some(3_000))),
        (503, Some(date), Some(Some(3_000))),
        (503, Some("soon"), Some(None)),
        (503, Some("999999"), Some(Some(3_600_000))),
        (503, None, None),
        (429, Some("3"), Some(Some(3_000))),
        (429, Some("0"), Some(Some(retry_after::RETRY_AFTER_MS_MIN))),
        (429, None, None),
        (500, Some("3"), None),
    ] {
        let pairs: Vec<_> = retry_after.map(|value| ("retry-after", value)).into_iter().collect();
        let outcome = ask(Op::Confirm, status, &pairs, "SUCCESS").0;
        let expected =
            expected.map_or(Outcome::Unknown, |retry_after_ms| Outcome::Ongoing { retry_after_ms });
        assert_eq!(outcome, expected, "{status} {retry_after:?}");
    }
    let error = ask(Op::Confirm, 503, &[("retry-after", "soon")], "").1;
    assert_eq!(error.as_deref(), Some("Retry-After `soon` cannot be read; the default is used"));
}

#[test]
fn everything_else_is_unknown_and_says_what_to_do() {
    for (status, words) in [
        (101, "interim"),
        (300, "redirect"),
        (304, "redirect"),
        (400, "payload"),
        (401, "credentials"),
        (403, "credentials"),
        (404, "check the branch's URL"),
        (405, "no POST"),
        (407, "a proxy"),
        (408, "gave up"),
        (410, "check the branch's URL"),
        (413, "too large"),
        (418, "only 409 means a business refusal"),
        (422, "payload"),
        (429, "names no Retry-After"),
        (500, "look at its log"),
        (415, "takes no JSON"),
        (501, "does not do this"),
        (502, "gateway"),
        (503, "names no Retry-After"),
        (504, "gateway"),
        (599, "look at its log"),
        (999, "not an HTTP status"),
    ] {
        for op in Op::ALL {
            let (outcome, error) = ask(op, status, &[], "SUCCESS");
            assert_eq!(outcome.kind(), OutcomeKind::Unknown, "{op} {status}");
            let error = error.unwrap();
            assert!(error.contains(words) && error.contains(&status.to_string()), "{status}: {error}");
        }
    }
}

#[test]
fn what_no_retry_mends_is_told_from_what_a_retry_may_mend() {
    // Every 4xx, also one that nobody has heard of, except those that say something else.
    let says_else = [408, 409, 412, 423, 424, 425, 429];
    let client_errors = (400..=499).filter(|status| !says_else.contains(status));
    for status in client_errors.chain([301, 308, 501, 505]) {
        assert_eq!(ask(Op::Confirm, status, &[], "").0, Outcome::ClientError, "{status}");
        // A delay that is stated beside it mends nothing either.
        assert_eq!(ask(Op::Action, status, &[("retry-after", "3")], "").0, Outcome::ClientError, "{status}");
    }
    for status in [101, 300, 302, 303, 307, 408, 412, 423, 424, 429, 500, 502, 503, 504, 599] {
        assert_eq!(ask(Op::Confirm, status, &[], "").0, Outcome::Unknown, "{status}");
    }
}

#[test]
fn a_redirect_names_its_target_without_what_may_be_secret() {
    let location = "https://joe:hunter2@elsewhere.example/pay?token=hunter2#x";
    let (outcome, error) = ask(Op::Try, 308, &[("location", location)], "");
    let error = error.unwrap();
    assert_eq!(outcome, Outcome::ClientError);
    assert!(error.contains("https://elsewhere.example/pay, which is not followed"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_answers_own_words_follow_the_advice() {
    let error = ask(Op::Action, 500, &[], "<h1>\n boom \x07</h1>").1;
    assert_eq!(error.as_deref(), Some("HTTP 500: the participant failed; look at its log: <h1> boom </h1>"));
}

#[test]
fn an_oversized_output_is_left_out_rather_than_cut() {
    let body = Body::Cut(vec![b'{'; OUTPUT_BYTES_MAX]);
    let (outcome, error) = read(Op::Action, 200, &HeaderMap::new(), &body);
    assert_eq!(outcome, done_with(""));
    assert!(error.is_some_and(|error| error.starts_with("answer body larger than 16384 bytes, not kept")));
}

#[test]
fn an_output_that_cannot_be_decoded_is_not_kept() {
    for encoding in ["gzip", "br"] {
        let (outcome, error) = ask(Op::Action, 200, &[("content-encoding", encoding)], "\u{1f}\u{8b}");
        assert_eq!(outcome, done_with(""));
        assert!(error.is_some_and(|error| error.contains(&format!("encoded as {encoding}"))));
    }
    assert_eq!(ask(Op::Action, 200, &[("content-encoding", "identity")], "{}"), (done_with("{}"), None));
}

#[test]
fn a_reason_is_read_in_the_charset_it_is_in_and_is_no_binary() {
    for (kind, body, reason) in [
        ("text/plain; charset=iso-8859-1", &b"Gr\xf6\xdfe"[..], "Größe"),
        (
            "application/problem+json; charset=gbk",
            b"{\"detail\":\"\xbf\xe2\xb4\xe6\xb2\xbb\xd7\xe3\"}",
            "库存不足",
        ),
        ("application/problem+json", b"\xef\xbb\xbf{\"detail\":\"sold out\"}", "sold out"),
        ("application/octet-stream", b"\x1f\x8b\x08\0", "4 bytes of application/octet-stream"),
    ] {
        let body = Body::Whole(body.to_vec());
        let (outcome, _) = read(Op::Action, 409, &headers(&[("content-type", kind)]), &body);
        assert_eq!(outcome, Outcome::Refused { reason: reason.into() }, "{kind}");
    }
    let (_, error) = read(Op::Action, 500, &HeaderMap::new(), &Body::Whole(vec![0xff; 3]));
    assert!(error.unwrap().ends_with(": 3 bytes of no stated type"));
}

#[test]
fn a_412_that_names_a_conflict_parks_and_says_what_is_on_record() {
    let asked = |status, value: Option<&'static str>, body: &str| {
        let pairs: Vec<_> = value.map(|value| (headers::CONFLICT, value)).into_iter().collect();
        let classified = classify(Op::Action, status, &headers(&pairs), &whole(body), NOW);
        classified.parks.and(classified.error)
    };
    let problem = r#"{"title":"On record","detail":"order-1/stock is of journal 7"}"#;
    for (value, words) in [
        ("journal", "from another journal, and nothing was done: order-1/stock is of journal 7"),
        (" Payload ", "with another payload, and nothing was done: order-1/stock is of journal 7"),
        ("tenant", "from somebody else: order-1/stock is of journal 7"),
    ] {
        let said = asked(412, Some(value), problem).unwrap();
        assert!(said.starts_with("HTTP 412: ") && said.ends_with(words), "{said}");
    }
    assert!(asked(412, Some("journal"), "").unwrap().ends_with("nothing was done"));
    assert_eq!(asked(412, None, problem), None);
    for status in [200, 409, 425, 500] {
        assert_eq!(asked(status, Some("journal"), problem), None, "{status}");
    }
}
