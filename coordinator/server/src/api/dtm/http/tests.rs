//! Paths, methods, and answers to requests that reach no handler.

use super::*;
use crate::api::dtm::tests::{Answered, BODY_BYTES_MAX, front, send};

const JSON: &str = "application/json; charset=utf-8";

fn is_missing(answered: &Answered) -> bool {
    let said = answered.body == "404 page not found" && answered.header("content-type") == "text/plain";
    let missing = answered.status == StatusCode::NOT_FOUND;
    assert_eq!(said, missing, "{}", answered.body);
    missing
}

#[tokio::test]
async fn every_route_answers_its_method_and_no_other() {
    let (front, _lanes) = front();
    let router = router(front);
    for (method, path, _) in routes() {
        let path = path.replace("{name}", "x");
        for other in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answered = send(&router, other.clone(), &path, "{}").await;
            let missing = if other == Method::HEAD {
                answered.status == StatusCode::NOT_FOUND
            } else {
                is_missing(&answered)
            };
            assert_eq!(missing, other != method, "{other} {path}: {} {}", answered.status, answered.body);
        }
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answered = send(&router, method, "/api/ping", "").await;
        assert_eq!((answered.status, answered.body.as_str()), (StatusCode::OK, r#"{"msg":"pong"}"#));
        assert_eq!(answered.header("content-type"), JSON);
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_and_says_so() {
    let (front, _lanes) = front();
    let router = router(front);
    for path in [
        "/api/",
        "/api/nothing",
        "/api/nothing/",
        "/api/dtmsvr",
        "/api/dtmsvr/",
        "/api/dtmsvr/newGid//",
        "/api/dtmsvr/newgid",
        "/api/dtmsvr/topic/",
        "/api/dtmsvr/topic/a/b/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert!(is_missing(&send(&router, method, path, "").await), "{path}");
        }
    }
}

#[tokio::test]
async fn a_slash_too_many_is_sent_on() {
    let (front, _lanes) = front();
    let router = router(front);
    for (method, path, _) in routes() {
        let path = path.replace("{name}", "x");
        let answered = send(&router, method.clone(), &format!("{path}/?a=b%20c"), "").await;
        assert_eq!(answered.status, StatusCode::TEMPORARY_REDIRECT, "{method} {path}");
        assert_eq!(answered.header("location"), format!("{path}?a=b%20c"));
    }
    let answered = send(&router, Method::PUT, "/api/ping/", "").await;
    assert_eq!(answered.header("location"), "/api/ping");
}

#[tokio::test]
async fn gids_and_the_version_are_texts() {
    let (front, _lanes) = front();
    let router = router(front);
    let first = send(&router, Method::GET, "/api/dtmsvr/newGid", "").await;
    assert_eq!((first.status, first.header("content-type")), (StatusCode::OK, JSON));
    assert_eq!(first.json()["dtm_result"], "SUCCESS");
    let second = send(&router, Method::GET, "/api/dtmsvr/newGid", "").await;
    assert!(first.json()["gid"].is_string());
    assert_ne!(first.json()["gid"], second.json()["gid"]);
    let version = send(&router, Method::GET, "/api/dtmsvr/version", "").await;
    assert_eq!(version.body, format!(r#"{{"version":"v{}"}}"#, env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn an_unreadable_body_is_a_500_with_a_message() {
    let (front, _lanes) = front();
    let router = router(front);
    for path in ["prepare", "submit", "abort", "forceStop", "prepareWorkflow", "resetNextCronTime"] {
        let path = format!("/api/dtmsvr/{path}");
        let empty = send(&router, Method::POST, &path, "").await;
        assert_eq!(empty.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(empty.header("content-type"), JSON);
        assert_eq!(empty.body, r#"{"message":"unexpected end of JSON input"}"#);
        let wrong = send(&router, Method::POST, &path, r#"{"gid":1}"#).await;
        assert_eq!(wrong.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(wrong.json()["message"].as_str().unwrap().starts_with("gid: "), "{}", wrong.body);
        let long = "x".repeat(BODY_BYTES_MAX + 1);
        let long = send(&router, Method::POST, &path, &long).await;
        assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(long.json()["message"].is_string());
    }
    for path in ["registerBranch", "registerXaBranch", "registerTccBranch"] {
        let wrong = send(&router, Method::POST, &format!("/api/dtmsvr/{path}"), r#"{"gid":1}"#).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert_eq!(wrong.header("content-type"), "text/plain; charset=utf-8");
        assert!(wrong.json()["message"].is_string());
    }
}

#[tokio::test]
async fn parameters_that_are_missing_or_no_numbers_are_said_so() {
    let (front, _lanes) = front();
    let router = router(front);
    for (path, message) in [
        ("query", "no gid specified"),
        ("query?gid=", "no gid specified"),
        ("all?limit=x", "convert to int error: x"),
        ("all?createTimeStart=1.5", "convert to int error: 1.5"),
        ("resetCronTime?timeout=y", "convert to int error: y"),
        ("scanKV?cat=topics&limit=z", "convert to int error: z"),
    ] {
        let answered = send(&router, Method::GET, &format!("/api/dtmsvr/{path}"), "").await;
        assert_eq!(answered.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(answered.json()["message"], message, "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_without_its_words() {
    let (front, _lanes) = front();
    let answered = send(&router(front), Method::GET, "/api/metrics", "").await;
    assert_eq!(answered.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answered.header("content-type"), JSON);
    assert!(answered.json()["message"].is_string() && !answered.body.contains("secret"), "{}", answered.body);
}
