//! Each error has its JSON-RPC code.

use axum::http::Method;

use super::*;
use crate::api::dtm::http::router;
use crate::api::dtm::tests::{Answered, front, send};

async fn ask(body: &str) -> Answered {
    let (front, _lanes) = front();
    let answered = send(&router(front), Method::POST, "/api/json-rpc", body).await;
    let reply = answered.json();
    let keys: Vec<_> = reply.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["error", "id", "jsonrpc", "result"], "{body}");
    assert_eq!(reply["jsonrpc"], "2.0");
    answered
}

#[tokio::test]
async fn a_result_is_answered_with_the_callers_id() {
    for body in [
        r#"{"jsonrpc":"2.0","id":"a","method":"newGid"}"#,
        r#"{"JSONRPC":"2.0","ID":"a","Method":"newGid","params":null,"extra":[{}]}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"newGid","params":{"gid":7}}"#,
    ] {
        let answered = ask(body).await;
        let reply = answered.json();
        assert_eq!(answered.status, StatusCode::OK);
        assert_eq!(answered.header("content-type"), "application/json; charset=utf-8");
        assert_eq!((&reply["id"], &reply["error"]), (&json!("a"), &Value::Null));
        assert!(reply["result"]["gid"].is_string() && reply["result"].as_object().unwrap().len() == 1);
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_rpc_call_is_a_400() {
    for body in ["", "{", "[]", "7", r#"{"jsonrpc":"2.0","id":7,"method":"newGid"}"#] {
        let answered = ask(body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answered.header("content-type"), "text/plain; charset=utf-8");
        let reply = answered.json();
        assert_eq!((&reply["error"]["code"], &reply["result"]), (&json!(-32_700), &Value::Null), "{body}");
    }
}

#[tokio::test]
async fn a_wrong_json_rpc_call_has_its_code() {
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","method":"newGid"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"newGid"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":"","method":"newGid"}"#, -32_600),
        (r#"{"jsonrpc":"1.0","id":"a","method":"newGid"}"#, -32_600),
        (r#"{"id":"a","method":"newGid"}"#, -32_600),
        ("{}", -32_600),
        ("null", -32_600),
        (r#"{"jsonrpc":"2.0","id":"a","method":"query"}"#, -32_601),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, -32_601),
        (r#"{"jsonrpc":"2.0","id":"a","method":"submit","params":{"gid":7}}"#, -32_700),
        (r#"{"jsonrpc":"2.0","id":"a","method":"prepare","params":[]}"#, -32_700),
        (r#"{"jsonrpc":"2.0","id":"a","method":"registerBranch","params":{"x":7}}"#, -32_700),
    ] {
        let answered = ask(body).await;
        let reply = answered.json();
        assert_eq!(answered.status, StatusCode::OK, "{body}");
        assert_eq!((&reply["error"]["code"], &reply["result"]), (&json!(code), &Value::Null), "{body}");
    }
}

#[test]
fn each_error_has_its_code_and_an_empty_result() {
    let said = |error| Fault::Said(error);
    let text = || "why".to_owned();
    for (fault, code, result) in [
        (said(DtmError::Failure(text())), -32_901, json!({})),
        (said(DtmError::Ongoing(text())), -32_902, json!({})),
        (said(DtmError::Unfit(text())), -32_602, Value::Null),
        (said(DtmError::Other(text())), -32_603, json!({})),
        (said(DtmError::Missing(text())), -32_603, Value::Null),
        (said(DtmError::Unavailable(text(), 1, trine_protocol::errors::Code::Busy)), -32_603, json!({})),
        (Fault::Panicked(text()), -32_603, Value::Null),
    ] {
        let expected = json!({
            "jsonrpc": "2.0", "id": "a", "error": {"code": code, "message": "why"}, "result": result,
        });
        assert_eq!(reply("a", Err(fault.clone())), expected, "{fault:?}");
    }
    let expected = json!({"jsonrpc": "2.0", "id": "a", "error": null, "result": null});
    assert_eq!(reply("a", Ok(Value::Null)), expected);
}
