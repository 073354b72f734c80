//! Names that a wire would change are refused by every request on every wire.

use axum::http::Method;
use expect_test::expect;
use serde_json::json;

use super::stage::Stage;

/// Gids that at least one wire would change.
const LOST: [&str; 4] = ["pay;7", "pay\r\n7", "pay7 ", "\u{fffd}7"];

#[tokio::test]
async fn two_gids_never_become_one() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"pay;7","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/first"}],"payloads":["100"]}"#).await;
    stage.post("submit", r#"{"gid":"pay7","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/second"}],"payloads":["999"]}"#).await;
    stage.ends("pay7").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"pay;7","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/first"}],"payloads":["100"]}
            400 {"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"}
        POST submit {"gid":"pay7","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/second"}],"payloads":["999"]}
          > POST http://p/second?branch_id=01&gid=pay7&op=action&trans_type=saga 999 -> 200
          = pay7 is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn every_request_over_http_refuses_a_gid_that_is_not_kept() {
    let stage = Stage::start();
    for gid in LOST {
        for path in [
            "prepare",
            "submit",
            "abort",
            "forceStop",
            "registerBranch",
            "registerXaBranch",
            "registerTccBranch",
            "prepareWorkflow",
            "resetNextCronTime",
        ] {
            let body = json!({"gid": gid, "trans_type": "tcc", "branch_id": "01", "confirm": "http://p/a"});
            let answered = stage.ask(Method::POST, &format!("/api/dtmsvr/{path}"), &body.to_string()).await;
            assert_eq!(answered.status.as_u16(), 400, "{path} {gid:?} {}", answered.body);
            assert!(answered.json()["message"].as_str().unwrap().starts_with("gid: may hold no `;`"));
            assert!(!answered.body.contains("FAILURE"), "{path}: {}", answered.body);
        }
        let finish = json!({"gid": gid, "trans_type": "workflow", "req_extra": {"status": "succeed"}});
        let answered = stage.ask(Method::POST, "/api/dtmsvr/submit", &finish.to_string()).await;
        assert_eq!(answered.status.as_u16(), 400, "{gid:?} {}", answered.body);
    }
    for gid in ["pay%3B7", "pay%0A7", "pay7%20", "%FF7"] {
        for path in ["query", "all"] {
            let answered = stage.ask(Method::GET, &format!("/api/dtmsvr/{path}?gid={gid}"), "").await;
            assert_eq!(answered.status.as_u16(), 400, "{path} {gid} {}", answered.body);
        }
    }
}

#[tokio::test]
async fn the_other_wires_refuse_what_is_not_kept_in_their_own_words() {
    let mut stage = Stage::start();
    for method in ["prepare", "submit", "abort", "registerBranch"] {
        stage.rpc(&json!({"jsonrpc": "2.0", "id": "1", "method": method, "params": {"gid": "pay;7", "trans_type": "tcc"}}).to_string()).await;
    }
    for method in ["Prepare", "Submit", "Abort", "PrepareWorkflow"] {
        stage.grpc(method, r#"{"Gid":"pay;7","TransType":"tcc"}"#).await;
    }
    stage.grpc("RegisterBranch", r#"{"Gid":"pay;7","TransType":"tcc","BranchID":"01"}"#).await;
    stage.is(&expect![[r#"
        JSON-RPC {"id":"1","jsonrpc":"2.0","method":"prepare","params":{"gid":"pay;7","trans_type":"tcc"}}
            200 {"error":{"code":-32602,"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"id":"1","jsonrpc":"2.0","method":"submit","params":{"gid":"pay;7","trans_type":"tcc"}}
            200 {"error":{"code":-32602,"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"id":"1","jsonrpc":"2.0","method":"abort","params":{"gid":"pay;7","trans_type":"tcc"}}
            200 {"error":{"code":-32602,"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"id":"1","jsonrpc":"2.0","method":"registerBranch","params":{"gid":"pay;7","trans_type":"tcc"}}
            200 {"error":{"code":-32602,"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"},"id":"1","jsonrpc":"2.0","result":null}
        gRPC Prepare {"Gid":"pay;7","TransType":"tcc"}
            3 InvalidArgument gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another
        gRPC Submit {"Gid":"pay;7","TransType":"tcc"}
            3 InvalidArgument gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another
        gRPC Abort {"Gid":"pay;7","TransType":"tcc"}
            3 InvalidArgument gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another
        gRPC PrepareWorkflow {"Gid":"pay;7","TransType":"tcc"}
            3 InvalidArgument gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another
        gRPC RegisterBranch {"Gid":"pay;7","TransType":"tcc","BranchID":"01"}
            3 InvalidArgument gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another
    "#]]);
}

#[tokio::test]
async fn bytes_that_are_no_text_do_not_make_two_gids_one() {
    let mut stage = Stage::start();
    // Both lone surrogates become the same replacement character, so two gids would become one.
    stage.post("prepare", r#"{"gid":"\ud800","trans_type":"tcc"}"#).await;
    stage.post("prepare", r#"{"gid":7,"trans_type":"tcc"}"#).await;
    stage.post("prepare", r#"{"gid":"Pay","trans_type":"tcc"}"#).await;
    stage.get("query?gid=pay").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"\ud800","trans_type":"tcc"}
            400 {"message":"gid: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"}
        POST prepare {"gid":7,"trans_type":"tcc"}
            500 {"message":"gid: invalid type: integer `7`, expected a string at line 1 column 8"}
        POST prepare {"gid":"Pay","trans_type":"tcc"}
        GET query?gid=pay
            200 {"branches":[],"transaction":null}
    "#]]);
}

#[tokio::test]
async fn ops_and_topics_that_are_not_kept_are_refused() {
    let mut stage = Stage::start();
    stage.post("prepareWorkflow", r#"{"gid":"w","trans_type":"workflow"}"#).await;
    stage
        .post(
            "registerBranch",
            r#"{"gid":"w","trans_type":"workflow","branch_id":"01","op":"a;b","status":"succeed"}"#,
        )
        .await;
    stage.get("subscribe?topic=a%0Ab&url=http://p/a").await;
    stage.get("subscribe?topic=%FF&url=http://p/a").await;
    stage.is(&expect![[r#"
        POST prepareWorkflow {"gid":"w","trans_type":"workflow"}
            200 {"progresses":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"w","id":0,"next_cron_interval":10,"options":"{\"concurrent\":false}","protocol":"http","status":"prepared","trans_type":"workflow","update_time":"<time>"}}
        POST registerBranch {"gid":"w","trans_type":"workflow","branch_id":"01","op":"a;b","status":"succeed"}
            400 {"message":"op: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"}
        GET subscribe?topic=a%0Ab&url=http://p/a
            400 {"message":"topic: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"}
        GET subscribe?topic=%FF&url=http://p/a
            400 {"message":"topic: may hold no `;`, no line break or other control character, no white space at its ends and nothing that is not UTF-8: it would not arrive everywhere as it was sent; choose another"}
    "#]]);
}
