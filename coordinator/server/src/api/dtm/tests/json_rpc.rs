//! JSON-RPC: five methods, four keys, and the code of each kind of error.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"1","method":"{method}","params":{params}}}"#)
}

#[tokio::test]
async fn five_methods_do_what_their_paths_do() {
    let mut stage = Stage::start();
    stage.rpc(&call("prepare", r#"{"gid":"g","trans_type":"tcc","protocol":"json-rpc"}"#)).await;
    stage.rpc(&call("registerBranch", r#"{"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"n\":1}","confirm":"http://p/rpc?method=confirm","cancel":"http://p/plain"}"#)).await;
    stage.script("http://p/rpc?method=confirm", &[(200, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#)]);
    stage.rpc(&call("submit", r#"{"gid":"g","trans_type":"tcc"}"#)).await;
    stage.ends("g").await;
    stage.rpc(&call("prepare", r#"{"gid":"h","trans_type":"xa"}"#)).await;
    stage.rpc(&call("abort", r#"{"gid":"h","trans_type":"xa"}"#)).await;
    stage.rows("h").await;
    stage
        .rpc(&call(
            "submit",
            r#"{"gid":"i","trans_type":"saga","steps":[{"action":"http://p/a","data":"1"}]}"#,
        ))
        .await;
    stage.ends("i").await;
    stage.is(&expect![[r#"
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"prepare","params":{"gid":"g","trans_type":"tcc","protocol":"json-rpc"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"registerBranch","params":{"gid":"g","trans_type":"tcc","branch_id":"01","data":"{\"n\":1}","confirm":"http://p/rpc?method=confirm","cancel":"http://p/plain"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"g","trans_type":"tcc"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
          > POST http://p/rpc?method=confirm {"jsonrpc":"2.0","id":"g/01/confirm/1","method":"confirm","params":{"branch_id":"01","gid":"g","n":1,"op":"confirm","trans_type":"tcc"}} -> 200 {"jsonrpc":"2.0","id":"1","result":{}}
          = g is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"prepare","params":{"gid":"h","trans_type":"xa"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"abort","params":{"gid":"h","trans_type":"xa"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
          = h is failed, with a rollback_time
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"i","trans_type":"saga","steps":[{"action":"http://p/a","data":"1"}]}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
          > POST http://p/a?branch_id=01&gid=i&op=action&trans_type=saga 1 -> 200
          = i is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
    "#]]);
}

#[tokio::test]
async fn a_gid_is_all_that_new_gid_gives() {
    let stage = Stage::start();
    let answered = stage.ask(Method::POST, "/api/json-rpc", &call("newGid", "null")).await;
    let mut reply = answered.json();
    let gid = reply["result"]["gid"].take();
    assert!(gid.as_str().is_some_and(|gid| gid.len() > 20), "{gid}");
    expect![[r#"{"error":null,"id":"1","jsonrpc":"2.0","result":{"gid":null}}"#]]
        .assert_eq(&reply.to_string());
}

#[tokio::test]
async fn each_kind_of_no_has_its_code() {
    let mut stage = Stage::start();
    stage.rpc("{").await;
    stage.rpc(r#"{"jsonrpc":"2.0","id":1,"method":"newGid"}"#).await;
    stage.rpc(&call("submit", r#"{"gid":1}"#)).await;
    stage.rpc(&call("registerBranch", r#"{"gid":"g","more":1}"#)).await;
    stage.rpc(r#"{"jsonrpc":"2.0","method":"newGid"}"#).await;
    stage.rpc(r#"{"jsonrpc":"1.0","id":"1","method":"newGid"}"#).await;
    stage.rpc(&call("prepareWorkflow", "{}")).await;
    stage.rpc(&call("query", r#"{"gid":"g"}"#)).await;
    stage.rpc(&call("submit", r#"{"gid":"g","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/no"}],"payloads":["1"]}"#)).await;
    stage.rpc(&call("submit", r#"{"gid":"g","trans_type":"saga"}"#)).await;
    stage.rpc(&call("prepare", r#"{"gid":"t","trans_type":"tcc"}"#)).await;
    stage
        .rpc(&call(
            "registerBranch",
            r#"{"gid":"t","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}"#,
        ))
        .await;
    stage.rpc(&call("registerBranch", r#"{"gid":"t","trans_type":"tcc","branch_id":"01"}"#)).await;
    stage.rpc(&call("submit", r#"{"gid":"t","trans_type":"tcc","wait_result":true}"#)).await;
    stage.rpc(&call("abort", r#"{"gid":"nobody","trans_type":"tcc"}"#)).await;
    stage.rpc(&call("submit", r#"{"gid":"x","trans_type":"other"}"#)).await;
    stage.is(&expect![[r#"
        JSON-RPC {
            400 [content-type: text/plain; charset=utf-8] {"error":{"code":-32700,"message":"unexpected end of JSON input"},"id":null,"jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":1,"method":"newGid"}
            400 [content-type: text/plain; charset=utf-8] {"error":{"code":-32700,"message":"id: invalid type: integer `1`, expected a string at line 1 column 23"},"id":null,"jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":1}}
            200 {"error":{"code":-32700,"message":"gid: invalid type: integer `1`, expected a string at line 1 column 8"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"registerBranch","params":{"gid":"g","more":1}}
            200 {"error":{"code":-32700,"message":"more: invalid type: integer `1`, expected a string at line 1 column 19"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","method":"newGid"}
            200 {"error":{"code":-32600,"message":"the request needs \"jsonrpc\": \"2.0\" and an id that is a non-empty string"},"id":null,"jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"1.0","id":"1","method":"newGid"}
            200 {"error":{"code":-32600,"message":"the request needs \"jsonrpc\": \"2.0\" and an id that is a non-empty string"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"prepareWorkflow","params":{}}
            200 {"error":{"code":-32601,"message":"there is no such method"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"query","params":{"gid":"g"}}
            200 {"error":{"code":-32601,"message":"there is no such method"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"g","trans_type":"saga","wait_result":true,"steps":[{"action":"http://p/no"}],"payloads":["1"]}}
            200 {"error":{"code":-32901,"message":"url:http://p/no return failed: out of stock FAILURE"},"id":"1","jsonrpc":"2.0","result":{}}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"g","trans_type":"saga"}}
            200 {"error":{"code":-32901,"message":"current status 'failed', cannot sumbmit. FAILURE"},"id":"1","jsonrpc":"2.0","result":{}}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"prepare","params":{"gid":"t","trans_type":"tcc"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"registerBranch","params":{"gid":"t","trans_type":"tcc","branch_id":"01","confirm":"http://p/wait"}}
            200 {"error":null,"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"registerBranch","params":{"gid":"t","trans_type":"tcc","branch_id":"01"}}
            200 {"error":{"code":-32603,"message":"storage: UniqueKeyConflict"},"id":"1","jsonrpc":"2.0","result":{}}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"t","trans_type":"tcc","wait_result":true}}
            200 {"error":{"code":-32902,"message":"ONGOING"},"id":"1","jsonrpc":"2.0","result":{}}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"abort","params":{"gid":"nobody","trans_type":"tcc"}}
            200 {"error":{"code":-32603,"message":"no TransGlobal with gid: nobody found"},"id":"1","jsonrpc":"2.0","result":null}
        JSON-RPC {"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"x","trans_type":"other"}}
            200 {"error":{"code":-32603,"message":"unknow trans type: other"},"id":"1","jsonrpc":"2.0","result":null}
    "#]]);
}
