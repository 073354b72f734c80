//! prepare: new transactions, and answers for existing ones.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn prepare_creates_and_repeating_it_changes_nothing() {
    let mut stage = Stage::start();
    stage
        .post(
            "prepare",
            r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
        )
        .await;
    stage.post("prepare", r#"{"gid":"g","trans_type":"saga","steps":[],"status":"succeed"}"#).await;
    stage.rows("g").await;
    stage.calls();
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST prepare {"gid":"g","trans_type":"saga","steps":[],"status":"succeed"}
            500 {"message":"this gid is on record with a msg, which stays as it is; nothing of this request was done: choose another gid"}
          = g is prepared
            01 action prepared
          > nobody is called
    "#]]);
}

#[tokio::test]
async fn every_type_may_be_prepared_and_none_runs() {
    let mut stage = Stage::start();
    let steps = r#""steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]"#;
    for kind in ["saga", "tcc", "xa", "msg", "workflow"] {
        stage.post("prepare", &format!(r#"{{"gid":"{kind}","trans_type":"{kind}",{steps}}}"#)).await;
        stage.rests(kind).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"saga","trans_type":"saga","steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = saga is prepared
            01 compensate prepared
            01 action prepared
        POST prepare {"gid":"tcc","trans_type":"tcc","steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = tcc is prepared
        POST prepare {"gid":"xa","trans_type":"xa","steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = xa is prepared
        POST prepare {"gid":"msg","trans_type":"msg","steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = msg is prepared
            01 action prepared
        POST prepare {"gid":"workflow","trans_type":"workflow","steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = workflow is prepared
    "#]]);
}

#[tokio::test]
async fn a_submitted_transaction_cannot_be_prepared() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"submitted","trans_type":"saga","steps":[{"action":"http://p/wait"}],"payloads":["1"]}"#).await;
    stage.post("prepare", r#"{"gid":"submitted","trans_type":"saga"}"#).await;
    stage.post("submit", r#"{"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}"#).await;
    stage.quiet("aborting").await;
    stage.post("prepare", r#"{"gid":"aborting","trans_type":"saga"}"#).await;
    stage.post("submit", r#"{"gid":"succeed","trans_type":"saga"}"#).await;
    stage.settled("succeed").await;
    stage.post("prepare", r#"{"gid":"succeed","trans_type":"saga"}"#).await;
    stage.post("prepare", r#"{"gid":"failed","trans_type":"msg"}"#).await;
    stage.post("abort", r#"{"gid":"failed"}"#).await;
    stage.post("prepare", r#"{"gid":"failed","trans_type":"msg"}"#).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"submitted","trans_type":"saga","steps":[{"action":"http://p/wait"}],"payloads":["1"]}
        POST prepare {"gid":"submitted","trans_type":"saga"}
            500 {"message":"current status 'submitted', cannot prepare"}
        POST submit {"gid":"aborting","trans_type":"saga","steps":[{"action":"http://p/no","compensate":"http://p/wait"}],"payloads":["1"]}
        POST prepare {"gid":"aborting","trans_type":"saga"}
            409 {"dtm_result":"FAILURE","message":"current status 'aborting', cannot prepare. FAILURE"}
        POST submit {"gid":"succeed","trans_type":"saga"}
        POST prepare {"gid":"succeed","trans_type":"saga"}
            500 {"message":"current status 'succeed', cannot prepare"}
        POST prepare {"gid":"failed","trans_type":"msg"}
        POST abort {"gid":"failed"}
        POST prepare {"gid":"failed","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"current status 'failed', cannot prepare. FAILURE"}
    "#]]);
}
