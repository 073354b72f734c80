//! Requests in all spellings that clients of dtm use give the same result.

use serde_json::{Value, json};
use trine_protocol::dtm::TransOptions;

use super::*;

/// Every known key, with a value that is not zero.
fn full() -> Value {
    json!({
        "gid": "g", "trans_type": "saga", "query_prepared": "q", "protocol": "grpc", "custom_data": "{}",
        "rollback_reason": "r", "req_extra": {"status": "succeed"}, "branch_headers": {"A": "b"},
        "wait_result": true, "concurrent": true, "timeout_to_fail": 1, "request_timeout": 2, "retry_interval": 3,
        "retry_limit": 4, "steps": [{"action": "a", "compensate": "c"}], "payloads": ["p"],
    })
}

fn map(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn full_request() -> TransRequest {
    TransRequest {
        gid: "g".into(),
        trans_type: "saga".into(),
        steps: vec![Step { action: "a".into(), compensate: "c".into() }],
        payloads: vec![b"p".to_vec()],
        query_prepared: "q".into(),
        protocol: "grpc".into(),
        custom_data: "{}".into(),
        rollback_reason: "r".into(),
        req_extra: map("status", "succeed"),
        options: TransOptions {
            wait_result: true,
            timeout_to_fail: 1,
            request_timeout: 2,
            retry_interval: 3,
            retry_limit: 4,
            branch_headers: map("A", "b"),
            concurrent: true,
        },
    }
}

/// JSON text of an object, written key by key so that a key may come twice.
fn object(entries: &[(String, Value)]) -> String {
    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", entries.join(", "))
}

fn entries() -> Vec<(String, Value)> {
    full().as_object().unwrap().clone().into_iter().collect()
}

fn decode(text: &str) -> TransRequest {
    transaction(text.as_bytes()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn every_key_has_its_field() {
    assert_eq!(decode(&full().to_string()), full_request());
}

#[test]
fn null_is_the_zero_value_of_every_key_and_so_is_its_absence() {
    for (key, _) in entries() {
        let mut with_null = full();
        with_null[&key] = Value::Null;
        let mut without = full();
        without.as_object_mut().unwrap().remove(&key);
        assert_eq!(decode(&with_null.to_string()), decode(&without.to_string()), "{key}");
        assert_ne!(decode(&with_null.to_string()), full_request(), "{key} is not read at all");
    }
    for text in ["{}", "null", " null\n", r#"{"steps":[],"payloads":[]}"#] {
        assert_eq!(decode(text), TransRequest::default(), "{text}");
    }
    let nulls = decode(r#"{"steps":[null,{"action":null}],"payloads":[null],"branch_headers":{"a":null}}"#);
    assert_eq!(nulls.steps, [Step::default(), Step::default()]);
    assert_eq!(nulls.payloads, [b""]);
    assert_eq!(nulls.options.branch_headers, map("a", ""));
}

#[test]
fn the_same_request_is_read_whatever_the_case_the_order_the_repetitions_and_what_else_is_there() {
    let strangers =
        [json!(null), json!(-1.5e300), json!("x"), json!([[{"gid": 1}]]), json!({"steps": {"a": [1]}})];
    for seed in 0..500 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut wanted = entries();
        chance.shuffle(&mut wanted);
        let mut written = Vec::new();
        for (key, value) in wanted {
            let mut any_case = || -> String {
                let flip = |c: char| if chance.bool() { c.to_ascii_uppercase() } else { c };
                key.chars().map(flip).collect()
            };
            // The first is overwritten by the second.
            written.push((any_case(), Value::Null));
            written.push((any_case(), value));
            let at = chance.usize(..=written.len());
            let stranger = chance.choice(&strangers).unwrap().clone();
            written.insert(at, (format!("stranger_{seed}"), stranger));
        }
        assert_eq!(decode(&object(&written)), full_request(), "seed {seed}");
    }
}

#[test]
fn unknown_fields_of_real_clients_are_ignored() {
    let text = r#"{"gid":"g","trans_type":"tcc","passthrough_headers":["a"],"subType":"x","subType":"y",
        "status":7,"steps":null,"dtm":{"a":[{}]},"retry_count":"x"}"#;
    let expected = TransRequest { gid: "g".into(), trans_type: "tcc".into(), ..TransRequest::default() };
    assert_eq!(decode(text), expected);
}

#[test]
fn a_wrong_type_is_said_with_its_key() {
    for (key, _) in entries() {
        for wrong in [json!({"a": {}}), json!([[1]]), json!(1.5)] {
            let mut body = full();
            body[&key] = wrong.clone();
            let error = transaction(body.to_string().as_bytes()).unwrap_err();
            assert!(error.starts_with(&key), "{key} {wrong}: {error}");
        }
    }
    for body in ["[]", "1", "\"x\"", "true", "{]", "{} x", r#"{"gid":"a" "#] {
        assert!(!transaction(body.as_bytes()).unwrap_err().is_empty(), "{body}");
    }
    let long = format!(r#"{{"retry_limit":"{}"}}"#, "x".repeat(100_000));
    assert!(transaction(long.as_bytes()).unwrap_err().len() < 1_000);
}

#[test]
fn a_body_that_ends_early_is_reported_as_such() {
    for body in ["", " \n", "{", r#"{"gid"#, r#"{"gid":"a""#, "nul"] {
        assert_eq!(transaction(body.as_bytes()).unwrap_err(), "unexpected end of JSON input", "{body:?}");
    }
    assert_eq!(branch(b"").unwrap_err(), "unexpected end of JSON input");
}

#[test]
fn payloads_of_old_clients_stand_in_the_steps_and_come_last() {
    let text = r#"{"steps":[{"action":"a","data":"one"},{"action":"b","data":""},{"data":"two"}],"payloads":["zero"]}"#;
    let request = decode(text);
    assert_eq!(request.payloads, [b"zero".to_vec(), b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(request.steps.len(), 3);
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!(r#"{{"a":{}{},"gid":"g"}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(decode(&deep).gid, "g");
    transaction(format!(r#"{{"steps":{}"#, "[".repeat(200_000)).as_bytes()).unwrap_err();
    branch("{\"a\":".repeat(200_000).as_bytes()).unwrap_err();
}

#[test]
fn broken_unicode_is_replaced() {
    assert_eq!(transaction(b"{\"gid\":\"a\xff\"}").unwrap().gid, "a\u{fffd}");
    assert!(decode(r#"{"gid":"a\ud800"}"#).gid.starts_with("a\u{fffd}"));
    assert_eq!(decode(r#"{"gid":"\ud83d\ude00"}"#).gid, "😀");
}

#[test]
fn a_branch_is_a_flat_map_of_texts() {
    let text = r#"{"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"a\":1}","confirm":"c","cancel":null,
        "gid":"h","status":"prepared"}"#;
    let mut data = map("confirm", "c");
    data.extend(map("cancel", ""));
    data.extend(map("status", "prepared"));
    let expected = BranchRequest {
        gid: "h".into(),
        trans_type: "tcc".into(),
        branch_id: "01".into(),
        payload: br#"{"a":1}"#.to_vec(),
        data,
    };
    assert_eq!(branch(text.as_bytes()), Ok(expected));
    for wrong in [r#"{"gid":1}"#, r#"{"x":{}}"#, r#"{"x":[]}"#, r#"{"x":true}"#, "[]"] {
        branch(wrong.as_bytes()).unwrap_err();
    }
}

#[test]
fn steps_in_a_text_of_their_own_may_be_empty_or_null() {
    assert_eq!(steps(""), Ok(vec![]));
    assert_eq!(steps("null"), Ok(vec![]));
    assert_eq!(steps("[]"), Ok(vec![]));
    let expected = Step { action: "a".into(), compensate: "c".into() };
    assert_eq!(steps(r#"[{"action":"a","compensate":"c","data":"x"}]"#), Ok(vec![expected]));
    steps("{}").unwrap_err();
}
