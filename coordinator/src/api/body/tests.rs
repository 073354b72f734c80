//! What is told of a body that cannot be read.

use futures_util::FutureExt as _;
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
fn where_in_the_text_it_is_wrong_is_left_out_however_often_it_is_told() {
    assert_eq!(without_place("not a name at line 1 column 2 at line 3 column 45"), "not a name");
    assert_eq!(without_place("unknown field `x at line y`"), "unknown field `x at line y`");
}

#[tokio::test]
async fn a_body_waits_for_a_place_and_gives_it_back() {
    let places = BodyPlaces::new(1);
    let request = || {
        let request = Request::builder().extension(places.clone());
        request.body(axum::body::Body::from("{}")).unwrap()
    };
    let taken = places.take().await;
    let mut waiting = std::pin::pin!(read(request(), &()));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    drop(taken);
    assert_eq!(waiting.await, Ok(Bytes::from("{}")));
    assert_eq!(read(request(), &()).await, Ok(Bytes::from("{}")));
}
