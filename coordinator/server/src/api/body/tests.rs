//! What is told of a body that cannot be read.

use axum::body::Body;
use axum::response::IntoResponse as _;
use trine_protocol::v1::CreateTransaction;

use super::*;

fn refused(text: &str) -> (String, Option<String>, String) {
    let refusal = parse::<CreateTransaction>(text.as_bytes()).unwrap_err();
    let problem = refusal.problem();
    (problem.code.clone(), problem.field.clone(), problem.detail.clone())
}

#[test]
fn a_field_is_named_by_its_path() {
    for (text, field) in [
        (r#"{"pattern":"saga","branches":[{"id":"a"},{"id":"b","action":7}]}"#, "branches[1].action"),
        (r#"{"pattern":"saga","branches":[{"id":"a","colour":7}]}"#, "branches[0].colour"),
        (r#"{"pattern":"saga","branches":[{"id":"a","id":"b"}]}"#, "branches[0].id"),
        (
            r#"{"pattern":"saga","branches":[{"id":"a","options":{"retry":{"factor":"x"}}}]}"#,
            "branches[0].options.retry.factor",
        ),
        (r#"{"pattern":"saga","labels":{"a":1}}"#, "labels.a"),
        (r#"{"open":true}"#, "pattern"),
    ] {
        let (code, named, detail) = refused(text);
        assert_eq!((code.as_str(), named.as_deref()), ("TX0002", Some(field)), "{text}: {detail}");
    }
}

#[test]
fn a_value_of_another_kind_in_the_place_of_a_word_names_its_field() {
    for value in ["1", "true", "[]"] {
        let text = format!(r#"{{"pattern":"saga","options":{{"exposure":{value}}}}}"#);
        let (code, named, detail) = refused(&text);
        assert_eq!(
            (code.as_str(), named.as_deref()),
            ("TX0002", Some("options.exposure")),
            "{text}: {detail}"
        );
        let (code, named, detail) = refused(&format!(r#"{{"pattern":{value}}}"#));
        assert_eq!((code.as_str(), named.as_deref()), ("TX0002", Some("pattern")), "{value}: {detail}");
    }
    // A value that is missing is no value of another kind.
    assert_eq!(refused(r#"{"pattern":,"open":true}"#).0, "TX0001");
}

#[test]
fn malformed_text_is_never_blamed_on_a_field() {
    for text in [r#"{"colour":1,"pattern":"#, "{\"colour\":1} trailing", "\u{feff}{}"] {
        let (code, field, _) = refused(text);
        assert_eq!((code.as_str(), field), ("TX0001", None), "{text}");
    }
    let refusal = parse::<CreateTransaction>(b"{\"gid\":\"\xff\"}").unwrap_err();
    assert_eq!(refusal.problem().code, "TX0001");
}

#[test]
fn the_details_carry_no_control_characters_and_have_an_end() {
    let long = "\u{202e}".repeat(5_000);
    let (_, field, detail) = refused(&format!(r#"{{"pattern":"{long}"}}"#));
    assert_eq!(field.as_deref(), Some("pattern"));
    assert!(!detail.contains('\u{202e}') && detail.len() < 2_500, "{}", detail.len());
}

#[test]
fn line_and_column_are_removed_from_an_error_that_names_its_field() {
    assert_eq!(without_place("not a name at line 1 column 2 at line 3 column 45"), "not a name");
    assert_eq!(without_place("unknown field `x at line y`"), "unknown field `x at line y`");
}

fn broken_off_by(fault: BodyFault) -> Request {
    let body = futures_util::stream::iter([Ok(Bytes::from("{")), Err(fault)]);
    Request::post("/").header(CONTENT_TYPE, "application/json").body(Body::from_stream(body)).unwrap()
}

#[tokio::test]
async fn each_fault_of_a_body_has_its_status_and_code() {
    for (fault, status, code) in [
        (BodyFault::TooLarge, 413, "TX0003"),
        (BodyFault::CutShort, 400, "TX0001"),
        (BodyFault::TooSlow, 408, "TX0020"),
        (BodyFault::NoRoom, 503, "TX0010"),
    ] {
        let read = JsonBody::<CreateTransaction>::from_request(broken_off_by(fault), &()).await;
        let refusal = read.unwrap_err();
        assert_eq!(refusal.problem().code, code);
        let response = refusal.into_response();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
    }
}

#[tokio::test]
async fn tiny_parts_of_a_body_are_put_together() {
    let parts = (0..40_000).map(|_| Ok::<_, BodyFault>(Bytes::from_static(b"x")));
    let request = Request::post("/").body(Body::from_stream(futures_util::stream::iter(parts))).unwrap();
    assert_eq!(read(request).await.unwrap().len(), 40_000);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn send(encoding: &str, body: Vec<u8>) -> (u16, String, String) {
    use tower::ServiceExt as _;
    let echo = |JsonBody(request): JsonBody<CreateTransaction>| async move { request.pattern.to_string() };
    let router = axum::Router::new().route("/", axum::routing::post(echo));
    let router = router.layer(axum::extract::DefaultBodyLimit::max(1_000));
    let request =
        Request::post("/").header("content-type", "application/json").header("content-encoding", encoding);
    let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let accepts = response.headers().get("accept-encoding");
    let accepts = accepts.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = response.status().as_u16();
    let text = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, accepts, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn a_body_in_gzip_is_unpacked_and_other_encodings_are_refused_with_those_that_are_not() {
    let plain = br#"{"pattern":"saga"}"#;
    for (encoding, body) in [("gzip", packed(plain)), ("X-Gzip", packed(plain)), ("identity", plain.to_vec())]
    {
        assert_eq!(send(encoding, body).await, (200, String::new(), "saga".into()), "{encoding}");
    }
    for encoding in ["br", "deflate", "gzip, gzip"] {
        let (status, accepts, text) = send(encoding, plain.to_vec()).await;
        assert_eq!((status, accepts.as_str()), (415, "gzip, identity"), "{encoding}: {text}");
        assert!(text.contains("Content-Encoding"), "{text}");
    }
}

#[tokio::test]
async fn a_body_in_gzip_has_the_limits_of_one_that_is_not() {
    let bomb = packed(&vec![b' '; 50_000]);
    assert!(bomb.len() < 1_000);
    assert_eq!(send("gzip", bomb).await.0, 413);
    assert_eq!(send("gzip", b"{}".to_vec()).await.0, 400);
    let mut broken = packed(br#"{"pattern":"saga"}"#);
    broken.truncate(20);
    assert_eq!(send("gzip", broken).await.0, 400);
}
