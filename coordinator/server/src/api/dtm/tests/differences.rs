//! Differences on purpose of `docs/dtm.md` that no other file tests.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn a_call_is_not_repeated_while_it_is_under_way() {
    let mut stage = Stage::start();
    stage.hold("http://p/a");
    let submit = r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#;
    stage.post("submit", submit).await;
    stage.called(1).await;
    stage.post("submit", submit).await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.get("resetCronTime?timeout=0").await;
    stage.release("http://p/a", 200, "").await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST resetNextCronTime {"gid":"g"}
        GET resetCronTime?timeout=0
            200 {"has_remaining":false,"succeed_count":0}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_repeated_abort_keeps_the_first_reason() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage
        .post("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"01","cancel":"http://p/wait"}"#)
        .await;
    stage.post("abort", r#"{"gid":"g","trans_type":"tcc","rollback_reason":"first"}"#).await;
    stage.post("abort", r#"{"gid":"g","trans_type":"tcc","rollback_reason":"second"}"#).await;
    stage.rests("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","cancel":"http://p/wait"}
        POST abort {"gid":"g","trans_type":"tcc","rollback_reason":"first"}
        POST abort {"gid":"g","trans_type":"tcc","rollback_reason":"second"}
          > GET http://p/wait?branch_id=01&gid=g&op=cancel&trans_type=tcc -> 425 not yet
          = g is aborting, because "first"
            01 cancel prepared
            01 confirm prepared
    "#]]);
}

#[tokio::test]
async fn a_workflow_keeps_what_it_was_created_with_when_it_ends() {
    let mut stage = Stage::start();
    stage.post("prepareWorkflow", r#"{"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"w\"}","query_prepared":"http://p/w"}"#).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}"#).await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"w\"}","query_prepared":"http://p/w"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"w\"}","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/w","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}
        GET query?gid=g
            200 {"branches":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"w\"}","finish_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/w","status":"succeed","trans_type":"workflow","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn urls_that_could_never_be_called_are_refused_at_once() {
    let mut stage = Stage::start();
    for (protocol, url) in [
        ("http", "p:9/shop.Stock/Take"),
        ("", "service/path"),
        ("grpc", "p:9"),
        ("grpc", "p:9/a/b/c"),
        ("grpc", "etcd://shop/shop.Stock/Take"),
        ("http", "http://user:secret@p/a"),
        ("http", "http://"),
        ("soap", "http://p/a"),
    ] {
        let submit = format!(
            r#"{{"gid":"g","trans_type":"saga","protocol":"{protocol}","steps":[{{"action":"{url}"}}],"payloads":["1"]}}"#
        );
        stage.post("submit", &submit).await;
    }
    stage.post("prepare", r#"{"gid":"m","trans_type":"msg","query_prepared":"nowhere"}"#).await;
    stage.post("prepare", r#"{"gid":"t","trans_type":"tcc"}"#).await;
    stage
        .post("registerBranch", r#"{"gid":"t","trans_type":"tcc","branch_id":"01","confirm":"nowhere"}"#)
        .await;
    let long = "x".repeat(2_048);
    let submit = format!(
        r#"{{"gid":"g","trans_type":"saga","steps":[{{"action":"http://p/{long}"}}],"payloads":["1"]}}"#
    );
    let answered = stage.ask(Method::POST, "/api/dtmsvr/submit", &submit).await;
    assert!(
        answered.status == 500 && answered.body.ends_with(": must have 1 to 2048 characters\"}"),
        "{}",
        answered.body
    );
    for gid in ["g", "m"] {
        stage.get(&format!("query?gid={gid}")).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","protocol":"http","steps":[{"action":"p:9/shop.Stock/Take"}],"payloads":["1"]}
            500 {"message":"url p:9/shop.Stock/Take: it must begin with http:// or https://, unless the protocol is grpc"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"","steps":[{"action":"service/path"}],"payloads":["1"]}
            500 {"message":"url service/path: it must begin with http:// or https://, unless the protocol is grpc"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"grpc","steps":[{"action":"p:9"}],"payloads":["1"]}
            500 {"message":"url p:9: must have the path /package.Service/Method and nothing else, in names of the protobuf language"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"grpc","steps":[{"action":"p:9/a/b/c"}],"payloads":["1"]}
            500 {"message":"url p:9/a/b/c: must have the path /package.Service/Method and nothing else, in names of the protobuf language"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"grpc","steps":[{"action":"etcd://shop/shop.Stock/Take"}],"payloads":["1"]}
            500 {"message":"url etcd://shop/shop.Stock/Take: must name a port from 1 to 65535, as in grpc://host:50051/package.Service/Method"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"http","steps":[{"action":"http://user:secret@p/a"}],"payloads":["1"]}
            500 {"message":"url http://user:secret@p/a: must not carry a user name or password"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"http","steps":[{"action":"http://"}],"payloads":["1"]}
            500 {"message":"url http://: has no host"}
        POST submit {"gid":"g","trans_type":"saga","protocol":"soap","steps":[{"action":"http://p/a"}],"payloads":["1"]}
            500 {"message":"unknown protocol: soap"}
        POST prepare {"gid":"m","trans_type":"msg","query_prepared":"nowhere"}
            500 {"message":"url nowhere: it must begin with http:// or https://, unless the protocol is grpc"}
        POST prepare {"gid":"t","trans_type":"tcc"}
        POST registerBranch {"gid":"t","trans_type":"tcc","branch_id":"01","confirm":"nowhere"}
            500 {"message":"url nowhere: it must begin with http:// or https://, unless the protocol is grpc"}
        GET query?gid=g
            200 {"branches":[],"transaction":null}
        GET query?gid=m
            200 {"branches":[],"transaction":null}
    "#]]);
}

#[tokio::test]
async fn branches_have_a_number_and_their_ids_a_grammar() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"t","trans_type":"tcc"}"#).await;
    for id in ["", "a b", "é"] {
        stage
            .post("registerBranch", &format!(r#"{{"gid":"t","trans_type":"tcc","branch_id":"{id}"}}"#))
            .await;
    }
    stage.post("registerBranch", r#"{"gid":"t","trans_type":"tcc"}"#).await;
    stage.rows("t").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"t","trans_type":"tcc"}
        POST registerBranch {"gid":"t","trans_type":"tcc","branch_id":""}
            500 {"message":"branch_id must not be empty"}
        POST registerBranch {"gid":"t","trans_type":"tcc","branch_id":"a b"}
            500 {"message":"branch_id contains ' '; allowed are A-Z a-z 0-9 . _ : -"}
        POST registerBranch {"gid":"t","trans_type":"tcc","branch_id":"é"}
            500 {"message":"branch_id contains 'é'; allowed are A-Z a-z 0-9 . _ : -"}
        POST registerBranch {"gid":"t","trans_type":"tcc"}
            500 {"message":"branch_id must not be empty"}
          = t is prepared
    "#]]);
    let steps = vec![r#"{"action":""}"#; 1_001].join(",");
    let payloads = vec!["\"1\""; 1_001].join(",");
    let body = format!(r#"{{"gid":"g","trans_type":"saga","steps":[{steps}],"payloads":[{payloads}]}}"#);
    let answered = stage.ask(Method::POST, "/api/dtmsvr/submit", &body).await;
    assert_eq!(
        (answered.status.as_u16(), answered.body.as_str()),
        (500, r#"{"message":"branches: more than 1000 branches"}"#)
    );
}

#[tokio::test]
async fn a_coordinator_without_its_store_says_when_to_come_back() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.faults().set_writes_down(true);
    stage.post("submit", r#"{"gid":"h","trans_type":"saga"}"#).await;
    stage
        .rpc(r#"{"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"h","trans_type":"saga"}}"#)
        .await;
    stage.grpc("Submit", r#"{"Gid":"h","TransType":"saga"}"#).await;
    stage.faults().set_reads_down(true);
    stage.get("query?gid=g").await;
    stage.get("all").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST submit {"gid":"h","trans_type":"saga"}
            500 [retry-after: 1] {"message":"the store does not answer; repeat the request"}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"h","trans_type":"saga"}}
            200 {"error":{"code":-32603,"message":"the store does not answer; repeat the request"},"id":"1","jsonrpc":"2.0","result":{}}
        gRPC Submit {"Gid":"h","TransType":"saga"}
            14 Unavailable the store does not answer; repeat the request
        GET query?gid=g
            500 [retry-after: 1] {"message":"the store does not answer; try again"}
        GET all
            500 [retry-after: 1] {"message":"the store does not answer; try again"}
    "#]]);
}

#[tokio::test]
async fn the_first_question_about_a_message_is_not_hurried() {
    let mut stage = Stage::start();
    stage
        .post(
            "prepare",
            r#"{"gid":"g","trans_type":"msg","timeout_to_fail":600,"query_prepared":"http://p/asked"}"#,
        )
        .await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.get("resetCronTime").await;
    stage.rests("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"msg","timeout_to_fail":600,"query_prepared":"http://p/asked"}
        POST resetNextCronTime {"gid":"g"}
        GET resetCronTime
            200 {"has_remaining":false,"succeed_count":0}
          > nobody is called
          = g is prepared
    "#]]);
}

#[tokio::test]
async fn an_ended_transaction_has_no_next_time_even_after_a_reset() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","wait_result":true}"#).await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","wait_result":true}
        POST resetNextCronTime {"gid":"g"}
        GET query?gid=g
            200 {"branches":[],"transaction":{"concurrent":false,"create_time":"<time>","finish_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false,\"wait_result\":true}","protocol":"http","status":"succeed","trans_type":"saga","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn a_doubled_pause_shows_in_the_next_time_and_not_in_the_interval() {
    let mut stage = Stage::start();
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/broken"}],"payloads":["1"]}"#,
        )
        .await;
    stage.pause("g").await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/broken"}],"payloads":["1"]}
          = g goes on after 20 s
        GET query?gid=g
            200 {"branches":[{"bin_data":"MQ==","branch_id":"01","create_time":"<time>","gid":"g","id":1,"op":"compensate","status":"prepared","update_time":"<time>"},{"bin_data":"MQ==","branch_id":"01","create_time":"<time>","gid":"g","id":2,"op":"action","status":"prepared","update_time":"<time>","url":"http://p/broken"}],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","status":"submitted","trans_type":"saga","update_time":"<time>"}}
    "#]]);
}
