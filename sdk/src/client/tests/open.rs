//! Open transactions: registering, trying and preparing branches from the initiator.

use super::*;

#[tokio::test]
async fn an_open_tcc_registers_before_it_tries_and_repeats_what_is_unknown() {
    let participant = Server::start([
        StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        axum::Json(json!({"reserved": 2})).into_response(),
        (StatusCode::CONFLICT, axum::Json(json!({"detail": "short"}))).into_response(),
    ])
    .await;
    let coordinator = Server::start((0..4).map(|_| answered(202, "open"))).await;
    let open = coordinator.client().open(Tcc::new().gid("g-1").label("a", "b")).await.unwrap();
    let branch = |id| TccBranch::new(id).url(&participant.url).payload(&json!({"sku": "A-1"}));
    let done = open.try_branch(branch("stock")).await.unwrap();
    assert_eq!(done, Forward::Done(json!({"reserved": 2})));
    assert_eq!(open.try_branch(branch("order")).await.unwrap(), Forward::Refused("short".into()));
    open.abort("short").await.unwrap();
    let asked = coordinator.asked();
    assert_eq!((&asked[0].body["open"], &asked[0].body["branches"]), (&json!(true), &json!([])));
    assert_eq!(asked[1].line, "POST /v1/transactions/g-1/branches");
    assert_eq!(asked[1].body["id"], "stock");
    let calls = participant.asked();
    let expected = [("stock", "1"), ("stock", "2"), ("order", "1")];
    assert_eq!(calls.len(), expected.len());
    for (call, (branch, attempt)) in calls.iter().zip(expected) {
        assert_eq!(call.body, json!({"sku": "A-1"}));
        let context =
            crate::BranchContext::from_headers(|name| call.headers.get(name)?.to_str().ok()).unwrap();
        assert_eq!((context.gid.as_str(), context.branch.as_str()), ("g-1", branch));
        assert_eq!((context.op, context.attempt.to_string().as_str()), (trine_protocol::Op::Try, attempt));
        assert_eq!(call.header("idempotency-key"), context.idempotency_key());
    }
}

#[tokio::test]
async fn a_try_says_which_journal_it_is_of_and_stops_at_a_conflict() {
    let named = |mut answer: Response| {
        answer.headers_mut().insert(headers::JOURNAL, "journal-7".parse().unwrap());
        answer
    };
    let detail = axum::Json(json!({"detail": "it is of journal one"}));
    let conflict =
        (StatusCode::PRECONDITION_FAILED, [(headers::CONFLICT, "journal")], detail).into_response();
    let participant = Server::start([StatusCode::OK.into_response(), conflict]).await;
    let coordinator = Server::start((0..3).map(|_| named(answered(202, "open")))).await;
    let open = coordinator.client().open(Tcc::new().gid("g-1")).await.unwrap();
    assert_eq!(open.journal().map(|journal| journal.as_str()), Some("journal-7"));
    let branch = |id| TccBranch::new(id).url(&participant.url).payload(&json!({"sku": "A-1"}));
    assert!(open.try_branch(branch("stock")).await.unwrap().is_done());
    // Asked once: nothing that a repetition would mend.
    let refused = open.try_branch(branch("order")).await.unwrap();
    assert_eq!(refused, Forward::Unknown("it is of journal one".into()));
    let calls = participant.asked();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let context =
            crate::BranchContext::from_headers(|name| call.headers.get(name)?.to_str().ok()).unwrap();
        assert_eq!(context.journal.unwrap().as_str(), "journal-7");
        assert_eq!(context.payload_digest, Some(crate::PayloadDigest::of(br#"{"sku":"A-1"}"#)));
    }
}

#[tokio::test]
async fn a_branch_that_cannot_be_registered_is_not_called() {
    let participant = Server::start([StatusCode::OK.into_response()]).await;
    let coordinator = Server::start([answered(202, "open"), problem(Code::IllegalState)]).await;
    let open = coordinator.client().open(Tcc::new()).await.unwrap();
    let error = open.try_branch(TccBranch::new("stock").try_(&participant.url)).await.unwrap_err();
    assert_eq!(error.code(), Some("TX0008"));
    assert_eq!(participant.lines(), [""; 0]);
}

#[tokio::test]
async fn prepare_finds_a_participant_by_name_and_reads_its_vote() {
    let vote = || ([("trine-vote", "read-only")], axum::Json(Value::Null)).into_response();
    let participant =
        Server::start([vote(), (StatusCode::TOO_EARLY, [("retry-after", "0")]).into_response(), vote()])
            .await;
    let instance = |url: &str, alive| json!({"base_url": url, "alive": alive, "registered_at": "2026-01-31T12:00:00Z", "expires_at": "2026-01-31T12:00:00Z"});
    let instances = json!([instance("http://127.0.0.1:1", false), instance(&participant.url, true)]);
    let list =
        axum::Json(json!({"participants": [{"name": "inventory", "instances": instances}]})).into_response();
    let coordinator =
        Server::start([answered(202, "open"), answered(202, "open"), list, answered(202, "open")]).await;
    let open = coordinator.client().open(TwoPhase::new()).await.unwrap();
    for id in ["a", "b"] {
        let branch = TwoPhaseBranch::new(id).prepare("inventory:/stock/prepare");
        assert_eq!(open.prepare_branch(branch).await.unwrap(), Forward::ReadOnly);
    }
    assert_eq!(participant.lines(), ["POST /stock/prepare"; 3]);
    assert_eq!(coordinator.lines()[2], "GET /v1/participants");
}
