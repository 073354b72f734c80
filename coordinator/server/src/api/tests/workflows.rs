//! Workflows over the native API: begun, resumed, recorded, finished, called back; and one that an older executor began.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use expect_test::expect;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use trine_dispatch::{Caller, Returned};
use trine_engine::{Answer, Call, CallReport, Outcome, Payload};
use trine_protocol::Op;

use super::{Api, shown};
use crate::api::dtm::{self, Front};

const PATH: &str = "/v1/workflows/trip-7";
const STEPS: &str = "/v1/workflows/trip-7/steps";
const FINISH: &str = "/v1/workflows/trip-7/finish";
const TRIP: &str = r#"{"name":"trip","callback":"http://a/workflows","input":{"guest":"Ada"}}"#;
const SEAT: &str = r#"{"branch":"01","op":"action","outcome":"done","output":{"seat":"12A"}}"#;
const ROOM: &str = r#"{"branch":"02","op":"action","outcome":"refused","reason":"no room"}"#;

fn refused(answer: &str, status: &str, code: &str) {
    assert!(answer.starts_with(status) && answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
}

#[tokio::test]
async fn a_workflow_is_resumed_with_what_was_recorded_and_commits_with_its_result() {
    let api = Api::start();
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"open","settled":false,"steps":[]}
    "#]]
    .assert_eq(&api.post(PATH, TRIP).await);
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","pattern":"workflow","status":"open","settled":false,"parked":false,"waiting_on":{"op":"check","attempts":0,"next_at":"<time>"}}
    "#]]
    .assert_eq(&api.post(STEPS, SEAT).await);
    assert!(api.post(STEPS, ROOM).await.starts_with("200"));
    // White space and another callback URL do not count.
    let moved =
        r#"{"name":"trip","callback":"http://b/workflows","input":{ "guest": "Ada" },"callback_after":"1m"}"#;
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"open","settled":false,"steps":[{"branch":"01","op":"action","outcome":"done","output":{"seat":"12A"}},{"branch":"02","op":"action","outcome":"refused","reason":"no room"}]}
    "#]]
    .assert_eq(&api.post(PATH, moved).await);
    let commit = r#"{"outcome":"committed","result":{"seat":"12A"}}"#;
    let committed = expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","pattern":"workflow","status":"committed","settled":true,"parked":false}
    "#]];
    committed.assert_eq(&api.post(FINISH, commit).await);
    // The first result stays.
    committed.assert_eq(&api.post(FINISH, r#"{"outcome":"committed","result":1}"#).await);
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"committed","settled":true,"steps":[{"branch":"01","op":"action","outcome":"done","output":{"seat":"12A"}},{"branch":"02","op":"action","outcome":"refused","reason":"no room"}],"result":{"seat":"12A"}}
    "#]]
    .assert_eq(&api.post(PATH, TRIP).await);
    refused(&api.post(FINISH, r#"{"outcome":"rolled_back"}"#).await, "409", "TX0008");
}

#[tokio::test]
async fn a_step_is_recorded_once_and_never_contradicted() {
    let api = Api::start();
    refused(&api.post(STEPS, SEAT).await, "404", "TX0009");
    api.post(PATH, TRIP).await;
    let first = api.post(STEPS, SEAT).await;
    assert!(first.starts_with("200"), "{first}");
    let spaced = SEAT.replace("{\"seat\":", "{ \"seat\" : ");
    assert_eq!(api.post(STEPS, &spaced).await, first);
    refused(&api.post(STEPS, &SEAT.replace("12A", "12B")).await, "409", "TX0007");
    refused(&api.post(STEPS, &ROOM.replace("02", "01")).await, "409", "TX0007");
    assert!(api.post(FINISH, r#"{"outcome":"committed"}"#).await.starts_with("200"));
    // An executor that lost the answer learns that its step is recorded. A new step is refused.
    assert!(api.post(STEPS, SEAT).await.starts_with("200"));
    refused(&api.post(STEPS, ROOM).await, "409", "TX0008");
    let history = api.get("/v1/transactions/trip-7/history").await;
    assert_eq!(history.matches("\"event\":\"progressed\"").count(), 1, "{history}");
}

#[tokio::test]
async fn a_workflow_that_is_rolled_back_keeps_its_reason() {
    let api = Api::start();
    api.post(PATH, TRIP).await;
    let answer = expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","pattern":"workflow","status":"rolled_back","settled":true,"parked":false,"cause":{"kind":"aborted","reason":"no room"}}
    "#]];
    for _ in 0..2 {
        answer.assert_eq(&api.post(FINISH, r#"{"outcome":"rolled_back","reason":"no room"}"#).await);
    }
    refused(&api.post(FINISH, r#"{"outcome":"committed"}"#).await, "409", "TX0008");
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"rolled_back","settled":true,"steps":[],"cause":{"kind":"aborted","reason":"no room"}}
    "#]]
    .assert_eq(&api.post(PATH, TRIP).await);
}

#[tokio::test]
async fn after_an_abort_or_a_force_a_workflow_is_what_it_was_made() {
    let api = Api::start();
    api.post(PATH, TRIP).await;
    refused(&api.post("/v1/transactions/trip-7/abort", "{}").await, "409", "TX0008");
    let force = r#"{"outcome":"rolled_back","reason":"by hand"}"#;
    assert!(api.post("/v1/admin/transactions/trip-7/force", force).await.starts_with("200"));
    assert!(api.post(FINISH, r#"{"outcome":"rolled_back"}"#).await.starts_with("200"));
    refused(&api.post(FINISH, r#"{"outcome":"committed"}"#).await, "409", "TX0008");
    refused(&api.post(STEPS, SEAT).await, "409", "TX0008");
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"rolled_back","settled":true,"steps":[],"cause":{"kind":"forced","reason":"by hand"}}
    "#]]
    .assert_eq(&api.post(PATH, TRIP).await);
}

#[tokio::test]
async fn a_gid_of_something_else_is_not_resumed() {
    let api = Api::start();
    api.post(PATH, TRIP).await;
    refused(&api.post(PATH, &TRIP.replace("Ada", "Bob")).await, "409", "TX0006");
    refused(&api.post(PATH, &TRIP.replace("trip", "journey")).await, "409", "TX0006");
    let tcc = r#"{"gid":"pay-1","pattern":"tcc","open":true}"#;
    assert!(api.post("/v1/transactions", tcc).await.starts_with("202"));
    refused(&api.post("/v1/workflows/pay-1", TRIP).await, "409", "TX0006");
    refused(&api.post("/v1/workflows/pay-1/steps", SEAT).await, "409", "TX0008");
    refused(&api.post("/v1/workflows/pay-1/finish", r#"{"outcome":"committed"}"#).await, "409", "TX0008");
    refused(&api.post("/v1/workflows/none/finish", r#"{"outcome":"committed"}"#).await, "404", "TX0009");
}

#[tokio::test]
async fn an_input_and_a_result_may_be_bytes_and_come_back_whole() {
    let api = Api::start();
    let begin = |input: &str| format!(r#"{{"name":"trip","callback":"http://a/workflows",{input}}}"#);
    // The bytes are `{"guest":"Ada"}`: the same input, whichever way it is given.
    let bytes = begin(r#""input_base64":"eyJndWVzdCI6IkFkYSJ9""#);
    for body in [&bytes, TRIP, &bytes] {
        assert!(api.post(PATH, body).await.starts_with("200"), "{body}");
    }
    refused(&api.post(PATH, &begin(r#""input_base64":"eyJndWVzdCI6IkJvYiJ9""#)).await, "409", "TX0006");
    refused(&api.post(PATH, &begin(r#""input":null"#)).await, "409", "TX0006");
    for (position, (given, shown)) in [
        (r#""result_base64":"//4=""#, r#","result_base64":"//4=""#),
        // {"a":1}, and the same with a space in between
        (r#""result_base64":"eyJhIjoxfQ==""#, r#","result":{"a":1}"#),
        (r#""result_base64":"eyJhIjogMX0=""#, r#","result_base64":"eyJhIjogMX0=""#),
        // null
        (r#""result_base64":"bnVsbA==""#, r#","result_base64":"bnVsbA==""#),
        (r#""result":null"#, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/v1/workflows/bytes-{position}");
        api.post(&path, TRIP).await;
        let finish = format!(r#"{{"outcome":"committed",{given}}}"#);
        assert!(api.post(&format!("{path}/finish"), &finish).await.starts_with("200"), "{given}");
        let ended = api.post(&path, TRIP).await;
        assert!(ended.contains(&format!("\"steps\":[]{shown}}}")), "{given}: {ended}");
    }
}

#[tokio::test]
async fn a_refused_step_may_say_more_than_a_reason() {
    let api = Api::start();
    api.post(PATH, TRIP).await;
    let step = |rest: &str| format!(r#"{{"branch":"02","op":"action","outcome":"refused",{rest}}}"#);
    let said = step(r#""output":{"by":"a","reason":"no room"}"#);
    assert!(api.post(STEPS, &said).await.starts_with("200"));
    assert!(api.post(STEPS, &said).await.starts_with("200"));
    refused(&api.post(STEPS, &said.replace(r#""by":"a""#, r#""by":"b""#)).await, "409", "TX0007");
    assert!(api.post(PATH, TRIP).await.contains(&format!("\"steps\":[{said}]")));
}

#[tokio::test]
async fn a_field_that_cannot_be_used_is_named() {
    let api = Api::start();
    let deep =
        format!(r#"{{"name":"a","callback":"http://a/","input":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    for (path, body, field) in [
        (PATH, r#"{"callback":"http://a/"}"#, "name"),
        (PATH, r#"{"name":"","callback":"http://a/"}"#, "name"),
        (PATH, r#"{"name":"a"}"#, "callback"),
        (PATH, r#"{"name":"a","callback":"http://"}"#, "callback"),
        (PATH, r#"{"name":"a","callback":"nobody:/x"}"#, "callback"),
        (PATH, r#"{"name":"a","callback":"http://a/","callback_after":"0s"}"#, "callback_after"),
        (PATH, r#"{"name":"a","callback":"http://a/","callback_after_ms":999}"#, "callback_after_ms"),
        (PATH, r#"{"name":"a","callback":"http://a/","colour":1}"#, "colour"),
        (PATH, &deep, "input"),
        (PATH, r#"{"name":"a","callback":"http://a/","input":1,"input_base64":"MQ=="}"#, "input_base64"),
        (PATH, r#"{"name":"a","callback":"http://a/","input_base64":"?"}"#, "input_base64"),
        (STEPS, r#"{"branch":"a b","op":"action","outcome":"done"}"#, "branch"),
        (STEPS, r#"{"branch":"01","op":"","outcome":"done"}"#, "op"),
        (STEPS, &format!(r#"{{"branch":"01","op":"{}","outcome":"done"}}"#, "x".repeat(65)), "op"),
        (STEPS, r#"{"branch":"01","op":"action","outcome":"perhaps"}"#, "outcome"),
        (STEPS, r#"{"branch":"01","op":"action","outcome":"refused","output":1}"#, "output"),
        (STEPS, r#"{"branch":"01","op":"action","outcome":"refused","output":{},"reason":"no"}"#, "reason"),
        (STEPS, r#"{"branch":"01","op":"action","outcome":"done","reason":"no"}"#, "reason"),
        (FINISH, r#"{"outcome":"open"}"#, "outcome"),
        (FINISH, r#"{"outcome":"rolled_back","result":1}"#, "result"),
        (FINISH, r#"{"outcome":"rolled_back","result_base64":""}"#, "result_base64"),
        (FINISH, r#"{"outcome":"committed","result":1,"result_base64":"MQ=="}"#, "result_base64"),
        (FINISH, r#"{"outcome":"committed","reason":"no"}"#, "reason"),
    ] {
        let answer = api.post(path, body).await;
        assert!(answer.starts_with("422"), "{body}: {answer}");
        assert!(answer.contains(&format!("\"field\":\"{field}\"")), "{body}: {answer}");
    }
}

#[tokio::test]
async fn the_live_stream_of_a_workflow_ends_when_it_is_finished() {
    let api = Api::start();
    api.post(PATH, TRIP).await;
    api.post(FINISH, r#"{"outcome":"committed"}"#).await;
    let stream = api.get("/v1/transactions/trip-7/events");
    let stream = tokio::time::timeout(Duration::from_secs(60), stream).await.expect("the stream ends");
    assert!(stream.contains("event: finished"), "{stream}");
}

/// Gives every call to the test, and answers "done".
#[derive(Debug)]
struct Executor(mpsc::UnboundedSender<Call>);

impl Caller for Executor {
    fn call(&self, call: Call) -> BoxFuture<'static, Returned> {
        // The test may have stopped listening.
        let _ = self.0.send(call);
        let outcome = Outcome::Done { output: Payload::default(), read_only: false };
        let report = CallReport { status_code: Some(200), duration_ms: 5, error: None };
        let answer = Answer { outcome, parks: None, report, random_permille: 0 };
        Box::pin(async move { Returned::Answer(answer) })
    }
}

#[tokio::test]
async fn a_silent_executor_is_called_back_natively_and_its_answer_ends_nothing() {
    let (calls_in, mut calls) = mpsc::unbounded_channel();
    let api = Api::start_with(Arc::new(Executor(calls_in)));
    api.post(PATH, &TRIP.replace("}}", r#"},"callback_after_ms":1000}"#)).await;
    for attempt in 1..=2 {
        let call = tokio::time::timeout(Duration::from_secs(60), calls.recv()).await.unwrap().unwrap();
        assert_eq!((call.op(), call.key.attempt), (Op::Check, attempt));
        assert_eq!(call.target.as_str(), "http://a/workflows");
        assert!(call.terms.is_none() && call.branch.is_none());
        assert_eq!(call.payload.as_bytes(), br#"{"name":"trip","input":{"guest":"Ada"}}"#);
    }
    assert!(api.get("/v1/transactions/trip-7").await.contains("\"status\":\"open\""));
}

async fn over_dtm(api: &Api, path: &str, body: &str) -> String {
    let store = Arc::new(api.memory.clone());
    let metrics = Arc::new(String::new);
    let front = Front::new(api.lanes.handle().clone(), store, Duration::from_secs(10), 1 << 20, metrics);
    let request = Request::post(path).body(Body::from(body.to_owned())).unwrap();
    shown(dtm::router(front).oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn a_workflow_begun_over_the_dtm_dialect_goes_on_natively_and_is_called_back_as_it_was_begun() {
    let (calls_in, mut calls) = mpsc::unbounded_channel();
    let api = Api::start_with(Arc::new(Executor(calls_in)));
    // `data` is {"guest":"Ada"}.
    let begun = r#"{"gid":"trip-7","trans_type":"workflow","query_prepared":"http://a/workflows","protocol":"http",
        "retry_interval":1,"custom_data":"{\"name\":\"trip\",\"data\":\"eyJndWVzdCI6IkFkYSJ9\"}"}"#;
    let prepared = over_dtm(&api, "/api/dtmsvr/prepareWorkflow", begun).await;
    assert!(prepared.starts_with("200"), "{prepared}");
    let step = r#"{"gid":"trip-7","trans_type":"workflow","branch_id":"01","op":"action","status":"succeed",
        "data":"{\"seat\":\"12A\"}"}"#;
    let recorded = over_dtm(&api, "/api/dtmsvr/registerBranch", step).await;
    assert!(recorded.starts_with("200"), "{recorded}");
    refused(&api.post(PATH, &TRIP.replace("Ada", "Bob")).await, "409", "TX0006");
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"trip-7","status":"open","settled":false,"steps":[{"branch":"01","op":"action","outcome":"done","output":{"seat":"12A"}}]}
    "#]]
    .assert_eq(&api.post(PATH, TRIP).await);
    let call = tokio::time::timeout(Duration::from_secs(60), calls.recv()).await.unwrap().unwrap();
    assert!(call.terms.is_some(), "it keeps the manner it was begun with");
    assert!(api.post(STEPS, ROOM).await.starts_with("200"));
    assert!(api.post(FINISH, r#"{"outcome":"committed","result":{"seat":1}}"#).await.starts_with("200"));
    assert!(api.post(PATH, TRIP).await.contains(r#""result":{"seat":1}"#));
    // An executor of the dialect learns the end, but cannot resume a native workflow.
    let ended = over_dtm(&api, "/api/dtmsvr/prepareWorkflow", begun).await;
    assert!(ended.contains("\"status\":\"succeed\""), "{ended}");
    assert!(ended.contains("\"result\":\"eyJzZWF0IjoxfQ==\""), "{ended}");
    api.post("/v1/workflows/trip-8", TRIP).await;
    let other = over_dtm(&api, "/api/dtmsvr/prepareWorkflow", &begun.replace("trip-7", "trip-8")).await;
    assert!(other.starts_with("409"), "{other}");
}

#[tokio::test]
async fn whatever_a_workflow_of_the_dtm_dialect_is_about_and_came_to_is_known_natively() {
    let api = Api::start();
    let begin = |gid: &str, data: &str| {
        let custom = serde_json::json!({"name": "trip", "data": data}).to_string();
        let query = "http://a/workflows";
        serde_json::json!({"gid": gid, "trans_type": "workflow", "query_prepared": query, "custom_data": custom})
            .to_string()
    };
    for (gid, data, input) in [
        ("empty", "", r#""input_base64":"""#),
        // null
        ("null", "bnVsbA==", r#""input":null"#),
        ("bytes", "//4=", r#""input_base64":"//4=""#),
        // {"a": 1}
        ("spaced", "eyJhIjogMX0=", r#""input":{"a":1}"#),
        ("spaced-bytes", "eyJhIjogMX0=", r#""input_base64":"eyJhIjogMX0=""#),
    ] {
        let prepared = over_dtm(&api, "/api/dtmsvr/prepareWorkflow", &begin(gid, data)).await;
        assert!(prepared.starts_with("200"), "{gid}: {prepared}");
        let path = format!("/v1/workflows/{gid}");
        let body = format!(r#"{{"name":"trip","callback":"http://a/workflows",{input}}}"#);
        assert!(api.post(&path, &body).await.starts_with("200"), "{gid}");
        let other = r#"{"name":"trip","callback":"http://a/workflows","input":"else"}"#;
        refused(&api.post(&path, other).await, "409", "TX0006");
        let finish = format!(
            r#"{{"gid":"{gid}","trans_type":"workflow","req_extra":{{"status":"succeed","result":"{data}"}}}}"#
        );
        assert!(over_dtm(&api, "/api/dtmsvr/submit", &finish).await.starts_with("200"), "{gid}");
        let ended = api.post(&path, &body).await;
        let result = if data.is_empty() { String::new() } else { format!(r#","result_base64":"{data}""#) };
        assert!(ended.contains(&format!("\"steps\":[]{result}}}")), "{gid}: {ended}");
    }
}
