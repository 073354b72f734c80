//! The calls on transactions, as they look on the wire.

use axum::body::Body;
use axum::http::Request;
use expect_test::expect;

use super::{Api, OPEN, SAGA, WAIT, check, shown};

const BRANCH: &str = r#"{"id":"debit","url":"http://a/debit","payload":{"amount":3}}"#;

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
            {"gid":"order-42","pattern":"saga","status":"rolled_back","settled":true,"cause":{"kind":"refused","branch":"order","reason":"no stock"},"exposure":"exact","labels":{"customer":"7"},"opened":false,"seq":7,"created_at":"<time>","updated_at":"<time>","settled_at":"<time>","branches":[{"id":"stock","exposed":true,"ops":[{"op":"action","state":"done","attempts":1,"target":"http://a/take","output":{"ok":true},"last_outcome":"done"},{"op":"compensate","state":"done","attempts":1,"target":"http://a/give","output":{"ok":true},"last_outcome":"done"}]},{"id":"order","after":["stock"],"exposed":true,"ops":[{"op":"action","state":"refused","attempts":1,"target":"http://b/refuse","reason":"no stock","last_outcome":"refused"},{"op":"compensate","state":"done","attempts":1,"target":"http://b/cancel","output":{"ok":true},"last_outcome":"done"}]}],"next":[]}
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
