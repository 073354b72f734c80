//! Every refusal on the wire. No request of a client causes a 5xx.

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::routing::get;
use expect_test::expect;
use tower::ServiceExt as _;

use super::{Api, shown};
use crate::api::compose;

async fn refused(api: &Api, path: &str, body: &str, starts: &str, code: &str, field: Option<&str>) {
    let answer = api.post(path, body).await;
    let sent: String = body.chars().take(120).collect();
    assert!(answer.starts_with(starts), "{sent}: {answer}");
    assert!(answer.contains("content-type: application/problem+json"), "{sent}: {answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{sent}: {answer}");
    if let Some(field) = field {
        assert!(answer.contains(&format!("\"field\":\"{field}\"")), "{sent}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_400() {
    let api = Api::start();
    for body in [
        "",
        "{",
        "{\"pattern\":\"saga\",}",
        "{\"pattern\":\"saga\"} x",
        "NaN",
        "{\"a\":1}}",
        "{\"gid\":\"\\ud800\",\"pattern\":\"saga\"}",
        "{\"nobody\":1,\"pattern\":",
    ] {
        refused(&api, "/v1/transactions", body, "400", "TX0001", None).await;
    }
    refused(&api, "/v1/transactions", &"[".repeat(100_000), "400", "TX0001", None).await;
}

#[tokio::test]
async fn json_of_the_wrong_shape_is_a_422_that_names_the_field() {
    let api = Api::start();
    let branch = |rest: &str| {
        format!(
            r#"{{"pattern":"saga","branches":[{{"id":"a","action":"http://a/","compensate":"http://a/"{rest}}}]}}"#
        )
    };
    let deep = format!(",\"payload\":{}{}", "[".repeat(100), "]".repeat(100));
    for (body, field) in [
        ("[]".to_owned(), "body"),
        ("null".to_owned(), "body"),
        ("{}".to_owned(), "pattern"),
        (r#"{"pattern":"workflow"}"#.to_owned(), "pattern"),
        (r#"{"pattern":"saga","colour":1}"#.to_owned(), "colour"),
        (r#"{"pattern":"saga","pattern":"saga"}"#.to_owned(), "pattern"),
        (r#"{"pattern":"saga","gid":"a b"}"#.to_owned(), "gid"),
        (r#"{"pattern":"saga","branches":{}}"#.to_owned(), "branches"),
        (r#"{"pattern":"saga","branches":[]}"#.to_owned(), "branches"),
        (r#"{"pattern":"saga","branches":[{"action":"http://a/"}]}"#.to_owned(), "branches[0].id"),
        (r#"{"pattern":"saga","options":{"colour":1}}"#.to_owned(), "options.colour"),
        (r#"{"pattern":"saga","options":{"deadline":"soon"}}"#.to_owned(), "options.deadline"),
        (
            r#"{"pattern":"saga","options":{"retry":{"initial_ms":-1}}}"#.to_owned(),
            "options.retry.initial_ms",
        ),
        (r#"{"pattern":"saga","labels":{"a":"1","a":"2"}}"#.to_owned(), "labels.a"),
        (branch(r#","after":["b"]"#), "branches[0].after"),
        (branch(r#","try":"http://a/""#), "branches[0].try"),
        (branch(r#","url":"http://a/""#), "branches[0].action"),
        (branch(&deep), "branches[0].payload"),
    ] {
        refused(&api, "/v1/transactions", &body, "422", "TX0002", Some(field)).await;
    }
}

#[tokio::test]
async fn too_much_is_refused_before_it_costs_anything() {
    let api = Api::start();
    let branches: Vec<_> = (0..1_001).map(|n| format!(r#"{{"id":"b{n}","action":"http://a/"}}"#)).collect();
    let many = format!(r#"{{"pattern":"saga","branches":[{}]}}"#, branches.join(","));
    refused(&api, "/v1/transactions", &many, "422", "TX0004", Some("branches")).await;
    let large = " ".repeat(trine_protocol::limits::BODY_BYTES_MAX + 1);
    refused(&api, "/v1/transactions", &large, "413", "TX0003", None).await;
    // The same without a stated length.
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let chunks = futures_util::stream::iter((0..64).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let request = Request::post("/v1/transactions").header("content-type", "application/json");
    let answer = shown(api.send(request.body(Body::from_stream(chunks)).unwrap()).await).await;
    assert!(answer.starts_with("413") && answer.contains("TX0003"), "{answer}");
}

#[tokio::test]
async fn another_media_type_is_a_415() {
    let api = Api::start();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = Request::post("/v1/transactions");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = shown(api.send(request.body(Body::from("{}")).unwrap()).await).await;
        assert!(answer.starts_with("415") && answer.contains("TX0013"), "{answer}");
    }
    let request = Request::post("/v1/transactions/g/abort").header("content-type", "text/plain");
    let answer = shown(api.send(request.body(Body::empty()).unwrap()).await).await;
    assert!(answer.starts_with("415"), "{answer}");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_document_too() {
    let api = Api::start();
    expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0014","title":"No such path","status":404,"detail":"there is nothing at /v2/nothing'%3Cscript%3E; see /docs","code":"TX0014"}
    "#]].assert_eq(&api.get("/v2/nothing'%3Cscript%3E").await);
    expect![[r#"
        405 Method Not Allowed
        allow: POST,GET,HEAD
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0015","title":"Method not allowed","status":405,"detail":"/v1/transactions does not take DELETE; see /docs","code":"TX0015"}
    "#]].assert_eq(&api.delete("/v1/transactions").await);
    expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0009","title":"No such transaction","status":404,"detail":"there is no transaction with this gid","code":"TX0009","gid":"nobody"}
    "#]].assert_eq(&api.get("/v1/transactions/nobody").await);
    for path in ["/v1/transactions/nobody/history", "/v1/transactions/nobody/events"] {
        assert!(api.get(path).await.contains("TX0009"), "{path}");
    }
    for path in ["/v1/transactions/nobody/commit", "/v1/admin/transactions/nobody/replay"] {
        refused(&api, path, "", "404", "TX0009", None).await;
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_a_gid_is_a_400() {
    let api = Api::start();
    for gid in ["a%00", "%ff", "a%20b", "..%2f", "%27%20or%20%271%27=%271", &"x".repeat(129)] {
        let answer = api.get(&format!("/v1/transactions/{gid}")).await;
        assert!(answer.starts_with("400") && answer.contains("TX0019"), "{gid}: {answer}");
        assert!(answer.contains("\"field\":\"gid\""), "{gid}: {answer}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503_without_its_words() {
    let api = Api::start();
    api.memory.faults().set_reads_down(true);
    expect![[r#"
        503 Service Unavailable
        retry-after: 1
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0011","title":"The store is not available","status":503,"detail":"the store does not answer; try again","code":"TX0011"}
    "#]].assert_eq(&api.get("/v1/transactions/g-1").await);
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_a_503_that_says_where_to_look_and_is_counted() {
    let api = Api::start();
    api.memory.faults().set_writes_down(true);
    let body = r#"{"gid":"g","pattern":"message","branches":[{"id":"a","deliver":"http://a/"}]}"#;
    let answer = api.post("/v1/transactions", body).await;
    assert!(answer.starts_with("503") && answer.contains("TX0011") && answer.contains("/readyz"), "{answer}");
    api.memory.faults().set_reads_down(true);
    assert!(api.get("/v1/transactions/g").await.starts_with("503"));
    api.get("/readyz").await;
    let large = " ".repeat(trine_protocol::limits::BODY_BYTES_MAX + 1);
    assert!(api.post("/v1/transactions", &large).await.starts_with("413"));
    let metrics = api.get("/metrics").await;
    for line in ["store_unavailable\"} 2", "body_too_large\"} 1", "busy\"} 0"] {
        assert!(
            metrics.contains(&format!("trine_admission_rejections_total{{reason=\"{line}")),
            "{line}: {metrics}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_a_500_without_its_words() {
    async fn broken() -> &'static str {
        panic!("secret")
    }
    let router = axum::Router::new().route("/", get(broken));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = shown(compose([router]).oneshot(request).await.unwrap()).await;
    assert!(answer.starts_with("500") && answer.contains("TX0012"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
}

#[tokio::test]
async fn the_documents_are_served_from_the_binary() {
    let api = Api::start();
    assert!(api.get("/openapi.json").await.contains("createTransaction"));
    let page = api.get("/docs/").await;
    assert!(page.starts_with("200") && page.contains("swagger"), "{page}");
    assert!(!page.contains("https://"), "{page}");
}
