//! A gid that is on record already: a repetition is answered as before, and another transaction under the gid is refused.

use expect_test::expect;

use super::stage::Stage;

/// Submits two steps four times: first, then with another target, with another payload, and unchanged.
async fn submit_four_times(stage: &mut Stage, kind: &str) {
    stage.script("http://p/b", &[(425, "")]);
    let submit = |url: &str| {
        format!(
            r#"{{"gid":"{kind}","trans_type":"{kind}","steps":[{{"action":"http://p/a"}},{{"action":"{url}"}}],"payloads":["1","2"]}}"#
        )
    };
    stage.post("submit", &submit("http://p/b")).await;
    stage.rests(kind).await;
    stage.post("submit", &submit("http://p/other")).await;
    stage.post("submit", &submit("http://p/b").replace(r#""2""#, r#""3""#)).await;
    stage.post("submit", &submit("http://p/b")).await;
    stage.rests(kind).await;
    stage.post("resetNextCronTime", &format!(r#"{{"gid":"{kind}"}}"#)).await;
    stage.ends(kind).await;
}

#[tokio::test]
async fn a_saga_or_message_that_is_submitted_twice_runs_once_and_other_steps_are_told() {
    let mut stage = Stage::start();
    for kind in ["saga", "msg"] {
        submit_four_times(&mut stage, kind).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=saga&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=saga&op=action&trans_type=saga 2 -> 425
          = saga is submitted
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action prepared
        POST submit {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/other"}],"payloads":["1","2"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","3"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
          > nobody is called
          = saga is submitted
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action prepared
        POST resetNextCronTime {"gid":"saga"}
          > POST http://p/b?branch_id=02&gid=saga&op=action&trans_type=saga 2 -> 200
          = saga is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=msg&op=action&trans_type=msg 1 -> 200
          > POST http://p/b?branch_id=02&gid=msg&op=action&trans_type=msg 2 -> 425
          = msg is submitted
            01 action succeed
            02 action prepared
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/other"}],"payloads":["1","2"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","3"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
          > nobody is called
          = msg is submitted
            01 action succeed
            02 action prepared
        POST resetNextCronTime {"gid":"msg"}
          > POST http://p/b?branch_id=02&gid=msg&op=action&trans_type=msg 2 -> 200
          = msg is succeed, with a finish_time
            01 action succeed
            02 action succeed
    "#]]);
}

#[tokio::test]
async fn a_submit_of_other_steps_than_were_prepared_lets_nothing_run() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"msg","branch_headers":{"a":"1"},"request_timeout":9,"steps":[{"action":"http://p/a"}],"payloads":["1"]}"#).await;
    stage
        .post(
            "prepare",
            r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/b"}],"payloads":["1"]}"#,
        )
        .await;
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/b"}],"payloads":["2"]}"#,
        )
        .await;
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","branch_headers":{"b":"2"},"request_timeout":8,"steps":[{"action":"http://p/a"}],"payloads":["1"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"msg","branch_headers":{"a":"1"},"request_timeout":9,"steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST prepare {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/b"}],"payloads":["1"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/b"}],"payloads":["2"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
        POST submit {"gid":"g","trans_type":"msg","branch_headers":{"b":"2"},"request_timeout":8,"steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > within 9000 ms: POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg [a: 1] 1 -> 200
          = g is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_submit_of_another_type_lets_nothing_run() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/confirm"}"#,
        )
        .await;
    stage
        .post("registerBranch", r#"{"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa"}"#)
        .await;
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
        )
        .await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/confirm"}
        POST registerBranch {"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa"}
            500 {"message":"this transaction is no xa"}
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
            500 {"message":"this gid is on record with a tcc, which stays as it is; nothing of this request was done: choose another gid"}
        GET query?gid=g
            200 {"branches":[{"branch_id":"01","create_time":"<time>","gid":"g","id":1,"op":"cancel","status":"prepared","update_time":"<time>"},{"branch_id":"01","create_time":"<time>","gid":"g","id":2,"op":"confirm","status":"prepared","update_time":"<time>","url":"http://p/confirm"}],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"tcc","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn a_gid_that_looks_like_sql_is_a_gid_like_any_other() {
    let mut stage = Stage::start();
    stage.post("resetNextCronTime", r#"{"gid":"x' or '1'='1"}"#).await;
    stage.post("submit", r#"{"gid":"x' or '1'='1","trans_type":"saga"}"#).await;
    stage.post("resetNextCronTime", r#"{"gid":"x' or '1'='1"}"#).await;
    stage.is(&expect![[r#"
        POST resetNextCronTime {"gid":"x' or '1'='1"}
            500 {"message":"no TransGlobal with gid: x' or '1'='1 found"}
        POST submit {"gid":"x' or '1'='1","trans_type":"saga"}
        POST resetNextCronTime {"gid":"x' or '1'='1"}
    "#]]);
}

#[tokio::test]
async fn a_gid_of_the_native_api_is_not_taken_over() {
    let mut stage = Stage::start();
    stage.create_natively("g").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"saga"}"#).await;
    stage.post("prepare", r#"{"gid":"g","trans_type":"saga"}"#).await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"a transaction of another API has this gid; choose another FAILURE"}
        POST prepare {"gid":"g","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"a transaction of another API has this gid; choose another FAILURE"}
        GET query?gid=g
            200 {"branches":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"tcc","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn another_transfer_under_a_gid_on_record_hears_neither_yes_nor_no_on_every_wire() {
    let mut stage = Stage::start();
    let grpc = |gid: &str, payload: &str| {
        format!(
            r#"{{"Gid":"{gid}","TransType":"saga","Steps":"[{{\"action\":\"p:9/shop.Stock/Take\"}}]","BinPayloads":["{payload}"]}}"#
        )
    };
    stage.grpc("Submit", &grpc("g", "a")).await;
    stage.ends("g").await;
    stage.grpc("Submit", &grpc("g", "b")).await;
    stage.grpc("Submit", &grpc("g", "a")).await;
    let rpc = |url: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"1","method":"submit","params":{{"gid":"r","trans_type":"saga","steps":[{{"action":"{url}"}}],"payloads":["1"]}}}}"#
        )
    };
    stage.rpc(&rpc("http://p/no")).await;
    stage.ends("r").await;
    stage.rpc(&rpc("http://p/other")).await;
    stage.rpc(&rpc("http://p/no")).await;
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"g","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/Take\"}]","BinPayloads":["a"]}
            0 Ok {}
          > gRPC p:9/shop.Stock/Take [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: saga] a -> 0
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        gRPC Submit {"Gid":"g","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/Take\"}]","BinPayloads":["b"]}
            2 Unknown this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid
        gRPC Submit {"Gid":"g","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/Take\"}]","BinPayloads":["a"]}
            0 Ok {}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"r","trans_type":"saga","steps":[{"action":"http://p/no"}],"payloads":["1"]}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
          > POST http://p/no?branch_id=01&gid=r&op=action&trans_type=saga 1 -> 409 out of stock
          = r is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate succeed
            01 action failed
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"r","trans_type":"saga","steps":[{"action":"http://p/other"}],"payloads":["1"]}}
            200 {"error":{"code":-32603,"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"},"id":"1","jsonrpc":"2.0","result":{}}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"r","trans_type":"saga","steps":[{"action":"http://p/no"}],"payloads":["1"]}}
            200 {"error":{"code":-32901,"message":"current status 'failed', cannot sumbmit. FAILURE"},"id":"1","jsonrpc":"2.0","result":{}}
    "#]]);
}

#[tokio::test]
async fn a_repeated_message_to_a_topic_is_the_same_whoever_subscribes_meanwhile() {
    let mut stage = Stage::start();
    stage.get("subscribe?topic=t&url=http://p/a&remark=").await;
    let submit = r#"{"gid":"g","trans_type":"msg","steps":[{"action":"topic://t"}],"payloads":["1"]}"#;
    stage.post("submit", submit).await;
    stage.ends("g").await;
    stage.get("subscribe?topic=t&url=http://p/b&remark=").await;
    stage.post("submit", submit).await;
    stage.post("submit", &submit.replace(r#""1""#, r#""2""#)).await;
    stage.is(&expect![[r#"
        GET subscribe?topic=t&url=http://p/a&remark=
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://t"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          = g is succeed, with a finish_time
            01 action succeed
        GET subscribe?topic=t&url=http://p/b&remark=
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://t"}],"payloads":["1"]}
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://t"}],"payloads":["2"]}
            500 {"message":"this gid is on record with other steps or payloads, which stays as it is; nothing of this request was done: choose another gid"}
    "#]]);
}
