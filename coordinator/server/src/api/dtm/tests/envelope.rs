//! The form of answers over HTTP, lenient reading of requests, gids, and the small routes.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn each_outcome_has_its_status_and_its_body() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc","wait_result":true}"#).await;
    stage.get("query?gid=nobody").await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}"#,
        )
        .await;
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc","wait_result":true}"#).await;
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.post("forceStop", r#"{"gid":"nobody"}"#).await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc","wait_result":true}
        GET query?gid=nobody
            200 {"branches":[],"transaction":null}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}
        POST submit {"gid":"g","trans_type":"tcc","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
        POST prepare {"gid":"g","trans_type":"tcc"}
            500 {"message":"current status 'submitted', cannot prepare"}
        POST forceStop {"gid":"nobody"}
            500 {"message":"no TransGlobal with gid: nobody found"}
    "#]]);
}

#[tokio::test]
async fn small_routes_answer_in_json_and_what_is_none_in_text() {
    let mut stage = Stage::start();
    stage.get("/api/ping").await;
    stage.get("nothing").await;
    stage.get("prepare").await;
    stage.post("newGid", "").await;
    stage.get("newGid/").await;
    stage.is(&expect![[r#"
        GET /api/ping
            200 {"msg":"pong"}
        GET nothing
            404 [content-type: text/plain] 404 page not found
        GET prepare
            404 [content-type: text/plain] 404 page not found
        POST newGid
            404 [content-type: text/plain] 404 page not found
        GET newGid/
            307 [location: /api/dtmsvr/newGid]
    "#]]);
}

#[tokio::test]
async fn json_is_read_as_forgivingly_as_clients_need_it() {
    let mut stage = Stage::start();
    for body in [
        r#"{"gid":"null","trans_type":"saga","steps":null,"payloads":null,"protocol":null,"custom_data":null,"branch_headers":null,"timeout_to_fail":null,"wait_result":null,"query_prepared":null,"req_extra":null,"rollback_reason":null,"status":null,"concurrent":null,"retry_limit":null,"retry_interval":null,"request_timeout":null}"#,
        r#"{"gid":"unknown","trans_type":"saga","passthrough_headers":["a"],"subType":{"a":[1]},"try":1.5,"status":"failed"}"#,
        r#"{"gid":"first","trans_type":"tcc","gid":"twice","trans_type":"saga"}"#,
        r#"{"GID":"case","Trans_Type":"saga","STEPS":[{"Action":"http://p/ok"}],"Payloads":["1"]}"#,
        " {\n \"gid\" : \"spaces\" , \"trans_type\" : \"saga\" }\r\n",
    ] {
        stage.post("submit", body).await;
    }
    for gid in ["null", "unknown", "twice", "case", "spaces"] {
        stage.settled(gid).await;
        stage.rows(gid).await;
    }
    stage.get("query?gid=first").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"null","trans_type":"saga","steps":null,"payloads":null,"protocol":null,"custom_data":null,"branch_headers":null,"timeout_to_fail":null,"wait_result":null,"query_prepared":null,"req_extra":null,"rollback_reason":null,"status":null,"concurrent":null,"retry_limit":null,"retry_interval":null,"request_timeout":null}
        POST submit {"gid":"unknown","trans_type":"saga","passthrough_headers":["a"],"subType":{"a":[1]},"try":1.5,"status":"failed"}
        POST submit {"gid":"first","trans_type":"tcc","gid":"twice","trans_type":"saga"}
        POST submit {"GID":"case","Trans_Type":"saga","STEPS":[{"Action":"http://p/ok"}],"Payloads":["1"]}
        POST submit  {
         "gid" : "spaces" , "trans_type" : "saga" }
          = null is succeed, with a finish_time
          = unknown is succeed, with a finish_time
          = twice is succeed, with a finish_time
          = case is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
          = spaces is succeed, with a finish_time
        GET query?gid=first
            200 {"branches":[],"transaction":null}
    "#]]);
}

#[tokio::test]
async fn an_unreadable_request_is_an_error_and_changes_nothing() {
    let mut stage = Stage::start();
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"gid":7,"trans_type":"saga"}"#,
        r#"{"gid":"g","trans_type":"saga","steps":{}}"#,
        r#"{"gid":"g","trans_type":"saga","steps":[{"action":7}]}"#,
        r#"{"gid":"g","trans_type":"saga","payloads":[{}]}"#,
        r#"{"gid":"g","trans_type":"saga","timeout_to_fail":"1"}"#,
        r#"{"gid":"g","trans_type":"saga","wait_result":1}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"a":1}}"#,
        r#"{"gid":"g","trans_type":"saga","custom_data":{"a":1}}"#,
        r#"{"gid":"g","trans_type":"other"}"#,
        r#"{"gid":"g"}"#,
        r#"{"gid":"","trans_type":"saga"}"#,
        r#"{"trans_type":"saga"}"#,
    ] {
        stage.post("submit", body).await;
    }
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit
            500 {"message":"unexpected end of JSON input"}
        POST submit {
            500 {"message":"unexpected end of JSON input"}
        POST submit []
            500 {"message":"invalid type: sequence, expected an object at line 1 column 0"}
        POST submit null
            500 {"message":"unknow trans type: "}
        POST submit {"gid":7,"trans_type":"saga"}
            500 {"message":"gid: invalid type: integer `7`, expected a string at line 1 column 8"}
        POST submit {"gid":"g","trans_type":"saga","steps":{}}
            500 {"message":"steps: invalid type: map, expected a sequence at line 1 column 39"}
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":7}]}
            500 {"message":"steps[0].action: invalid type: integer `7`, expected a string at line 1 column 51"}
        POST submit {"gid":"g","trans_type":"saga","payloads":[{}]}
            500 {"message":"payloads[0]: invalid type: map, expected a string at line 1 column 43"}
        POST submit {"gid":"g","trans_type":"saga","timeout_to_fail":"1"}
            500 {"message":"timeout_to_fail: invalid type: string \"1\", expected i64 at line 1 column 52"}
        POST submit {"gid":"g","trans_type":"saga","wait_result":1}
            500 {"message":"wait_result: invalid type: integer `1`, expected a boolean at line 1 column 46"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"a":1}}
            500 {"message":"branch_headers.a: invalid type: integer `1`, expected a string at line 1 column 54"}
        POST submit {"gid":"g","trans_type":"saga","custom_data":{"a":1}}
            500 {"message":"custom_data: invalid type: map, expected a string at line 1 column 45"}
        POST submit {"gid":"g","trans_type":"other"}
            500 {"message":"unknow trans type: other"}
        POST submit {"gid":"g"}
            500 {"message":"unknow trans type: "}
        POST submit {"gid":"","trans_type":"saga"}
            500 {"message":"key required: gid is empty"}
        POST submit {"trans_type":"saga"}
            500 {"message":"key required: gid is empty"}
        GET query?gid=g
            200 {"branches":[],"transaction":null}
    "#]]);
}

#[tokio::test]
async fn branch_headers_that_cannot_or_must_not_be_sent_are_refused_by_their_names() {
    let mut stage = Stage::start();
    for body in [
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"a b":"hunter2"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"a":"hunter2\u000d\u000ab: c"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"Content-Length":"hunter2"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"transfer-encoding":"chunked"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"trailer":"a"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"accept-encoding":"gzip"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"host":"elsewhere"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"Connection":"close"}}"#,
        r#"{"gid":"g","trans_type":"saga","branch_headers":{"upgrade":"h2c"}}"#,
    ] {
        stage.post("submit", body).await;
    }
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"a b":"hunter2"}}
            500 {"message":"branch_headers a b: no header can have such a name"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"a":"hunter2\u000d\u000ab: c"}}
            500 {"message":"branch_headers a: no header can have such a value"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"Content-Length":"hunter2"}}
            500 {"message":"branch_headers Content-Length: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"transfer-encoding":"chunked"}}
            500 {"message":"branch_headers transfer-encoding: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"trailer":"a"}}
            500 {"message":"branch_headers trailer: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"accept-encoding":"gzip"}}
            500 {"message":"branch_headers accept-encoding: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"host":"elsewhere"}}
            500 {"message":"branch_headers host: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"Connection":"close"}}
            500 {"message":"branch_headers Connection: the coordinator sets this header itself, or must not send it; leave it out"}
        POST submit {"gid":"g","trans_type":"saga","branch_headers":{"upgrade":"h2c"}}
            500 {"message":"branch_headers upgrade: the coordinator sets this header itself, or must not send it; leave it out"}
        GET query?gid=g
            200 {"branches":[],"transaction":null}
    "#]]);
}

#[tokio::test]
async fn a_gid_may_be_any_text() {
    let mut stage = Stage::start();
    stage
        .post(
            "submit",
            r#"{"gid":"a b/é","trans_type":"saga","steps":[{"action":"http://p/ok"}],"payloads":[""]}"#,
        )
        .await;
    stage.ends("a b/é").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"a b/é","trans_type":"saga","steps":[{"action":"http://p/ok"}],"payloads":[""]}
          > GET http://p/ok?branch_id=01&gid=a+b%2F%C3%A9&op=action&trans_type=saga -> 200
          = a b/é is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_reply_that_says_yes_never_spells_the_word_for_no() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/no"}],"payloads":["\"FAILURE\""]}"#).await;
    stage.settled("g").await;
    for path in ["query?gid=g", "all"] {
        let answered = stage.ask(Method::GET, &format!("/api/dtmsvr/{path}"), "").await;
        assert_eq!(answered.status, 200);
        assert!(!answered.body.contains("FAILURE"), "{}", answered.body);
        assert!(
            answered.json().to_string().contains("return failed: out of stock FAILURE"),
            "{}",
            answered.body
        );
    }
}
