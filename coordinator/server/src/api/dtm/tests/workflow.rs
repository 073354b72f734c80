//! Workflows: begun, recorded, resumed and ended by their executor, which is called back when it falls silent.

use expect_test::expect;

use super::stage::Stage;

/// `{"name":"order","data":"<base64 of input>"}`
const CUSTOM: &str =
    r#""custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows""#;

#[tokio::test]
async fn a_workflow_is_begun_recorded_resumed_and_ended() {
    let mut stage = Stage::start();
    let prepare = format!(r#"{{"gid":"g","trans_type":"workflow",{CUSTOM}}}"#);
    stage.post("prepareWorkflow", &prepare).await;
    stage.post("registerBranch", r#"{"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"{\"n\":1}"}"#).await;
    stage.post("registerBranch", r#"{"gid":"g","trans_type":"workflow","branch_id":"02","op":"action","status":"failed","data":"no stock"}"#).await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"g","trans_type":"workflow","branch_id":"01","op":"rollback","status":"succeed"}"#,
        )
        .await;
    stage.post("prepareWorkflow", &prepare).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"workflow","req_extra":{"status":"failed","rollback_reason":"no stock","result":""}}"#).await;
    stage.post("prepareWorkflow", &prepare).await;
    stage.calls();
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"{\"n\":1}"}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"02","op":"action","status":"failed","data":"no stock"}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"rollback","status":"succeed"}
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":1,"op":"action","status":"succeed","update_time":"<time>"},{"bin_data":"bm8gc3RvY2s=","branch_id":"02","create_time":"<time>","gid":"g","id":2,"op":"action","rollback_time":"<time>","status":"failed","update_time":"<time>"},{"branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":3,"op":"rollback","status":"succeed","update_time":"<time>"}],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"failed","rollback_reason":"no stock","result":""}}
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":1,"op":"action","status":"succeed","update_time":"<time>"},{"bin_data":"bm8gc3RvY2s=","branch_id":"02","create_time":"<time>","gid":"g","id":2,"op":"action","rollback_time":"<time>","status":"failed","update_time":"<time>"},{"branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":3,"op":"rollback","status":"succeed","update_time":"<time>"}],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows","rollback_reason":"no stock","rollback_time":"<time>","status":"failed","trans_type":"workflow","update_time":"<time>"}}
          > nobody is called
    "#]]);
}

#[tokio::test]
async fn a_workflow_that_succeeded_gives_its_result_back_as_it_was_given() {
    let mut stage = Stage::start();
    stage.post("prepareWorkflow", r#"{"gid":"g","trans_type":"workflow"}"#).await;
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed","result":"cmVzdWx0"}}"#,
        )
        .await;
    stage.post("prepareWorkflow", r#"{"gid":"g","trans_type":"workflow"}"#).await;
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed","result":"cmVzdWx0"}}
        POST prepareWorkflow {"gid":"g","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","finish_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","result":"cmVzdWx0","status":"succeed","trans_type":"workflow","update_time":"<time>"}}
          = g is succeed, with a finish_time, result "cmVzdWx0"
    "#]]);
}

#[tokio::test]
async fn prepare_begins_a_workflow_as_well() {
    let mut stage = Stage::start();
    stage.post("prepare", &format!(r#"{{"gid":"g","trans_type":"workflow",{CUSTOM}}}"#)).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}"#).await;
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}
          = g is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn a_workflow_ends_only_as_succeed_or_failed_and_only_once() {
    let mut stage = Stage::start();
    let submit = |gid: &str, extra: &str| format!(r#"{{"gid":"{gid}","trans_type":"workflow"{extra}}}"#);
    stage.post("submit", &submit("nobody", r#","req_extra":{"status":"succeed"}"#)).await;
    stage.post("prepareWorkflow", &submit("g", "")).await;
    for extra in ["", r#","req_extra":null"#, r#","req_extra":{}"#, r#","req_extra":{"status":"submitted"}"#]
    {
        stage.post("submit", &submit("g", extra)).await;
    }
    for end in ["succeed", "succeed", "failed"] {
        stage.post("submit", &submit("g", &format!(r#","req_extra":{{"status":"{end}"}}"#))).await;
    }
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"nobody","trans_type":"workflow","req_extra":{"status":"succeed"}}
            500 {"message":"storage: NotFound"}
        POST prepareWorkflow {"gid":"g","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST submit {"gid":"g","trans_type":"workflow"}
            500 {"message":"unknown workflow status: "}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":null}
            500 {"message":"unknown workflow status: "}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{}}
            500 {"message":"unknown workflow status: "}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"submitted"}}
            500 {"message":"unknown workflow status: submitted"}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"failed"}}
            500 {"message":"storage: NotFound"}
          = g is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn a_step_has_to_have_an_end_too() {
    let mut stage = Stage::start();
    stage.post("prepareWorkflow", r#"{"gid":"g","trans_type":"workflow"}"#).await;
    for status in ["", "prepared", "SUCCEED"] {
        stage.post("registerBranch", &format!(r#"{{"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"{status}"}}"#)).await;
    }
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":""}
            500 {"message":"unknown progress status: "}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"prepared"}
            500 {"message":"unknown progress status: prepared"}
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"SUCCEED"}
            500 {"message":"unknown progress status: SUCCEED"}
          = g is prepared
    "#]]);
}

#[tokio::test]
async fn an_executor_is_called_back_every_interval_whatever_it_answers_until_it_ends() {
    let mut stage = Stage::start();
    stage.script("http://p/workflows", &[(409, "FAILURE"), (200, "")]);
    stage.hold("http://p/workflows");
    stage
        .post(
            "prepareWorkflow",
            &format!(r#"{{"gid":"g","trans_type":"workflow","retry_interval":1,{CUSTOM}}}"#),
        )
        .await;
    stage.called(3).await;
    stage.rows("g").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}"#).await;
    stage.release("http://p/workflows", 200, "").await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","retry_interval":1,"custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":1,"next_cron_time":"<time>","options":"{\"concurrent\":false,\"retry_interval\":1}","protocol":"http","query_prepared":"http://p/workflows","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
          = g is prepared
        POST submit {"gid":"g","trans_type":"workflow","req_extra":{"status":"succeed"}}
          > POST http://p/workflows?branch_id=00&gid=g&op=order&trans_type=workflow input -> 409 FAILURE
          > POST http://p/workflows?branch_id=00&gid=g&op=order&trans_type=workflow input -> 200
          > POST http://p/workflows?branch_id=00&gid=g&op=order&trans_type=workflow input -> 200
          = g is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn a_callback_comes_an_interval_after_the_last_sign_of_the_executor() {
    let mut stage = Stage::start();
    let prepare = format!(r#"{{"gid":"g","trans_type":"workflow",{CUSTOM}}}"#);
    stage.post("prepareWorkflow", &prepare).await;
    stage.pause("g").await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed"}"#,
        )
        .await;
    stage.pause("g").await;
    stage.post("prepareWorkflow", &prepare).await;
    stage.pause("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.called(1).await;
    stage.quiet("g").await;
    stage.calls();
    stage.pause("g").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
          = g goes on after 10 s
        POST registerBranch {"gid":"g","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed"}
          = g goes on after 10 s
        POST prepareWorkflow {"gid":"g","trans_type":"workflow","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","query_prepared":"http://p/workflows"}
            200 {"progresses":[{"branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":1,"op":"action","status":"succeed","update_time":"<time>"}],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","gid":"g","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
          = g goes on after 10 s
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/workflows?branch_id=00&gid=g&op=order&trans_type=workflow input -> 200
          = g goes on after 10 s
    "#]]);
}

#[tokio::test]
async fn input_is_wrapped_for_executors_that_speak_grpc_and_empty_input_is_a_get() {
    let mut stage = Stage::start();
    stage.grpc("PrepareWorkflow", r#"{"Gid":"grpc","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}"#).await;
    stage.post("prepareWorkflow", r#"{"gid":"empty","trans_type":"workflow","custom_data":"{\"name\":\"order\"}","query_prepared":"http://p/workflows?k=v"}"#).await;
    for gid in ["grpc", "empty"] {
        stage.post("resetNextCronTime", &format!(r#"{{"gid":"{gid}"}}"#)).await;
        stage.rests(gid).await;
    }
    stage.is(&expect![[r#"
        gRPC PrepareWorkflow {"Gid":"grpc","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"aW5wdXQ=\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}
            0 Ok {Transaction: {Gid: "grpc", Status: "prepared"}}
        POST prepareWorkflow {"gid":"empty","trans_type":"workflow","custom_data":"{\"name\":\"order\"}","query_prepared":"http://p/workflows?k=v"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"name\":\"order\"}","gid":"empty","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","query_prepared":"http://p/workflows?k=v","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST resetNextCronTime {"gid":"grpc"}
          > gRPC p:9/workflow.Workflow/Execute [dtm-branch_id: 00] [dtm-dtm: ] [dtm-gid: grpc] [dtm-op: order] [dtm-trans_type: workflow] \n\x05input -> 0
          = grpc is prepared
        POST resetNextCronTime {"gid":"empty"}
          > GET http://p/workflows?k=v&branch_id=00&gid=empty&op=order&trans_type=workflow -> 200
          = empty is prepared
    "#]]);
}
