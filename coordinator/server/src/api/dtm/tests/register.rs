//! registerBranch and its aliases: the rows that they make, and refusals.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn each_type_gets_its_rows_in_their_order() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"tcc","trans_type":"tcc"}"#).await;
    stage.post("registerBranch", r#"{"gid":"tcc","trans_type":"tcc","branch_id":"01","data":"{\"n\":1}","confirm":"http://p/confirm","cancel":"http://p/cancel"}"#).await;
    stage.post("registerTccBranch", r#"{"gid":"tcc","trans_type":"tcc","branch_id":"02","confirm":"","cancel":null,"status":"prepared","try":"http://p/try"}"#).await;
    stage.get("query?gid=tcc").await;
    stage.post("prepare", r#"{"gid":"xa","trans_type":"xa"}"#).await;
    stage.post("registerXaBranch", r#"{"gid":"xa","trans_type":"xa","branch_id":"01","url":"http://p/xa","subType":"a","subType":"b"}"#).await;
    stage.get("query?gid=xa").await;
    stage.post("prepareWorkflow", r#"{"gid":"workflow","trans_type":"workflow"}"#).await;
    stage.post("registerBranch", r#"{"gid":"workflow","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"done","sync":"1"}"#).await;
    stage.post("registerBranch", r#"{"gid":"workflow","trans_type":"workflow","branch_id":"01","op":"rollback","status":"failed","data":"undone"}"#).await;
    stage.get("query?gid=workflow").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"tcc","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","data":"{\"n\":1}","confirm":"http://p/confirm","cancel":"http://p/cancel"}
        POST registerTccBranch {"gid":"tcc","trans_type":"tcc","branch_id":"02","confirm":"","cancel":null,"status":"prepared","try":"http://p/try"}
        GET query?gid=tcc
            200 {"branches":[{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","gid":"tcc","id":1,"op":"cancel","status":"prepared","update_time":"<time>","url":"http://p/cancel"},{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","gid":"tcc","id":2,"op":"confirm","status":"prepared","update_time":"<time>","url":"http://p/confirm"},{"branch_id":"02","create_time":"<time>","gid":"tcc","id":3,"op":"cancel","status":"prepared","update_time":"<time>"},{"branch_id":"02","create_time":"<time>","gid":"tcc","id":4,"op":"confirm","status":"prepared","update_time":"<time>"}],"transaction":{"concurrent":false,"create_time":"<time>","gid":"tcc","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"tcc","update_time":"<time>"}}
        POST prepare {"gid":"xa","trans_type":"xa"}
        POST registerXaBranch {"gid":"xa","trans_type":"xa","branch_id":"01","url":"http://p/xa","subType":"a","subType":"b"}
        GET query?gid=xa
            200 {"branches":[{"branch_id":"01","create_time":"<time>","gid":"xa","id":1,"op":"rollback","status":"prepared","update_time":"<time>","url":"http://p/xa"},{"branch_id":"01","create_time":"<time>","gid":"xa","id":2,"op":"commit","status":"prepared","update_time":"<time>","url":"http://p/xa"}],"transaction":{"concurrent":false,"create_time":"<time>","gid":"xa","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"xa","update_time":"<time>"}}
        POST prepareWorkflow {"gid":"workflow","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"workflow","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST registerBranch {"gid":"workflow","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"done","sync":"1"}
        POST registerBranch {"gid":"workflow","trans_type":"workflow","branch_id":"01","op":"rollback","status":"failed","data":"undone"}
        GET query?gid=workflow
            200 {"branches":[{"bin_data":"ZG9uZQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"workflow","id":1,"op":"action","status":"succeed","update_time":"<time>"},{"bin_data":"dW5kb25l","branch_id":"01","create_time":"<time>","gid":"workflow","id":2,"op":"rollback","rollback_time":"<time>","status":"failed","update_time":"<time>"}],"transaction":{"concurrent":false,"create_time":"<time>","gid":"workflow","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn there_must_be_a_transaction_that_is_prepared() {
    let mut stage = Stage::start();
    let register =
        r#""branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait""#;
    for kind in ["tcc", "xa", "workflow"] {
        stage
            .post(
                "registerBranch",
                &format!(
                    r#"{{"gid":"nobody","trans_type":"{kind}",{register},"op":"action","status":"succeed"}}"#
                ),
            )
            .await;
    }
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.post("registerBranch", &format!(r#"{{"gid":"g","trans_type":"tcc",{register}}}"#)).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.post("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"02"}"#).await;
    stage.post("registerBranch", &format!(r#"{{"gid":"g","trans_type":"tcc",{register}}}"#)).await;
    stage.post("prepareWorkflow", r#"{"gid":"w","trans_type":"workflow"}"#).await;
    stage.post("submit", r#"{"gid":"w","trans_type":"workflow","req_extra":{"status":"succeed"}}"#).await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"w","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed"}"#,
        )
        .await;
    stage.is(&expect![[r#"
        POST registerBranch {"gid":"nobody","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait","op":"action","status":"succeed"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: nobody status: prepared found FAILURE"}
        POST registerBranch {"gid":"nobody","trans_type":"xa","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait","op":"action","status":"succeed"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: nobody status: prepared found FAILURE"}
        POST registerBranch {"gid":"nobody","trans_type":"workflow","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait","op":"action","status":"succeed"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: nobody status: prepared found FAILURE"}
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait"}
        POST submit {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: g status: prepared found FAILURE"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait","url":"http://p/wait"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: g status: prepared found FAILURE"}
        POST prepareWorkflow {"gid":"w","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"w","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST submit {"gid":"w","trans_type":"workflow","req_extra":{"status":"succeed"}}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: w status: prepared found FAILURE"}
    "#]]);
}

#[tokio::test]
async fn registering_twice_is_an_error() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    for _ in 0..2 {
        stage.post("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"01"}"#).await;
    }
    stage.post("prepare", r#"{"gid":"x","trans_type":"xa"}"#).await;
    for _ in 0..2 {
        stage.post("registerBranch", r#"{"gid":"x","trans_type":"xa","branch_id":"01"}"#).await;
    }
    stage.post("prepareWorkflow", r#"{"gid":"w","trans_type":"workflow"}"#).await;
    for (op, data) in [("action", "a"), ("action", "a"), ("action", "b"), ("commit", "a")] {
        stage.post("registerBranch", &format!(r#"{{"gid":"w","trans_type":"workflow","branch_id":"01","op":"{op}","status":"succeed","data":"{data}"}}"#)).await;
    }
    for gid in ["g", "x", "w"] {
        stage.rows(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01"}
            500 {"message":"storage: UniqueKeyConflict"}
        POST prepare {"gid":"x","trans_type":"xa"}
        POST registerBranch {"gid":"x","trans_type":"xa","branch_id":"01"}
        POST registerBranch {"gid":"x","trans_type":"xa","branch_id":"01"}
            500 {"message":"storage: UniqueKeyConflict"}
        POST prepareWorkflow {"gid":"w","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"w","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"a"}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"a"}
            500 {"message":"storage: UniqueKeyConflict"}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed","data":"b"}
            500 {"message":"storage: UniqueKeyConflict"}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"commit","status":"succeed","data":"a"}
          = g is prepared
            01 cancel prepared
            01 confirm prepared
          = x is prepared
            01 rollback prepared
            01 commit prepared
          = w is prepared
            01 action succeed
            01 commit succeed
    "#]]);
}

#[tokio::test]
async fn other_types_have_nothing_to_register() {
    let mut stage = Stage::start();
    for kind in ["saga", "msg"] {
        stage.post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}"}}"#)).await;
        stage
            .post("registerBranch", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","branch_id":"01"}}"#))
            .await;
    }
    stage.post("registerBranch", r#"{"gid":"saga","trans_type":"other","branch_id":"01"}"#).await;
    stage.post("registerBranch", r#"{"gid":"saga","branch_id":"01"}"#).await;
    stage.post("registerBranch", r#"{"gid":"saga","trans_type":"tcc","branch_id":"01"}"#).await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"saga","trans_type":"saga"}
        POST registerBranch {"gid":"saga","trans_type":"saga","branch_id":"01"}
            500 {"message":"unknow trans type: saga"}
        POST prepare {"gid":"msg","trans_type":"msg"}
        POST registerBranch {"gid":"msg","trans_type":"msg","branch_id":"01"}
            500 {"message":"unknow trans type: msg"}
        POST registerBranch {"gid":"saga","trans_type":"other","branch_id":"01"}
            500 {"message":"unknow trans type: other"}
        POST registerBranch {"gid":"saga","branch_id":"01"}
            500 {"message":"unknow trans type: "}
        POST registerBranch {"gid":"saga","trans_type":"tcc","branch_id":"01"}
            500 {"message":"this transaction is no tcc"}
    "#]]);
}

#[tokio::test]
async fn a_branch_that_is_no_flat_map_of_texts_is_a_400_in_plain_text() {
    let mut stage = Stage::start();
    for body in [
        r#"{"gid":1}"#,
        r#"{"gid":"g","more":{"a":"b"}}"#,
        r#"{"gid":"g","more":["a"]}"#,
        r#"{"gid":"g","more":true}"#,
        "[]",
        "",
    ] {
        stage.post("registerBranch", body).await;
    }
    stage.is(&expect![[r#"
        POST registerBranch {"gid":1}
            400 [content-type: text/plain; charset=utf-8] {"message":"gid: invalid type: integer `1`, expected a string at line 1 column 8"}
        POST registerBranch {"gid":"g","more":{"a":"b"}}
            400 [content-type: text/plain; charset=utf-8] {"message":"more: invalid type: map, expected a string at line 1 column 18"}
        POST registerBranch {"gid":"g","more":["a"]}
            400 [content-type: text/plain; charset=utf-8] {"message":"more: invalid type: sequence, expected a string at line 1 column 19"}
        POST registerBranch {"gid":"g","more":true}
            400 [content-type: text/plain; charset=utf-8] {"message":"more: invalid type: boolean `true`, expected a string at line 1 column 22"}
        POST registerBranch []
            400 [content-type: text/plain; charset=utf-8] {"message":"invalid type: sequence, expected a map at line 1 column 0"}
        POST registerBranch
            400 [content-type: text/plain; charset=utf-8] {"message":"unexpected end of JSON input"}
    "#]]);
}
