//! Paths, queries and headers as people send them.

use axum::http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()));
    pairs.collect()
}

#[test]
fn a_wait_is_read_and_capped_and_refused_when_it_cannot_be_read() {
    for (value, millis) in [
        ("wait=2", Some(2_000)),
        ("respond-async, wait=0.5", Some(500)),
        ("Wait = \"3\"; x=1", Some(3_000)),
        ("wait=99999999999999999999", Some(WAIT_MS_MAX)),
        ("wait=0", None),
        ("wait=2, wait=10s", Some(2_000)),
        ("return=minimal", None),
        ("waiting=10s", None),
    ] {
        let wait = prefer_wait(&headers(&[("prefer", value.as_bytes())])).unwrap();
        assert_eq!(wait.map(|wait| wait.as_millis() as u64), millis, "{value}");
    }
    for value in ["wait=10s", "wait=-1", "wait=1e3", "wait=nan", "wait=.", "wait=", "wait", "wait=\u{b2}"] {
        let refusal = prefer_wait(&headers(&[("prefer", value.as_bytes())])).unwrap_err();
        let problem = refusal.problem();
        assert_eq!((problem.code.as_str(), problem.field.as_deref()), ("TX0019", Some("Prefer")), "{value}");
    }
    let two = [("prefer", b"return=minimal".as_slice()), ("prefer", b"wait=1")];
    let mut both = HeaderMap::new();
    for (name, value) in two {
        both.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    assert_eq!(prefer_wait(&both), Ok(Some(Duration::from_secs(1))));
}

#[test]
fn a_key_becomes_a_gid_readable_where_it_can_be() {
    let gid = |key: &'static [u8]| idempotency_gid(&headers(&[("idempotency-key", key)]));
    assert_eq!(gid(b"order-42").unwrap().unwrap().as_str(), "ik.order-42");
    assert_eq!(gid(b"\"order-42\"").unwrap().unwrap().as_str(), "ik.order-42");
    assert_eq!(gid(b"a/b").unwrap().unwrap().as_str().len(), 3 + 64);
    assert_eq!(gid(b"\xff\xfe").unwrap().unwrap().as_str().len(), 3 + 64);
    assert!(gid(b"\"\"").is_err());
    assert_eq!(idempotency_gid(&HeaderMap::new()), Ok(None));
}

#[test]
fn times_may_have_any_offset() {
    let utc = parse_time("2026-01-31T12:00:00Z").unwrap();
    assert_eq!(parse_time("2026-01-31T13:30:00+01:30"), Some(utc));
    assert_eq!(parse_time("2026-01-31t07:00:00.000-05:00"), Some(utc));
    assert_eq!(parse_time("1900-01-01T00:00:00Z"), Some(Timestamp::default()));
    assert_eq!(parse_time("1970-01-01T00:00:00+23:59"), Some(Timestamp::default()));
    for bad in [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00+1:00",
        "2026-13-31T12:00:00Z",
        "é026-01-31T12:00:00Z",
        "2026-01-31T12:00:00+24:00",
    ] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
}
