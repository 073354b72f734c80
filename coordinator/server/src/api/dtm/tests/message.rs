//! Messages: the check of a silent initiator, deliveries that repeat for ever, no rollback after the submit.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn deliveries_go_one_after_the_other_and_stop_at_what_is_not_done() {
    let mut stage = Stage::start();
    stage.script("http://p/b", &[(500, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"},{"action":"http://p/c"}],"payloads":["1","2","3"]}"#).await;
    stage.rests("g").await;
    stage.pause("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"},{"action":"http://p/b"},{"action":"http://p/c"}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 500
          = g is submitted
            01 action succeed
            02 action prepared
            03 action prepared
          = g goes on after 20 s
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 200
          > POST http://p/c?branch_id=03&gid=g&op=action&trans_type=msg 3 -> 200
          = g is succeed, with a finish_time
            01 action succeed
            02 action succeed
            03 action succeed
    "#]]);
}

#[tokio::test]
async fn concurrent_deliveries_go_at_once_and_one_that_fails_holds_up_none() {
    let mut stage = Stage::start();
    stage.hold("http://p/a");
    stage.script("http://p/b", &[(425, "")]);
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","concurrent":true,"steps":[{"action":"http://p/a"},{"action":"http://p/b"},{"action":"http://p/c"}],"payloads":["1","2","3"]}"#).await;
    stage.called(3).await;
    stage.release("http://p/a", 200, "").await;
    stage.quiet("g").await;
    stage.calls_in_any_order();
    stage.rows("g").await;
    stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","concurrent":true,"steps":[{"action":"http://p/a"},{"action":"http://p/b"},{"action":"http://p/c"}],"payloads":["1","2","3"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 425
          > POST http://p/c?branch_id=03&gid=g&op=action&trans_type=msg 3 -> 200
          = g is submitted
            01 action succeed
            02 action prepared
            03 action succeed
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/b?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 200
          = g is succeed, with a finish_time
            01 action succeed
            02 action succeed
            03 action succeed
    "#]]);
}

#[tokio::test]
async fn a_no_to_a_delivery_is_asked_again_and_never_rolls_back() {
    let mut stage = Stage::start();
    stage.script("http://p/a", &[(409, "FAILURE"), (200, r#"{"dtm_result":"FAILURE"}"#)]);
    stage
        .post(
            "submit",
            r#"{"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#,
        )
        .await;
    for _ in 0..2 {
        stage.rests("g").await;
        stage.post("abort", r#"{"gid":"g","trans_type":"msg"}"#).await;
        stage.post("resetNextCronTime", r#"{"gid":"g"}"#).await;
    }
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 409 FAILURE
          = g is submitted
            01 action prepared
        POST abort {"gid":"g","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'msg' current status 'submitted', cannot abort. FAILURE"}
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200 {"dtm_result":"FAILURE"}
          = g is submitted
            01 action prepared
        POST abort {"gid":"g","trans_type":"msg"}
            409 {"dtm_result":"FAILURE","message":"trans type: 'msg' current status 'submitted', cannot abort. FAILURE"}
        POST resetNextCronTime {"gid":"g"}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          = g is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn prepare_and_submit_deliver_without_asking() {
    let mut stage = Stage::start();
    let message = r#"{"gid":"g","trans_type":"msg","query_prepared":"http://p/asked","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#;
    stage.post("prepare", message).await;
    stage.rests("g").await;
    stage.post("submit", message).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"msg","query_prepared":"http://p/asked","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > nobody is called
          = g is prepared
            01 action prepared
        POST submit {"gid":"g","trans_type":"msg","query_prepared":"http://p/asked","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          = g is succeed, with a finish_time
            01 action succeed
    "#]]);
}

/// Prepares a message whose initiator is checked after a second, at a URL.
async fn silent(stage: &mut Stage, gid: &str, url: &str) {
    stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"{url}","steps":[{{"action":"http://p/{gid}-a"}}],"payloads":["1"]}}"#)).await;
}

#[tokio::test]
async fn the_initiator_is_asked_when_it_was_silent_and_its_answer_decides() {
    let mut stage = Stage::start();
    let all = [("yes", "http://p/yes"), ("no", "http://p/no"), ("nobody", "")];
    for (gid, url) in all {
        silent(&mut stage, gid, url).await;
    }
    for (gid, _) in all {
        stage.settled(gid).await;
    }
    // Without a URL there is no check.
    stage.calls_in_any_order();
    for (gid, _) in all {
        stage.rows(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"yes","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"http://p/yes","steps":[{"action":"http://p/yes-a"}],"payloads":["1"]}
        POST prepare {"gid":"no","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"http://p/no","steps":[{"action":"http://p/no-a"}],"payloads":["1"]}
        POST prepare {"gid":"nobody","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"","steps":[{"action":"http://p/nobody-a"}],"payloads":["1"]}
          > GET http://p/no?branch_id=00&gid=no&op=msg&trans_type=msg -> 409 out of stock
          > GET http://p/yes?branch_id=00&gid=yes&op=msg&trans_type=msg -> 200
          > POST http://p/nobody-a?branch_id=01&gid=nobody&op=action&trans_type=msg 1 -> 200
          > POST http://p/yes-a?branch_id=01&gid=yes&op=action&trans_type=msg 1 -> 200
          = yes is succeed, with a finish_time
            01 action succeed
          = no is failed, with a rollback_time, because "out of stock"
            01 action prepared
          = nobody is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn an_initiator_that_does_not_know_is_asked_again() {
    let mut stage = Stage::start();
    for gid in ["wait", "broken"] {
        silent(&mut stage, gid, &format!("http://p/{gid}")).await;
    }
    stage.called(2).await;
    for gid in ["wait", "broken"] {
        stage.quiet(gid).await;
    }
    stage.calls_in_any_order();
    for gid in ["wait", "broken"] {
        stage.rows(gid).await;
        stage.pause(gid).await;
        stage.script(&format!("http://p/{gid}"), &[(200, "")]);
        stage.post("resetNextCronTime", &format!(r#"{{"gid":"{gid}"}}"#)).await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"wait","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"http://p/wait","steps":[{"action":"http://p/wait-a"}],"payloads":["1"]}
        POST prepare {"gid":"broken","trans_type":"msg","timeout_to_fail":1,"retry_interval":600,"query_prepared":"http://p/broken","steps":[{"action":"http://p/broken-a"}],"payloads":["1"]}
          > GET http://p/broken?branch_id=00&gid=broken&op=msg&trans_type=msg -> 500 out of order
          > GET http://p/wait?branch_id=00&gid=wait&op=msg&trans_type=msg -> 425 not yet
          = wait is prepared
            01 action prepared
          = wait goes on after 600 s
        POST resetNextCronTime {"gid":"wait"}
          > GET http://p/wait?branch_id=00&gid=wait&op=msg&trans_type=msg -> 200
          > POST http://p/wait-a?branch_id=01&gid=wait&op=action&trans_type=msg 1 -> 200
          = wait is succeed, with a finish_time
            01 action succeed
          = broken is prepared
            01 action prepared
          = broken goes on after 1200 s
        POST resetNextCronTime {"gid":"broken"}
          > GET http://p/broken?branch_id=00&gid=broken&op=msg&trans_type=msg -> 200
          > POST http://p/broken-a?branch_id=01&gid=broken&op=action&trans_type=msg 1 -> 200
          = broken is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn the_initiator_is_asked_over_grpc_with_an_empty_message() {
    let mut stage = Stage::start();
    stage.grpc("Prepare", r#"{"Gid":"g","TransType":"msg","TransOptions":{"TimeoutToFail":1},"QueryPrepared":"p:9/shop.Order/Asked","Steps":"[{\"action\":\"p:9/shop.Stock/Take\"}]","BinPayloads":["a"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        gRPC Prepare {"Gid":"g","TransType":"msg","TransOptions":{"TimeoutToFail":1},"QueryPrepared":"p:9/shop.Order/Asked","Steps":"[{\"action\":\"p:9/shop.Stock/Take\"}]","BinPayloads":["a"]}
            0 Ok {}
          > gRPC p:9/shop.Order/Asked [dtm-branch_id: 00] [dtm-dtm: ] [dtm-gid: g] [dtm-op: msg] [dtm-trans_type: msg] -> 0
          > gRPC p:9/shop.Stock/Take [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: msg] a -> 0
          = g is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_message_may_be_submitted_or_aborted_while_its_initiator_is_asked() {
    let mut stage = Stage::start();
    for (gid, end) in [("submit", "submit"), ("abort", "abort")] {
        stage.hold("http://p/asked");
        stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"msg","timeout_to_fail":1,"query_prepared":"http://p/asked","steps":[{{"action":"http://p/a"}}],"payloads":["1"]}}"#)).await;
        stage.called(if end == "submit" { 1 } else { 3 }).await;
        stage.post(end, &format!(r#"{{"gid":"{gid}","trans_type":"msg"}}"#)).await;
        stage.settled(gid).await;
        // The answer comes after the transaction has ended.
        stage.release("http://p/asked", 409, "").await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"submit","trans_type":"msg","timeout_to_fail":1,"query_prepared":"http://p/asked","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"submit","trans_type":"msg"}
          > GET http://p/asked?branch_id=00&gid=submit&op=msg&trans_type=msg -> 409
          > POST http://p/a?branch_id=01&gid=submit&op=action&trans_type=msg 1 -> 200
          = submit is succeed, with a finish_time
            01 action succeed
        POST prepare {"gid":"abort","trans_type":"msg","timeout_to_fail":1,"query_prepared":"http://p/asked","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST abort {"gid":"abort","trans_type":"msg"}
          > GET http://p/asked?branch_id=00&gid=abort&op=msg&trans_type=msg -> 409
          = abort is failed, with a rollback_time
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_delay_counts_from_the_creation_wherever_it_is_said() {
    let mut stage = Stage::start();
    let steps = r#""steps":[{"action":"http://p/a"}],"payloads":["1"]"#;
    for (delay, direct, later) in [(600, "far-direct", "far-later"), (1, "direct", "later")] {
        let delay = format!(r#""custom_data":"{{\"delay\":{delay}}}""#);
        stage.post("submit", &format!(r#"{{"gid":"{direct}","trans_type":"msg",{delay},{steps}}}"#)).await;
        stage.post("prepare", &format!(r#"{{"gid":"{later}","trans_type":"msg",{steps}}}"#)).await;
        stage.post("submit", &format!(r#"{{"gid":"{later}","trans_type":"msg",{delay}}}"#)).await;
    }
    for gid in ["direct", "later"] {
        stage.settled(gid).await;
        stage.rows(gid).await;
    }
    stage.calls_in_any_order();
    for gid in ["far-direct", "far-later"] {
        stage.rests(gid).await;
    }
    stage.pause("far-direct").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"far-direct","trans_type":"msg","custom_data":"{\"delay\":600}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST prepare {"gid":"far-later","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"far-later","trans_type":"msg","custom_data":"{\"delay\":600}"}
        POST submit {"gid":"direct","trans_type":"msg","custom_data":"{\"delay\":1}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST prepare {"gid":"later","trans_type":"msg","steps":[{"action":"http://p/a"}],"payloads":["1"]}
        POST submit {"gid":"later","trans_type":"msg","custom_data":"{\"delay\":1}"}
          = direct is succeed, with a finish_time
            01 action succeed
          = later is succeed, with a finish_time
            01 action succeed
          > POST http://p/a?branch_id=01&gid=direct&op=action&trans_type=msg 1 -> 200
          > POST http://p/a?branch_id=01&gid=later&op=action&trans_type=msg 1 -> 200
          > nobody is called
          = far-direct is submitted
            01 action prepared
          > nobody is called
          = far-later is submitted
            01 action prepared
          = far-direct goes on after 600 s
    "#]]);
}

#[tokio::test]
async fn a_delay_that_has_passed_is_none() {
    let mut stage = Stage::start();
    for delay in ["0", "-5", "null"] {
        stage.post("submit", &format!(r#"{{"gid":"g{delay}","trans_type":"msg","custom_data":"{{\"delay\":{delay}}}","steps":[{{"action":"http://p/a"}}],"payloads":["1"]}}"#)).await;
        stage.ends(&format!("g{delay}")).await;
    }
    stage.is(&expect![[r#"
        POST submit {"gid":"g0","trans_type":"msg","custom_data":"{\"delay\":0}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g0&op=action&trans_type=msg 1 -> 200
          = g0 is succeed, with a finish_time
            01 action succeed
        POST submit {"gid":"g-5","trans_type":"msg","custom_data":"{\"delay\":-5}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=g-5&op=action&trans_type=msg 1 -> 200
          = g-5 is succeed, with a finish_time
            01 action succeed
        POST submit {"gid":"gnull","trans_type":"msg","custom_data":"{\"delay\":null}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
          > POST http://p/a?branch_id=01&gid=gnull&op=action&trans_type=msg 1 -> 200
          = gnull is succeed, with a finish_time
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn empty_urls_are_delivered_silently() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","steps":[{"action":""},{"action":"http://p/a"}],"payloads":["1","2"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":""},{"action":"http://p/a"}],"payloads":["1","2"]}
          > POST http://p/a?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 200
          = g is succeed, with a finish_time
            01 action succeed
            02 action succeed
    "#]]);
}
