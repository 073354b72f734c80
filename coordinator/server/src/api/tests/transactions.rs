//! The calls on transactions, as they look on the wire.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use expect_test::{Expect, expect};

use super::{Api, shown};

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

const SAGA: &str = r#"{"gid":"order-42","pattern":"saga","labels":{"customer":"7"},"branches":[
    {"id":"stock","action":"http://a/take","compensate":"http://a/give","payload":{"sku":"A-1"}},
    {"id":"order","action":"http://b/refuse","compensate":"http://b/cancel","after":["stock"]}]}"#;
const OPEN: &str = r#"{"gid":"pay-1","pattern":"tcc","open":true}"#;
const BRANCH: &str = r#"{"id":"debit","url":"http://a/debit","payload":{"amount":3}}"#;
const WAIT: [(&str, &str); 1] = [("prefer", "wait=10")];

#[tokio::test]
async fn a_saga_that_is_refused_rolls_back_and_says_why() {
    let api = Api::start();
    check(
        api.post_with("/v1/transactions", &WAIT, SAGA).await,
        expect![[r#"
        200 OK
        location: /v1/transactions/order-42
        preference-applied: wait=10
        content-type: application/json
        {"gid":"order-42","pattern":"saga","status":"rolled_back","settled":true,"parked":false,"cause":{"kind":"refused","branch":"order","reason":"no stock"}}
    "#]],
    );
    check(
        api.get("/v1/transactions/order-42").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"order-42","pattern":"saga","status":"rolled_back","settled":true,"cause":{"kind":"refused","branch":"order","reason":"no stock"},"labels":{"customer":"7"},"opened":false,"seq":7,"created_at":"<time>","updated_at":"<time>","settled_at":"<time>","branches":[{"id":"stock","exposed":true,"ops":[{"op":"action","state":"done","attempts":1,"target":"http://a/take","output":{"ok":true},"last_outcome":"done"},{"op":"compensate","state":"done","attempts":1,"target":"http://a/give","output":{"ok":true},"last_outcome":"done"}]},{"id":"order","after":["stock"],"exposed":true,"ops":[{"op":"action","state":"refused","attempts":1,"target":"http://b/refuse","reason":"no stock","last_outcome":"refused"},{"op":"compensate","state":"done","attempts":1,"target":"http://b/cancel","output":{"ok":true},"last_outcome":"done"}]}],"next":[]}
    "#]],
    );
    check(
        api.get("/v1/transactions/order-42/history").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"order-42","events":[{"seq":1,"at":"<time>","event":"created"},{"seq":2,"at":"<time>","event":"call_answered","branch":"stock","op":"action","attempt":1,"outcome":"done","status_code":200,"duration_ms":5,"output":{"ok":true}},{"seq":3,"at":"<time>","event":"call_answered","branch":"order","op":"action","attempt":1,"outcome":"refused","status_code":409,"duration_ms":5,"reason":"no stock"},{"seq":4,"at":"<time>","event":"rollback_begun","branch":"order","cause":"refused","reason":"no stock"},{"seq":5,"at":"<time>","event":"call_answered","branch":"order","op":"compensate","attempt":1,"outcome":"done","status_code":200,"duration_ms":5,"output":{"ok":true}},{"seq":6,"at":"<time>","event":"call_answered","branch":"stock","op":"compensate","attempt":1,"outcome":"done","status_code":200,"duration_ms":5,"output":{"ok":true}},{"seq":7,"at":"<time>","event":"rolled_back"}]}
    "#]],
    );
    check(
        api.get("/v1/transactions?label=customer:7&host=a").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"transactions":[{"gid":"order-42","pattern":"saga","status":"rolled_back","created_at":"<time>","updated_at":"<time>","settled_at":"<time>"}]}
    "#]],
    );
}

#[tokio::test]
async fn the_same_creation_is_answered_the_same_and_another_body_conflicts() {
    let api = Api::start();
    let first = api.post_with("/v1/transactions", &WAIT, SAGA).await;
    let spaced = SAGA.replace(":{\"sku\"", " : { \"sku\"").replace('\n', " ");
    assert_eq!(api.post_with("/v1/transactions", &WAIT, &spaced).await, first);
    let other = SAGA.replace("A-1", "A-2");
    check(
        api.post("/v1/transactions", &other).await,
        expect![[r#"
        409 Conflict
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0006","title":"The gid belongs to another transaction","status":409,"detail":"a transaction with this gid but another body exists; choose another gid, or repeat the request unchanged","code":"TX0006","gid":"order-42"}
    "#]],
    );
}

#[tokio::test]
async fn an_open_tcc_takes_branches_again_and_again() {
    let api = Api::start();
    check(
        api.post("/v1/transactions", OPEN).await,
        expect![[r#"
        202 Accepted
        location: /v1/transactions/pay-1
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"open","settled":false,"parked":false}
    "#]],
    );
    check(
        api.post("/v1/transactions/pay-1/branches", BRANCH).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"open","settled":false,"parked":false}
    "#]],
    );
    check(
        api.post("/v1/transactions/pay-1/branches", BRANCH).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"open","settled":false,"parked":false}
    "#]],
    );
    let other = BRANCH.replace('3', "4");
    check(
        api.post("/v1/transactions/pay-1/branches", &other).await,
        expect![[r#"
        409 Conflict
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0007","title":"The branch id belongs to another branch","status":409,"detail":"branch debit exists with another body; choose another id, or repeat the request unchanged","code":"TX0007","gid":"pay-1"}
    "#]],
    );
    check(
        api.get("/v1/transactions/pay-1").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"open","settled":false,"labels":{},"opened":true,"seq":2,"created_at":"<time>","updated_at":"<time>","deadline_at":"<time>","branches":[{"id":"debit","exposed":true,"ops":[{"op":"try","state":"pending","attempts":0}]}],"next":[],"wake_at":"<time>"}
    "#]],
    );
}

#[tokio::test]
async fn an_open_tcc_is_committed_once_and_for_all() {
    let api = Api::start();
    api.post("/v1/transactions", OPEN).await;
    api.post("/v1/transactions/pay-1/branches", BRANCH).await;
    let request = Request::post("/v1/transactions/pay-1/commit").header("prefer", "wait=10");
    check(
        shown(api.send(request.body(Body::empty()).unwrap()).await).await,
        expect![[r#"
        200 OK
        preference-applied: wait=10
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"committed","settled":true,"parked":false}
    "#]],
    );
    check(
        api.post("/v1/transactions/pay-1/abort", r#"{"reason":"late"}"#).await,
        expect![[r#"
        409 Conflict
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0008","title":"The transaction's state does not allow this","status":409,"detail":"cannot abort: the transaction is committed; it was decided to commit","code":"TX0008","gid":"pay-1"}
    "#]],
    );
    check(
        api.get("/v1/transactions/pay-1/events").await,
        expect![[r#"
        200 OK
        content-type: text/event-stream
        id: 1
        event: created
        data: {"seq":1,"at":"<time>","event":"created"}

        id: 2
        event: branch_registered
        data: {"seq":2,"at":"<time>","event":"branch_registered","branch":"debit"}

        id: 3
        event: commit_decided
        data: {"seq":3,"at":"<time>","event":"commit_decided"}

        id: 4
        event: call_answered
        data: {"seq":4,"at":"<time>","event":"call_answered","branch":"debit","op":"confirm","attempt":1,"outcome":"done","status_code":200,"duration_ms":5,"output":{"ok":true}}

        id: 5
        event: committed
        data: {"seq":5,"at":"<time>","event":"committed"}


    "#]],
    );
}

#[tokio::test]
async fn an_idempotency_key_names_the_transaction() {
    let api = Api::start();
    let body = r#"{"pattern":"tcc","open":true}"#;
    let named = api.post_with("/v1/transactions", &[("idempotency-key", "\"k-1\"")], body).await;
    assert!(named.contains("\"gid\":\"ik.k-1\""), "{named}");
    let hashed = api.post_with("/v1/transactions", &[("idempotency-key", "a b")], body).await;
    assert!(hashed.contains("\"gid\":\"ik.c8687a08aa5d6ed2044328fa6a697ab8"), "{hashed}");
    let made_up = api.post("/v1/transactions", body).await;
    assert!(made_up.starts_with("202"), "{made_up}");
}

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
async fn operators_replay_and_settle_by_hand() {
    let api = Api::start();
    api.post("/v1/transactions", OPEN).await;
    check(
        api.post("/v1/admin/transactions/pay-1/replay", "").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"pay-1","status":"open","parked":false}
    "#]],
    );
    check(
        api.post("/v1/admin/replay", "{}").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"matched":0,"replayed":0,"failed":0,"more":false}
    "#]],
    );
    let blank = r#"{"outcome":"rolled_back","reason":"  "}"#;
    check(
        api.post("/v1/admin/transactions/pay-1/force", blank).await,
        expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0002","title":"A field of the body cannot be used","status":422,"detail":"must not be blank: the next person will read it","code":"TX0002","field":"reason"}
    "#]],
    );
    let reason = r#"{"outcome":"rolled_back","reason":"customer called","by":"kim"}"#;
    check(
        api.post("/v1/admin/transactions/pay-1/force", reason).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"pay-1","pattern":"tcc","status":"rolled_back","settled":true,"parked":false}
    "#]],
    );
    let view = api.get("/v1/transactions/pay-1").await;
    assert!(view.contains(r#""cause":{"kind":"forced","reason":"customer called"}"#), "{view}");
}

#[tokio::test]
async fn everything_parked_is_replayed_at_once() {
    let api = Api::start();
    for gid in ["p-1", "p-2", "p-3"] {
        let saga = format!(
            r#"{{"gid":"{gid}","pattern":"saga","options":{{"retry":{{"max_attempts":1}}}},
                "branches":[{{"id":"a","action":"http://a/broken"}}]}}"#
        );
        api.post("/v1/transactions", &saga).await;
        api.follow_until(gid, "op_parked").await;
    }
    check(
        api.get("/v1/transactions/p-1").await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"gid":"p-1","pattern":"saga","status":"running","settled":false,"parked":"exhausted","waiting_on":{"branch":"a","op":"action","attempts":1,"last_outcome":"unknown","since":"<time>"},"labels":{},"opened":false,"seq":3,"created_at":"<time>","updated_at":"<time>","branches":[{"id":"a","exposed":true,"ops":[{"op":"action","state":"parked","attempts":1,"target":"http://a/broken","reason":"exhausted","last_outcome":"unknown","since":"<time>"}]}],"next":[]}
        "#]],
    );
    check(
        api.post("/v1/admin/replay", r#"{"host":"b"}"#).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"matched":0,"replayed":0,"failed":0,"more":false}
    "#]],
    );
    check(
        api.post("/v1/admin/replay", r#"{"limit":2}"#).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"matched":2,"replayed":2,"failed":0,"more":true}
    "#]],
    );
    api.follow_until("p-3", "replayed").await;
}

#[tokio::test]
async fn an_answer_that_no_retry_mends_parks_and_says_so_in_view_list_and_metrics() {
    let api = Api::start();
    let saga = r#"{"gid":"m-1","pattern":"saga","options":{"retry":{"client_error_attempts":1}},
        "branches":[{"id":"a","action":"http://a/missing"}]}"#;
    api.post("/v1/transactions", saga).await;
    api.follow_until("m-1", "op_parked").await;
    check(
        api.get("/v1/transactions/m-1").await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"gid":"m-1","pattern":"saga","status":"running","settled":false,"parked":"client_error","waiting_on":{"branch":"a","op":"action","attempts":1,"last_outcome":"unknown","last_error":"HTTP 404: there is nothing at this path","since":"<time>"},"labels":{},"opened":false,"seq":3,"created_at":"<time>","updated_at":"<time>","branches":[{"id":"a","exposed":true,"ops":[{"op":"action","state":"parked","attempts":1,"target":"http://a/missing","reason":"client_error","last_outcome":"unknown","last_error":"HTTP 404: there is nothing at this path","since":"<time>"}]}],"next":[]}
        "#]],
    );
    check(
        api.get("/v1/transactions?parked=true").await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"transactions":[{"gid":"m-1","pattern":"saga","status":"running","parked":"client_error","created_at":"<time>","updated_at":"<time>"}]}
        "#]],
    );
    let metrics = api.get("/metrics").await;
    assert!(metrics.contains(r#"trine_ops_parked_total{op="action",cause="client_error"} 1"#), "{metrics}");
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

#[tokio::test]
async fn an_aborted_saga_says_what_nothing_undid() {
    let api = Api::start();
    let saga = r#"{"gid":"l-1","pattern":"saga","branches":[{"id":"mail","action":"http://a/broken"}]}"#;
    api.post("/v1/transactions", saga).await;
    api.follow_until("l-1", "call_answered").await;
    api.post_with("/v1/transactions/l-1/abort", &WAIT, "").await;
    let view = api.get("/v1/transactions/l-1").await;
    assert!(view.contains(r#""status":"rolled_back""#) && view.contains(r#""may_stand":["mail"]"#), "{view}");
}

#[tokio::test]
async fn waiting_ends_when_the_transaction_has_parked() {
    let api = Api::start();
    let saga = r#"{"gid":"w-1","pattern":"saga","options":{"retry":{"max_attempts":1}},
        "branches":[{"id":"a","action":"http://a/missing"}]}"#;
    let answer = api.post_with("/v1/transactions", &[("prefer", "wait=300")], saga).await;
    assert!(answer.starts_with("202") && answer.contains(r#""parked":true"#), "{answer}");
    assert!(answer.contains(r#""waiting_on":{"branch":"a","op":"action","attempts":1"#), "{answer}");
}

#[tokio::test]
async fn the_number_of_client_errors_has_bounds() {
    let saga = r#"{"pattern":"saga","options":{"retry":{"client_error_attempts":0}},"branches":[]}"#;
    let answer = Api::start().post("/v1/transactions", saga).await;
    assert!(answer.starts_with("422") || answer.starts_with("400"), "{answer}");
    assert!(answer.contains(r#""field":"options.retry.client_error_attempts""#), "{answer}");
}

#[tokio::test]
async fn a_repeated_creation_is_answered_even_if_its_participant_has_left() {
    let api = Api::start();
    api.post("/v1/participants", r#"{"name":"stock","base_url":"http://a"}"#).await;
    let saga = r#"{"gid":"g-1","pattern":"saga","branches":[{"id":"a","action":"stock:/take"}]}"#;
    let first = api.post_with("/v1/transactions", &WAIT, saga).await;
    api.delete("/v1/participants/stock").await;
    assert_eq!(api.post_with("/v1/transactions", &WAIT, saga).await, first);
    let other = saga.replace("take", "give");
    assert!(api.post("/v1/transactions", &other).await.starts_with("409"));
}

#[tokio::test]
async fn health_says_alive_ready_and_what_is_measured() {
    let api = Api::start();
    check(
        api.get("/healthz").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"status":"alive"}
    "#]],
    );
    check(
        api.get("/readyz").await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"status":"ready"}
    "#]],
    );
    api.memory.faults().set_appends_down(true);
    check(
        api.get("/readyz").await,
        expect![[r#"
        503 Service Unavailable
        retry-after: 1
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0023","title":"The coordinator is not ready","status":503,"detail":"journal: a record could not be appended over a lane's own connection and read back; the log says why","code":"TX0023"}
    "#]],
    );
    api.memory.faults().set_appends_down(false);
    assert!(api.get("/readyz").await.starts_with("200"));
    let asked = trine_clock::Stopwatch::start();
    let store_now =
        |behind_ms: u64| trine_protocol::Timestamp::from_millis(trine_clock::now().millis() - behind_ms);
    api.lanes.handle().store_clock().heard(store_now(40 * 24 * 60 * 60 * 1_000 + 5_000), asked);
    let answer = api.get("/readyz").await;
    assert!(answer.starts_with("503") && answer.contains("TX0023"), "{answer}");
    assert!(answer.contains("clock: this machine's clock is 40 days ahead of the store's"), "{answer}");
    let timed = r#"{"gid":"late-1","pattern":"tcc","open":true,"options":{"deadline":"1m"}}"#;
    check(
        api.post("/v1/transactions", timed).await,
        expect![[r#"
        503 Service Unavailable
        retry-after: 1
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0023","title":"The coordinator is not ready","status":503,"detail":"clock: nothing was done, because this machine's clock is 40 days ahead of the store's: repeat this at another coordinator, or here when the clock is right","code":"TX0023","gid":"late-1"}
    "#]],
    );
    assert!(api.post("/v1/transactions", SAGA).await.starts_with("202"), "it has no time");
    api.lanes.handle().store_clock().heard(store_now(1_500), asked);
    assert!(api.get("/readyz").await.starts_with("200"), "two seconds do no harm");
    let metrics = api.get("/metrics").await;
    assert!(metrics.contains("application/openmetrics-text") && metrics.contains("# EOF"), "{metrics}");
    api.shutdown.cancel();
    check(
        api.get("/readyz").await,
        expect![[r#"
        503 Service Unavailable
        retry-after: 1
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0016","title":"The coordinator is shutting down","status":503,"detail":"nothing was done; ask another coordinator, or this one after its restart","code":"TX0016"}
    "#]],
    );
}
