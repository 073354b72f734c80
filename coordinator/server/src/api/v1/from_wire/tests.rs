//! Each test covers one rule of the documents.

use trine_engine::OnExhausted;

use super::*;

fn read(text: &str) -> Result<Spec, Refusal> {
    spec(serde_json::from_str(text).unwrap(), |_| false)
}

fn refused(text: &str) -> (String, String) {
    let refusal = read(text).unwrap_err();
    (refusal.problem().field.clone().unwrap_or_default(), refusal.problem().detail.clone())
}

fn saga(rest: &str) -> String {
    format!(
        r#"{{"pattern":"saga","branches":[{{"id":"a","action":"http://a/"}},{{"id":"b","action":"http://b/"}},{{"id":"c","action":"http://c/"}}]{rest}}}"#
    )
}

fn after(spec: &Spec) -> Vec<Vec<&str>> {
    spec.branches
        .iter()
        .map(|branch| branch.after.iter().map(trine_protocol::BranchId::as_str).collect())
        .collect()
}

#[test]
fn saga_branches_follow_each_other_unless_told_otherwise() {
    assert_eq!(after(&read(&saga("")).unwrap()), [vec![], vec!["a"], vec!["b"]]);
    assert_eq!(after(&read(&saga(r#","options":{"order":"parallel"}"#)).unwrap()), [[""; 0]; 3]);
    let stated = saga("").replace(r#""id":"c""#, r#""id":"c","after":["a"]"#);
    assert_eq!(after(&read(&stated).unwrap()), [vec![], vec![], vec!["a"]]);
    let none = saga("").replace(r#""id":"c""#, r#""id":"c","after":[]"#);
    assert_eq!(after(&read(&none).unwrap()), [[""; 0]; 3]);
    assert_eq!(
        refused(&stated.replace("\"branches\"", "\"options\":{\"order\":\"sequence\"},\"branches\"")).0,
        "options.order"
    );
}

#[test]
fn messages_are_delivered_side_by_side_unless_told_otherwise() {
    let message = saga("").replace("saga", "message").replace("action", "deliver");
    assert_eq!(after(&read(&message).unwrap()), [[""; 0]; 3]);
    let sequence = message.replace("\"branches\"", "\"options\":{\"order\":\"sequence\"},\"branches\"");
    assert_eq!(after(&read(&sequence).unwrap()), [vec![], vec!["a"], vec!["b"]]);
}

#[test]
fn one_url_serves_every_op_of_the_pattern() {
    for (pattern, on_commit, on_rollback) in
        [("saga", false, true), ("tcc", true, true), ("two_phase", true, true), ("message", false, false)]
    {
        let spec = read(&format!(r#"{{"pattern":"{pattern}","branches":[{{"id":"a","url":"http://a/"}}]}}"#))
            .unwrap();
        let branch = &spec.branches[0];
        assert!(branch.forward.is_some(), "{pattern}");
        assert_eq!(
            (branch.on_commit.is_some(), branch.on_rollback.is_some()),
            (on_commit, on_rollback),
            "{pattern}"
        );
    }
}

#[test]
fn any_op_and_the_check_may_be_a_grpc_method() {
    let spec = read(
        r#"{"pattern":"message","open":true,"check":"grpcs://orders:443/shop.Orders/Check",
            "branches":[{"id":"a","deliver":"grpc://[::1]:50051/mail.Mail/Send"},{"id":"b","deliver":"mail:/send"}]}"#,
    )
    .unwrap();
    let target = |text: &str| Some(Target::parse(text).unwrap());
    assert_eq!(spec.check, target("grpcs://orders:443/shop.Orders/Check"));
    assert_eq!(spec.branches[0].forward, target("grpc://[::1]:50051/mail.Mail/Send"));
    let broken = r#"{"pattern":"saga","branches":[{"id":"a","url":"grpc://a/a.B/C"}]}"#;
    let error = serde_json::from_str::<CreateTransaction>(broken).unwrap_err().to_string();
    assert!(error.contains("must name a port from 1 to 65535"), "{error}");
}

#[test]
fn the_initiator_of_an_open_tcc_drives_try_itself() {
    let spec = read(r#"{"pattern":"tcc","open":true,"branches":[{"id":"a","url":"http://a/"}]}"#).unwrap();
    assert_eq!(spec.branches[0].forward, None);
    assert!(spec.branches[0].on_commit.is_some() && spec.branches[0].on_rollback.is_some());
    assert_eq!(spec.deadline_ms, Some(OPEN_DEADLINE_MS_DEFAULT));
}

#[test]
fn a_branch_overrides_options_field_by_field() {
    let spec = read(
        r#"{"pattern":"saga",
            "options":{"call_timeout":"2s","on_exhausted":"roll_back","retry":{"initial":"1s","max_attempts":5,"factor":1.5}},
            "branches":[{"id":"a","action":"http://a/","options":{"call_timeout_ms":50,"retry":{"max_attempts":9}}}]}"#,
    )
    .unwrap();
    let call = *spec.branches[0].call;
    assert_eq!((call.timeout_ms, call.on_exhausted), (50, OnExhausted::RollBack));
    assert_eq!(
        (call.retry.initial_ms, call.retry.max_attempts, call.retry.factor_permille),
        (1_000, Some(9), 1_500)
    );
    assert_eq!(spec.check_call.timeout_ms, 2_000);
}

#[test]
fn a_saga_is_ahead_if_it_says_so_or_if_every_target_names_a_guarded_participant() {
    let read = |action: &str, compensate: &str, options: &str| {
        let text = format!(
            r#"{{"pattern":"saga"{options},"branches":[{{"id":"a","action":"stock:/take","compensate":"stock:/give"}},
                {{"id":"b","action":"{action}","compensate":"{compensate}"}},{{"id":"c","url":"orders:/c"}}]}}"#
        );
        let request = serde_json::from_str(&text).unwrap();
        spec(request, |name| matches!(name, "stock" | "orders")).unwrap().exposure
    };
    let auto = r#","options":{"exposure":"auto"}"#;
    for options in ["", auto] {
        assert_eq!(read("orders:/a", "stock:/b", options), Exposure::Ahead);
        for other in ["http://stock/a", "grpc://stock:1/a.B/C", "mail:/a"] {
            assert_eq!(read(other, "stock:/b", options), Exposure::Exact, "{other}");
            assert_eq!(read("stock:/a", other, options), Exposure::Exact, "{other}");
        }
    }
    assert_eq!(read("http://a/", "http://b/", r#","options":{"exposure":"ahead"}"#), Exposure::Ahead);
    assert_eq!(read("orders:/a", "stock:/b", r#","options":{"exposure":"exact"}"#), Exposure::Exact);
}

#[test]
fn only_a_saga_states_its_exposure() {
    for pattern in ["tcc", "two_phase", "message"] {
        let text = |exposure: &str| {
            format!(
                r#"{{"pattern":"{pattern}","options":{{"exposure":"{exposure}"}},"branches":[{{"id":"a","url":"stock:/a"}}]}}"#
            )
        };
        for stated in ["ahead", "exact"] {
            let (field, detail) = refused(&text(stated));
            assert_eq!(field, "options.exposure");
            let expected =
                format!("`{stated}`: only a saga is `ahead` or `exact`; leave it out for a {pattern}");
            assert_eq!(detail, expected);
        }
        let request = serde_json::from_str(&text("auto")).unwrap();
        assert_eq!(spec(request, |_| true).unwrap().exposure, Exposure::Exact);
    }
}

#[test]
fn the_digest_has_the_stated_exposure_and_not_what_auto_resolves_to() {
    let digest = |exposure: &str, guarded: bool| {
        let options = format!(r#","options":{{{exposure}}}"#);
        let text = saga(&options).replace("http://", "p:/");
        spec(serde_json::from_str(&text).unwrap(), |_| guarded).unwrap().digest
    };
    let unsaid = digest("", false);
    assert_eq!(unsaid, digest("", true));
    assert_eq!(unsaid, digest(r#""exposure":"auto""#, true));
    assert_eq!(unsaid, digest(r#""exposure":null"#, true));
    let (ahead, exact) = (digest(r#""exposure":"ahead""#, true), digest(r#""exposure":"exact""#, true));
    assert!(unsaid != ahead && unsaid != exact && ahead != exact);
}

#[test]
fn options_that_cannot_be_used_are_named() {
    for (options, field) in [
        (r#"{"deadline":"1s","deadline_ms":1000}"#, "options.deadline_ms"),
        (r#"{"deadline_ms":0}"#, "options.deadline_ms"),
        (r#"{"call_timeout":"0s"}"#, "options.call_timeout"),
        (r#"{"call_timeout_ms":31536000001}"#, "options.call_timeout_ms"),
        (r#"{"check_after":"1s"}"#, "options.check_after"),
        (r#"{"retry":{"initial_ms":0}}"#, "options.retry.initial_ms"),
        (r#"{"retry":{"initial":"2s","max_interval":"1s"}}"#, "options.retry.max_interval"),
        (r#"{"retry":{"factor":0.5}}"#, "options.retry.factor"),
        (r#"{"retry":{"jitter":1.5}}"#, "options.retry.jitter"),
        (r#"{"retry":{"max_attempts":0}}"#, "options.retry.max_attempts"),
    ] {
        assert_eq!(refused(&saga(&format!(",\"options\":{options}"))).0, field, "{options}");
    }
    let message = |options: &str| {
        format!(r#"{{"pattern":"message","options":{options},"branches":[{{"id":"a","url":"http://a/"}}]}}"#)
    };
    assert_eq!(refused(&message(r#"{"deadline":"1s"}"#)).0, "options.deadline");
    assert_eq!(refused(&message(r#"{"deadline_ms":1}"#)).0, "options.deadline_ms");
    let tcc = message(r#"{"order":"sequence"}"#).replace("message", "tcc");
    assert_eq!(refused(&tcc).0, "options.order");
}

#[test]
fn fields_that_contradict_the_pattern_are_named() {
    for (text, field) in [
        (r#"{"pattern":"saga"}"#, "branches"),
        (r#"{"pattern":"saga","open":true}"#, "open"),
        (r#"{"pattern":"message","open":true}"#, "check"),
        (r#"{"pattern":"tcc","open":true,"check":"http://a/"}"#, "check"),
        (r#"{"pattern":"tcc","open":true,"options":{"start_delay_ms":5}}"#, "options.start_delay_ms"),
        (r#"{"pattern":"tcc","branches":[{"id":"a","url":"http://a/","after":[]}]}"#, "branches[0].after"),
        (
            r#"{"pattern":"tcc","branches":[{"id":"a","confirm":"http://a/","cancel":"http://a/"}]}"#,
            "branches[0].try",
        ),
        (r#"{"pattern":"saga","branches":[{"id":"a","deliver":"http://a/"}]}"#, "branches[0].deliver"),
        (r#"{"pattern":"saga","branches":[{"id":"a","url":"http://[::1/"}]}"#, "branches[0].url"),
        (r#"{"pattern":"saga","branches":[{"id":"a","url":"http://a:99999/"}]}"#, "branches[0].url"),
        (r#"{"pattern":"saga","branches":[{"id":"a","url":"http://1.2.3.256/"}]}"#, "branches[0].url"),
        (r#"{"pattern":"saga","branches":[{"id":"a","url":"grpc://1.2.3.256:1/a.B/C"}]}"#, "branches[0].url"),
        (r#"{"pattern":"saga","branches":[{"id":"a","url":"grpc://[::g]:1/a.B/C"}]}"#, "branches[0].url"),
        (
            r#"{"pattern":"saga","labels":{"a=b":"1"},"branches":[{"id":"a","url":"http://a/"}]}"#,
            "labels.a=b",
        ),
        (
            r#"{"pattern":"saga","labels":{"a":"\u0000"},"branches":[{"id":"a","url":"http://a/"}]}"#,
            "labels.a",
        ),
    ] {
        let (named, detail) = refused(text);
        assert_eq!(named, field, "{text}: {detail}");
    }
}

#[test]
fn the_digest_knows_what_was_asked_and_not_how_it_was_spelt() {
    let digest = |text: &str| read(text).unwrap().digest;
    let plain = r#"{"gid":"g-1","pattern":"saga","branches":[{"id":"a","action":"http://a/","payload":{"n":1,"s":"a b"}}]}"#;
    for same in [
        r#"{ "branches" : [ { "payload" : { "n" : 1 , "s" : "a b" } , "id" : "a" , "action" : "http://a/" } ] , "pattern" : "saga" }"#,
        r#"{"gid":"g-2","open":false,"labels":{},"options":{},"pattern":"saga","branches":[{"id":"a","action":"http://a/","payload":{"n":1,"s":"a b"}}]}"#,
    ] {
        assert_eq!(digest(same), digest(plain), "{same}");
    }
    for other in [
        plain.replace(r#""n":1"#, r#""n":2"#),
        plain.replace("a b", "a  b"),
        plain.replace(r#"{"n":1,"s":"a b"}"#, r#"{"s":"a b","n":1}"#),
        plain.replace("http://a/", "http://b/"),
        plain.replace("\"branches\"", "\"labels\":{\"a\":\"1\"},\"branches\""),
    ] {
        assert_ne!(digest(&other), digest(plain), "{other}");
    }
}

#[test]
fn digests_of_journals_written_before_still_match() {
    let hex =
        |digest: trine_engine::Digest| digest.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let spec = read(
        r#"{"gid":"order-42","pattern":"saga","labels":{"customer":"7"},"options":{"deadline":"30s","retry":{"initial":"200ms","max_attempts":20}},
            "branches":[
              {"id":"stock","action":"inventory:/stock/reserve","compensate":"inventory:/stock/release","payload":{"sku":"A-1","quantity":2}},
              {"id":"order","action":"http://127.0.0.1:7001/orders/create","compensate":"http://127.0.0.1:7001/orders/cancel","after":["stock"],"payload":{"sku":"A-1"}}]}"#,
    )
    .unwrap();
    expect_test::expect!["67fe6673570a3690c81f50f27334d7a3f18824a8e43cf200e6c61b8e41b2c168"]
        .assert_eq(&hex(spec.digest));
    expect_test::expect!["0b3d1b1cafbc0a80e30cc155b7e09f7ec92b50e90a3c8dea12f5772b7b500bf9"]
        .assert_eq(&hex(spec.branches[0].digest));
}

#[test]
fn payloads_are_handed_on_byte_for_byte() {
    let spec = read(r#"{"pattern":"saga","branches":[{"id":"a","url":"http://a/","payload":{ "n" : 1.0 }},{"id":"b","url":"http://b/"}]}"#).unwrap();
    assert_eq!(spec.branches[0].payload.as_bytes(), br#"{ "n" : 1.0 }"#);
    assert_eq!(spec.branches[1].payload, Payload::default());
}

#[test]
fn a_payload_is_json_or_bytes_and_keeps_which() {
    let of = |fields: &str| read(&saga("").replace(r#""id":"a""#, &format!(r#""id":"a",{fields}"#)));
    let payload = |fields: &str| of(fields).unwrap().branches[0].payload.clone();
    assert_eq!(payload(r#""payload_base64":"CgNBLTE=""#), Payload::raw(b"\x0a\x03A-1"));
    assert_eq!(payload(r#""payload_base64":"Nw==""#), Payload::raw(b"7"));
    assert_eq!(payload(r#""payload_base64":"""#), Payload::raw(b""));
    assert_eq!(payload(r#""payload":7"#), Payload::from("7"));
    assert_eq!(payload(r#""payload":null,"payload_base64":null"#), Payload::default());
    let both = of(r#""payload":7,"payload_base64":"Nw==""#).unwrap_err();
    assert_eq!(both.problem().field.as_deref(), Some("branches[0].payload_base64"));

    let digest = |fields: &str| of(fields).unwrap().branches[0].digest;
    assert_ne!(digest(r#""payload_base64":"Nw==""#), digest(r#""payload":7"#));
    assert_ne!(digest(r#""payload_base64":"Nw==""#), digest(r#""payload_base64":"OA==""#));
    assert_ne!(digest(r#""payload_base64":"""#), digest(r#""payload":null"#));
}

#[test]
fn participants_are_found_wherever_they_are_named() {
    let request: CreateTransaction = serde_json::from_str(
        r#"{"pattern":"message","open":true,"check":"orders:/check","branches":[{"id":"a","deliver":"mail:/send"},{"id":"b","url":"http://b/"}]}"#,
    )
    .unwrap();
    let expected =
        [("check".to_owned(), "orders".to_owned()), ("branches[0].deliver".to_owned(), "mail".to_owned())];
    assert_eq!(participants_of(&request), expected);
}

#[test]
fn a_target_that_cannot_be_called_as_it_is_written_is_refused_by_its_field() {
    for (target, words) in [
        ("inv:/../../admin", "base path"),
        ("inv:/%2e%2e/admin", "base path"),
        ("http://a/<id>", "percent-encode"),
        ("http://a/x#y", "fragment"),
        ("http://a:99999/", "port"),
    ] {
        let saga = format!(r#"{{"pattern":"saga","branches":[{{"id":"a","action":"{target}"}}]}}"#);
        let (field, detail) = refused(&saga);
        assert!(field == "branches[0].action" && detail.contains(words), "{target}: {field}: {detail}");
        let url = format!(r#"{{"pattern":"tcc","branches":[{{"id":"a","url":"{target}"}}]}}"#);
        assert_eq!(refused(&url).0, "branches[0].url", "{target}");
    }
    for target in ["HTTP://a:1/x?sig='y'", "http://a/b/../c", "inv:/a..b"] {
        let saga = format!(r#"{{"pattern":"saga","branches":[{{"id":"a","action":"{target}"}}]}}"#);
        assert!(read(&saga).is_ok(), "{target}");
    }
}

#[test]
fn the_parser_of_urls_accepts_every_plain_host() {
    let mut hosts = vec![String::new()];
    let mut plain = 0;
    for _ in 0..5 {
        hosts = hosts.iter().flat_map(|host| "aXn01-_.".chars().map(move |c| format!("{host}{c}"))).collect();
        for host in hosts.iter().filter(|host| is_plain_host(host)) {
            plain += 1;
            assert!(Url::parse(&format!("http://{host}/")).is_ok_and(|url| url.has_host()), "{host}");
        }
    }
    assert!(plain > 10_000, "{plain}");
    for host in ["shop.example:80", "127.0.0.1:7001", "a-b_c.d1"] {
        assert!(is_plain_host(host), "{host}");
    }
    for host in [
        "1.2.3.256",
        "1.2.3",
        "0x7f.1",
        "[::1]",
        "[::1]:80",
        "xn--a.example",
        "a.XN--b",
        "a..b",
        "a.",
        "",
        ".a",
    ] {
        assert!(!is_plain_host(host), "{host}");
    }
}
