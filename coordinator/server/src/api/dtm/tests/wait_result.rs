//! submit and abort with `wait_result`: the answers after the first pass.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

/// Submits a saga of one step with `wait_result`.
async fn saga(stage: &mut Stage, gid: &str, action: &str) {
    stage.post("submit", &format!(r#"{{"gid":"{gid}","trans_type":"saga","wait_result":true,"steps":[{{"action":"{action}","compensate":"http://p/undo"}}],"payloads":["1"]}}"#)).await;
    stage.rests(gid).await;
}

async fn message(stage: &mut Stage, gid: &str, action: &str) {
    stage.post("submit", &format!(r#"{{"gid":"{gid}","trans_type":"msg","wait_result":true,"steps":[{{"action":"{action}"}}],"payloads":["1"]}}"#)).await;
    stage.rests(gid).await;
}

async fn registered(stage: &mut Stage, kind: &str, gid: &str, url: &str) {
    stage.post("prepare", &format!(r#"{{"gid":"{gid}","trans_type":"{kind}"}}"#)).await;
    stage.post("registerBranch", &format!(r#"{{"gid":"{gid}","trans_type":"{kind}","branch_id":"01","url":"{url}","confirm":"{url}","cancel":"{url}"}}"#)).await;
}

async fn submitted(stage: &mut Stage, kind: &str, gid: &str, url: &str) {
    registered(stage, kind, gid, url).await;
    stage.post("submit", &format!(r#"{{"gid":"{gid}","trans_type":"{kind}","wait_result":true}}"#)).await;
    stage.rests(gid).await;
}

#[tokio::test]
async fn success_is_a_success() {
    let mut stage = Stage::start();
    saga(&mut stage, "saga", "http://p/ok").await;
    message(&mut stage, "msg", "http://p/ok").await;
    submitted(&mut stage, "tcc", "tcc", "http://p/ok").await;
    submitted(&mut stage, "xa", "xa", "http://p/ok").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"saga","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/ok","compensate":"http://p/undo"}],"payloads":["1"]}
          > POST http://p/ok?branch_id=01&gid=saga&op=action&trans_type=saga 1 -> 200
          = saga is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST submit {"gid":"msg","trans_type":"msg","wait_result":true,"steps":[{"action":"http://p/ok"}],"payloads":["1"]}
          > POST http://p/ok?branch_id=01&gid=msg&op=action&trans_type=msg 1 -> 200
          = msg is succeed, with a finish_time
            01 action succeed
        POST prepare {"gid":"tcc","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc","trans_type":"tcc","branch_id":"01","url":"http://p/ok","confirm":"http://p/ok","cancel":"http://p/ok"}
        POST submit {"gid":"tcc","trans_type":"tcc","wait_result":true}
          > GET http://p/ok?branch_id=01&gid=tcc&op=confirm&trans_type=tcc -> 200
          = tcc is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
        POST prepare {"gid":"xa","trans_type":"xa"}
        POST registerBranch {"gid":"xa","trans_type":"xa","branch_id":"01","url":"http://p/ok","confirm":"http://p/ok","cancel":"http://p/ok"}
        POST submit {"gid":"xa","trans_type":"xa","wait_result":true}
          > POST http://p/ok?branch_id=01&gid=xa&op=commit&trans_type=xa -> 200
          = xa is succeed, with a finish_time
            01 rollback prepared
            01 commit succeed
    "#]]);
}

#[tokio::test]
async fn a_saga_that_rolls_back_says_why() {
    let mut stage = Stage::start();
    saga(&mut stage, "rolled", "http://p/no").await;
    stage.script("http://p/said", &[(200, r#"{"dtm_result":"FAILURE"}"#)]);
    saga(&mut stage, "said", "http://p/said").await;
    stage.script("http://p/ends", &[(409, "no money FAILURE")]);
    saga(&mut stage, "ends", "http://p/ends").await;
    stage.script("http://p/undo", &[(500, "")]);
    saga(&mut stage, "rolling", "http://p/no").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"rolled","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/no","compensate":"http://p/undo"}],"payloads":["1"]}
            409 {"dtm_result":"FAILURE","message":"url:http://p/no return failed: out of stock FAILURE"}
          > POST http://p/no?branch_id=01&gid=rolled&op=action&trans_type=saga 1 -> 409 out of stock
          > POST http://p/undo?branch_id=01&gid=rolled&op=compensate&trans_type=saga 1 -> 200
          = rolled is failed, with a rollback_time, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"said","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/said","compensate":"http://p/undo"}],"payloads":["1"]}
            409 {"dtm_result":"FAILURE","message":"url:http://p/said return failed: {\"dtm_result\":\"FAILURE\"} FAILURE"}
          > POST http://p/said?branch_id=01&gid=said&op=action&trans_type=saga 1 -> 200 {"dtm_result":"FAILURE"}
          > POST http://p/undo?branch_id=01&gid=said&op=compensate&trans_type=saga 1 -> 200
          = said is failed, with a rollback_time, because "url:http://p/said return failed: {\"dtm_result\":\"FAILURE\"} FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"ends","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/ends","compensate":"http://p/undo"}],"payloads":["1"]}
            409 {"dtm_result":"FAILURE","message":"url:http://p/ends return failed: no money FAILURE"}
          > POST http://p/ends?branch_id=01&gid=ends&op=action&trans_type=saga 1 -> 409 no money FAILURE
          > POST http://p/undo?branch_id=01&gid=ends&op=compensate&trans_type=saga 1 -> 200
          = ends is failed, with a rollback_time, because "url:http://p/ends return failed: no money FAILURE"
            01 compensate succeed
            01 action failed
        POST submit {"gid":"rolling","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/no","compensate":"http://p/undo"}],"payloads":["1"]}
            409 {"dtm_result":"FAILURE","message":"url:http://p/no return failed: out of stock FAILURE"}
          > POST http://p/no?branch_id=01&gid=rolling&op=action&trans_type=saga 1 -> 409 out of stock
          > POST http://p/undo?branch_id=01&gid=rolling&op=compensate&trans_type=saga 1 -> 500
          = rolling is aborting, because "url:http://p/no return failed: out of stock FAILURE"
            01 compensate prepared
            01 action failed
    "#]]);
}

#[tokio::test]
async fn a_saga_that_is_not_finished_is_ongoing() {
    let mut stage = Stage::start();
    saga(&mut stage, "ongoing", "http://p/wait").await;
    saga(&mut stage, "unknown", "http://p/broken").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"ongoing","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/wait","compensate":"http://p/undo"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > POST http://p/wait?branch_id=01&gid=ongoing&op=action&trans_type=saga 1 -> 425 not yet
          = ongoing is submitted
            01 compensate prepared
            01 action prepared
        POST submit {"gid":"unknown","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/broken","compensate":"http://p/undo"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: out of order"}
          > POST http://p/broken?branch_id=01&gid=unknown&op=action&trans_type=saga 1 -> 500 out of order
          = unknown is submitted
            01 compensate prepared
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_message_that_is_not_finished_is_ongoing_and_says_what_came_back() {
    let mut stage = Stage::start();
    message(&mut stage, "ongoing", "http://p/wait").await;
    message(&mut stage, "unknown", "http://p/broken").await;
    message(&mut stage, "refused", "http://p/no").await;
    stage.script("http://p/said", &[(200, r#"{"dtm_result":"FAILURE"}"#)]);
    message(&mut stage, "said", "http://p/said").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"ongoing","trans_type":"msg","wait_result":true,"steps":[{"action":"http://p/wait"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > POST http://p/wait?branch_id=01&gid=ongoing&op=action&trans_type=msg 1 -> 425 not yet
          = ongoing is submitted
            01 action prepared
        POST submit {"gid":"unknown","trans_type":"msg","wait_result":true,"steps":[{"action":"http://p/broken"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: out of order"}
          > POST http://p/broken?branch_id=01&gid=unknown&op=action&trans_type=msg 1 -> 500 out of order
          = unknown is submitted
            01 action prepared
        POST submit {"gid":"refused","trans_type":"msg","wait_result":true,"steps":[{"action":"http://p/no"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after deliver may not be refused, yet the answer was no: out of stock"}
          > POST http://p/no?branch_id=01&gid=refused&op=action&trans_type=msg 1 -> 409 out of stock
          = refused is submitted
            01 action prepared
        POST submit {"gid":"said","trans_type":"msg","wait_result":true,"steps":[{"action":"http://p/said"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after a participant said no where it has no say"}
          > POST http://p/said?branch_id=01&gid=said&op=action&trans_type=msg 1 -> 200 {"dtm_result":"FAILURE"}
          = said is submitted
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_message_that_is_delayed_is_no_success_yet() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","wait_result":true,"custom_data":"{\"delay\":600}","steps":[{"action":"http://p/a"}],"payloads":["1"]}"#).await;
    stage.rests("g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"msg","wait_result":true,"custom_data":"{\"delay\":600}","steps":[{"action":"http://p/a"}],"payloads":["1"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > nobody is called
          = g is submitted
            01 action prepared
    "#]]);
}

#[tokio::test]
async fn a_phase_two_that_is_not_finished_is_ongoing_and_says_what_came_back() {
    let mut stage = Stage::start();
    for kind in ["tcc", "xa"] {
        for answer in ["wait", "broken", "no"] {
            submitted(&mut stage, kind, &format!("{kind}-{answer}"), &format!("http://p/{answer}")).await;
        }
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"tcc-wait","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc-wait","trans_type":"tcc","branch_id":"01","url":"http://p/wait","confirm":"http://p/wait","cancel":"http://p/wait"}
        POST submit {"gid":"tcc-wait","trans_type":"tcc","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > GET http://p/wait?branch_id=01&gid=tcc-wait&op=confirm&trans_type=tcc -> 425 not yet
          = tcc-wait is submitted
            01 cancel prepared
            01 confirm prepared
        POST prepare {"gid":"tcc-broken","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc-broken","trans_type":"tcc","branch_id":"01","url":"http://p/broken","confirm":"http://p/broken","cancel":"http://p/broken"}
        POST submit {"gid":"tcc-broken","trans_type":"tcc","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: out of order"}
          > GET http://p/broken?branch_id=01&gid=tcc-broken&op=confirm&trans_type=tcc -> 500 out of order
          = tcc-broken is submitted
            01 cancel prepared
            01 confirm prepared
        POST prepare {"gid":"tcc-no","trans_type":"tcc"}
        POST registerBranch {"gid":"tcc-no","trans_type":"tcc","branch_id":"01","url":"http://p/no","confirm":"http://p/no","cancel":"http://p/no"}
        POST submit {"gid":"tcc-no","trans_type":"tcc","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after confirm may not be refused, yet the answer was no: out of stock"}
          > GET http://p/no?branch_id=01&gid=tcc-no&op=confirm&trans_type=tcc -> 409 out of stock
          = tcc-no is submitted
            01 cancel prepared
            01 confirm prepared
        POST prepare {"gid":"xa-wait","trans_type":"xa"}
        POST registerBranch {"gid":"xa-wait","trans_type":"xa","branch_id":"01","url":"http://p/wait","confirm":"http://p/wait","cancel":"http://p/wait"}
        POST submit {"gid":"xa-wait","trans_type":"xa","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > POST http://p/wait?branch_id=01&gid=xa-wait&op=commit&trans_type=xa -> 425 not yet
          = xa-wait is submitted
            01 rollback prepared
            01 commit prepared
        POST prepare {"gid":"xa-broken","trans_type":"xa"}
        POST registerBranch {"gid":"xa-broken","trans_type":"xa","branch_id":"01","url":"http://p/broken","confirm":"http://p/broken","cancel":"http://p/broken"}
        POST submit {"gid":"xa-broken","trans_type":"xa","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: out of order"}
          > POST http://p/broken?branch_id=01&gid=xa-broken&op=commit&trans_type=xa -> 500 out of order
          = xa-broken is submitted
            01 rollback prepared
            01 commit prepared
        POST prepare {"gid":"xa-no","trans_type":"xa"}
        POST registerBranch {"gid":"xa-no","trans_type":"xa","branch_id":"01","url":"http://p/no","confirm":"http://p/no","cancel":"http://p/no"}
        POST submit {"gid":"xa-no","trans_type":"xa","wait_result":true}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after commit may not be refused, yet the answer was no: out of stock"}
          > POST http://p/no?branch_id=01&gid=xa-no&op=commit&trans_type=xa -> 409 out of stock
          = xa-no is submitted
            01 rollback prepared
            01 commit prepared
    "#]]);
}

#[tokio::test]
async fn an_abort_waits_when_what_was_prepared_said_so() {
    let mut stage = Stage::start();
    for answer in ["ok", "wait", "broken", "no"] {
        let url = format!("http://p/{answer}");
        stage
            .post("prepare", &format!(r#"{{"gid":"{answer}","trans_type":"tcc","wait_result":true}}"#))
            .await;
        stage.post("registerBranch", &format!(r#"{{"gid":"{answer}","trans_type":"tcc","branch_id":"01","confirm":"{url}","cancel":"{url}"}}"#)).await;
        stage
            .post("abort", &format!(r#"{{"gid":"{answer}","trans_type":"tcc","rollback_reason":"why"}}"#))
            .await;
        stage.rests(answer).await;
    }
    stage.is(&expect![[r#"
        POST prepare {"gid":"ok","trans_type":"tcc","wait_result":true}
        POST registerBranch {"gid":"ok","trans_type":"tcc","branch_id":"01","confirm":"http://p/ok","cancel":"http://p/ok"}
        POST abort {"gid":"ok","trans_type":"tcc","rollback_reason":"why"}
          > GET http://p/ok?branch_id=01&gid=ok&op=cancel&trans_type=tcc -> 200
          = ok is failed, with a rollback_time, because "why"
            01 cancel succeed
            01 confirm prepared
        POST prepare {"gid":"wait","trans_type":"tcc","wait_result":true}
        POST registerBranch {"gid":"wait","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait","cancel":"http://p/wait"}
        POST abort {"gid":"wait","trans_type":"tcc","rollback_reason":"why"}
            425 {"dtm_result":"ONGOING","message":"ONGOING"}
          > GET http://p/wait?branch_id=01&gid=wait&op=cancel&trans_type=tcc -> 425 not yet
          = wait is aborting, because "why"
            01 cancel prepared
            01 confirm prepared
        POST prepare {"gid":"broken","trans_type":"tcc","wait_result":true}
        POST registerBranch {"gid":"broken","trans_type":"tcc","branch_id":"01","confirm":"http://p/broken","cancel":"http://p/broken"}
        POST abort {"gid":"broken","trans_type":"tcc","rollback_reason":"why"}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: out of order"}
          > GET http://p/broken?branch_id=01&gid=broken&op=cancel&trans_type=tcc -> 500 out of order
          = broken is aborting, because "why"
            01 cancel prepared
            01 confirm prepared
        POST prepare {"gid":"no","trans_type":"tcc","wait_result":true}
        POST registerBranch {"gid":"no","trans_type":"tcc","branch_id":"01","confirm":"http://p/no","cancel":"http://p/no"}
        POST abort {"gid":"no","trans_type":"tcc","rollback_reason":"why"}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after cancel may not be refused, yet the answer was no: out of stock"}
          > GET http://p/no?branch_id=01&gid=no&op=cancel&trans_type=tcc -> 409 out of stock
          = no is aborting, because "why"
            01 cancel prepared
            01 confirm prepared
    "#]]);
}

#[tokio::test]
async fn only_what_was_prepared_makes_an_abort_wait() {
    let mut stage = Stage::start();
    registered(&mut stage, "tcc", "g", "http://p/held").await;
    stage.hold("http://p/held");
    stage.post("abort", r#"{"gid":"g","trans_type":"tcc","wait_result":true}"#).await;
    stage.release("http://p/held", 200, "").await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"tcc"}
        POST registerBranch {"gid":"g","trans_type":"tcc","branch_id":"01","url":"http://p/held","confirm":"http://p/held","cancel":"http://p/held"}
        POST abort {"gid":"g","trans_type":"tcc","wait_result":true}
          > GET http://p/held?branch_id=01&gid=g&op=cancel&trans_type=tcc -> 200
          = g is failed, with a rollback_time
            01 cancel succeed
            01 confirm prepared
    "#]]);
}

#[tokio::test]
async fn a_wait_goes_on_while_calls_are_under_way() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}"#).await;
    stage.hold("http://p/a");
    let body = r#"{"gid":"g","trans_type":"saga","wait_result":true}"#;
    let (answered, ()) = tokio::join!(
        stage.ask(Method::POST, "/api/dtmsvr/submit", body),
        stage.release("http://p/a", 200, "")
    );
    assert_eq!((answered.status.as_u16(), answered.body.as_str()), (200, r#"{"dtm_result":"SUCCESS"}"#));
    stage.ends("g").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"g","trans_type":"saga","steps":[{"action":"http://p/a"},{"action":"http://p/b"}],"payloads":["1","2"]}
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
async fn a_saga_that_fails_once_is_ongoing_over_every_wire_and_then_succeeds() {
    let mut stage = Stage::start();
    let request = |gid: &str| {
        format!(
            r#"{{"gid":"{gid}","trans_type":"saga","wait_result":true,"steps":[{{"action":"http://p/pay","compensate":"http://p/undo"}}],"payloads":["100"]}}"#
        )
    };
    for wire in ["http", "rpc", "grpc"] {
        match wire {
            "grpc" => stage.script("p:9/shop.Money/Pay", &[(13, "restarting")]),
            _ => stage.script("http://p/pay", &[(500, "restarting")]),
        }
        match wire {
            "http" => stage.post("submit", &request(wire)).await,
            "rpc" => {
                let params = request(wire);
                stage
                    .rpc(&format!(r#"{{"jsonrpc":"2.0","id":"1","method":"submit","params":{params}}}"#))
                    .await;
            }
            _ => stage.grpc("Submit", r#"{"Gid":"grpc","TransType":"saga","TransOptions":{"WaitResult":true},"Steps":"[{\"action\":\"p:9/shop.Money/Pay\",\"compensate\":\"p:9/shop.Money/Undo\"}]","BinPayloads":["a"]}"#).await,
        }
        stage.quiet(wire).await;
        stage.post("resetNextCronTime", &format!(r#"{{"gid":"{wire}"}}"#)).await;
        stage.ends(wire).await;
    }
    // A repetition is answered with the end.
    stage.post("submit", &request("http")).await;
    stage.is(&expect![[r#"
        POST submit {"gid":"http","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/pay","compensate":"http://p/undo"}],"payloads":["100"]}
            425 {"dtm_result":"ONGOING","message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: restarting"}
        POST resetNextCronTime {"gid":"http"}
          > POST http://p/pay?branch_id=01&gid=http&op=action&trans_type=saga 100 -> 500 restarting
          > POST http://p/pay?branch_id=01&gid=http&op=action&trans_type=saga 100 -> 200
          = http is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"rpc","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/pay","compensate":"http://p/undo"}],"payloads":["100"]}}
            200 {"error":{"code":-32902,"message":"ONGOING: it is tried again, after HTTP 500: the participant failed; look at its log: restarting"},"id":"1","jsonrpc":"2.0","result":{}}
        POST resetNextCronTime {"gid":"rpc"}
          > POST http://p/pay?branch_id=01&gid=rpc&op=action&trans_type=saga 100 -> 500 restarting
          > POST http://p/pay?branch_id=01&gid=rpc&op=action&trans_type=saga 100 -> 200
          = rpc is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        gRPC Submit {"Gid":"grpc","TransType":"saga","TransOptions":{"WaitResult":true},"Steps":"[{\"action\":\"p:9/shop.Money/Pay\",\"compensate\":\"p:9/shop.Money/Undo\"}]","BinPayloads":["a"]}
            9 FailedPrecondition ONGOING: it is tried again, after grpc status 13 INTERNAL: the participant failed; look at its log: restarting
        POST resetNextCronTime {"gid":"grpc"}
          > gRPC p:9/shop.Money/Pay [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: grpc] [dtm-op: action] [dtm-trans_type: saga] a -> 13 restarting
          > gRPC p:9/shop.Money/Pay [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: grpc] [dtm-op: action] [dtm-trans_type: saga] a -> 0
          = grpc is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
        POST submit {"gid":"http","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/pay","compensate":"http://p/undo"}],"payloads":["100"]}
    "#]]);
}
