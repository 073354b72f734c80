//! XA: phase two from the first branch to the last, at the URL of phase one, always a POST.

use expect_test::expect;

use super::stage::Stage;

async fn prepared(stage: &mut Stage, gid: &str, more: &str) {
    stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"xa"{more}}}"#)).await;
    for id in ["01", "02"] {
        stage
            .post(
                "registerXaBranch",
                &format!(
                    r#"{{"gid":"{gid}","trans_type":"xa","branch_id":"{id}","url":"http://p/xa-{id}"}}"#
                ),
            )
            .await;
    }
}

#[tokio::test]
async fn commits_go_from_the_first_branch_to_the_last() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"xa"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"xa"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"01","url":"http://p/xa-01"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa-02"}
        POST submit {"gid":"g","trans_type":"xa"}
          > POST http://p/xa-01?branch_id=01&gid=g&op=commit&trans_type=xa -> 200
          > POST http://p/xa-02?branch_id=02&gid=g&op=commit&trans_type=xa -> 200
          = g is succeed, with a finish_time
            01 rollback prepared
            01 commit succeed
            02 rollback prepared
            02 commit succeed
    "#]]);
}

#[tokio::test]
async fn rollbacks_go_from_the_first_branch_to_the_last() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "").await;
    stage.post("abort", r#"{"gid":"g","trans_type":"xa","rollback_reason":"why"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"xa"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"01","url":"http://p/xa-01"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa-02"}
        POST abort {"gid":"g","trans_type":"xa","rollback_reason":"why"}
          > POST http://p/xa-01?branch_id=01&gid=g&op=rollback&trans_type=xa -> 200
          > POST http://p/xa-02?branch_id=02&gid=g&op=rollback&trans_type=xa -> 200
          = g is failed, with a rollback_time, because "why"
            01 rollback succeed
            01 commit prepared
            02 rollback succeed
            02 commit prepared
    "#]]);
}

#[tokio::test]
async fn an_uncommitted_branch_holds_up_later_ones() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", "").await;
    stage.script("http://p/xa-01", &[(500, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"xa"}"#).await;
    stage.rests("g").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"xa"}"#).await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"xa"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"01","url":"http://p/xa-01"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa-02"}
        POST submit {"gid":"g","trans_type":"xa"}
          > POST http://p/xa-01?branch_id=01&gid=g&op=commit&trans_type=xa -> 500
          = g is submitted
            01 rollback prepared
            01 commit prepared
            02 rollback prepared
            02 commit prepared
        POST submit {"gid":"g","trans_type":"xa"}
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/xa-01?branch_id=01&gid=g&op=commit&trans_type=xa -> 200
          > POST http://p/xa-02?branch_id=02&gid=g&op=commit&trans_type=xa -> 200
          = g is succeed, with a finish_time
            01 rollback prepared
            01 commit succeed
            02 rollback prepared
            02 commit succeed
    "#]]);
}

#[tokio::test]
async fn silence_of_the_initiator_rolls_back() {
    let mut stage = Stage::start();
    prepared(&mut stage, "g", r#","timeout_to_fail":1"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"xa","timeout_to_fail":1}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"01","url":"http://p/xa-01"}
        POST registerXaBranch {"gid":"g","trans_type":"xa","branch_id":"02","url":"http://p/xa-02"}
          > POST http://p/xa-01?branch_id=01&gid=g&op=rollback&trans_type=xa -> 200
          > POST http://p/xa-02?branch_id=02&gid=g&op=rollback&trans_type=xa -> 200
          = g is failed, with a rollback_time, because "Timeout after 1 seconds"
            01 rollback succeed
            01 commit prepared
            02 rollback succeed
            02 commit prepared
    "#]]);
}
