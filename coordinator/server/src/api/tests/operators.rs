//! What operators ask and do: transactions that are parked, and health.

use expect_test::expect;

use super::{Api, OPEN, SAGA, check};

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
            {"gid":"p-1","pattern":"saga","status":"running","settled":false,"parked":"exhausted","waiting_on":{"branch":"a","op":"action","attempts":1,"last_outcome":"unknown","since":"<time>"},"exposure":"exact","labels":{},"opened":false,"seq":3,"created_at":"<time>","updated_at":"<time>","branches":[{"id":"a","exposed":true,"ops":[{"op":"action","state":"parked","attempts":1,"target":"http://a/broken","reason":"exhausted","last_outcome":"unknown","since":"<time>"}]}],"next":[]}
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
            {"gid":"m-1","pattern":"saga","status":"running","settled":false,"parked":"client_error","waiting_on":{"branch":"a","op":"action","attempts":1,"last_outcome":"unknown","last_error":"HTTP 404: there is nothing at this path","since":"<time>"},"exposure":"exact","labels":{},"opened":false,"seq":3,"created_at":"<time>","updated_at":"<time>","branches":[{"id":"a","exposed":true,"ops":[{"op":"action","state":"parked","attempts":1,"target":"http://a/missing","reason":"client_error","last_outcome":"unknown","last_error":"HTTP 404: there is nothing at this path","since":"<time>"}]}],"next":[]}
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
async fn waiting_ends_when_the_transaction_has_parked() {
    let api = Api::start();
    let saga = r#"{"gid":"w-1","pattern":"saga","options":{"retry":{"max_attempts":1}},
        "branches":[{"id":"a","action":"http://a/missing"}]}"#;
    let answer = api.post_with("/v1/transactions", &[("prefer", "wait=300")], saga).await;
    assert!(answer.starts_with("202") && answer.contains(r#""parked":true"#), "{answer}");
    assert!(answer.contains(r#""waiting_on":{"branch":"a","op":"action","attempts":1"#), "{answer}");
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
