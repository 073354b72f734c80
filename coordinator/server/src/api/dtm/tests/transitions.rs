//! Every request in every status: its answer, and the resulting status.

use axum::http::Method;
use expect_test::expect_file;

use super::stage::Stage;

const TYPES: [&str; 5] = ["saga", "tcc", "xa", "msg", "workflow"];
const STATUSES: [&str; 5] = ["prepared", "submitted", "aborting", "succeed", "failed"];
const REQUESTS: [&str; 6] = ["prepare", "prepareWorkflow", "registerBranch", "submit", "abort", "forceStop"];

async fn ask(stage: &Stage, path: &str, body: &str) -> (u16, serde_json::Value) {
    let answered = stage.ask(Method::POST, &format!("/api/dtmsvr/{path}"), body).await;
    (answered.status.as_u16(), answered.json())
}

/// Creates a transaction in the given status. False if its type never has this status.
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
    expect_file!["./transitions.txt"].assert_eq(&table);
}
