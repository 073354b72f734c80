//! The dialect over gRPC: its nine methods, and the status of each kind of error.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn a_saga_goes_through_submit() {
    let mut stage = Stage::start();
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"saga","TransOptions":{"WaitResult":true,"BranchHeaders":{"X-Tenant":"7"},"RequestTimeout":9},"Steps":"[{\"action\":\"p:9/shop.Stock/Take\",\"compensate\":\"p:9/shop.Stock/Give\"},{\"action\":\"p:9/shop.Money/Take\",\"compensate\":\"p:9/shop.Money/Give\"}]","BinPayloads":["a","b"]}"#).await;
    stage.ends("g").await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"g","TransType":"saga","TransOptions":{"WaitResult":true,"BranchHeaders":{"X-Tenant":"7"},"RequestTimeout":9},"Steps":"[{\"action\":\"p:9/shop.Stock/Take\",\"compensate\":\"p:9/shop.Stock/Give\"},{\"action\":\"p:9/shop.Money/Take\",\"compensate\":\"p:9/shop.Money/Give\"}]","BinPayloads":["a","b"]}
            0 Ok {}
          > within 9000 ms: gRPC p:9/shop.Stock/Take [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: saga] [x-tenant: 7] a -> 0
          > within 9000 ms: gRPC p:9/shop.Money/Take [dtm-branch_id: 02] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: saga] [x-tenant: 7] b -> 0
          = g is succeed, with a finish_time
            01 compensate prepared
            01 action succeed
            02 compensate prepared
            02 action succeed
        GET query?gid=g
            200 {"branches":[{"bin_data":"YQ==","branch_id":"01","create_time":"<time>","gid":"g","id":1,"op":"compensate","status":"prepared","update_time":"<time>","url":"p:9/shop.Stock/Give"},{"bin_data":"YQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":2,"op":"action","status":"succeed","update_time":"<time>","url":"p:9/shop.Stock/Take"},{"bin_data":"Yg==","branch_id":"02","create_time":"<time>","gid":"g","id":3,"op":"compensate","status":"prepared","update_time":"<time>","url":"p:9/shop.Money/Give"},{"bin_data":"Yg==","branch_id":"02","create_time":"<time>","finish_time":"<time>","gid":"g","id":4,"op":"action","status":"succeed","update_time":"<time>","url":"p:9/shop.Money/Take"}],"transaction":{"concurrent":false,"create_time":"<time>","finish_time":"<time>","gid":"g","id":0,"next_cron_interval":10,"options":"{\"branch_headers\":{\"X-Tenant\":\"7\"},\"concurrent\":false,\"request_timeout\":9,\"wait_result\":true}","protocol":"grpc","status":"succeed","trans_type":"saga","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn a_saga_that_is_refused_is_aborted_with_its_reason() {
    let mut stage = Stage::start();
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"saga","TransOptions":{"WaitResult":true},"Steps":"[{\"action\":\"p:9/shop.Stock/No\",\"compensate\":\"p:9/shop.Stock/Give\"}]","BinPayloads":["a"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"g","TransType":"saga","TransOptions":{"WaitResult":true},"Steps":"[{\"action\":\"p:9/shop.Stock/No\",\"compensate\":\"p:9/shop.Stock/Give\"}]","BinPayloads":["a"]}
            10 Aborted url:p:9/shop.Stock/No return failed: out of stock FAILURE
          > gRPC p:9/shop.Stock/No [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: saga] a -> 10 out of stock
          > gRPC p:9/shop.Stock/Give [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: compensate] [dtm-trans_type: saga] a -> 0
          = g is failed, with a rollback_time, because "url:p:9/shop.Stock/No return failed: out of stock FAILURE"
            01 compensate succeed
            01 action failed
    "#]]);
}

#[tokio::test]
async fn a_tcc_goes_through_prepare_register_and_submit() {
    let mut stage = Stage::start();
    stage.grpc("Prepare", r#"{"Gid":"g","TransType":"tcc"}"#).await;
    stage.grpc("RegisterBranch", r#"{"Gid":"g","TransType":"tcc","BranchID":"01","Op":"ignored","Data":{"confirm":"p:9/shop.Stock/Confirm","cancel":"p:9/shop.Stock/Cancel"},"BusiPayload":"a"}"#).await;
    stage
        .grpc(
            "RegisterBranch",
            r#"{"Gid":"g","TransType":"tcc","BranchID":"01","Data":{"confirm":"","cancel":""}}"#,
        )
        .await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"tcc"}"#).await;
    stage.ends("g").await;
    stage
        .grpc(
            "RegisterBranch",
            r#"{"Gid":"g","TransType":"tcc","BranchID":"02","Data":{"confirm":"","cancel":""}}"#,
        )
        .await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"tcc"}"#).await;
    stage.is(&expect![[r#"
        gRPC Prepare {"Gid":"g","TransType":"tcc"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"g","TransType":"tcc","BranchID":"01","Op":"ignored","Data":{"confirm":"p:9/shop.Stock/Confirm","cancel":"p:9/shop.Stock/Cancel"},"BusiPayload":"a"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"g","TransType":"tcc","BranchID":"01","Data":{"confirm":"","cancel":""}}
            2 Unknown storage: UniqueKeyConflict
        gRPC Submit {"Gid":"g","TransType":"tcc"}
            0 Ok {}
          > gRPC p:9/shop.Stock/Confirm [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: confirm] [dtm-trans_type: tcc] a -> 0
          = g is succeed, with a finish_time
            01 cancel prepared
            01 confirm succeed
        gRPC RegisterBranch {"Gid":"g","TransType":"tcc","BranchID":"02","Data":{"confirm":"","cancel":""}}
            10 Aborted no trans with gid: g status: prepared found FAILURE
        gRPC Submit {"Gid":"g","TransType":"tcc"}
            0 Ok {}
    "#]]);
}

#[tokio::test]
async fn an_xa_goes_through_prepare_register_and_abort() {
    let mut stage = Stage::start();
    stage.grpc("Prepare", r#"{"Gid":"g","TransType":"xa"}"#).await;
    stage
        .grpc(
            "RegisterBranch",
            r#"{"Gid":"g","TransType":"xa","BranchID":"01","Data":{"url":"p:9/shop.Stock/Xa"}}"#,
        )
        .await;
    stage
        .grpc(
            "Abort",
            r#"{"Gid":"g","TransType":"xa","RollbackReason":"rpc error: code = Aborted desc = reason:"}"#,
        )
        .await;
    stage.ends("g").await;
    stage.grpc("Abort", r#"{"Gid":"g","TransType":"xa"}"#).await;
    stage.is(&expect![[r#"
        gRPC Prepare {"Gid":"g","TransType":"xa"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"g","TransType":"xa","BranchID":"01","Data":{"url":"p:9/shop.Stock/Xa"}}
            0 Ok {}
        gRPC Abort {"Gid":"g","TransType":"xa","RollbackReason":"rpc error: code = Aborted desc = reason:"}
            0 Ok {}
          > gRPC p:9/shop.Stock/Xa [dtm-branch_id: 01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: rollback] [dtm-trans_type: xa] -> 0
          = g is failed, with a rollback_time, because "rpc error: code = Aborted desc = reason:"
            01 rollback succeed
            01 commit prepared
        gRPC Abort {"Gid":"g","TransType":"xa"}
            10 Aborted trans type: 'xa' current status 'failed', cannot abort. FAILURE
    "#]]);
}

#[tokio::test]
async fn a_workflow_goes_through_prepare_workflow_and_has_its_result() {
    let mut stage = Stage::start();
    let prepare = r#"{"Gid":"g","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}"#;
    stage.grpc("PrepareWorkflow", prepare).await;
    stage.grpc("RegisterBranch", r#"{"Gid":"g","TransType":"workflow","BranchID":"01","Data":{"op":"action","status":"succeed","sync":"1"},"BusiPayload":"done"}"#).await;
    stage.grpc("RegisterBranch", r#"{"Gid":"g","TransType":"workflow","BranchID":"01","Data":{"op":"action","status":"succeed","sync":"1"},"BusiPayload":"done"}"#).await;
    stage.grpc("PrepareWorkflow", prepare).await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"workflow","ReqExtra":{"status":"succeed","result":"cmVzdWx0","rollback_reason":""}}"#).await;
    stage.grpc("PrepareWorkflow", prepare).await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"workflow","ReqExtra":{"status":"failed"}}"#).await;
    stage
        .grpc(
            "RegisterBranch",
            r#"{"Gid":"g","TransType":"workflow","BranchID":"02","Data":{"op":"action","status":"succeed"}}"#,
        )
        .await;
    stage.is(&expect![[r#"
        gRPC PrepareWorkflow {"Gid":"g","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}
            0 Ok {Transaction: {Gid: "g", Status: "prepared"}}
        gRPC RegisterBranch {"Gid":"g","TransType":"workflow","BranchID":"01","Data":{"op":"action","status":"succeed","sync":"1"},"BusiPayload":"done"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"g","TransType":"workflow","BranchID":"01","Data":{"op":"action","status":"succeed","sync":"1"},"BusiPayload":"done"}
            2 Unknown storage: UniqueKeyConflict
        gRPC PrepareWorkflow {"Gid":"g","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}
            0 Ok {Transaction: {Gid: "g", Status: "prepared"}, Progresses: [{Status: "succeed", BinData: "done", BranchID: "01", Op: "action"}]}
        gRPC Submit {"Gid":"g","TransType":"workflow","ReqExtra":{"status":"succeed","result":"cmVzdWx0","rollback_reason":""}}
            0 Ok {}
        gRPC PrepareWorkflow {"Gid":"g","TransType":"workflow","CustomedData":"{\"name\":\"order\",\"data\":\"\"}","QueryPrepared":"p:9/workflow.Workflow/Execute"}
            0 Ok {Transaction: {Gid: "g", Status: "succeed", Result: "cmVzdWx0"}, Progresses: [{Status: "succeed", BinData: "done", BranchID: "01", Op: "action"}]}
        gRPC Submit {"Gid":"g","TransType":"workflow","ReqExtra":{"status":"failed"}}
            13 Internal storage: NotFound
        gRPC RegisterBranch {"Gid":"g","TransType":"workflow","BranchID":"02","Data":{"op":"action","status":"succeed"}}
            10 Aborted no trans with gid: g status: prepared found FAILURE
    "#]]);
}

#[tokio::test]
async fn steps_may_be_empty_or_null_and_options_absent() {
    let mut stage = Stage::start();
    for (gid, more) in [
        ("absent", ""),
        ("empty", r#","Steps":"","TransOptions":{}"#),
        ("null", r#","Steps":"null","CustomedData":"null""#),
        ("none", r#","Steps":"[]","BinPayloads":[],"ReqExtra":{}"#),
    ] {
        stage.grpc("Submit", &format!(r#"{{"Gid":"{gid}","TransType":"saga"{more}}}"#)).await;
        stage.ends(gid).await;
    }
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"absent","TransType":"saga"}
            0 Ok {}
          > nobody is called
          = absent is succeed, with a finish_time
        gRPC Submit {"Gid":"empty","TransType":"saga","Steps":"","TransOptions":{}}
            0 Ok {}
          > nobody is called
          = empty is succeed, with a finish_time
        gRPC Submit {"Gid":"null","TransType":"saga","Steps":"null","CustomedData":"null"}
            0 Ok {}
          > nobody is called
          = null is succeed, with a finish_time
        gRPC Submit {"Gid":"none","TransType":"saga","Steps":"[]","BinPayloads":[],"ReqExtra":{}}
            0 Ok {}
          > nobody is called
          = none is succeed, with a finish_time
    "#]]);
}

#[tokio::test]
async fn each_kind_of_no_has_its_status() {
    let mut stage = Stage::start();
    stage.grpc("Submit", r#"{"Gid":"g"}"#).await;
    stage.grpc("Submit", r#"{"TransType":"saga"}"#).await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"saga","Steps":"{"}"#).await;
    stage.grpc("Submit", r#"{"Gid":"g","TransType":"msg","Steps":"[{\"action\":\"topic://nothing\"}]","BinPayloads":["a"]}"#).await;
    stage.grpc("Submit", r#"{"Gid":"w","TransType":"workflow","ReqExtra":{"status":"succeed"}}"#).await;
    stage.grpc("Abort", r#"{"Gid":"nobody","TransType":"tcc"}"#).await;
    stage.grpc("RegisterBranch", r#"{"Gid":"nobody","TransType":"tcc","BranchID":"01"}"#).await;
    stage.grpc("RegisterBranch", r#"{"Gid":"nobody","TransType":"saga","BranchID":"01"}"#).await;
    stage.grpc("Submit", r#"{"Gid":"done","TransType":"saga","TransOptions":{"WaitResult":true}}"#).await;
    stage.grpc("Submit", r#"{"Gid":"done","TransType":"saga"}"#).await;
    stage.grpc("Prepare", r#"{"Gid":"done","TransType":"saga"}"#).await;
    for answer in ["Wait", "Broken", "No"] {
        let gid = answer.to_lowercase();
        stage.grpc("Prepare", &format!(r#"{{"Gid":"{gid}","TransType":"tcc"}}"#)).await;
        stage.grpc("RegisterBranch", &format!(r#"{{"Gid":"{gid}","TransType":"tcc","BranchID":"01","Data":{{"confirm":"p:9/shop.Stock/{answer}"}}}}"#)).await;
        stage
            .grpc(
                "Submit",
                &format!(r#"{{"Gid":"{gid}","TransType":"tcc","TransOptions":{{"WaitResult":true}}}}"#),
            )
            .await;
    }
    stage.is(&expect![[r#"
        gRPC Submit {"Gid":"g"}
            13 Internal unknow trans type:
        gRPC Submit {"TransType":"saga"}
            2 Unknown key required: gid is empty
        gRPC Submit {"Gid":"g","TransType":"saga","Steps":"{"}
            2 Unknown Steps: invalid type: map, expected a sequence at line 1 column 0
        gRPC Submit {"Gid":"g","TransType":"msg","Steps":"[{\"action\":\"topic://nothing\"}]","BinPayloads":["a"]}
            2 Unknown topic not found
        gRPC Submit {"Gid":"w","TransType":"workflow","ReqExtra":{"status":"succeed"}}
            13 Internal storage: NotFound
        gRPC Abort {"Gid":"nobody","TransType":"tcc"}
            13 Internal no TransGlobal with gid: nobody found
        gRPC RegisterBranch {"Gid":"nobody","TransType":"tcc","BranchID":"01"}
            10 Aborted no trans with gid: nobody status: prepared found FAILURE
        gRPC RegisterBranch {"Gid":"nobody","TransType":"saga","BranchID":"01"}
            2 Unknown unknow trans type: saga
        gRPC Submit {"Gid":"done","TransType":"saga","TransOptions":{"WaitResult":true}}
            0 Ok {}
        gRPC Submit {"Gid":"done","TransType":"saga"}
            0 Ok {}
        gRPC Prepare {"Gid":"done","TransType":"saga"}
            2 Unknown current status 'succeed', cannot prepare
        gRPC Prepare {"Gid":"wait","TransType":"tcc"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"wait","TransType":"tcc","BranchID":"01","Data":{"confirm":"p:9/shop.Stock/Wait"}}
            0 Ok {}
        gRPC Submit {"Gid":"wait","TransType":"tcc","TransOptions":{"WaitResult":true}}
            9 FailedPrecondition ONGOING
        gRPC Prepare {"Gid":"broken","TransType":"tcc"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"broken","TransType":"tcc","BranchID":"01","Data":{"confirm":"p:9/shop.Stock/Broken"}}
            0 Ok {}
        gRPC Submit {"Gid":"broken","TransType":"tcc","TransOptions":{"WaitResult":true}}
            9 FailedPrecondition ONGOING: it is tried again, after grpc status 13 INTERNAL: the participant failed; look at its log: out of order
        gRPC Prepare {"Gid":"no","TransType":"tcc"}
            0 Ok {}
        gRPC RegisterBranch {"Gid":"no","TransType":"tcc","BranchID":"01","Data":{"confirm":"p:9/shop.Stock/No"}}
            0 Ok {}
        gRPC Submit {"Gid":"no","TransType":"tcc","TransOptions":{"WaitResult":true}}
            9 FailedPrecondition ONGOING: it is tried again, after confirm may not be refused, yet the answer was no: out of stock
    "#]]);
}

#[tokio::test]
async fn topics_are_kept_by_three_methods() {
    let mut stage = Stage::start();
    stage.grpc("Subscribe", r#"{"Topic":"t","URL":"p:9/shop.Stock/Take","Remark":"r"}"#).await;
    stage.grpc("Subscribe", r#"{"Topic":"t","URL":"p:9/shop.Stock/Take"}"#).await;
    stage.grpc("Subscribe", r#"{"Topic":"t","URL":"p:9/shop.Money/Take"}"#).await;
    stage.get("queryKV?cat=topics&key=t").await;
    stage
        .grpc(
            "Submit",
            r#"{"Gid":"g","TransType":"msg","Steps":"[{\"action\":\"topic://t\"}]","BinPayloads":["a"]}"#,
        )
        .await;
    stage.ends("g").await;
    stage.grpc("Unsubscribe", r#"{"Topic":"t","URL":"p:9/shop.Stock/Take"}"#).await;
    stage.grpc("Unsubscribe", r#"{"Topic":"t","URL":"p:9/shop.Stock/Take"}"#).await;
    stage.grpc("DeleteTopic", r#"{"Topic":"t"}"#).await;
    stage.grpc("DeleteTopic", r#"{"Topic":"t"}"#).await;
    stage.grpc("DeleteTopic", "{}").await;
    stage.is(&expect![[r#"
        gRPC Subscribe {"Topic":"t","URL":"p:9/shop.Stock/Take","Remark":"r"}
            0 Ok {}
        gRPC Subscribe {"Topic":"t","URL":"p:9/shop.Stock/Take"}
            2 Unknown this url exists
        gRPC Subscribe {"Topic":"t","URL":"p:9/shop.Money/Take"}
            0 Ok {}
        GET queryKV?cat=topics&key=t
            200 {"kv":[{"cat":"topics","create_time":"<time>","id":0,"k":"t","update_time":"<time>","v":"[{\"url\":\"p:9/shop.Stock/Take\",\"remark\":\"r\"},{\"url\":\"p:9/shop.Money/Take\",\"remark\":\"\"}]","version":2}]}
        gRPC Submit {"Gid":"g","TransType":"msg","Steps":"[{\"action\":\"topic://t\"}]","BinPayloads":["a"]}
            0 Ok {}
          > gRPC p:9/shop.Stock/Take [dtm-branch_id: 01-01] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: msg] a -> 0
          > gRPC p:9/shop.Money/Take [dtm-branch_id: 01-02] [dtm-dtm: ] [dtm-gid: g] [dtm-op: action] [dtm-trans_type: msg] a -> 0
          = g is succeed, with a finish_time
            01-01 action succeed
            01-02 action succeed
        gRPC Unsubscribe {"Topic":"t","URL":"p:9/shop.Stock/Take"}
            0 Ok {}
        gRPC Unsubscribe {"Topic":"t","URL":"p:9/shop.Stock/Take"}
            2 Unknown no such an url
        gRPC DeleteTopic {"Topic":"t"}
            0 Ok {}
        gRPC DeleteTopic {"Topic":"t"}
            2 Unknown storage: NotFound
        gRPC DeleteTopic {}
            2 Unknown empty topic
    "#]]);
}
