//! The effects of options and fields of a transaction on its calls.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn payloads_are_those_of_the_list_then_those_in_the_steps() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"list","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["{\"n\":1}","null"]}"#).await;
    stage.ends("list").await;
    stage.post("submit", r#"{"gid":"steps","trans_type":"msg","steps":[{"action":"http://p/a","data":"{\"n\":1}"},{"action":"http://p/b","data":"{\"n\":2}"}]}"#).await;
    stage.ends("steps").await;
    stage.post("submit", r#"{"gid":"both","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b","data":"2"}],"payloads":["1"]}"#).await;
    stage.ends("both").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"list","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["{\"n\":1}","null"]}
          > POST http://p/a?branch_id=01&gid=list&op=action&trans_type=msg {"n":1} -> 200
          > POST http://p/b?branch_id=02&gid=list&op=action&trans_type=msg null -> 200
          = list is succeed, with a finish_time
            01 action succeed
            02 action succeed
        POST submit {"gid":"steps","trans_type":"msg","steps":[{"action":"http://p/a","data":"{\"n\":1}"},{"action":"http://p/b","data":"{\"n\":2}"}]}
          > POST http://p/a?branch_id=01&gid=steps&op=action&trans_type=msg {"n":1} -> 200
          > POST http://p/b?branch_id=02&gid=steps&op=action&trans_type=msg {"n":2} -> 200
          = steps is succeed, with a finish_time
            01 action succeed
            02 action succeed
        POST submit {"gid":"both","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b","data":"2"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=both&op=action&trans_type=msg 1 -> 200
          > POST http://p/b?branch_id=02&gid=both&op=action&trans_type=msg 2 -> 200
          = both is succeed, with a finish_time
            01 action succeed
            02 action succeed
    "#]]);
}

#[tokio::test]
async fn an_empty_payload_makes_a_get_and_any_other_a_post() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a?k=v"},{"action":"http://p/b?k=v"}],"payloads":["",""]}"#).await;
    stage.ends("g").await;
    stage
        .post(
            "submit",
            r#"{"gid":"h","trans_type":"saga","steps":[{"action":"http://p/a?k=v"}],"payloads":[" "]}"#,
        )
        .await;
    stage.ends("h").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a?k=v"},{"action":"http://p/b?k=v"}],"payloads":["",""]}
          > GET http://p/a?k=v&branch_id=01&gid=g&op=action&trans_type=msg -> 200
          > GET http://p/b?k=v&branch_id=02&gid=g&op=action&trans_type=msg -> 200
          = g is succeed, with a finish_time
            01 action succeed
            02 action succeed
        POST submit {"gid":"h","trans_type":"saga","steps":[{"action":"http://p/a?k=v"}],"payloads":[" "]}
          > POST http://p/a?k=v&branch_id=01&gid=h&op=action&trans_type=saga -> 200
          = h is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn headers_of_branches_and_the_timeout_go_with_every_call() {
    let mut stage = Stage::start();
    let options = r#""branch_headers":{"X-Tenant":"7","content-type":"text/json"},"request_timeout":9"#;
    stage.post("submit", &format!(r#"{{"gid":"saga","trans_type":"saga",{options},"steps":[{{"action":"http://p/no","compensate":"http://p/c"}}],"payloads":["1"]}}"#)).await;
    stage.ends("saga").await;
    stage.post("prepare", &format!(r#"{{"gid":"tcc","trans_type":"tcc",{options}}}"#)).await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"tcc","trans_type":"tcc","branch_id":"01","confirm":"http://p/confirm"}"#,
        )
        .await;
    stage.post("submit", r#"{"gid":"tcc","trans_type":"tcc"}"#).await;
    stage.ends("tcc").await;
    stage.post("prepare", &format!(r#"{{"gid":"msg","trans_type":"msg","timeout_to_fail":1,"query_prepared":"http://p/asked",{options}}}"#)).await;
    stage.ends("msg").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"saga","trans_type":"saga","branch_headers":{"X-Tenant":"7","content-type":"text/json"},"request_timeout":9,"steps":[{"action":"http://p/no","compensate":"http://p/c"}],"payloads":["1"]}
          > within 9000 ms: POST http://p/no?branch_id=01&gid=saga&op=action&trans_type=saga [content-type: text/json] [x-tenant: 7] 1 -> 409 out of stock
          > within 9000 ms: POST http://p/c?branch_id=01&gid=saga&op=compensate&trans_type=saga [content-type: text/json] [x-tenant: 7] 1 -> 200
          = saga is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate succeed
            01 action failed
        POST prepare {"gid":"tcc","trans_type":"tcc","branch_headers":{"X-Tenant":"7","content-type":"text/json"},"request_timeout":9}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","confirm":"http://p/confirm"}
        POST submit {"gid":"tcc","trans_type":"tcc"}
          > within 9000 ms: GET http://p/confirm?branch_id=01&gid=tcc&op=confirm&trans_type=tcc [content-type: text/json] [x-tenant: 7] -> 200
          = tcc is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
        POST prepare {"gid":"msg","trans_type":"msg","timeout_to_fail":1,"query_prepared":"http://p/asked","branch_headers":{"X-Tenant":"7","content-type":"text/json"},"request_timeout":9}
          > within 9000 ms: GET http://p/asked?branch_id=00&gid=msg&op=msg&trans_type=msg [content-type: text/json] [x-tenant: 7] -> 200
          = msg is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn the_protocol_and_the_url_choose_the_wire_of_a_call() {
    let mut stage = Stage::start();
    stage.script("http://p/rpc?method=Reserve", &[(200, r#"{"jsonrpc":"2.0","id":"1","result":null}"#)]);
    stage.post("submit", r#"{"gid":"rpc","trans_type":"msg","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Reserve"},{"action":"http://p/plain"}],"payloads":["{\"n\":1}","{\"n\":2}"]}"#).await;
    stage.ends("rpc").await;
    stage.grpc("Submit", r#"{"Gid":"grpc","TransType":"msg","Steps":"[{\"action\":\"p:9/shop.Stock/Reserve\"},{\"action\":\"http://p/plain\"}]","BinPayloads":["ab","{}"]}"#).await;
    stage.ends("grpc").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"rpc","trans_type":"msg","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Reserve"},{"action":"http://p/plain"}],"payloads":["{\"n\":1}","{\"n\":2}"]}
          > POST http://p/rpc?method=Reserve {"jsonrpc":"2.0","id":"rpc/01/action/1","method":"Reserve","params":{"branch_id":"01","gid":"rpc","n":1,"op":"action","trans_type":"msg"}} -> 200 {"jsonrpc":"2.0","id":"1","result":null}
          > POST http://p/plain?branch_id=02&gid=rpc&op=action&trans_type=msg {"n":2} -> 200
          = rpc is succeed, with a finish_time
            01 action succeed
            02 action succeed
        gRPC Submit {"Gid":"grpc","TransType":"msg","Steps":"[{\"action\":\"p:9/shop.Stock/Reserve\"},{\"action\":\"http://p/plain\"}]","BinPayloads":["ab","{}"]}
            0 Ok {}
          > gRPC p:9/shop.Stock/Reserve [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: grpc] [dtm-op: action] [dtm-trans_type: msg] ab -> 0
          > POST http://p/plain?branch_id=02&gid=grpc&op=action&trans_type=msg {} -> 200
          = grpc is succeed, with a finish_time
            01 action succeed
            02 action succeed
    "#]]);
}

#[tokio::test]
async fn an_error_code_of_json_rpc_is_understood() {
    let mut stage = Stage::start();
    stage.script(
        "http://p/rpc?method=No",
        &[(200, r#"{"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"no stock"}}"#)],
    );
    stage.post("submit", r#"{"gid":"no","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=No"}],"payloads":["{}"]}"#).await;
    stage.ends("no").await;
    stage.script(
        "http://p/rpc?method=Wait",
        &[(200, r#"{"jsonrpc":"2.0","id":"1","error":{"code":-32902,"message":"later"}}"#)],
    );
    stage.post("submit", r#"{"gid":"wait","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Wait"}],"payloads":["{}"]}"#).await;
    stage.rests("wait").await;
    stage.script(
        "http://p/rpc?method=Error",
        &[(200, r#"{"jsonrpc":"2.0","id":"1","error":{"code":-32603,"message":"broken"}}"#)],
    );
    stage.post("submit", r#"{"gid":"error","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Error"}],"payloads":["{}"]}"#).await;
    stage.rests("error").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"no","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=No"}],"payloads":["{}"]}
          > POST http://p/rpc?method=No {"jsonrpc":"2.0","id":"no/01/action/1","method":"No","params":{"branch_id":"01","gid":"no","op":"action","trans_type":"saga"}} -> 200 {"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"no stock"}}
          = no is failed, with a rollback_time, because "url:http://p/rpc?method=No return failed: no stock FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"wait","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Wait"}],"payloads":["{}"]}
          > POST http://p/rpc?method=Wait {"jsonrpc":"2.0","id":"wait/01/action/1","method":"Wait","params":{"branch_id":"01","gid":"wait","op":"action","trans_type":"saga"}} -> 200 {"jsonrpc":"2.0","id":"1","error":{"code":-32902,"message":"later"}}
          = wait is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"error","trans_type":"saga","protocol":"json-rpc","steps":[{"action":"http://p/rpc?method=Error"}],"payloads":["{}"]}
          > POST http://p/rpc?method=Error {"jsonrpc":"2.0","id":"error/01/action/1","method":"Error","params":{"branch_id":"01","gid":"error","op":"action","trans_type":"saga"}} -> 200 {"jsonrpc":"2.0","id":"1","error":{"code":-32603,"message":"broken"}}
          = error is submitted
            01 compensate prepared
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn custom_data_may_be_anything_where_its_type_has_no_use_for_it() {
    let mut stage = Stage::start();
    for kind in ["tcc", "xa"] {
        stage
            .post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","custom_data":"not json"}}"#))
            .await;
    }
    stage.post("submit", r#"{"gid":"saga","trans_type":"saga","custom_data":"{\"concurrent\":true,\"orders\":null,\"more\":1}"}"#).await;
    stage.post("submit", r#"{"gid":"msg","trans_type":"msg","custom_data":"{\"delay\":null}"}"#).await;
    stage
        .post(
            "prepareWorkflow",
            r#"{"gid":"workflow","trans_type":"workflow","custom_data":"{\"name\":\"w\",\"data\":null}"}"#,
        )
        .await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"tcc","trans_type":"tcc","custom_data":"not json"}
        POST prepare {"gid":"xa","trans_type":"xa","custom_data":"not json"}
        POST submit {"gid":"saga","trans_type":"saga","custom_data":"{\"concurrent\":true,\"orders\":null,\"more\":1}"}
        POST submit {"gid":"msg","trans_type":"msg","custom_data":"{\"delay\":null}"}
        POST prepareWorkflow {"gid":"workflow","trans_type":"workflow","custom_data":"{\"name\":\"w\",\"data\":null}"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"w\",\"data\":null}","gid":"workflow","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
    "#]]);
}

/// Runs a saga of one step for each answer. The gid is the URL.
async fn answered(stage: &mut Stage, answers: &[(&str, u16, &str)]) {
    for (gid, status, body) in answers {
        let url = format!("http://p/{gid}");
        stage.script(&url, &[(*status, body)]);
        stage
            .post(
                "submit",
                &format!(
                    r#"{{"gid":"{gid}","trans_type":"saga","steps":[{{"action":"{url}"}}],"payloads":[""]}}"#
                ),
            )
            .await;
        stage.rests(gid).await;
    }
}

#[tokio::test]
async fn only_two_hundred_without_a_word_is_a_success() {
    let mut stage = Stage::start();
    let answers = [
        ("ok", 200, r#"{"dtm_result":"SUCCESS"}"#),
        ("created", 201, ""),
        ("empty", 204, ""),
        ("missing", 404, ""),
        ("error", 500, "failure"),
    ];
    answered(&mut stage, &answers).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"ok","trans_type":"saga","steps":[{"action":"http://p/ok"}],"payloads":[""]}
          > GET http://p/ok?branch_id=01&gid=ok&op=action&trans_type=saga -> 200 {"dtm_result":"SUCCESS"}
          = ok is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST submit {"gid":"created","trans_type":"saga","steps":[{"action":"http://p/created"}],"payloads":[""]}
          > GET http://p/created?branch_id=01&gid=created&op=action&trans_type=saga -> 201
          = created is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"empty","trans_type":"saga","steps":[{"action":"http://p/empty"}],"payloads":[""]}
          > GET http://p/empty?branch_id=01&gid=empty&op=action&trans_type=saga -> 204
          = empty is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"missing","trans_type":"saga","steps":[{"action":"http://p/missing"}],"payloads":[""]}
          > GET http://p/missing?branch_id=01&gid=missing&op=action&trans_type=saga -> 404
          = missing is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"error","trans_type":"saga","steps":[{"action":"http://p/error"}],"payloads":[""]}
          > GET http://p/error?branch_id=01&gid=error&op=action&trans_type=saga -> 500 failure
          = error is submitted
            01 compensate prepared
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_conflict_or_the_word_is_a_no() {
    let mut stage = Stage::start();
    let answers =
        [("no", 409, "no"), ("old-no", 200, r#"{"dtm_result":"FAILURE"}"#), ("error-no", 500, "a FAILURE")];
    answered(&mut stage, &answers).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"no","trans_type":"saga","steps":[{"action":"http://p/no"}],"payloads":[""]}
          > GET http://p/no?branch_id=01&gid=no&op=action&trans_type=saga -> 409 no
          = no is failed, with a rollback_time, because "url:http://p/no return failed: no FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"old-no","trans_type":"saga","steps":[{"action":"http://p/old-no"}],"payloads":[""]}
          > GET http://p/old-no?branch_id=01&gid=old-no&op=action&trans_type=saga -> 200 {"dtm_result":"FAILURE"}
          = old-no is failed, with a rollback_time, because "url:http://p/old-no return failed: {\"dtm_result\":\"FAILURE\"} FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"error-no","trans_type":"saga","steps":[{"action":"http://p/error-no"}],"payloads":[""]}
          > GET http://p/error-no?branch_id=01&gid=error-no&op=action&trans_type=saga -> 500 a FAILURE
          = error-no is failed, with a rollback_time, because "url:http://p/error-no return failed: a FAILURE"
            01 compensate succeed
            01 action failed
    "#]]);
}

#[tokio::test]
async fn too_early_or_the_word_is_asked_again_whatever_else_there_is() {
    let mut stage = Stage::start();
    let answers = [
        ("wait", 425, "FAILURE"),
        ("old-wait", 200, r#"{"dtm_result":"ONGOING"}"#),
        ("both", 409, "FAILURE ONGOING"),
    ];
    answered(&mut stage, &answers).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"wait","trans_type":"saga","steps":[{"action":"http://p/wait"}],"payloads":[""]}
          > GET http://p/wait?branch_id=01&gid=wait&op=action&trans_type=saga -> 425 FAILURE
          = wait is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"old-wait","trans_type":"saga","steps":[{"action":"http://p/old-wait"}],"payloads":[""]}
          > GET http://p/old-wait?branch_id=01&gid=old-wait&op=action&trans_type=saga -> 200 {"dtm_result":"ONGOING"}
          = old-wait is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"both","trans_type":"saga","steps":[{"action":"http://p/both"}],"payloads":[""]}
          > GET http://p/both?branch_id=01&gid=both&op=action&trans_type=saga -> 409 FAILURE ONGOING
          = both is submitted
            01 compensate prepared
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn every_kind_of_answer_over_grpc_has_its_meaning() {
    let mut stage = Stage::start();
    for (gid, status, words) in [
        ("ok", 0, ""),
        ("no", 10, "no stock"),
        ("OldWait", 10, "ONGOING"),
        ("NotQuite", 10, "ONGOING!"),
        ("wait", 9, "later"),
        ("unknown", 2, "FAILURE"),
        ("unavailable", 14, ""),
    ] {
        let url = format!("p:9/shop.Stock/{gid}");
        stage.script(&url, &[(status, words)]);
        let steps = format!(r#"[{{\"action\":\"{url}\"}}]"#);
        stage
            .grpc(
                "Submit",
                &format!(r#"{{"Gid":"{gid}","TransType":"saga","Steps":"{steps}","BinPayloads":[""]}}"#),
            )
            .await;
        stage.quiet(gid).await;
        stage.calls();
        stage.rows(gid).await;
    }
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"ok","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/ok\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/ok [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: ok] [dtm-op: action] [dtm-trans_type: saga] -> 0
          = ok is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        gRPC Submit {"Gid":"no","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/no\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/no [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: no] [dtm-op: action] [dtm-trans_type: saga] -> 10 no stock
          = no is failed, with a rollback_time, because "url:p:9/shop.Stock/no return failed: no stock FAILURE"
            01 compensate succeed
            01 action failed
        gRPC Submit {"Gid":"OldWait","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/OldWait\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/OldWait [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: OldWait] [dtm-op: action] [dtm-trans_type: saga] -> 10 ONGOING
          = OldWait is submitted
            01 compensate prepared
            01 action prepared
        gRPC Submit {"Gid":"NotQuite","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/NotQuite\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/NotQuite [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: NotQuite] [dtm-op: action] [dtm-trans_type: saga] -> 10 ONGOING!
          = NotQuite is failed, with a rollback_time, because "url:p:9/shop.Stock/NotQuite return failed: ONGOING! FAILURE"
            01 compensate succeed
            01 action failed
        gRPC Submit {"Gid":"wait","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/wait\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/wait [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: wait] [dtm-op: action] [dtm-trans_type: saga] -> 9 later
          = wait is submitted
            01 compensate prepared
            01 action prepared
        gRPC Submit {"Gid":"unknown","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/unknown\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/unknown [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: unknown] [dtm-op: action] [dtm-trans_type: saga] -> 2 FAILURE
          = unknown is submitted
            01 compensate prepared
            01 action prepared
        gRPC Submit {"Gid":"unavailable","TransType":"saga","Steps":"[{\"action\":\"p:9/shop.Stock/unavailable\"}]","BinPayloads":[""]}
            0 Ok {}
          > gRPC p:9/shop.Stock/unavailable [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: unavailable] [dtm-op: action] [dtm-trans_type: saga] -> 14
          = unavailable is submitted
            01 compensate prepared
            01 action prepared
    "#]]);
}
