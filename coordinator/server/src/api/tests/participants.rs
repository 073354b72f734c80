//! Participants that register, and branches that name them.

use expect_test::expect;

use super::Api;

#[tokio::test]
async fn a_participant_registers_is_listed_named_and_removed() {
    let api = Api::start();
    let saga = r#"{"gid":"g-1","pattern":"saga","branches":[{"id":"a","action":"stock:/take"}]}"#;
    expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0005","title":"No such participant","status":422,"detail":"participant `stock` was never registered; POST /v1/participants does that","code":"TX0005","field":"branches[0].action","gid":"g-1"}
    "#]].assert_eq(&api.post("/v1/transactions", saga).await);
    let instance = r#"{"name":"stock","base_url":"http://127.0.0.1:7002/","ttl":"30s"}"#;
    expect![[r#"
        200 OK
        content-type: application/json
        {"name":"stock","base_url":"http://127.0.0.1:7002","expires_at":"<time>"}
    "#]]
    .assert_eq(&api.post("/v1/participants", instance).await);
    expect![[r#"
        200 OK
        content-type: application/json
        {"participants":[{"name":"stock","instances":[{"base_url":"http://127.0.0.1:7002","registered_at":"<time>","expires_at":"<time>","alive":true,"guarded":false}]}]}
    "#]].assert_eq(&api.get("/v1/participants").await);
    assert!(api.post("/v1/transactions", saga).await.starts_with("202"));
    let gone = api.delete("/v1/participants/stock?base_url=http://127.0.0.1:7002").await;
    assert!(gone.starts_with("204"), "{gone}");
    expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"type":"urn:trine:error:TX0018","title":"No such participant instance","status":404,"detail":"nothing is registered under this name and URL","code":"TX0018"}
    "#]].assert_eq(&api.delete("/v1/participants/stock").await);
}

#[tokio::test]
async fn a_registration_says_whether_the_instance_is_guarded_until_the_next_one() {
    let api = Api::start();
    for guarded in [true, false, true] {
        let instance = format!(r#"{{"name":"stock","base_url":"http://a","guarded":{guarded}}}"#);
        api.post("/v1/participants", &instance).await;
        let list = api.get("/v1/participants").await;
        assert!(list.contains(&format!(r#""guarded":{guarded}"#)), "{list}");
    }
    api.post("/v1/participants", r#"{"name":"stock","base_url":"http://a"}"#).await;
    let list = api.get("/v1/participants").await;
    assert!(list.contains(r#""guarded":false"#), "whoever does not say so is not: {list}");
}

#[tokio::test]
async fn a_wrong_registration_is_refused_with_its_field() {
    let api = Api::start();
    for (body, field) in [
        (r#"{"name":"http","base_url":"http://a"}"#, "name"),
        (r#"{"name":"a/b","base_url":"http://a"}"#, "name"),
        (r#"{"name":"a","base_url":"http://u:p@a"}"#, "base_url"),
        (r#"{"name":"a","base_url":"http://a?x"}"#, "base_url"),
        (r#"{"name":"a","base_url":"http://a","ttl":"2h"}"#, "ttl"),
        (r#"{"name":"a","base_url":"http://a","ttl_ms":10}"#, "ttl_ms"),
        (r#"{"name":"a","base_url":"http://a","ttl":"2s","ttl_ms":2000}"#, "ttl_ms"),
    ] {
        let answer = api.post("/v1/participants", body).await;
        assert!(answer.starts_with("422"), "{body}: {answer}");
        assert!(answer.contains(&format!("\"field\":\"{field}\"")), "{body}: {answer}");
    }
}

#[tokio::test]
async fn more_instances_than_may_be_registered_are_refused_and_heartbeats_are_not() {
    let api = Api::start();
    let register = |n: u32| format!(r#"{{"name":"n{n}","base_url":"http://a:{n}"}}"#);
    for n in 0..3 {
        assert!(api.post("/v1/participants", &register(n)).await.starts_with("200"));
    }
    let refused = api.post("/v1/participants", &register(3)).await;
    assert!(refused.starts_with("429") && refused.contains("TX0022"), "{refused}");
    assert!(api.post("/v1/participants", &register(2)).await.starts_with("200"));
    api.delete("/v1/participants/n2").await;
    assert!(api.post("/v1/participants", &register(3)).await.starts_with("200"));
}
