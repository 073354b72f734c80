//! forceStop, resetCronTime and resetNextCronTime.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn force_stop_makes_a_transaction_failed_and_calls_nobody() {
    let mut stage = Stage::start();
    stage.post("forceStop", r#"{"gid":"nobody"}"#).await;
    stage.post("prepare", r#"{"gid":"prepared","trans_type":"tcc"}"#).await;
    stage.post("registerBranch", r#"{"gid":"prepared","trans_type":"tcc","branch_id":"01","confirm":"http://p/a","cancel":"http://p/b"}"#).await;
    stage.post("forceStop", r#"{"gid":"prepared"}"#).await;
    stage.ends("prepared").await;
    stage.post("submit", r#"{"gid":"submitted","trans_type":"saga","steps":[{"action":"http://p/wait","compensate":"http://p/undo"}],"payloads":["1"]}"#).await;
    stage.rests("submitted").await;
    stage.post("forceStop", r#"{"gid":"submitted"}"#).await;
    stage.ends("submitted").await;
    stage.post("submit", r#"{"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}"#).await;
    stage.rests("aborting").await;
    stage.post("forceStop", r#"{"gid":"aborting"}"#).await;
    stage.ends("aborting").await;
    stage.post("prepareWorkflow", r#"{"gid":"workflow","trans_type":"workflow"}"#).await;
    stage.post("forceStop", r#"{"gid":"workflow"}"#).await;
    stage.ends("workflow").await;
    stage.is(&expect![[r#"
        POST forceStop {"gid":"nobody"}
            500 {"message":"no TransGlobal with gid: nobody found"}
        POST prepare {"gid":"prepared","trans_type":"tcc"}
        POST registerBranch {"gid":"prepared","trans_type":"tcc","branch_id":"01","confirm":"http://p/a","cancel":"http://p/b"}
        POST forceStop {"gid":"prepared"}
          > nobody is called
          = prepared is failed, with a rollback_time
            01 cancel prepared
            01 confirm prepared
        POST submit {"gid":"submitted","trans_type":"saga","steps":[{"action":"http://p/wait","compensate":"http://p/undo"}],"payloads":["1"]}
          > POST http://p/wait?branch_id=01&gid=submitted&op=action&trans_type=saga 1 -> 425 not yet
          = submitted is submitted
            01 compensate prepared
            01 action prepared
        POST forceStop {"gid":"submitted"}
          > nobody is called
          = submitted is failed, with a rollback_time
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}
          > POST http://p/no?branch_id=01&gid=aborting&op=action&trans_type=saga 1 -> 409 out of stock
          > POST http://p/wait?branch_id=01&gid=aborting&op=compensate&trans_type=saga 1 -> 425 not yet
          = aborting is aborting, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate prepared
            01 action failed
        POST forceStop {"gid":"aborting"}
          > nobody is called
          = aborting is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate prepared
            01 action failed
        POST prepareWorkflow {"gid":"workflow","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"workflow","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST forceStop {"gid":"workflow"}
          > nobody is called
          = workflow is failed, with a rollback_time
    "#]]);
}

#[tokio::test]
async fn an_ended_transaction_cannot_be_stopped() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"succeed","trans_type":"saga"}"#).await;
    stage.settled("succeed").await;
    stage.post("forceStop", r#"{"gid":"succeed"}"#).await;
    stage.post("prepare", r#"{"gid":"failed","trans_type":"msg"}"#).await;
    stage.post("abort", r#"{"gid":"failed"}"#).await;
    stage.post("forceStop", r#"{"gid":"failed"}"#).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"succeed","trans_type":"saga"}
        POST forceStop {"gid":"succeed"}
            409 {"dtm_result":"FAILURE","message":"global transaction force stop error. status: succeed. error: FAILURE"}
        POST prepare {"gid":"failed","trans_type":"msg"}
        POST abort {"gid":"failed"}
        POST forceStop {"gid":"failed"}
            409 {"dtm_result":"FAILURE","message":"global transaction force stop error. status: failed. error: FAILURE"}
    "#]]);
}

#[tokio::test]
async fn one_retry_is_made_due_now() {
    let mut stage = Stage::start();
    stage.script("http://p/a", &[(500, "out of order")]);
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
        )
        .await;
    stage.rests("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.post("resetNextCronTime", r#"{"gid":"nobody"}"#).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 500 out of order
          = g is submitted
            01 compensate prepared
            01 action prepared
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST resetNextCronTime {"gid":"g"}
        POST resetNextCronTime {"gid":"nobody"}
            500 {"message":"no TransGlobal with gid: nobody found"}
    "#]]);
}

#[tokio::test]
async fn many_retries_are_made_due_now_when_they_are_far_off() {
    let mut stage = Stage::start();
    for gid in ["a", "b", "c"] {
        stage.script("http://p/a", &[(425, "")]);
        stage.post("submit", &format!(r#"{{"gid":"{gid}","trans_type":"saga","retry_interval":200,"steps":[{{"action":"http://p/a"}}],"payloads":["1"]}}"#)).await;
        stage.rests(gid).await;
    }
    stage.get("resetCronTime?timeout=3600").await;
    stage.get("resetCronTime?limit=2").await;
    stage.get("resetCronTime").await;
    stage.get("resetCronTime").await;
    stage.get("resetCronTime?timeout=x").await;
    for gid in ["a", "b", "c"] {
        stage.settled(gid).await;
        stage.rows(gid).await;
    }
    stage.calls_in_any_order();
    stage.is(&expect![[r#"
        POST submit {"gid":"a","trans_type":"saga","retry_interval":200,"steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=a&op=action&trans_type=saga 1 -> 425
          = a is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"b","trans_type":"saga","retry_interval":200,"steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=b&op=action&trans_type=saga 1 -> 425
          = b is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"c","trans_type":"saga","retry_interval":200,"steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=c&op=action&trans_type=saga 1 -> 425
          = c is submitted
            01 compensate prepared
            01 action prepared
        GET resetCronTime?timeout=3600
            200 {"has_remaining":false,"succeed_count":0}
        GET resetCronTime?limit=2
            200 {"has_remaining":true,"succeed_count":2}
        GET resetCronTime
            200 {"has_remaining":false,"succeed_count":1}
        GET resetCronTime
            200 {"has_remaining":false,"succeed_count":0}
        GET resetCronTime?timeout=x
            500 {"message":"convert to int error: x"}
          = a is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
          = b is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
          = c is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
          > POST http://p/a?branch_id=01&gid=a&op=action&trans_type=saga 1 -> 200
          > POST http://p/a?branch_id=01&gid=b&op=action&trans_type=saga 1 -> 200
          > POST http://p/a?branch_id=01&gid=c&op=action&trans_type=saga 1 -> 200
    "#]]);
}
