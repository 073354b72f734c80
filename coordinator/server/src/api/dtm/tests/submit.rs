//! submit without `wait_result`: new transactions, prepared ones, repetitions and refusals.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn submit_is_answered_before_anybody_has_answered_a_call() {
    let mut stage = Stage::start();
    stage.hold("http://p/a");
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
        )
        .await;
    stage.release("http://p/a", 200, "").await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_prepared_transaction_is_submitted_and_runs() {
    let mut stage = Stage::start();
    let step = r#""steps":[{"action":"http://p/a"}],"payloads":["1"]"#;
    for kind in ["saga", "msg"] {
        stage.post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}",{step}}}"#)).await;
        stage.post("submit", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}"}}"#)).await;
        stage.ends(kind).await;
    }
    for kind in ["tcc", "xa"] {
        stage.post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}"}}"#)).await;
        stage.post("registerBranch", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","branch_id":"01","url":"http://p/xa","confirm":"http://p/confirm"}}"#)).await;
        stage.post("submit", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}"}}"#)).await;
        stage.ends(kind).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"saga","trans_type":"saga"}
          > POST http://p/a?branch_id=01&gid=saga&op=action&trans_type=saga 1 -> 200
          = saga is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST prepare {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"msg","trans_type":"msg"}
          > POST http://p/a?branch_id=01&gid=msg&op=action&trans_type=msg 1 -> 200
          = msg is succeed, with a finish_time
            01 action succeed
        POST prepare {"gid":"tcc","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","url":"http://p/xa","confirm":"http://p/confirm"}
        POST submit {"gid":"tcc","trans_type":"tcc"}
          > GET http://p/confirm?branch_id=01&gid=tcc&op=confirm&trans_type=tcc -> 200
          = tcc is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
        POST prepare {"gid":"xa","trans_type":"xa"}
        POST registerBranch {"gid":"xa","trans_type":"xa","branch_id":"01","url":"http://p/xa","confirm":"http://p/confirm"}
        POST submit {"gid":"xa","trans_type":"xa"}
          > POST http://p/xa?branch_id=01&gid=xa&op=commit&trans_type=xa -> 200
          = xa is succeed, with a finish_time
            01 rollback prepared
            01 commit succeed
    "#]]);
}

#[tokio::test]
async fn a_new_gid_is_created_and_runs_whatever_the_type() {
    let mut stage = Stage::start();
    for kind in ["saga", "msg", "tcc", "xa"] {
        stage.post("submit", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}","steps":[{{"action":"http://p/a"}}],"payloads":["1"]}}"#)).await;
        stage.ends(kind).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=saga&op=action&trans_type=saga 1 -> 200
          = saga is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST submit {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=msg&op=action&trans_type=msg 1 -> 200
          = msg is succeed, with a finish_time
            01 action succeed
        POST submit {"gid":"tcc","trans_type":"tcc","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > nobody is called
          = tcc is succeed, with a finish_time
        POST submit {"gid":"xa","trans_type":"xa","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > nobody is called
          = xa is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn an_aborted_transaction_cannot_be_submitted() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}"#).await;
    stage.quiet("aborting").await;
    stage.post("submit", r#"{"gid":"aborting","trans_type":"saga"}"#).await;
    stage.post("submit", r#"{"gid":"succeed","trans_type":"saga"}"#).await;
    stage.settled("succeed").await;
    stage.post("submit", r#"{"gid":"succeed","trans_type":"saga","wait_result":true}"#).await;
    stage.post("prepare", r#"{"gid":"failed","trans_type":"msg"}"#).await;
    stage.post("abort", r#"{"gid":"failed"}"#).await;
    stage.post("submit", r#"{"gid":"failed","trans_type":"msg"}"#).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}
        POST submit {"gid":"aborting","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"current status 'aborting', cannot sumbmit. FAILURE"}
        POST submit {"gid":"succeed","trans_type":"saga"}
        POST submit {"gid":"succeed","trans_type":"saga","wait_result":true}
        POST prepare {"gid":"failed","trans_type":"msg"}
        POST abort {"gid":"failed"}
        POST submit {"gid":"failed","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"current status 'failed', cannot sumbmit. FAILURE"}
    "#]]);
}

#[tokio::test]
async fn branches_that_cannot_be_made_are_an_error_and_nothing_is_created() {
    let mut stage = Stage::start();
    for body in [
        r#"{"gid":"g","trans_type":"msg","steps":[{"action":"topic://nothing"}],"payloads":["1"]}"#,
        r#"{"gid":"g","trans_type":"msg","steps":[{"action":"topic://"}],"payloads":["1"]}"#,
        r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1"]}"#,
        r#"{"gid":"g","trans_type":"saga","custom_data":"{"}"#,
        r#"{"gid":"g","trans_type":"saga","custom_data":"{\"orders\":{\"0\":[7]}}","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
    ] {
        stage.post("submit", body).await;
    }
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://nothing"}],"payloads":["1"]}
            500 {"message":"topic not found"}
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://"}],"payloads":["1"]}
            500 {"message":"topic not found"}
        POST submit {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1"]}
            500 {"message":"payloads: there are fewer of them than steps"}
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{"}
            500 {"message":"custom_data: EOF while parsing an object at line 1 column 1"}
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"orders\":{\"0\":[7]}}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
            500 {"message":"branches[0].after: names 08, which is not a branch of this transaction"}
        GET query?gid=g
            200 {"branches":[],"transaction":null}
    "#]]);
}
