//! abort: the transactions that it rolls back, drops or refuses.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn a_tcc_or_xa_that_is_prepared_rolls_back() {
    let mut stage = Stage::start();
    for kind in ["tcc", "xa"] {
        stage.post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}"}}"#)).await;
        stage.post("registerBranch", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","branch_id":"01","data":"1","url":"http://p/xa","confirm":"http://p/confirm","cancel":"http://p/cancel"}}"#)).await;
        stage.post("abort", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","rollback_reason":"rpc error: code = Aborted desc = reason:"}}"#)).await;
        stage.ends(kind).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"tcc","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","data":"1","url":"http://p/xa","confirm":"http://p/confirm","cancel":"http://p/cancel"}
        POST abort {"gid":"tcc","trans_type":"tcc","rollback_reason":"rpc error: code = Aborted desc = reason:"}
          > POST http://p/cancel?branch_id=01&gid=tcc&op=cancel&trans_type=tcc 1 -> 200
          = tcc is failed, with a rollback_time, because "rpc error: code = Aborted desc = reason:"
            01 cancel succeed
            01 confirm prepared
        POST prepare {"gid":"xa","trans_type":"xa"}
        POST registerBranch {"gid":"xa","trans_type":"xa","branch_id":"01","data":"1","url":"http://p/xa","confirm":"http://p/confirm","cancel":"http://p/cancel"}
        POST abort {"gid":"xa","trans_type":"xa","rollback_reason":"rpc error: code = Aborted desc = reason:"}
          > POST http://p/xa?branch_id=01&gid=xa&op=rollback&trans_type=xa 1 -> 200
          = xa is failed, with a rollback_time, because "rpc error: code = Aborted desc = reason:"
            01 rollback succeed
            01 commit prepared
    "#]]);
}

#[tokio::test]
async fn a_message_that_is_prepared_is_dropped_whatever_type_the_request_says() {
    let mut stage = Stage::start();
    for (gid, kind) in [("a", r#","trans_type":"msg""#), ("b", ""), ("c", r#","trans_type":"other""#)] {
        stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"msg","steps":[{{"action":"http://p/a"}}],"payloads":["1"]}}"#)).await;
        stage.post("abort", &format!(r#"{{"gid":"{gid}"{kind}}}"#)).await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"a","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST abort {"gid":"a","trans_type":"msg"}
          > nobody is called
          = a is failed, with a rollback_time
            01 action prepared
        POST prepare {"gid":"b","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST abort {"gid":"b"}
          > nobody is called
          = b is failed, with a rollback_time
            01 action prepared
        POST prepare {"gid":"c","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST abort {"gid":"c","trans_type":"other"}
          > nobody is called
          = c is failed, with a rollback_time
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn an_abort_may_be_repeated_until_it_is_done() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage
        .post("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"01","cancel":"http://p/wait"}"#)
        .await;
    for _ in 0..2 {
        stage.post("abort", r#"{"gid":"g","trans_type":"tcc"}"#).await;
        stage.rests("g").await;
    }
    stage.script("http://p/wait", &[(200, "")]);
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.post("abort", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","cancel":"http://p/wait"}
        POST abort {"gid":"g","trans_type":"tcc"}
          > GET http://p/wait?branch_id=01&gid=g&op=cancel&trans_type=tcc -> 425 not yet
          = g is aborting
            01 cancel prepared
            01 confirm prepared
        POST abort {"gid":"g","trans_type":"tcc"}
          > nobody is called
          = g is aborting
            01 cancel prepared
            01 confirm prepared
        POST resetNextCronTime {"gid":"g"}
          > GET http://p/wait?branch_id=01&gid=g&op=cancel&trans_type=tcc -> 200
          = g is failed, with a rollback_time
            01 cancel succeed
            01 confirm prepared
        POST abort {"gid":"g","trans_type":"tcc"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'failed', cannot abort. FAILURE"}
    "#]]);
}

#[tokio::test]
async fn whatever_else_is_not_aborted() {
    let mut stage = Stage::start();
    stage.post("abort", r#"{"gid":"nobody","trans_type":"tcc"}"#).await;
    stage.post("prepare", r#"{"gid":"tcc","trans_type":"tcc"}"#).await;
    for kind in ["saga", "msg", "workflow", "other", ""] {
        stage.post("abort", &format!(r#"{{"gid":"tcc","trans_type":"{kind}"}}"#)).await;
    }
    stage
        .post(
            "registerBranch",
            r#"{"gid":"tcc","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}"#,
        )
        .await;
    stage.post("submit", r#"{"gid":"tcc","trans_type":"tcc"}"#).await;
    stage.post("abort", r#"{"gid":"tcc","trans_type":"tcc"}"#).await;
    stage
        .post(
            "submit",
            r#"{"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/wait"}],"payloads":["1"]}"#,
        )
        .await;
    stage.post("abort", r#"{"gid":"msg","trans_type":"msg"}"#).await;
    stage.post("submit", r#"{"gid":"saga","trans_type":"saga"}"#).await;
    stage.settled("saga").await;
    stage.post("abort", r#"{"gid":"saga","trans_type":"saga"}"#).await;
    stage.post("abort", r#"{"gid":"saga","trans_type":"tcc"}"#).await;
    stage.post("prepareWorkflow", r#"{"gid":"workflow","trans_type":"workflow"}"#).await;
    stage.post("abort", r#"{"gid":"workflow","trans_type":"workflow"}"#).await;
    stage.post("abort", r#"{"gid":"workflow","trans_type":"tcc"}"#).await;
    stage.is(&expect![[r#"
        POST abort {"gid":"nobody","trans_type":"tcc"}
            500 {"message":"no TransGlobal with gid: nobody found"}
        POST prepare {"gid":"tcc","trans_type":"tcc"}
        POST abort {"gid":"tcc","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'prepared', cannot abort. FAILURE"}
        POST abort {"gid":"tcc","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'prepared', cannot abort. FAILURE"}
        POST abort {"gid":"tcc","trans_type":"workflow"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'prepared', cannot abort. FAILURE"}
        POST abort {"gid":"tcc","trans_type":"other"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'prepared', cannot abort. FAILURE"}
        POST abort {"gid":"tcc","trans_type":""}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'prepared', cannot abort. FAILURE"}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}
        POST submit {"gid":"tcc","trans_type":"tcc"}
        POST abort {"gid":"tcc","trans_type":"tcc"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'tcc' current status 'submitted', cannot abort. FAILURE"}
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/wait"}],"payloads":["1"]}
        POST abort {"gid":"msg","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'msg' current status 'submitted', cannot abort. FAILURE"}
        POST submit {"gid":"saga","trans_type":"saga"}
        POST abort {"gid":"saga","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'saga' current status 'succeed', cannot abort. FAILURE"}
        POST abort {"gid":"saga","trans_type":"tcc"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'saga' current status 'succeed', cannot abort. FAILURE"}
        POST prepareWorkflow {"gid":"workflow","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"workflow","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST abort {"gid":"workflow","trans_type":"workflow"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'workflow' current status 'prepared', cannot abort. FAILURE"}
        POST abort {"gid":"workflow","trans_type":"tcc"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'workflow' current status 'prepared', cannot abort. FAILURE"}
    "#]]);
}
