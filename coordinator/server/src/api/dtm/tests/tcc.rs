//! TCC: phase two from the last branch to the first, timeouts, and late registrations.

use expect_test::expect;

use super::stage::Stage;

/// A prepared tcc with branches in this order. Each URL is `op-id`.
async fn prepared(stage: &mut Stage, gid: &str, more: &str, branches: &[&str]) {
    stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"tcc"{more}}}"#)).await;
    for id in branches {
        stage.post("registerBranch", &format!(r#"{{"gid":"{gid}","trans_type":"tcc","branch_id":"{id}","data":"{{\"branch\":\"{id}\"}}","confirm":"http://p/confirm-{id}","cancel":"http://p/cancel-{id}"}}"#)).await;
    }
}

#[tokio::test]
async fn confirms_go_from_the_last_branch_to_the_first_with_what_was_registered() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "", &["01", "02", "0201", "03"]).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"branch\":\"01\"}","confirm":"http://p/confirm-01","cancel":"http://p/cancel-01"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02","data":"{\"branch\":\"02\"}","confirm":"http://p/confirm-02","cancel":"http://p/cancel-02"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"0201","data":"{\"branch\":\"0201\"}","confirm":"http://p/confirm-0201","cancel":"http://p/cancel-0201"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"03","data":"{\"branch\":\"03\"}","confirm":"http://p/confirm-03","cancel":"http://p/cancel-03"}
        POST submit {"gid":"g","trans_type":"tcc"}
          > POST http://p/confirm-03?branch_id=03&gid=g&op=confirm&trans_type=tcc {"branch":"03"} -> 200
          > POST http://p/confirm-0201?branch_id=0201&gid=g&op=confirm&trans_type=tcc {"branch":"0201"} -> 200
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 200
          > POST http://p/confirm-01?branch_id=01&gid=g&op=confirm&trans_type=tcc {"branch":"01"} -> 200
          = g is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
            02 cancel prepared
            02 confirm succeed
            0201 cancel prepared
            0201 confirm succeed
            03 cancel prepared
            03 confirm succeed
    "#]]);
}

#[tokio::test]
async fn cancels_go_from_the_last_branch_to_the_first() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "", &["01", "02"]).await;
    stage.post("abort", r#"{"gid":"g","trans_type":"tcc","rollback_reason":"why"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"branch\":\"01\"}","confirm":"http://p/confirm-01","cancel":"http://p/cancel-01"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02","data":"{\"branch\":\"02\"}","confirm":"http://p/confirm-02","cancel":"http://p/cancel-02"}
        POST abort {"gid":"g","trans_type":"tcc","rollback_reason":"why"}
          > POST http://p/cancel-02?branch_id=02&gid=g&op=cancel&trans_type=tcc {"branch":"02"} -> 200
          > POST http://p/cancel-01?branch_id=01&gid=g&op=cancel&trans_type=tcc {"branch":"01"} -> 200
          = g is failed, with a rollback_time, because "why"
            01 cancel succeed
            01 confirm prepared
            02 cancel succeed
            02 confirm prepared
    "#]]);
}

#[tokio::test]
async fn an_unconfirmed_branch_is_asked_again_and_holds_up_earlier_ones() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "", &["01", "02"]).await;
    stage.script("http://p/confirm-02", &[(409, "FAILURE"), (500, ""), (425, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    for _ in 0..3 {
        stage.rests("g").await;
        stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    }
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"branch\":\"01\"}","confirm":"http://p/confirm-01","cancel":"http://p/cancel-01"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02","data":"{\"branch\":\"02\"}","confirm":"http://p/confirm-02","cancel":"http://p/cancel-02"}
        POST submit {"gid":"g","trans_type":"tcc"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 409 FAILURE
          = g is submitted
            01 cancel prepared
            01 confirm prepared
            02 cancel prepared
            02 confirm prepared
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 500
          = g is submitted
            01 cancel prepared
            01 confirm prepared
            02 cancel prepared
            02 confirm prepared
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 425
          = g is submitted
            01 cancel prepared
            01 confirm prepared
            02 cancel prepared
            02 confirm prepared
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 200
          > POST http://p/confirm-01?branch_id=01&gid=g&op=confirm&trans_type=tcc {"branch":"01"} -> 200
          = g is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
            02 cancel prepared
            02 confirm succeed
    "#]]);
}

#[tokio::test]
async fn a_second_submit_while_confirming_still_confirms_every_branch() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "", &["01", "02"]).await;
    stage.script("http://p/confirm-02", &[(425, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.rests("g").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.rows("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"branch\":\"01\"}","confirm":"http://p/confirm-01","cancel":"http://p/cancel-01"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02","data":"{\"branch\":\"02\"}","confirm":"http://p/confirm-02","cancel":"http://p/cancel-02"}
        POST submit {"gid":"g","trans_type":"tcc"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 425
          = g is submitted
            01 cancel prepared
            01 confirm prepared
            02 cancel prepared
            02 confirm prepared
        POST submit {"gid":"g","trans_type":"tcc"}
          = g is submitted
            01 cancel prepared
            01 confirm prepared
            02 cancel prepared
            02 confirm prepared
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/confirm-02?branch_id=02&gid=g&op=confirm&trans_type=tcc {"branch":"02"} -> 200
          > POST http://p/confirm-01?branch_id=01&gid=g&op=confirm&trans_type=tcc {"branch":"01"} -> 200
          = g is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
            02 cancel prepared
            02 confirm succeed
    "#]]);
}

#[tokio::test]
async fn silence_of_the_initiator_cancels_and_nothing_can_be_registered_then() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", r#","timeout_to_fail":1"#, &["01"]).await;
    stage.ends("g").await;
    stage.post("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"02"}"#).await;
    stage.post("submit", r#"{"gid":"g","trans_type":"tcc"}"#).await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc","timeout_to_fail":1}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"branch\":\"01\"}","confirm":"http://p/confirm-01","cancel":"http://p/cancel-01"}
          > POST http://p/cancel-01?branch_id=01&gid=g&op=cancel&trans_type=tcc {"branch":"01"} -> 200
          = g is failed, with a rollback_time, because "Timeout after 1 seconds"
            01 cancel succeed
            01 confirm prepared
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"02"}
            409 {"dtm_result":"FAILURE","message":"no trans with gid: g status: prepared found FAILURE"}
        POST submit {"gid":"g","trans_type":"tcc"}
            409 {"dtm_result":"FAILURE","message":"current status 'failed', cannot sumbmit. FAILURE"}
    "#]]);
}

#[tokio::test]
async fn empty_urls_succeed_silently() {
    let mut stage = Stage::start();
    for (gid, end) in [("yes", "submit"), ("no", "abort")] {
        stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"tcc"}}"#)).await;
        stage
            .post(
                "registerBranch",
                &format!(r#"{{"gid":"{gid}","trans_type":"tcc","branch_id":"01","confirm":"","cancel":""}}"#),
            )
            .await;
        stage.post("registerBranch", &format!(r#"{{"gid":"{gid}","trans_type":"tcc","branch_id":"02","confirm":"http://p/a","cancel":"http://p/b"}}"#)).await;
        stage.post(end, &format!(r#"{{"gid":"{gid}","trans_type":"tcc"}}"#)).await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"yes","trans_type":"tcc"}
        POST registerBranch {"gid":"yes","trans_type":"tcc","branch_id":"01","confirm":"","cancel":""}
        POST registerBranch {"gid":"yes","trans_type":"tcc","branch_id":"02","confirm":"http://p/a","cancel":"http://p/b"}
        POST submit {"gid":"yes","trans_type":"tcc"}
          > GET http://p/a?branch_id=02&gid=yes&op=confirm&trans_type=tcc -> 200
          = yes is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
            02 cancel prepared
            02 confirm succeed
        POST prepare {"gid":"no","trans_type":"tcc"}
        POST registerBranch {"gid":"no","trans_type":"tcc","branch_id":"01","confirm":"","cancel":""}
        POST registerBranch {"gid":"no","trans_type":"tcc","branch_id":"02","confirm":"http://p/a","cancel":"http://p/b"}
        POST abort {"gid":"no","trans_type":"tcc"}
          > GET http://p/b?branch_id=02&gid=no&op=cancel&trans_type=tcc -> 200
          = no is failed, with a rollback_time
            01 cancel succeed
            01 confirm prepared
            02 cancel succeed
            02 confirm prepared
    "#]]);
}

#[tokio::test]
async fn without_branches_there_is_nothing_to_do() {
    let mut stage = Stage::start();
    for (gid, end) in [("yes", "submit"), ("no", "abort")] {
        stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"tcc"}}"#)).await;
        stage.post(end, &format!(r#"{{"gid":"{gid}","trans_type":"tcc"}}"#)).await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"yes","trans_type":"tcc"}
        POST submit {"gid":"yes","trans_type":"tcc"}
          > nobody is called
          = yes is succeed, with a finish_time
        POST prepare {"gid":"no","trans_type":"tcc"}
        POST abort {"gid":"no","trans_type":"tcc"}
          > nobody is called
          = no is failed, with a rollback_time
    "#]]);
}
