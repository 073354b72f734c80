//! Sagas with `timeout_to_fail` and `retry_limit`.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn a_saga_that_is_only_prepared_rolls_back_when_its_time_has_passed() {
    let mut stage = Stage::start();
    let body = r#"{"gid":"g","trans_type":"saga","timeout_to_fail":1,"steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}"#;
    stage.post("prepare", body).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"saga","timeout_to_fail":1,"steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > nobody is called
          = g is failed, with a rollback_time, because "Timeout after 1 seconds"
            01 compensate prepared
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_saga_that_takes_too_long_compensates_what_may_have_run() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","timeout_to_fail":1,"retry_interval":60,"steps":[{"action":"http://p/wait","compensate":"http://p/c1"},{"action":"http://p/b","compensate":"http://p/c2"}],"payloads":["1","2"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","timeout_to_fail":1,"retry_interval":60,"steps":[{"action":"http://p/wait","compensate":"http://p/c1"},{"action":"http://p/b","compensate":"http://p/c2"}],"payloads":["1","2"]}
          > POST http://p/wait?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 425 not yet
          > POST http://p/c1?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          = g is failed, with a rollback_time, because "Timeout after 1 seconds"
            01 compensate succeed
            01 action prepared
            02 compensate prepared
            02 action prepared
    "#]]);
}

#[tokio::test]
async fn a_retry_limit_repeats_at_once_and_then_rolls_back() {
    let mut stage = Stage::start();
    for answer in ["broken", "wait"] {
        stage.post("submit", &format!(r#"{{"gid":"{answer}","trans_type":"saga","retry_limit":1,"steps":[{{"action":"http://p/a","compensate":"http://p/c1"}},{{"action":"http://p/{answer}","compensate":"http://p/c2"}}],"payloads":["1","2"]}}"#)).await;
        stage.ends(answer).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"broken","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/a","compensate":"http://p/c1"},{"action":"http://p/broken","compensate":"http://p/c2"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=broken&op=action&trans_type=saga 1 -> 200
          > POST http://p/broken?branch_id=02&gid=broken&op=action&trans_type=saga 2 -> 500 out of order
          > POST http://p/broken?branch_id=02&gid=broken&op=action&trans_type=saga 2 -> 500 out of order
          > POST http://p/c2?branch_id=02&gid=broken&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/c1?branch_id=01&gid=broken&op=compensate&trans_type=saga 1 -> 200
          = broken is failed, with a rollback_time, because "RetryCount is greater than RetryLimit, RetryLimit: 1"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action prepared
        POST submit {"gid":"wait","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/a","compensate":"http://p/c1"},{"action":"http://p/wait","compensate":"http://p/c2"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=wait&op=action&trans_type=saga 1 -> 200
          > POST http://p/wait?branch_id=02&gid=wait&op=action&trans_type=saga 2 -> 425 not yet
          > POST http://p/wait?branch_id=02&gid=wait&op=action&trans_type=saga 2 -> 425 not yet
          > POST http://p/c2?branch_id=02&gid=wait&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/c1?branch_id=01&gid=wait&op=compensate&trans_type=saga 1 -> 200
          = wait is failed, with a rollback_time, because "RetryCount is greater than RetryLimit, RetryLimit: 1"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action prepared
    "#]]);
}

#[tokio::test]
async fn a_retry_limit_that_is_not_reached_changes_nothing() {
    let mut stage = Stage::start();
    stage.script("http://p/a", &[(500, ""), (425, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","retry_limit":2,"wait_result":true,"steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","retry_limit":2,"wait_result":true,"steps":[{"action":"http://p/a","compensate":"http://p/c"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 500
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 425
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_retry_limit_is_for_actions_and_compensations_are_tried_for_ever() {
    let mut stage = Stage::start();
    stage.script("http://p/c", &[(500, ""), (500, ""), (500, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/no","compensate":"http://p/c"}],"payloads":["1"]}"#).await;
    for _ in 0..3 {
        stage.quiet("g").await;
        stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    }
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/no","compensate":"http://p/c"}],"payloads":["1"]}
        POST resetNextCronTime {"gid":"g"}
        POST resetNextCronTime {"gid":"g"}
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/no?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 409 out of stock
          > POST http://p/c?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 500
          > POST http://p/c?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 500
          > POST http://p/c?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 500
          > POST http://p/c?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          = g is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate succeed
            01 action failed
    "#]]);
}

#[tokio::test]
async fn a_retry_limit_counts_the_attempts_of_each_action_by_itself() {
    let mut stage = Stage::start();
    stage.script("http://p/a", &[(500, "")]);
    stage.script("http://p/b", &[(500, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","retry_limit":1,"steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 500
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 500
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
    "#]]);
}
