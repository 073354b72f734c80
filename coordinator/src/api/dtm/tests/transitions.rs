//! Every request in every status: what it is answered, and which status it leads to.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

const TYPES: [&str; 5] = ["saga", "tcc", "xa", "msg", "workflow"];
const STATUSES: [&str; 5] = ["prepared", "submitted", "aborting", "succeed", "failed"];
const REQUESTS: [&str; 6] = ["prepare", "prepareWorkflow", "registerBranch", "submit", "abort", "forceStop"];

async fn ask(stage: &Stage, path: &str, body: &str) -> (u16, serde_json::Value) {
    let answered = stage.ask(Method::POST, &format!("/api/dtmsvr/{path}"), body).await;
    (answered.status.as_u16(), answered.json())
}

/// A new transaction in a status, unless its type never has it.
async fn bring(stage: &Stage, gid: &str, kind: &str, status: &str) -> bool {
    let identity = format!(r#""gid":"{gid}","trans_type":"{kind}""#);
    let wait = "http://p/wait";
    let (first, second) = match status {
        "submitted" => (wait, wait),
        "aborting" => ("http://p/no", wait),
        "failed" => ("http://p/no", "http://p/ok"),
        _ => ("http://p/ok", "http://p/ok"),
    };
    let steps = format!(r#""steps":[{{"action":"{first}","compensate":"{second}"}}],"payloads":["1"]"#);
    let mut requests: Vec<(&str, String)> = Vec::new();
    match (kind, status) {
        ("workflow", "submitted" | "aborting") | ("msg", "aborting") => return false,
        ("workflow", "prepared") => requests.push(("prepareWorkflow", String::new())),
        ("workflow", end) => {
            requests.push(("prepareWorkflow", String::new()));
            requests.push(("submit", format!(r#","req_extra":{{"status":"{end}"}}"#)));
        }
        ("tcc" | "xa", _) => {
            requests.push(("prepare", String::new()));
            let urls =
                format!(r#","branch_id":"01","url":"{second}","confirm":"{second}","cancel":"{second}""#);
            requests.push(("registerBranch", urls));
            match status {
                "prepared" => {}
                "aborting" | "failed" => requests.push(("abort", String::new())),
                _ => requests.push(("submit", String::new())),
            }
        }
        ("saga" | "msg", "prepared") => requests.push(("prepare", format!(",{steps}"))),
        ("msg", "failed") => {
            requests.push(("prepare", format!(",{steps}")));
            requests.push(("abort", String::new()));
        }
        _ => requests.push(("submit", format!(",{steps}"))),
    }
    for (path, more) in requests {
        let (code, body) = ask(stage, path, &format!("{{{identity}{more}}}")).await;
        assert_eq!(code, 200, "{kind} {status}: {path} {body}");
    }
    if matches!(status, "succeed" | "failed") {
        stage.settled(gid).await;
    } else {
        stage.quiet(gid).await;
    }
    assert_eq!(status_of(stage, gid).await, status, "{kind}");
    true
}

async fn status_of(stage: &Stage, gid: &str) -> String {
    let found = stage.ask(Method::GET, &format!("/api/dtmsvr/query?gid={gid}"), "").await.json();
    found["transaction"]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_request_has_its_answer_in_every_status() {
    let stage = Stage::start();
    let mut table = String::new();
    for kind in TYPES {
        for status in STATUSES {
            for request in REQUESTS {
                let gid = format!("{kind}-{status}-{request}");
                if !bring(&stage, &gid, kind, status).await {
                    continue;
                }
                let body = format!(
                    r#"{{"gid":"{gid}","trans_type":"{kind}","branch_id":"02","op":"action","status":"succeed","data":""}}"#
                );
                let body = if request == "submit" && kind == "workflow" {
                    format!(r#"{{"gid":"{gid}","trans_type":"{kind}","req_extra":{{"status":"succeed"}}}}"#)
                } else {
                    body
                };
                let (code, answer) = ask(&stage, request, &body).await;
                stage.quiet(&gid).await;
                let answer = answer["message"].as_str().unwrap_or_default().replace(&gid, "<gid>");
                let after = status_of(&stage, &gid).await;
                let after = if after == status { "as it was".to_owned() } else { format!("-> {after}") };
                table.push_str(format!("{kind} {status}, {request}: {code}, {after}. {answer}").trim_end());
                table.push('\n');
            }
        }
    }
    expect![[r#"
        saga prepared, prepare: 200, as it was.
        saga prepared, prepareWorkflow: 200, as it was.
        saga prepared, registerBranch: 500, as it was. unknow trans type: saga
        saga prepared, submit: 200, -> succeed.
        saga prepared, abort: 409, as it was. trans type: 'saga' current status 'prepared', cannot abort. FAILURE
        saga prepared, forceStop: 200, -> failed.
        saga submitted, prepare: 409, as it was. current status 'submitted', cannot prepare. FAILURE
        saga submitted, prepareWorkflow: 200, as it was.
        saga submitted, registerBranch: 500, as it was. unknow trans type: saga
        saga submitted, submit: 200, as it was.
        saga submitted, abort: 409, as it was. trans type: 'saga' current status 'submitted', cannot abort. FAILURE
        saga submitted, forceStop: 200, -> failed.
        saga aborting, prepare: 409, as it was. current status 'aborting', cannot prepare. FAILURE
        saga aborting, prepareWorkflow: 200, as it was.
        saga aborting, registerBranch: 500, as it was. unknow trans type: saga
        saga aborting, submit: 409, as it was. current status 'aborting', cannot sumbmit. FAILURE
        saga aborting, abort: 409, as it was. trans type: 'saga' current status 'aborting', cannot abort. FAILURE
        saga aborting, forceStop: 200, -> failed.
        saga succeed, prepare: 409, as it was. current status 'succeed', cannot prepare. FAILURE
        saga succeed, prepareWorkflow: 200, as it was.
        saga succeed, registerBranch: 500, as it was. unknow trans type: saga
        saga succeed, submit: 409, as it was. current status 'succeed', cannot sumbmit. FAILURE
        saga succeed, abort: 409, as it was. trans type: 'saga' current status 'succeed', cannot abort. FAILURE
        saga succeed, forceStop: 409, as it was. global transaction force stop error. status: succeed. error: FAILURE
        saga failed, prepare: 409, as it was. current status 'failed', cannot prepare. FAILURE
        saga failed, prepareWorkflow: 200, as it was.
        saga failed, registerBranch: 500, as it was. unknow trans type: saga
        saga failed, submit: 409, as it was. current status 'failed', cannot sumbmit. FAILURE
        saga failed, abort: 409, as it was. trans type: 'saga' current status 'failed', cannot abort. FAILURE
        saga failed, forceStop: 409, as it was. global transaction force stop error. status: failed. error: FAILURE
        tcc prepared, prepare: 200, as it was.
        tcc prepared, prepareWorkflow: 200, as it was.
        tcc prepared, registerBranch: 200, as it was.
        tcc prepared, submit: 200, -> succeed.
        tcc prepared, abort: 200, -> failed.
        tcc prepared, forceStop: 200, -> failed.
        tcc submitted, prepare: 409, as it was. current status 'submitted', cannot prepare. FAILURE
        tcc submitted, prepareWorkflow: 200, as it was.
        tcc submitted, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        tcc submitted, submit: 200, as it was.
        tcc submitted, abort: 409, as it was. trans type: 'tcc' current status 'submitted', cannot abort. FAILURE
        tcc submitted, forceStop: 200, -> failed.
        tcc aborting, prepare: 409, as it was. current status 'aborting', cannot prepare. FAILURE
        tcc aborting, prepareWorkflow: 200, as it was.
        tcc aborting, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        tcc aborting, submit: 409, as it was. current status 'aborting', cannot sumbmit. FAILURE
        tcc aborting, abort: 200, as it was.
        tcc aborting, forceStop: 200, -> failed.
        tcc succeed, prepare: 409, as it was. current status 'succeed', cannot prepare. FAILURE
        tcc succeed, prepareWorkflow: 200, as it was.
        tcc succeed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        tcc succeed, submit: 409, as it was. current status 'succeed', cannot sumbmit. FAILURE
        tcc succeed, abort: 409, as it was. trans type: 'tcc' current status 'succeed', cannot abort. FAILURE
        tcc succeed, forceStop: 409, as it was. global transaction force stop error. status: succeed. error: FAILURE
        tcc failed, prepare: 409, as it was. current status 'failed', cannot prepare. FAILURE
        tcc failed, prepareWorkflow: 200, as it was.
        tcc failed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        tcc failed, submit: 409, as it was. current status 'failed', cannot sumbmit. FAILURE
        tcc failed, abort: 409, as it was. trans type: 'tcc' current status 'failed', cannot abort. FAILURE
        tcc failed, forceStop: 409, as it was. global transaction force stop error. status: failed. error: FAILURE
        xa prepared, prepare: 200, as it was.
        xa prepared, prepareWorkflow: 200, as it was.
        xa prepared, registerBranch: 200, as it was.
        xa prepared, submit: 200, -> succeed.
        xa prepared, abort: 200, -> failed.
        xa prepared, forceStop: 200, -> failed.
        xa submitted, prepare: 409, as it was. current status 'submitted', cannot prepare. FAILURE
        xa submitted, prepareWorkflow: 200, as it was.
        xa submitted, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        xa submitted, submit: 200, as it was.
        xa submitted, abort: 409, as it was. trans type: 'xa' current status 'submitted', cannot abort. FAILURE
        xa submitted, forceStop: 200, -> failed.
        xa aborting, prepare: 409, as it was. current status 'aborting', cannot prepare. FAILURE
        xa aborting, prepareWorkflow: 200, as it was.
        xa aborting, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        xa aborting, submit: 409, as it was. current status 'aborting', cannot sumbmit. FAILURE
        xa aborting, abort: 200, as it was.
        xa aborting, forceStop: 200, -> failed.
        xa succeed, prepare: 409, as it was. current status 'succeed', cannot prepare. FAILURE
        xa succeed, prepareWorkflow: 200, as it was.
        xa succeed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        xa succeed, submit: 409, as it was. current status 'succeed', cannot sumbmit. FAILURE
        xa succeed, abort: 409, as it was. trans type: 'xa' current status 'succeed', cannot abort. FAILURE
        xa succeed, forceStop: 409, as it was. global transaction force stop error. status: succeed. error: FAILURE
        xa failed, prepare: 409, as it was. current status 'failed', cannot prepare. FAILURE
        xa failed, prepareWorkflow: 200, as it was.
        xa failed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        xa failed, submit: 409, as it was. current status 'failed', cannot sumbmit. FAILURE
        xa failed, abort: 409, as it was. trans type: 'xa' current status 'failed', cannot abort. FAILURE
        xa failed, forceStop: 409, as it was. global transaction force stop error. status: failed. error: FAILURE
        msg prepared, prepare: 200, as it was.
        msg prepared, prepareWorkflow: 200, as it was.
        msg prepared, registerBranch: 500, as it was. unknow trans type: msg
        msg prepared, submit: 200, -> succeed.
        msg prepared, abort: 200, -> failed.
        msg prepared, forceStop: 200, -> failed.
        msg submitted, prepare: 409, as it was. current status 'submitted', cannot prepare. FAILURE
        msg submitted, prepareWorkflow: 200, as it was.
        msg submitted, registerBranch: 500, as it was. unknow trans type: msg
        msg submitted, submit: 200, as it was.
        msg submitted, abort: 409, as it was. trans type: 'msg' current status 'submitted', cannot abort. FAILURE
        msg submitted, forceStop: 200, -> failed.
        msg succeed, prepare: 409, as it was. current status 'succeed', cannot prepare. FAILURE
        msg succeed, prepareWorkflow: 200, as it was.
        msg succeed, registerBranch: 500, as it was. unknow trans type: msg
        msg succeed, submit: 409, as it was. current status 'succeed', cannot sumbmit. FAILURE
        msg succeed, abort: 409, as it was. trans type: 'msg' current status 'succeed', cannot abort. FAILURE
        msg succeed, forceStop: 409, as it was. global transaction force stop error. status: succeed. error: FAILURE
        msg failed, prepare: 409, as it was. current status 'failed', cannot prepare. FAILURE
        msg failed, prepareWorkflow: 200, as it was.
        msg failed, registerBranch: 500, as it was. unknow trans type: msg
        msg failed, submit: 409, as it was. current status 'failed', cannot sumbmit. FAILURE
        msg failed, abort: 409, as it was. trans type: 'msg' current status 'failed', cannot abort. FAILURE
        msg failed, forceStop: 409, as it was. global transaction force stop error. status: failed. error: FAILURE
        workflow prepared, prepare: 200, as it was.
        workflow prepared, prepareWorkflow: 200, as it was.
        workflow prepared, registerBranch: 200, as it was.
        workflow prepared, submit: 200, -> succeed.
        workflow prepared, abort: 409, as it was. trans type: 'workflow' current status 'prepared', cannot abort. FAILURE
        workflow prepared, forceStop: 200, -> failed.
        workflow succeed, prepare: 409, as it was. current status 'succeed', cannot prepare. FAILURE
        workflow succeed, prepareWorkflow: 200, as it was.
        workflow succeed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        workflow succeed, submit: 200, as it was.
        workflow succeed, abort: 409, as it was. trans type: 'workflow' current status 'succeed', cannot abort. FAILURE
        workflow succeed, forceStop: 409, as it was. global transaction force stop error. status: succeed. error: FAILURE
        workflow failed, prepare: 409, as it was. current status 'failed', cannot prepare. FAILURE
        workflow failed, prepareWorkflow: 200, as it was.
        workflow failed, registerBranch: 409, as it was. no trans with gid: <gid> status: prepared found FAILURE
        workflow failed, submit: 500, as it was. storage: NotFound
        workflow failed, abort: 409, as it was. trans type: 'workflow' current status 'failed', cannot abort. FAILURE
        workflow failed, forceStop: 409, as it was. global transaction force stop error. status: failed. error: FAILURE
    "#]].assert_eq(&table);
}
