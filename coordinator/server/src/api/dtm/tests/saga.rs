//! Sagas: the order of actions and compensations, and the statuses of rows.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

/// Steps whose actions and compensations go to the URLs given, with payloads of one digit.
fn submit(gid: &str, custom_data: &str, actions: &[&str]) -> String {
    let step =
        |action: &&str| format!(r#"{{"action":"http://p/{action}","compensate":"http://p/undo-{action}"}}"#);
    let steps: Vec<String> = actions.iter().map(step).collect();
    let payloads: Vec<String> = (1..=actions.len()).map(|n| format!("\"{n}\"")).collect();
    let (steps, payloads) = (steps.join(","), payloads.join(","));
    let custom_data = custom_data.replace('"', "\\\"");
    format!(
        r#"{{"gid":"{gid}","trans_type":"saga","custom_data":"{custom_data}","steps":[{steps}],"payloads":[{payloads}]}}"#
    )
}

#[tokio::test]
async fn actions_go_one_after_the_other() {
    let mut stage = Stage::start();
    stage.post("submit", &submit("g", "", &["a", "b"])).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
    "#]]);
}

#[tokio::test]
async fn no_steps_are_a_success_at_once() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","wait_result":true}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","wait_result":true}
          > nobody is called
          = g is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn a_refusal_compensates_the_step_itself_and_those_before_in_reverse() {
    let mut stage = Stage::start();
    stage.script("http://p/b", &[(409, "sold out")]);
    stage.post("submit", &submit("g", "", &["a", "b", "c"])).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"},{"action":"http://p/c","compensate":"http://p/undo-c"}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 409 sold out
          > POST http://p/undo-b?branch_id=02&gid=g&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/undo-a?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          = g is failed, with a rollback_time, because "url:http://p/b return failed: sold out FAILURE"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action failed
            03 compensate prepared
            03 action prepared
    "#]]);
}

#[tokio::test]
async fn a_compensation_that_says_no_is_asked_again_and_holds_up_those_before() {
    let mut stage = Stage::start();
    stage.script("http://p/b", &[(409, "")]);
    stage.script("http://p/undo-b", &[(409, "cannot")]);
    stage.post("submit", &submit("g", "", &["a", "b"])).await;
    stage.rests("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 409
          > POST http://p/undo-b?branch_id=02&gid=g&op=compensate&trans_type=saga 2 -> 409 cannot
          = g is aborting, because "url:http://p/b return failed: refused without a reason FAILURE"
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action failed
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/undo-b?branch_id=02&gid=g&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/undo-a?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          = g is failed, with a rollback_time, because "url:http://p/b return failed: refused without a reason FAILURE"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action failed
    "#]]);
}

#[tokio::test]
async fn concurrent_actions_go_at_once_and_by_their_orders() {
    let mut stage = Stage::start();
    for url in ["http://p/a", "http://p/b"] {
        stage.hold(url);
    }
    stage
        .post(
            "submit",
            &submit("g", r#"{"concurrent":true,"orders":{"2":[0,1],"3":[2]}}"#, &["a", "b", "c", "d"]),
        )
        .await;
    stage.called(2).await;
    stage.release("http://p/b", 200, "").await;
    stage.release("http://p/a", 200, "").await;
    stage.settled("g").await;
    stage.calls_in_any_order();
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"concurrent\":true,\"orders\":{\"2\":[0,1],\"3\":[2]}}","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"},{"action":"http://p/c","compensate":"http://p/undo-c"},{"action":"http://p/d","compensate":"http://p/undo-d"}],"payloads":["1","2","3","4"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 200
          > POST http://p/c?branch_id=03&gid=g&op=action&trans_type=saga 3 -> 200
          > POST http://p/d?branch_id=04&gid=g&op=action&trans_type=saga 4 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
            03 compensate prepared
            03 action succeed
            04 compensate prepared
            04 action succeed
    "#]]);
}

#[tokio::test]
async fn steps_after_a_refused_one_never_run_and_are_not_compensated() {
    let mut stage = Stage::start();
    stage.script("http://p/a", &[(409, "no")]);
    stage.post("submit", &submit("g", r#"{"concurrent":true,"orders":{"1":[0]}}"#, &["a", "b"])).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"concurrent\":true,\"orders\":{\"1\":[0]}}","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 409 no
          > POST http://p/undo-a?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          = g is failed, with a rollback_time, because "url:http://p/a return failed: no FAILURE"
            01 compensate succeed
            01 action failed
            02 compensate prepared
            02 action prepared
    "#]]);
}

#[tokio::test]
async fn compensations_wait_for_the_steps_that_came_after() {
    let mut stage = Stage::start();
    stage.script("http://p/c", &[(409, "no")]);
    for url in ["http://p/undo-a", "http://p/undo-b", "http://p/undo-c"] {
        stage.hold(url);
    }
    stage
        .post(
            "submit",
            &submit("g", r#"{"concurrent":true,"orders":{"2":[0,1],"3":[2]}}"#, &["a", "b", "c", "d"]),
        )
        .await;
    stage.release("http://p/undo-c", 200, "").await;
    // Both are under way before either is answered.
    stage.called(6).await;
    stage.release("http://p/undo-b", 200, "").await;
    stage.release("http://p/undo-a", 200, "").await;
    stage.settled("g").await;
    stage.calls_in_any_order();
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"concurrent\":true,\"orders\":{\"2\":[0,1],\"3\":[2]}}","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"},{"action":"http://p/c","compensate":"http://p/undo-c"},{"action":"http://p/d","compensate":"http://p/undo-d"}],"payloads":["1","2","3","4"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 200
          > POST http://p/c?branch_id=03&gid=g&op=action&trans_type=saga 3 -> 409 no
          > POST http://p/undo-a?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          > POST http://p/undo-b?branch_id=02&gid=g&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/undo-c?branch_id=03&gid=g&op=compensate&trans_type=saga 3 -> 200
          = g is failed, with a rollback_time, because "url:http://p/c return failed: no FAILURE"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action succeed
            03 compensate succeed
            03 action failed
            04 compensate prepared
            04 action prepared
    "#]]);
}

#[tokio::test]
async fn orders_count_beside_the_sequence() {
    let mut stage = Stage::start();
    stage.post("submit", &submit("g", r#"{"orders":{"2":[0]}}"#, &["a", "b", "c"])).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"orders\":{\"2\":[0]}}","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"},{"action":"http://p/c","compensate":"http://p/undo-c"}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 200
          > POST http://p/c?branch_id=03&gid=g&op=action&trans_type=saga 3 -> 200
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
            03 compensate prepared
            03 action succeed
    "#]]);
}

#[tokio::test]
async fn a_step_that_may_have_run_is_compensated_when_another_refuses() {
    let mut stage = Stage::start();
    stage.hold("http://p/b");
    stage.post("submit", &submit("g", r#"{"concurrent":true}"#, &["a", "b", "wait"])).await;
    stage.called(3).await;
    stage.release("http://p/b", 409, "no").await;
    stage.settled("g").await;
    stage.calls_in_any_order();
    stage.rows("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","custom_data":"{\"concurrent\":true}","steps":[{"action":"http://p/a","compensate":"http://p/undo-a"},{"action":"http://p/b","compensate":"http://p/undo-b"},{"action":"http://p/wait","compensate":"http://p/undo-wait"}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=saga 2 -> 409 no
          > POST http://p/undo-a?branch_id=01&gid=g&op=compensate&trans_type=saga 1 -> 200
          > POST http://p/undo-b?branch_id=02&gid=g&op=compensate&trans_type=saga 2 -> 200
          > POST http://p/undo-wait?branch_id=03&gid=g&op=compensate&trans_type=saga 3 -> 200
          > POST http://p/wait?branch_id=03&gid=g&op=action&trans_type=saga 3 -> 425 not yet
          = g is failed, with a rollback_time, because "url:http://p/b return failed: no FAILURE"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action failed
            03 compensate succeed
            03 action prepared
    "#]]);
}

#[tokio::test]
async fn empty_urls_succeed_silently() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"yes","trans_type":"saga","steps":[{"action":"","compensate":"http://p/undo"},{"compensate":""}],"payloads":["1","2"]}"#).await;
    stage.ends("yes").await;
    stage.post("submit", r#"{"gid":"no","trans_type":"saga","steps":[{"action":"","compensate":"http://p/undo"},{"action":"http://p/a","compensate":""},{"action":"http://p/no","compensate":""}],"payloads":["1","2","3"]}"#).await;
    stage.ends("no").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"yes","trans_type":"saga","steps":[{"action":"","compensate":"http://p/undo"},{"compensate":""}],"payloads":["1","2"]}
          > nobody is called
          = yes is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
        POST submit {"gid":"no","trans_type":"saga","steps":[{"action":"","compensate":"http://p/undo"},{"action":"http://p/a","compensate":""},{"action":"http://p/no","compensate":""}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=02&gid=no&op=action&trans_type=saga 2 -> 200
          > POST http://p/no?branch_id=03&gid=no&op=action&trans_type=saga 3 -> 409 out of stock
          > POST http://p/undo?branch_id=01&gid=no&op=compensate&trans_type=saga 1 -> 200
          = no is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate succeed
            01 action succeed
            02 compensate succeed
            02 action succeed
            03 compensate succeed
            03 action failed
    "#]]);
}

#[tokio::test]
async fn an_ongoing_or_unknown_saga_stays_submitted_and_is_asked_again() {
    let mut stage = Stage::start();
    for answer in ["wait", "broken"] {
        let url = format!("http://p/{answer}");
        stage.post("submit", &submit(answer, "", &[answer, "b"])).await;
        stage.rests(answer).await;
        stage.script(&url, &[(200, "")]);
        stage.post("resetNextCronTime", &format!(r#"{{"gid":"{answer}"}}"#)).await;
        stage.ends(answer).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"wait","trans_type":"saga","custom_data":"","steps":[{"action":"http://p/wait","compensate":"http://p/undo-wait"},{"action":"http://p/b","compensate":"http://p/undo-b"}],"payloads":["1","2"]}
          > POST http://p/wait?branch_id=01&gid=wait&op=action&trans_type=saga 1 -> 425 not yet
          = wait is submitted
            01 compensate prepared
            01 action prepared
            02 compensate prepared
            02 action prepared
        POST resetNextCronTime {"gid":"wait"}
          > POST http://p/wait?branch_id=01&gid=wait&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=wait&op=action&trans_type=saga 2 -> 200
          = wait is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
        POST submit {"gid":"broken","trans_type":"saga","custom_data":"","steps":[{"action":"http://p/broken","compensate":"http://p/undo-broken"},{"action":"http://p/b","compensate":"http://p/undo-b"}],"payloads":["1","2"]}
          > POST http://p/broken?branch_id=01&gid=broken&op=action&trans_type=saga 1 -> 500 out of order
          = broken is submitted
            01 compensate prepared
            01 action prepared
            02 compensate prepared
            02 action prepared
        POST resetNextCronTime {"gid":"broken"}
          > POST http://p/broken?branch_id=01&gid=broken&op=action&trans_type=saga 1 -> 200
          > POST http://p/b?branch_id=02&gid=broken&op=action&trans_type=saga 2 -> 200
          = broken is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
    "#]]);
}

#[tokio::test]
async fn a_long_saga_counts_in_two_digits_as_long_as_they_do() {
    let stage = Stage::start();
    let steps = vec![r#"{"action":""}"#; 100].join(",");
    let payloads = vec!["\"1\""; 100].join(",");
    let body = format!(r#"{{"gid":"g","trans_type":"saga","steps":[{steps}],"payloads":[{payloads}]}}"#);
    assert_eq!(stage.ask(Method::POST, "/api/dtmsvr/submit", &body).await.status, 200);
    stage.settled("g").await;
    let rows = stage.ask(Method::GET, "/api/dtmsvr/query?gid=g", "").await.json();
    assert_eq!(
        (&rows["branches"][19]["branch_id"], &rows["branches"][199]["branch_id"]),
        (&"10".into(), &"100".into())
    );
}
