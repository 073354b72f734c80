//! What happened in a transaction: its stream of events, and its history.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{Api, OPEN, SAGA, WAIT, shown};

#[tokio::test]
async fn a_stream_continues_after_the_last_event_and_stops_when_all_is_seen() {
    let api = Api::start();
    api.post_with("/v1/transactions", &WAIT, SAGA).await;
    let after = |seq: &str| {
        Request::get("/v1/transactions/order-42/events")
            .header("last-event-id", seq)
            .body(Body::empty())
            .unwrap()
    };
    let rest = shown(api.send(after("2")).await).await;
    assert!(rest.contains("id: 3\n") && !rest.contains("id: 2\n"), "{rest}");
    assert_eq!(api.send(after("1000")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(api.send(after("x")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stream_tells_what_happens_while_it_is_read() {
    let api = Api::start();
    api.post("/v1/transactions", OPEN).await;
    let request = Request::get("/v1/transactions/pay-1/events").body(Body::empty()).unwrap();
    let response = api.send(request).await;
    // The stream is open before the abort, and ends by itself with the events that the abort causes.
    let (text, _) = tokio::join!(shown(response), api.post("/v1/transactions/pay-1/abort", ""));
    assert!(text.contains("event: rollback_begun") && text.contains("event: rolled_back"), "{text}");
}

#[tokio::test]
async fn a_stream_ends_when_the_shutdown_begins() {
    let api = Api::start();
    api.post("/v1/transactions", OPEN).await;
    let request = Request::get("/v1/transactions/pay-1/events").body(Body::empty()).unwrap();
    let response = api.send(request).await;
    api.shutdown.cancel();
    assert!(shown(response).await.contains("event: created"));
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let api = Api::start();
    let saga = r#"{"gid":"h-1","pattern":"saga","branches":[{"id":"a","action":"http://a/x"},{"id":"b","action":"http://a/y"}]}"#;
    api.post_with("/v1/transactions", &WAIT, saga).await;
    let (mut pages, mut path) = (Vec::new(), "/v1/transactions/h-1/history?limit=2".to_owned());
    loop {
        let answer = api.get(&path).await;
        let body: serde_json::Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
        let events = body["events"].as_array().unwrap();
        pages.push(events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>());
        let Some(seq) = body["next_after_seq"].as_u64() else { break };
        path = format!("/v1/transactions/h-1/history?limit=2&after_seq={seq}");
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4]]);
    let after = api.get("/v1/transactions/h-1/history?after_seq=4").await;
    assert!(after.ends_with("{\"gid\":\"h-1\",\"events\":[]}\n"), "{after}");
    assert!(api.get("/v1/transactions/nobody/history").await.starts_with("404"));
    for unusable in ["limit=0", "limit=1001", "after_seq=-1", "after_seq=x", "page=2", "limit=1&limit=2"] {
        let answer = api.get(&format!("/v1/transactions/h-1/history?{unusable}")).await;
        assert!(answer.starts_with("400"), "{unusable}: {answer}");
    }
}
